/**
 * What can be told from the shape of an expression alone: the calls that load
 * or compile code, the calls and assignments that change something.
 */
import * as Scope from "./Scope.ts"

/** Methods of the built-in collections that change their receiver. */
const mutators = new Set([
  "add",
  "append",
  "clear",
  "copyWithin",
  "delete",
  "fill",
  "pop",
  "push",
  "reverse",
  "set",
  "shift",
  "sort",
  "splice",
  "unshift"
])

/** Functions of `Object` and `Reflect` that change their first argument. */
const changers = new Set([
  "assign",
  "defineProperties",
  "defineProperty",
  "deleteProperty",
  "set",
  "setPrototypeOf"
])

/**
 * The names at the root of an assignment target or of a receiver, each with the
 * members that lead from it for as long as they are written as names.
 */
export const targets = (
  target: Scope.Tree | null
): ReadonlyArray<{ readonly root: string; readonly path: ReadonlyArray<string> }> => {
  if (target === null) return []
  const path: Array<string> = []
  let inner = Scope.unwrap(target)
  while (inner.type === "MemberExpression" || inner.type === "ChainExpression") {
    if (inner.type === "MemberExpression") {
      const name = Scope.memberName(inner)
      // Only the members before a computed one lead from the root.
      if (name === undefined) path.length = 0
      else path.push(name)
    }
    inner = Scope.unwrap(inner.type === "MemberExpression" ? inner["object"] : inner["expression"])
  }
  switch (inner.type) {
    case "Identifier":
      return [{ root: inner["name"], path: path.toReversed() }]
    case "ObjectPattern":
      return inner["properties"].flatMap((property: Scope.Tree) => targets(property["value"] ?? property["argument"]))
    case "ArrayPattern":
      return inner["elements"].flatMap(targets)
    case "AssignmentPattern":
      return targets(inner["left"])
    case "RestElement":
      return targets(inner["argument"])
    default:
      return []
  }
}

const isMeta = (tree: Scope.Tree): boolean => Scope.unwrap(tree).type === "MetaProperty"

/** Whether an expression is `import.meta.url` or the like. */
const isModuleUrl = (tree: Scope.Tree): boolean => {
  const inner = Scope.unwrap(tree)
  return inner.type === "MemberExpression" && isMeta(inner["object"])
}

/** Whether a declarator is `require = createRequire(import.meta.url)`. */
export const isPlainRequire = (declarator: Scope.Tree): boolean => {
  if (declarator["id"].name !== "require" || declarator["init"] === null) return false
  const made = Scope.unwrap(declarator["init"])
  return made.type === "CallExpression" && made["arguments"].length === 1 && isModuleUrl(made["arguments"][0])
}

/** Which names the surroundings of a call bind. */
export interface Surroundings {
  readonly isLocal: (name: string) => boolean
  /** Neither local nor bound at module level. */
  readonly isGlobal: (name: string) => boolean
}

export interface Call {
  /** The call is `make("name", …)`. */
  readonly made: { readonly name: string | undefined } | undefined
  /** The call is `require("x")` or `require.resolve("x")`. */
  readonly required: { readonly specifier: string; readonly load: boolean } | undefined
  /** The literal in `new URL("x", import.meta.url)` or `import.meta.resolve("x")`. */
  readonly asset: string | undefined
  /** What the call changes. */
  readonly changes: ReadonlyArray<Scope.Tree>
  /** Why the code that the call runs or loads cannot be told. */
  readonly reasons: ReadonlyArray<string>
}

/** What a call or a `new` does beyond calling. */
export const call = (tree: Scope.Tree, { isGlobal, isLocal }: Surroundings): Call => {
  const isNew = tree.type === "NewExpression"
  const callee = Scope.unwrap(tree["callee"])
  const chain = Scope.memberChain(callee)
  const first: Scope.Tree | undefined = tree["arguments"][0]
  const literal = Scope.literalText(first)
  const receiver: Scope.Tree | undefined = callee.type === "MemberExpression" ? callee["object"] : undefined
  const name: string | undefined = receiver === undefined ? callee["name"] : Scope.memberName(callee)
  const reasons: Array<string> = []
  const changes: Array<Scope.Tree> = []
  let required: Call["required"]
  let asset: Call["asset"]

  if (chain?.root["name"] === "require" && !isLocal("require")) {
    const load = chain.path.length === 0
    if (literal !== undefined && (load || (chain.path.length === 1 && chain.path[0] === "resolve"))) {
      required = { specifier: literal, load }
    }
  }
  if (name === "createRequire") {
    reasons.push("`createRequire` is used other than as `const require = createRequire(import.meta.url)`")
  }
  if (chain?.root["name"] === "Function" && isGlobal("Function")) reasons.push("`Function` compiles code from text")
  if (receiver !== undefined && isMeta(receiver)) {
    if (name === "resolve") asset = literal
    else if (name === "glob") reasons.push("`import.meta.glob` loads modules by pattern")
  }
  if (isNew && name === "URL" && tree["arguments"].length === 2 && isModuleUrl(tree["arguments"][1])) asset = literal
  if (isNew && name === "Worker" && first !== undefined) {
    const source = Scope.unwrap(first)
    const isLiteralUrl = source.type === "NewExpression" && Scope.literalText(source["arguments"][0]) !== undefined
    if (!isLiteralUrl) {
      reasons.push("the worker's module is not written as `new URL(\"./file.ts\", import.meta.url)`")
    }
  }
  if (!isNew && receiver !== undefined && name !== undefined) {
    if (mutators.has(name)) changes.push(receiver)
    const owner: unknown = Scope.unwrap(receiver)["name"]
    if (changers.has(name) && first !== undefined && (owner === "Object" || owner === "Reflect")) changes.push(first)
  }
  return { made: name === "make" && !isNew ? { name: literal } : undefined, required, asset, changes, reasons }
}

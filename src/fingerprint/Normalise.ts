/**
 * The normalised form of one piece of code: what is left when positions,
 * comments, formatting, parentheses, spellings of literals, types and chosen
 * names are taken away.
 *
 * It is a list of tokens in prefix order, in which
 *
 * - a local binding is the order in which the code binds it (`$0`),
 * - a name that the piece itself declares for the module is its place in the
 *   declaration (`^0`),
 * - a mention of something at module level is a bare `@`: what it refers to is
 *   listed beside the form, in order of mention, and is hashed by whoever knows
 *   what the name means,
 * - any other name is a global and stays (`!Math`).
 *
 * Every node opens and closes a bracket and every text is quoted, so two
 * different trees never share a form.
 */
import * as Digest from "../store/Digest.ts"
import * as Recognise from "./Recognise.ts"
import * as Scope from "./Scope.ts"

/** A mention of something outside the piece of code. */
export type Reference =
  /** A name bound at module level, and the members taken from it by name. */
  | { readonly kind: "binding"; readonly name: string; readonly path: ReadonlyArray<string> }
  /** A module loaded while running: `import("./x.ts")`, `require("./x.cjs")`. */
  | { readonly kind: "module"; readonly specifier: string }
  /** A file named relative to the module: `new URL("./worker.ts", import.meta.url)`. */
  | { readonly kind: "asset"; readonly specifier: string }

/** Why a piece of code cannot be followed to everything that it reaches. */
export interface Finding {
  /** Offset in the file's text. */
  readonly start: number
  readonly reason: string
}

export interface Normalised {
  /** The digest of the form. It says nothing about what the references mean. */
  readonly digest: string
  readonly references: ReadonlyArray<Reference>
  /** Bindings of module level that the piece may change: it assigns to them, to their members, or calls a mutating method. */
  readonly writes: ReadonlyArray<Reference>
  readonly findings: ReadonlyArray<Finding>
  readonly makes: ReadonlyArray<Make>
}

/** A call of `make("name", …)`; the name is absent when it is not a literal. */
export interface Make {
  readonly name: string | undefined
  readonly start: number
  /** Whether a function surrounds the call, so that what it makes may close over the function's arguments. */
  readonly nested: boolean
}

/** What a piece of top-level code is: the statement itself, one declarator of a `const`, or a default expression. */
export interface Piece {
  readonly form: "statement" | "declarator" | "default"
  /** `const`, `let`, `var`, … of a declarator. */
  readonly kind: string
  readonly tree: Scope.Tree
  /** The names of module level that it declares. */
  readonly names: ReadonlyArray<string>
}

/** Nodes that are written as they stand: their scalar fields, then their children. */
const shapes: Readonly<Record<string, readonly [scalars: ReadonlyArray<string>, children: ReadonlyArray<string>]>> = {
  ArrayExpression: [[], ["elements"]],
  ArrayPattern: [[], ["elements"]],
  AssignmentPattern: [[], ["left", "right"]],
  AwaitExpression: [[], ["argument"]],
  BinaryExpression: [["operator"], ["left", "right"]],
  ChainExpression: [[], ["expression"]],
  ConditionalExpression: [[], ["test", "consequent", "alternate"]],
  DebuggerStatement: [[], []],
  Decorator: [[], ["expression"]],
  EmptyStatement: [[], []],
  ExpressionStatement: [[], ["expression"]],
  LogicalExpression: [["operator"], ["left", "right"]],
  ObjectExpression: [[], ["properties"]],
  ObjectPattern: [[], ["properties"]],
  RestElement: [[], ["argument"]],
  ReturnStatement: [[], ["argument"]],
  SequenceExpression: [[], ["expressions"]],
  SpreadElement: [[], ["argument"]],
  Super: [[], []],
  SwitchCase: [[], ["test", "consequent"]],
  ThisExpression: [[], []],
  ThrowStatement: [[], ["argument"]],
  TryStatement: [[], ["block", "handler", "finalizer"]],
  UnaryExpression: [["operator"], ["argument"]],
  UpdateExpression: [["operator", "prefix"], ["argument"]],
  YieldExpression: [["delegate"], ["argument"]]
}

/**
 * A function from pieces of one file to their normalised forms.
 *
 * `isModuleLevel` tells the names that the file binds at module level, imports
 * included.
 */
export const normaliser = (isModuleLevel: (name: string) => boolean): (piece: Piece) => Normalised => (piece) => {
  const out: Array<string> = []
  const references: Array<Reference> = []
  const writes: Array<Reference> = []
  const findings: Array<Finding> = []
  const makes: Array<Make> = []
  let bound = 0
  let functions = 0
  let labels: Array<string> = []

  const declare = (scope: Scope.Scope, names: ReadonlyArray<string>): void => {
    for (const name of names) if (!scope.names.has(name)) scope.names.set(name, `$${bound++}`)
  }
  const find = (tree: Scope.Tree, reason: string): void => {
    findings.push({ start: tree.start, reason })
  }
  const isGlobal = (scope: Scope.Scope, name: string): boolean =>
    Scope.lookup(scope, name) === undefined && !isModuleLevel(name)
  const mention = (reference: Reference): void => {
    out.push("@")
    references.push(reference)
  }

  // Names.

  const identifier = (tree: Scope.Tree, scope: Scope.Scope): void => {
    const name: string = tree["name"]
    const local = Scope.lookup(scope, name)
    if (local !== undefined) return void out.push(local)
    if (name === "require") find(tree, "`require` is used other than by calling it with a string")
    if (isModuleLevel(name)) return mention({ kind: "binding", name, path: [] })
    if (name === "eval") find(tree, "`eval` can run any code")
    out.push(`!${name}`)
  }

  const binding = (tree: Scope.Tree, scope: Scope.Scope): void => {
    const name: string = tree["name"]
    const local = Scope.lookup(scope, name)
    if (local !== undefined) return void out.push(local)
    const slot = piece.names.indexOf(name)
    if (slot >= 0) return void out.push(`^${slot}`)
    // A `var` declared a second time: the first declaration owns the name, and this one changes it.
    mention({ kind: "binding", name, path: [] })
    writes.push({ kind: "binding", name, path: [] })
  }

  /** A pattern in a place that declares its names. */
  const declaration = (pattern: Scope.Tree | null, scope: Scope.Scope): void => {
    if (pattern === null) return void out.push("_")
    switch (pattern.type) {
      case "Identifier":
        binding(pattern, scope)
        break
      case "ObjectPattern":
        out.push("(", "ObjectPattern")
        for (const property of pattern["properties"]) {
          if (property.type === "RestElement") declaration(property, scope)
          else {
            out.push("(", "Property")
            key(property, scope)
            declaration(property.value, scope)
            out.push(")")
          }
        }
        out.push(")")
        break
      case "ArrayPattern":
        out.push("(", "ArrayPattern")
        for (const element of pattern["elements"]) declaration(element, scope)
        out.push(")")
        break
      case "AssignmentPattern":
        out.push("(", "AssignmentPattern")
        declaration(pattern["left"], scope)
        visit(pattern["right"], scope)
        out.push(")")
        break
      case "RestElement":
        out.push("(", "RestElement")
        declaration(pattern["argument"], scope)
        out.push(")")
        break
      case "TSParameterProperty":
        // Not erased: the constructor assigns the parameter to a field.
        out.push("(", "ParameterProperty", JSON.stringify(Scope.patternNames(pattern)))
        declaration(pattern["parameter"], scope)
        out.push(")")
        break
      default:
        unknown(pattern, scope)
    }
    for (const decorator of pattern["decorators"] ?? []) visit(decorator, scope)
  }

  /** Notes that what an assignment target or a receiver leads to is changed. */
  const write = (target: Scope.Tree | null, scope: Scope.Scope): void => {
    for (const { path, root } of Recognise.targets(target)) {
      if (Scope.lookup(scope, root) === undefined && isModuleLevel(root)) {
        writes.push({ kind: "binding", name: root, path })
      }
    }
  }

  // Pieces of syntax that several nodes share.

  const list = (trees: ReadonlyArray<Scope.Tree | null>, scope: Scope.Scope): void => {
    out.push("[")
    for (const tree of trees) visit(tree, scope)
    out.push("]")
  }

  const statements = (trees: ReadonlyArray<Scope.Tree>, scope: Scope.Scope): void => {
    out.push("[")
    for (const tree of trees) if (!Scope.isErased(tree)) visit(tree, scope)
    out.push("]")
  }

  const block = (trees: ReadonlyArray<Scope.Tree>, scope: Scope.Scope): void => {
    const inner = Scope.child(scope)
    declare(inner, Scope.blockNames(trees))
    out.push("(", "Block")
    statements(trees, inner)
    out.push(")")
  }

  /** The body of an `if` or a loop: braces around a single statement are formatting. */
  const branch = (tree: Scope.Tree | null, scope: Scope.Scope): void => {
    if (tree === null) out.push("_")
    else block(tree.type === "BlockStatement" ? tree["body"] : [tree], scope)
  }

  const key = (tree: Scope.Tree, scope: Scope.Scope): void => {
    const name: Scope.Tree = tree["key"]
    if (tree["computed"] === true) {
      out.push("computed")
      visit(name, scope)
    } else if (name.type === "PrivateIdentifier") out.push(`#${name["name"]}`)
    else out.push(JSON.stringify(String(name.type === "Identifier" ? name["name"] : name["bigint"] ?? name["value"])))
  }

  const callable = (tree: Scope.Tree, scope: Scope.Scope): void => {
    const outerLabels = labels
    labels = []
    functions++
    let outer = scope
    if (tree.type === "FunctionExpression" && tree["id"] !== null) {
      outer = Scope.child(scope)
      declare(outer, [tree["id"].name])
    }
    const parameters = Scope.child(outer)
    // A parameter named `this` is a type annotation.
    const written: ReadonlyArray<Scope.Tree> = tree["params"].filter((parameter: Scope.Tree) =>
      parameter["name"] !== "this"
    )
    for (const parameter of written) declare(parameters, Scope.patternNames(parameter))
    out.push("(", tree.type, tree["async"] === true ? "async" : "_", tree["generator"] === true ? "generator" : "_")
    if (tree["id"] === null) out.push("_")
    else binding(tree["id"], outer)
    out.push("[")
    for (const parameter of written) declaration(parameter, parameters)
    out.push("]")
    const body: Scope.Tree = tree["body"]
    if (body.type === "BlockStatement") {
      const inner = Scope.child(parameters)
      // A `var` or a function named like a parameter is that parameter's binding.
      const names = [...Scope.hoistedNames(body["body"]), ...Scope.blockNames(body["body"])]
      declare(inner, names.filter((name) => !parameters.names.has(name)))
      statements(body["body"], inner)
    } else visit(body, parameters)
    out.push(")")
    functions--
    labels = outerLabels
  }

  const classLike = (tree: Scope.Tree, scope: Scope.Scope): void => {
    let inner = scope
    if (tree.type === "ClassExpression" && tree["id"] !== null) {
      inner = Scope.child(scope)
      declare(inner, [tree["id"].name])
    }
    out.push("(", tree.type)
    if (tree["id"] === null) out.push("_")
    else binding(tree["id"], inner)
    list(tree["decorators"] ?? [], scope)
    visit(tree["superClass"], inner)
    out.push("[")
    for (const member of tree["body"].body as ReadonlyArray<Scope.Tree>) {
      switch (member.type) {
        case "StaticBlock": {
          const body = Scope.child(inner)
          declare(body, [...Scope.hoistedNames(member["body"]), ...Scope.blockNames(member["body"])])
          out.push("(", "StaticBlock")
          statements(member["body"], body)
          out.push(")")
          break
        }
        case "MethodDefinition":
        case "PropertyDefinition":
        case "AccessorProperty":
          // An overload signature has no body, and a declared field no run time.
          if (member["value"]?.type === "TSEmptyBodyFunctionExpression" || member["declare"] === true) break
          out.push("(", member.type, member["static"] === true ? "static" : "_", member["kind"] ?? "_")
          list(member["decorators"] ?? [], inner)
          key(member, inner)
          visit(member["value"], inner)
          out.push(")")
          break
        case "TSAbstractMethodDefinition":
        case "TSAbstractPropertyDefinition":
        case "TSAbstractAccessorProperty":
        case "TSIndexSignature":
          break
        default:
          unknown(member, inner)
      }
    }
    out.push("]", ")")
  }

  const call = (tree: Scope.Tree, scope: Scope.Scope): void => {
    const known = Recognise.call(tree, {
      isLocal: (name) => Scope.lookup(scope, name) !== undefined,
      isGlobal: (name) => isGlobal(scope, name)
    })
    if (known.made !== undefined) makes.push({ ...known.made, start: tree["callee"].end, nested: functions > 0 })
    for (const reason of known.reasons) if (tree !== plainRequire) find(tree, reason)
    for (const changed of known.changes) write(changed, scope)
    if (known.required !== undefined) {
      out.push("(", "Require", known.required.load ? "load" : "resolve")
      mention({ kind: "module", specifier: known.required.specifier })
      return void out.push(")")
    }
    out.push("(", tree.type, tree["optional"] === true ? "optional" : "_")
    if (known.asset !== undefined) {
      out.push("asset")
      // The file that the literal names counts beside the literal.
      mention({ kind: "asset", specifier: known.asset })
    }
    visit(tree["callee"], scope)
    list(tree["arguments"], scope)
    out.push(")")
  }

  /** `createRequire(import.meta.url)` under the name `require`, the one use of it whose calls are recognised. */
  let plainRequire: Scope.Tree | undefined
  const declarator = (tree: Scope.Tree, scope: Scope.Scope): void => {
    if (Recognise.isPlainRequire(tree)) plainRequire = Scope.unwrap(tree["init"])
    declaration(tree["id"], scope)
    visit(tree["init"], scope)
  }

  /** Syntax this module does not know: everything in it counts, and the finding makes the whole file count. */
  const unknown = (tree: Scope.Tree, scope: Scope.Scope): void => {
    find(tree, `the syntax ${tree.type} is not analysed`)
    out.push("(", tree.type)
    for (const field of Object.keys(tree)) {
      if (field === "type" || field === "start" || field === "end") continue
      const value = tree[field]
      if (Array.isArray(value)) { for (const one of value) any(one, scope) }
      else any(value, scope)
    }
    out.push(")")
  }
  const any = (value: unknown, scope: Scope.Scope): void => {
    if (typeof value !== "object" || value === null) out.push(JSON.stringify(String(value)))
    else if ("type" in value) visit(value as Scope.Tree, scope)
    else out.push(JSON.stringify(JSON.stringify(value)))
  }

  const visit = (tree: Scope.Tree | null | undefined, scope: Scope.Scope): void => {
    if (tree === null || tree === undefined) return void out.push("_")
    const shape = shapes[tree.type]
    if (shape !== undefined) {
      if (tree.type === "UpdateExpression" || (tree.type === "UnaryExpression" && tree["operator"] === "delete")) {
        write(tree["argument"], scope)
      }
      out.push("(", tree.type)
      for (const field of shape[0]) out.push(String(tree[field]))
      for (const field of shape[1]) {
        const value = tree[field]
        if (Array.isArray(value)) list(value, scope)
        else visit(value, scope)
      }
      return void out.push(")")
    }
    switch (tree.type) {
      case "Identifier":
      case "JSXIdentifier":
        return identifier(tree, scope)
      case "ParenthesizedExpression":
      case "TSAsExpression":
      case "TSSatisfiesExpression":
      case "TSNonNullExpression":
      case "TSTypeAssertion":
      case "TSInstantiationExpression":
        return visit(tree["expression"], scope)
      case "Literal":
        return literal(tree)
      case "TemplateLiteral":
        return template(tree, scope, false)
      case "TaggedTemplateExpression":
        out.push("(", tree.type)
        visit(tree["tag"], scope)
        template(tree["quasi"], scope, true)
        return void out.push(")")
      case "MemberExpression":
        return member(tree, scope)
      case "CallExpression":
      case "NewExpression":
        return call(tree, scope)
      case "ImportExpression": {
        const specifier = Scope.literalText(tree["source"])
        out.push("(", tree.type)
        if (specifier !== undefined) mention({ kind: "module", specifier })
        else {
          find(tree, "`import()` is called with something other than a string")
          visit(tree["source"], scope)
        }
        visit(tree["options"], scope)
        return void out.push(")")
      }
      case "MetaProperty":
        return void out.push("(", tree.type, tree["meta"].name, tree["property"].name, ")")
      case "PrivateIdentifier":
        return void out.push(`#${tree["name"]}`)
      case "Property":
        out.push("(", "Property", tree["kind"], tree["method"] === true ? "method" : "_")
        // `{ __proto__ }` makes a property where `{ __proto__: __proto__ }` sets the prototype.
        if (tree["shorthand"] === true && tree["key"].name === "__proto__") out.push("shorthand")
        key(tree, scope)
        visit(tree["value"], scope)
        return void out.push(")")
      case "AssignmentExpression":
        write(tree["left"], scope)
        out.push("(", tree.type, tree["operator"])
        visit(tree["left"], scope)
        visit(tree["right"], scope)
        return void out.push(")")
      case "ArrowFunctionExpression":
      case "FunctionExpression":
      case "FunctionDeclaration":
        return callable(tree, scope)
      case "ClassDeclaration":
      case "ClassExpression":
        return classLike(tree, scope)
      case "BlockStatement":
        return block(tree["body"], scope)
      case "VariableDeclaration":
        out.push("(", tree.type, tree["kind"])
        for (const one of tree["declarations"]) declarator(one, scope)
        return void out.push(")")
      case "IfStatement":
        out.push("(", tree.type)
        visit(tree["test"], scope)
        branch(tree["consequent"], scope)
        branch(tree["alternate"], scope)
        return void out.push(")")
      case "WhileStatement":
      case "DoWhileStatement":
        out.push("(", tree.type)
        visit(tree["test"], scope)
        branch(tree["body"], scope)
        return void out.push(")")
      case "ForStatement":
      case "ForInStatement":
      case "ForOfStatement":
        return loop(tree, scope)
      case "SwitchStatement": {
        out.push("(", tree.type)
        visit(tree["discriminant"], scope)
        const inner = Scope.child(scope)
        declare(inner, Scope.blockNames(tree["cases"].flatMap((one: Scope.Tree) => one["consequent"])))
        out.push("[")
        for (const one of tree["cases"] as ReadonlyArray<Scope.Tree>) {
          out.push("(", one.type)
          visit(one["test"], inner)
          statements(one["consequent"], inner)
          out.push(")")
        }
        return void out.push("]", ")")
      }
      case "CatchClause": {
        const inner = Scope.child(scope)
        declare(inner, Scope.patternNames(tree["param"]))
        out.push("(", tree.type)
        declaration(tree["param"], inner)
        block(tree["body"].body, inner)
        return void out.push(")")
      }
      case "LabeledStatement":
        labels.push(tree["label"].name)
        out.push("(", tree.type)
        visit(tree["body"], scope)
        labels.pop()
        return void out.push(")")
      case "BreakStatement":
      case "ContinueStatement":
        return void out.push(
          "(",
          tree.type,
          tree["label"] === null ? "_" : String(labels.lastIndexOf(tree["label"].name)),
          ")"
        )
      case "TSEnumDeclaration":
        return enumeration(tree, scope)
      default:
        return unknown(tree, scope)
    }
  }

  const literal = (tree: Scope.Tree): void => {
    const value: unknown = tree["value"]
    if (tree["regex"] !== undefined) {
      out.push("/", JSON.stringify(tree["regex"].pattern), JSON.stringify(tree["regex"].flags))
    } else if (tree["bigint"] !== undefined) out.push(`${tree["bigint"]}n`)
    else out.push(typeof value === "string" ? JSON.stringify(value) : String(value))
  }

  const template = (tree: Scope.Tree, scope: Scope.Scope, tagged: boolean): void => {
    out.push("(", tree.type)
    for (const quasi of tree["quasis"]) {
      out.push(JSON.stringify(quasi.value.cooked ?? null))
      // Only a tag can see how the text was spelled.
      if (tagged) out.push(JSON.stringify(quasi.value.raw.replaceAll(/\r\n?/g, "\n")))
    }
    for (const expression of tree["expressions"]) visit(expression, scope)
    out.push(")")
  }

  const member = (tree: Scope.Tree, scope: Scope.Scope): void => {
    const chain = Scope.memberChain(tree)
    if (chain !== undefined) {
      const root: string = chain.root["name"]
      if (Scope.lookup(scope, root) === undefined && isModuleLevel(root) && root !== "require") {
        return mention({ kind: "binding", name: root, path: chain.path })
      }
      if (chain.path[0] === "eval" && isGlobal(scope, root)) find(tree, "`eval` can run any code")
      if (chain.path[0] === "Function" && isGlobal(scope, root)) find(tree, "`Function` compiles code from text")
    }
    out.push("(", tree.type, tree["optional"] === true ? "optional" : "_")
    visit(tree["object"], scope)
    const name = Scope.memberName(tree)
    if (name !== undefined) out.push(JSON.stringify(name))
    else visit(tree["property"], scope)
    out.push(")")
  }

  const loop = (tree: Scope.Tree, scope: Scope.Scope): void => {
    const head: Scope.Tree | null = tree.type === "ForStatement" ? tree["init"] : tree["left"]
    const inner = Scope.child(scope)
    if (head?.type === "VariableDeclaration") declare(inner, Scope.blockNames([head]))
    else if (tree.type !== "ForStatement") write(head, scope)
    out.push("(", tree.type, tree["await"] === true ? "await" : "_")
    visit(head, inner)
    if (tree.type === "ForStatement") {
      visit(tree["test"], inner)
      visit(tree["update"], inner)
    } else visit(tree["right"], inner)
    branch(tree["body"], inner)
    out.push(")")
  }

  const enumeration = (tree: Scope.Tree, scope: Scope.Scope): void => {
    const inner = Scope.child(scope)
    const nameOf = (id: Scope.Tree): string => String(id["name"] ?? id["value"])
    // A member is a property: its name is seen from outside, so it stays.
    for (const one of tree["body"].members) inner.names.set(nameOf(one.id), `.${JSON.stringify(nameOf(one.id))}`)
    out.push("(", tree.type)
    binding(tree["id"], scope)
    for (const one of tree["body"].members) {
      out.push("(", "Member", JSON.stringify(nameOf(one.id)))
      visit(one.initializer, inner)
      out.push(")")
    }
    out.push(")")
  }

  const scope = Scope.child(undefined)
  out.push(piece.form, piece.kind)
  if (piece.form === "declarator") declarator(piece.tree, scope)
  else visit(piece.tree, scope)
  return { digest: Digest.ofText(out.join(" ")), references, writes, findings, makes }
}

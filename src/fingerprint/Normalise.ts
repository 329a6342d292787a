/**
 * Reduces one piece of code to its normalised form (described in `Form`): the
 * walk over its syntax.
 *
 * Most nodes are written as they stand. Syntax that binds names is left to
 * `Binders`; what remains here are the expressions and statements of which
 * something is left out, or that reach outside of the piece.
 */
import * as Binders from "./Binders.ts"
import * as Form from "./Form.ts"
import * as Recognise from "./Recognise.ts"
import * as Scope from "./Scope.ts"

export type { Finding, Make, Normalised, Reference } from "./Form.ts"

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
export const normaliser = (isModuleLevel: (name: string) => boolean): (piece: Piece) => Form.Normalised => (piece) => {
  const form = Form.make(isModuleLevel, piece.names)
  const { change, find, isGlobal, mention, put } = form

  const list = (trees: ReadonlyArray<Scope.Tree | null>, scope: Scope.Scope): void => {
    put("[")
    for (const tree of trees) visit(tree, scope)
    put("]")
  }

  const key = (tree: Scope.Tree, scope: Scope.Scope): void => {
    const name: Scope.Tree = tree["key"]
    if (tree["computed"] === true) {
      put("computed")
      visit(name, scope)
    } else if (name.type === "PrivateIdentifier") put(`#${name["name"]}`)
    else put(JSON.stringify(String(name.type === "Identifier" ? name["name"] : name["bigint"] ?? name["value"])))
  }

  const call = (tree: Scope.Tree, scope: Scope.Scope): void => {
    const known = Recognise.call(tree, {
      isLocal: (name) => Scope.lookup(scope, name) !== undefined,
      isGlobal: (name) => isGlobal(scope, name)
    })
    if (known.made !== undefined) {
      form.made({ ...known.made, start: tree["callee"].end, nested: binders.isInFunction() })
    }
    for (const reason of known.reasons) if (tree !== plainRequire) find(tree, reason)
    for (const changed of known.changes) change(changed, scope)
    if (known.required !== undefined) {
      put("(", "Require", known.required.load ? "load" : "resolve")
      mention({ kind: "module", specifier: known.required.specifier })
      return put(")")
    }
    put("(", tree.type, tree["optional"] === true ? "optional" : "_")
    if (known.asset !== undefined) {
      put("asset")
      // The file that the literal names counts beside the literal.
      mention({ kind: "asset", specifier: known.asset })
    }
    visit(tree["callee"], scope)
    list(tree["arguments"], scope)
    put(")")
  }

  /** `createRequire(import.meta.url)` under the name `require`, the one use of it whose calls are recognised. */
  let plainRequire: Scope.Tree | undefined
  const declarator = (tree: Scope.Tree, scope: Scope.Scope): void => {
    if (Recognise.isPlainRequire(tree)) plainRequire = Scope.unwrap(tree["init"])
    binders.declaration(tree["id"], scope)
    visit(tree["init"], scope)
  }

  /** Syntax this module does not know: everything in it counts, and the finding makes the whole file count. */
  const unknown = (tree: Scope.Tree, scope: Scope.Scope): void => {
    find(tree, `the syntax ${tree.type} is not analysed`)
    put("(", tree.type)
    for (const field of Object.keys(tree)) {
      if (field === "type" || field === "start" || field === "end") continue
      const value = tree[field]
      if (Array.isArray(value)) { for (const one of value) any(one, scope) }
      else any(value, scope)
    }
    put(")")
  }
  const any = (value: unknown, scope: Scope.Scope): void => {
    if (typeof value !== "object" || value === null) put(JSON.stringify(String(value)))
    else if ("type" in value) visit(value as Scope.Tree, scope)
    else put(JSON.stringify(JSON.stringify(value)))
  }

  const visit = (tree: Scope.Tree | null | undefined, scope: Scope.Scope): void => {
    if (tree === null || tree === undefined) return put("_")
    const shape = shapes[tree.type]
    if (shape !== undefined) {
      if (tree.type === "UpdateExpression" || (tree.type === "UnaryExpression" && tree["operator"] === "delete")) {
        change(tree["argument"], scope)
      }
      put("(", tree.type)
      for (const field of shape[0]) put(String(tree[field]))
      for (const field of shape[1]) {
        const value = tree[field]
        if (Array.isArray(value)) list(value, scope)
        else visit(value, scope)
      }
      return put(")")
    }
    switch (tree.type) {
      case "Identifier":
      case "JSXIdentifier":
        return form.identifier(tree, scope)
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
        put("(", tree.type)
        visit(tree["tag"], scope)
        template(tree["quasi"], scope, true)
        return put(")")
      case "MemberExpression":
        return member(tree, scope)
      case "CallExpression":
      case "NewExpression":
        return call(tree, scope)
      case "ImportExpression": {
        const specifier = Scope.literalText(tree["source"])
        put("(", tree.type)
        if (specifier !== undefined) mention({ kind: "module", specifier })
        else {
          find(tree, "`import()` is called with something other than a string")
          visit(tree["source"], scope)
        }
        visit(tree["options"], scope)
        return put(")")
      }
      case "MetaProperty":
        return put("(", tree.type, tree["meta"].name, tree["property"].name, ")")
      case "PrivateIdentifier":
        return put(`#${tree["name"]}`)
      case "Property":
        put("(", "Property", tree["kind"], tree["method"] === true ? "method" : "_")
        // `{ __proto__ }` makes a property where `{ __proto__: __proto__ }` sets the prototype.
        if (tree["shorthand"] === true && tree["key"].name === "__proto__") put("shorthand")
        key(tree, scope)
        visit(tree["value"], scope)
        return put(")")
      case "AssignmentExpression":
        change(tree["left"], scope)
        put("(", tree.type, tree["operator"])
        visit(tree["left"], scope)
        visit(tree["right"], scope)
        return put(")")
      case "ArrowFunctionExpression":
      case "FunctionExpression":
      case "FunctionDeclaration":
        return binders.callable(tree, scope)
      case "ClassDeclaration":
      case "ClassExpression":
        return binders.classLike(tree, scope)
      case "BlockStatement":
        return binders.block(tree["body"], scope)
      case "VariableDeclaration":
        put("(", tree.type, tree["kind"])
        for (const one of tree["declarations"]) declarator(one, scope)
        return put(")")
      case "IfStatement":
        put("(", tree.type)
        visit(tree["test"], scope)
        binders.branch(tree["consequent"], scope)
        binders.branch(tree["alternate"], scope)
        return put(")")
      case "WhileStatement":
      case "DoWhileStatement":
        put("(", tree.type)
        visit(tree["test"], scope)
        binders.branch(tree["body"], scope)
        return put(")")
      case "ForStatement":
      case "ForInStatement":
      case "ForOfStatement":
        return binders.loop(tree, scope)
      case "SwitchStatement":
        return binders.switchStatement(tree, scope)
      case "CatchClause":
        return binders.catchClause(tree, scope)
      case "LabeledStatement":
        return binders.labeled(tree, scope)
      case "BreakStatement":
      case "ContinueStatement":
        return binders.jump(tree)
      case "TSEnumDeclaration":
        return binders.enumeration(tree, scope)
      default:
        return unknown(tree, scope)
    }
  }

  const literal = (tree: Scope.Tree): void => {
    const value: unknown = tree["value"]
    if (tree["regex"] !== undefined) {
      put("/", JSON.stringify(tree["regex"].pattern), JSON.stringify(tree["regex"].flags))
    } else if (tree["bigint"] !== undefined) put(`${tree["bigint"]}n`)
    else put(typeof value === "string" ? JSON.stringify(value) : String(value))
  }

  const template = (tree: Scope.Tree, scope: Scope.Scope, tagged: boolean): void => {
    put("(", tree.type)
    for (const quasi of tree["quasis"]) {
      put(JSON.stringify(quasi.value.cooked ?? null))
      // Only a tag can see how the text was spelled.
      if (tagged) put(JSON.stringify(quasi.value.raw.replaceAll(/\r\n?/g, "\n")))
    }
    for (const expression of tree["expressions"]) visit(expression, scope)
    put(")")
  }

  const member = (tree: Scope.Tree, scope: Scope.Scope): void => {
    const chain = Scope.memberChain(tree)
    if (chain !== undefined) {
      const root: string = chain.root["name"]
      if (form.isModuleName(scope, root) && root !== "require") {
        return mention({ kind: "binding", name: root, path: chain.path })
      }
      if (chain.path[0] === "eval" && isGlobal(scope, root)) find(tree, "`eval` can run any code")
      if (chain.path[0] === "Function" && isGlobal(scope, root)) find(tree, "`Function` compiles code from text")
    }
    put("(", tree.type, tree["optional"] === true ? "optional" : "_")
    visit(tree["object"], scope)
    const name = Scope.memberName(tree)
    if (name !== undefined) put(JSON.stringify(name))
    else visit(tree["property"], scope)
    put(")")
  }

  const binders = Binders.make(form, { key, list, unknown, visit })
  const scope = Scope.child(undefined)
  put(piece.form, piece.kind)
  if (piece.form === "declarator") declarator(piece.tree, scope)
  else visit(piece.tree, scope)
  return form.finish()
}

/**
 * The syntax that binds names: patterns, blocks, functions, classes, loops,
 * `switch`, `catch`, enums and labels. Each opens the scopes that the language
 * gives it, numbers what they bind, and writes itself to the form.
 */
import type * as Form from "./Form.ts"
import * as Scope from "./Scope.ts"

/** Writes a node to the form. */
type Write = (tree: Scope.Tree, scope: Scope.Scope) => void

/** How the syntax inside a binder is written. */
export interface Visitor {
  readonly visit: (tree: Scope.Tree | null | undefined, scope: Scope.Scope) => void
  readonly list: (trees: ReadonlyArray<Scope.Tree | null>, scope: Scope.Scope) => void
  /** The name of a property or of a member of a class. */
  readonly key: Write
  readonly unknown: Write
}

export interface Binders {
  /** A pattern in a place that declares its names. */
  readonly declaration: (pattern: Scope.Tree | null, scope: Scope.Scope) => void
  readonly block: (trees: ReadonlyArray<Scope.Tree>, scope: Scope.Scope) => void
  /** The body of an `if` or a loop: braces around a single statement are formatting. */
  readonly branch: (tree: Scope.Tree | null, scope: Scope.Scope) => void
  readonly callable: Write
  readonly classLike: Write
  readonly loop: Write
  readonly switchStatement: Write
  readonly catchClause: Write
  readonly enumeration: Write
  readonly labeled: Write
  /** A `break` or a `continue`. */
  readonly jump: (tree: Scope.Tree) => void
  /** Whether what is being written stands inside a function. */
  readonly isInFunction: () => boolean
}

/** The binders of one piece of code, which write to `form` and leave all other syntax to the visitor. */
export const make = (form: Form.Form, { key, list, unknown, visit }: Visitor): Binders => {
  const { binding, declare, put } = form
  let functions = 0
  let labels: Array<string> = []

  const declaration = (pattern: Scope.Tree | null, scope: Scope.Scope): void => {
    if (pattern === null) return put("_")
    switch (pattern.type) {
      case "Identifier":
        binding(pattern, scope)
        break
      case "ObjectPattern":
        put("(", "ObjectPattern")
        for (const property of pattern["properties"]) {
          if (property.type === "RestElement") declaration(property, scope)
          else {
            put("(", "Property")
            key(property, scope)
            declaration(property.value, scope)
            put(")")
          }
        }
        put(")")
        break
      case "ArrayPattern":
        put("(", "ArrayPattern")
        for (const element of pattern["elements"]) declaration(element, scope)
        put(")")
        break
      case "AssignmentPattern":
        put("(", "AssignmentPattern")
        declaration(pattern["left"], scope)
        visit(pattern["right"], scope)
        put(")")
        break
      case "RestElement":
        put("(", "RestElement")
        declaration(pattern["argument"], scope)
        put(")")
        break
      case "TSParameterProperty":
        // Not erased: the constructor assigns the parameter to a field.
        put("(", "ParameterProperty", JSON.stringify(Scope.patternNames(pattern)))
        declaration(pattern["parameter"], scope)
        put(")")
        break
      default:
        unknown(pattern, scope)
    }
    for (const decorator of pattern["decorators"] ?? []) visit(decorator, scope)
  }

  const statements = (trees: ReadonlyArray<Scope.Tree>, scope: Scope.Scope): void => {
    put("[")
    for (const tree of trees) if (!Scope.isErased(tree)) visit(tree, scope)
    put("]")
  }

  const block = (trees: ReadonlyArray<Scope.Tree>, scope: Scope.Scope): void => {
    const inner = Scope.child(scope)
    declare(inner, Scope.blockNames(trees))
    put("(", "Block")
    statements(trees, inner)
    put(")")
  }

  const branch = (tree: Scope.Tree | null, scope: Scope.Scope): void => {
    if (tree === null) put("_")
    else block(tree.type === "BlockStatement" ? tree["body"] : [tree], scope)
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
    put("(", tree.type, tree["async"] === true ? "async" : "_", tree["generator"] === true ? "generator" : "_")
    if (tree["id"] === null) put("_")
    else binding(tree["id"], outer)
    put("[")
    for (const parameter of written) declaration(parameter, parameters)
    put("]")
    const body: Scope.Tree = tree["body"]
    if (body.type === "BlockStatement") {
      const inner = Scope.child(parameters)
      // A `var` or a function named like a parameter is that parameter's binding.
      const names = [...Scope.hoistedNames(body["body"]), ...Scope.blockNames(body["body"])]
      declare(inner, names.filter((name) => !parameters.names.has(name)))
      statements(body["body"], inner)
    } else visit(body, parameters)
    put(")")
    functions--
    labels = outerLabels
  }

  const classLike = (tree: Scope.Tree, scope: Scope.Scope): void => {
    let inner = scope
    if (tree.type === "ClassExpression" && tree["id"] !== null) {
      inner = Scope.child(scope)
      declare(inner, [tree["id"].name])
    }
    put("(", tree.type)
    if (tree["id"] === null) put("_")
    else binding(tree["id"], inner)
    list(tree["decorators"] ?? [], scope)
    visit(tree["superClass"], inner)
    put("[")
    for (const member of tree["body"].body as ReadonlyArray<Scope.Tree>) {
      switch (member.type) {
        case "StaticBlock": {
          const body = Scope.child(inner)
          declare(body, [...Scope.hoistedNames(member["body"]), ...Scope.blockNames(member["body"])])
          put("(", "StaticBlock")
          statements(member["body"], body)
          put(")")
          break
        }
        case "MethodDefinition":
        case "PropertyDefinition":
        case "AccessorProperty":
          // An overload signature has no body, and a declared field no run time.
          if (member["value"]?.type === "TSEmptyBodyFunctionExpression" || member["declare"] === true) break
          put("(", member.type, member["static"] === true ? "static" : "_", member["kind"] ?? "_")
          list(member["decorators"] ?? [], inner)
          key(member, inner)
          visit(member["value"], inner)
          put(")")
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
    put("]", ")")
  }

  const loop = (tree: Scope.Tree, scope: Scope.Scope): void => {
    const head: Scope.Tree | null = tree.type === "ForStatement" ? tree["init"] : tree["left"]
    const inner = Scope.child(scope)
    if (head?.type === "VariableDeclaration") declare(inner, Scope.blockNames([head]))
    else if (tree.type !== "ForStatement") form.change(head, scope)
    put("(", tree.type, tree["await"] === true ? "await" : "_")
    visit(head, inner)
    if (tree.type === "ForStatement") {
      visit(tree["test"], inner)
      visit(tree["update"], inner)
    } else visit(tree["right"], inner)
    branch(tree["body"], inner)
    put(")")
  }

  const switchStatement = (tree: Scope.Tree, scope: Scope.Scope): void => {
    put("(", tree.type)
    visit(tree["discriminant"], scope)
    const inner = Scope.child(scope)
    declare(inner, Scope.blockNames(tree["cases"].flatMap((one: Scope.Tree) => one["consequent"])))
    put("[")
    for (const one of tree["cases"] as ReadonlyArray<Scope.Tree>) {
      put("(", one.type)
      visit(one["test"], inner)
      statements(one["consequent"], inner)
      put(")")
    }
    put("]", ")")
  }

  const catchClause = (tree: Scope.Tree, scope: Scope.Scope): void => {
    const inner = Scope.child(scope)
    declare(inner, Scope.patternNames(tree["param"]))
    put("(", tree.type)
    declaration(tree["param"], inner)
    block(tree["body"].body, inner)
    put(")")
  }

  const enumeration = (tree: Scope.Tree, scope: Scope.Scope): void => {
    const inner = Scope.child(scope)
    const nameOf = (id: Scope.Tree): string => String(id["name"] ?? id["value"])
    // A member is a property: its name is seen from outside, so it stays.
    for (const one of tree["body"].members) inner.names.set(nameOf(one.id), `.${JSON.stringify(nameOf(one.id))}`)
    put("(", tree.type)
    binding(tree["id"], scope)
    for (const one of tree["body"].members) {
      put("(", "Member", JSON.stringify(nameOf(one.id)))
      visit(one.initializer, inner)
      put(")")
    }
    put(")")
  }

  const labeled = (tree: Scope.Tree, scope: Scope.Scope): void => {
    labels.push(tree["label"].name)
    put("(", tree.type)
    visit(tree["body"], scope)
    labels.pop()
    put(")")
  }

  const jump = (tree: Scope.Tree): void => {
    put("(", tree.type, tree["label"] === null ? "_" : String(labels.lastIndexOf(tree["label"].name)), ")")
  }

  return {
    declaration,
    block,
    branch,
    callable,
    classLike,
    loop,
    switchStatement,
    catchClause,
    enumeration,
    labeled,
    jump,
    isInFunction: () => functions > 0
  }
}

/**
 * Which names a piece of syntax binds, and which binding a name means there.
 *
 * A binding is written as the order in which the code binds it (`$0`, `$1`, …),
 * so that the name a programmer chose does not appear in what is hashed.
 */

/** A node of the ESTree that the parser returns, TypeScript's nodes included. */
export interface Tree {
  readonly type: string
  readonly start: number
  readonly end: number
  readonly [key: string]: any
}

export interface Scope {
  readonly parent: Scope | undefined
  /** From a name to what is written for it. */
  readonly names: Map<string, string>
}

export const child = (parent: Scope | undefined): Scope => ({ parent, names: new Map() })

/** What is written for `name`, or `undefined` when no enclosing scope binds it. */
export const lookup = (scope: Scope | undefined, name: string): string | undefined => {
  for (let s = scope; s !== undefined; s = s.parent) {
    const written = s.names.get(name)
    if (written !== undefined) return written
  }
  return undefined
}

/** The names that a pattern (an identifier, a destructuring, a parameter) binds, in source order. */
export const patternNames = (pattern: Tree | null, into: Array<string> = []): Array<string> => {
  if (pattern === null) return into
  switch (pattern.type) {
    case "Identifier":
      into.push(pattern["name"])
      break
    case "ObjectPattern":
      for (const property of pattern["properties"]) {
        patternNames(property.type === "RestElement" ? property.argument : property.value, into)
      }
      break
    case "ArrayPattern":
      for (const element of pattern["elements"]) patternNames(element, into)
      break
    case "AssignmentPattern":
      patternNames(pattern["left"], into)
      break
    case "RestElement":
      patternNames(pattern["argument"], into)
      break
    case "TSParameterProperty":
      patternNames(pattern["parameter"], into)
      break
  }
  return into
}

/**
 * Whether a statement leaves nothing behind when types are erased: types,
 * ambient declarations, overload signatures, and namespaces of such things.
 */
export const isErased = (statement: Tree): boolean => {
  switch (statement.type) {
    case "EmptyStatement":
    case "TSTypeAliasDeclaration":
    case "TSInterfaceDeclaration":
    case "TSDeclareFunction":
    case "TSNamespaceExportDeclaration":
      return true
    case "TSModuleDeclaration":
      return statement["declare"] === true || statement["global"] === true || statement["body"] === null
        || (statement["body"].type === "TSModuleBlock" && statement["body"].body.every(isErased))
    case "TSImportEqualsDeclaration":
    case "ImportDeclaration":
      return statement["importKind"] === "type"
    case "ExportNamedDeclaration":
      return statement["exportKind"] === "type"
        || (statement["declaration"] !== null && isErased(statement["declaration"]))
    case "ExportAllDeclaration":
      return statement["exportKind"] === "type"
    case "ExportDefaultDeclaration":
      return isErased(statement["declaration"])
    default:
      return statement["declare"] === true
  }
}

/** Names that `var` declares anywhere in the statements, functions apart: they belong to the whole function. */
export const hoistedNames = (statements: ReadonlyArray<Tree | null>, into: Array<string> = []): Array<string> => {
  for (const statement of statements) if (statement !== null) hoist(statement, into)
  return into
}

const hoist = (statement: Tree, into: Array<string>): void => {
  switch (statement.type) {
    case "VariableDeclaration":
      if (statement["kind"] === "var" && statement["declare"] !== true) {
        for (const declarator of statement["declarations"]) patternNames(declarator.id, into)
      }
      break
    case "BlockStatement":
      hoistedNames(statement["body"], into)
      break
    case "IfStatement":
      hoistedNames([statement["consequent"], statement["alternate"]], into)
      break
    case "ForStatement":
      hoistedNames([statement["init"], statement["body"]], into)
      break
    case "ForInStatement":
    case "ForOfStatement":
      hoistedNames([statement["left"], statement["body"]], into)
      break
    case "WhileStatement":
    case "DoWhileStatement":
    case "LabeledStatement":
    case "WithStatement":
      hoist(statement["body"], into)
      break
    case "TryStatement":
      hoistedNames([statement["block"], statement["handler"]?.body ?? null, statement["finalizer"]], into)
      break
    case "SwitchStatement":
      for (const one of statement["cases"]) hoistedNames(one.consequent, into)
      break
  }
}

/** Names that the statements of one block bind for that block: `let`, `const`, `using`, classes, functions, enums. */
export const blockNames = (statements: ReadonlyArray<Tree>): Array<string> => {
  const names: Array<string> = []
  for (const statement of statements) {
    if (statement["declare"] === true) continue
    switch (statement.type) {
      case "VariableDeclaration":
        if (statement["kind"] !== "var") {
          for (const declarator of statement["declarations"]) patternNames(declarator.id, names)
        }
        break
      case "FunctionDeclaration":
      case "ClassDeclaration":
      case "TSEnumDeclaration":
        if (statement["id"] !== null) names.push(statement["id"].name)
        break
    }
  }
  return names
}

const wrappers = new Set([
  "ParenthesizedExpression",
  "TSAsExpression",
  "TSSatisfiesExpression",
  "TSNonNullExpression",
  "TSTypeAssertion",
  "TSInstantiationExpression"
])

/** The expression without parentheses and without the type syntax around it. */
export const unwrap = (expression: Tree): Tree => {
  let inner = expression
  while (wrappers.has(inner.type)) inner = inner["expression"]
  return inner
}

/** The text of a string literal or of a template without holes. */
export const literalText = (expression: Tree | undefined): string | undefined => {
  if (expression === undefined) return undefined
  const inner = unwrap(expression)
  if (inner.type === "Literal" && typeof inner["value"] === "string" && inner["bigint"] === undefined) {
    return inner["value"]
  }
  if (inner.type === "TemplateLiteral" && inner["expressions"].length === 0) {
    return inner["quasis"][0].value.cooked ?? undefined
  }
  return undefined
}

/** The member's name when the syntax fixes it: `.name` or `["name"]`. */
export const memberName = (member: Tree): string | undefined =>
  member["computed"] === true
    ? literalText(member["property"])
    : member["property"].type === "Identifier"
    ? member["property"].name
    : undefined

/** `a.b.c` as its root identifier and its path, when nothing in it is computed or optional. */
export const memberChain = (
  expression: Tree
): { readonly root: Tree; readonly path: ReadonlyArray<string> } | undefined => {
  const path: Array<string> = []
  let inner = unwrap(expression)
  while (inner.type === "MemberExpression" && inner["optional"] !== true) {
    const name = memberName(inner)
    if (name === undefined) return undefined
    path.push(name)
    inner = unwrap(inner["object"])
  }
  return inner.type === "Identifier" ? { root: inner, path: path.toReversed() } : undefined
}

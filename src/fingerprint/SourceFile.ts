/**
 * One source file as its top-level pieces: what each declares, what it
 * mentions, what the file imports and exports. Types are gone, the syntax tree
 * is not kept.
 */
import { parseSync } from "oxc-parser"
import * as Digest from "../store/Digest.ts"
import * as Normalise from "./Normalise.ts"
import * as Scope from "./Scope.ts"
import { SourceError } from "./SourceError.ts"

/** What a name bound by an import stands for. `imported` is `*` for the whole namespace. */
export interface Import {
  readonly specifier: string
  readonly imported: string
}

/** A piece of top-level code. */
export interface Unit extends Normalise.Normalised {
  /** Its place in the file. */
  readonly index: number
  /** A function or a class exists before the file runs; a variable and a statement act where they stand. */
  readonly kind: "function" | "class" | "variable" | "statement"
  /** What a person calls it: the names it declares, or its first words. */
  readonly label: string
  readonly names: ReadonlyArray<string>
  /** Lines, from 1. */
  readonly line: number
  readonly endLine: number
}

export interface SourceFile {
  readonly path: string
  readonly textDigest: string
  readonly lineOf: (offset: number) => number
  readonly units: ReadonlyArray<Unit>
  /** What each name of module level is: the unit that declares it and its place there, or an import. */
  readonly bindings: ReadonlyMap<string, { readonly unit: number; readonly slot: number } | Import>
  /** What each export is: a name of module level, or something of another module. */
  readonly exports: ReadonlyMap<string, { readonly local: string } | Import>
  /** Specifiers of `export * from`. */
  readonly stars: ReadonlyArray<string>
  /** Every module that loading this one loads, and whether for its effects alone. */
  readonly loads: ReadonlyArray<{ readonly specifier: string; readonly bare: boolean; readonly start: number }>
  /** Top-level statements that are not declarations, in order. */
  readonly statements: ReadonlyArray<number>
  /** Top-level syntax that is not analysed. */
  readonly findings: ReadonlyArray<Normalise.Finding>
  /** Whether it has any `import` or `export`. If not, it is a script or CommonJS, and its exports are made by running it. */
  readonly isModule: boolean
}

/** The extensions of files that are parsed; any other counts by its bytes. */
export const extensions: ReadonlySet<string> = new Set([
  ".ts",
  ".tsx",
  ".mts",
  ".cts",
  ".js",
  ".jsx",
  ".mjs",
  ".cjs"
])

/** The name that `export default <expression>` binds. No identifier has it. */
const defaultName = "*default*"

const lineFinder = (text: string): (offset: number) => number => {
  const starts: Array<number> = [0]
  for (let at = text.indexOf("\n"); at >= 0; at = text.indexOf("\n", at + 1)) starts.push(at + 1)
  return (offset) => {
    let low = 0, high = starts.length
    while (high - low > 1) {
      const middle = (low + high) >> 1
      if (starts[middle]! <= offset) low = middle
      else high = middle
    }
    return low + 1
  }
}

const statementTypes = new Set([
  "BlockStatement",
  "DebuggerStatement",
  "DoWhileStatement",
  "ExpressionStatement",
  "ForInStatement",
  "ForOfStatement",
  "ForStatement",
  "IfStatement",
  "LabeledStatement",
  "ReturnStatement",
  "SwitchStatement",
  "ThrowStatement",
  "TryStatement",
  "WhileStatement"
])

const exportName = (name: Scope.Tree): string => name["name"] ?? name["value"]

/**
 * Parses a file.
 *
 * Throws {@link SourceError} with the line of the first mistake when the text
 * is not valid.
 */
export const parse = (path: string, text: string): SourceFile => {
  const lineOf = lineFinder(text)
  const common = path.endsWith(".cjs") || path.endsWith(".cts")
  const parsed = parseSync(path, text, {
    preserveParens: false,
    sourceType: common ? "commonjs" : path.endsWith(".js") || path.endsWith(".jsx") ? "unambiguous" : "module"
  })
  const mistake = parsed.errors[0]
  if (mistake !== undefined) {
    throw new SourceError({ file: path, line: lineOf(mistake.labels[0]?.start ?? 0), found: mistake.message })
  }

  interface Draft extends Normalise.Piece {
    readonly unit: Unit["kind"]
    readonly start: number
    readonly end: number
  }
  const drafts: Array<Draft> = []
  const bindings = new Map<string, { unit: number; slot: number } | Import>()
  const exports = new Map<string, { local: string } | Import>()
  const stars: Array<string> = []
  const loads: Array<SourceFile["loads"][number]> = []
  const findings: Array<Normalise.Finding> = []
  let isModule = false

  const draft = (piece: Normalise.Piece, unit: Unit["kind"], statement: Scope.Tree): void => {
    // A name declared twice (`var`, a merged enum) belongs to the first; the other then counts as changing it.
    const names = piece.names.filter((name) => !bindings.has(name))
    names.forEach((name, slot) => bindings.set(name, { unit: drafts.length, slot }))
    drafts.push({ ...piece, names, unit, start: statement.start, end: statement.end })
  }
  const unknown = (statement: Scope.Tree): void => {
    findings.push({ start: statement.start, reason: `the top-level syntax ${statement.type} is not analysed` })
  }

  /** Drafts a declaration and returns the names it declares. */
  const declaration = (tree: Scope.Tree, whole: Scope.Tree): ReadonlyArray<string> => {
    switch (tree.type) {
      case "VariableDeclaration": {
        const declarators: ReadonlyArray<Scope.Tree> = tree["declarations"]
        const all: Array<string> = []
        for (const declarator of declarators) {
          const names = Scope.patternNames(declarator["id"])
          all.push(...names)
          draft(
            { form: "declarator", kind: tree["kind"], tree: declarator, names },
            "variable",
            // One declarator is told apart from its neighbours; alone it is the whole statement.
            declarators.length === 1 ? whole : declarator
          )
        }
        return all
      }
      case "FunctionDeclaration":
      case "ClassDeclaration":
      case "TSEnumDeclaration": {
        const names: ReadonlyArray<string> = tree["id"] === null ? [defaultName] : [tree["id"].name]
        const unit = tree.type === "FunctionDeclaration"
          ? "function"
          : tree.type === "ClassDeclaration"
          ? "class"
          : "variable"
        draft({ form: "statement", kind: "_", tree, names }, unit, whole)
        return names
      }
      default:
        unknown(tree)
        return []
    }
  }

  // `export default name` is another name for the same thing, once it is known that the module binds it.
  const defaults: Array<Scope.Tree> = []

  for (const statement of parsed.program.body as ReadonlyArray<any> as ReadonlyArray<Scope.Tree>) {
    if (/^(?:Import|Export|TSExport|TSImportEquals)/.test(statement.type)) isModule = true
    if (Scope.isErased(statement)) continue
    switch (statement.type) {
      case "ImportDeclaration": {
        const specifier: string = statement["source"].value
        loads.push({ specifier, bare: statement["specifiers"].length === 0, start: statement.start })
        for (const one of statement["specifiers"] as ReadonlyArray<Scope.Tree>) {
          if (one["importKind"] === "type") continue
          bindings.set(one["local"].name, {
            specifier,
            imported: one.type === "ImportNamespaceSpecifier"
              ? "*"
              : one.type === "ImportDefaultSpecifier"
              ? "default"
              : exportName(one["imported"])
          })
        }
        break
      }
      case "TSImportEqualsDeclaration":
        if (statement["moduleReference"].type === "TSExternalModuleReference") {
          const specifier: string = statement["moduleReference"].expression.value
          loads.push({ specifier, bare: false, start: statement.start })
          bindings.set(statement["id"].name, { specifier, imported: "*" })
        } else unknown(statement)
        break
      case "ExportAllDeclaration": {
        const specifier: string = statement["source"].value
        loads.push({ specifier, bare: false, start: statement.start })
        if (statement["exported"] === null) stars.push(specifier)
        else exports.set(exportName(statement["exported"]), { specifier, imported: "*" })
        break
      }
      case "ExportNamedDeclaration": {
        if (statement["declaration"] !== null) {
          for (const name of declaration(statement["declaration"], statement)) exports.set(name, { local: name })
          break
        }
        const source: string | undefined = statement["source"]?.value
        if (source !== undefined) {
          loads.push({ specifier: source, bare: statement["specifiers"].length === 0, start: statement.start })
        }
        for (const one of statement["specifiers"] as ReadonlyArray<Scope.Tree>) {
          if (one["exportKind"] === "type") continue
          const local = exportName(one["local"])
          exports.set(
            exportName(one["exported"]),
            source === undefined ? { local } : { specifier: source, imported: local }
          )
        }
        break
      }
      case "ExportDefaultDeclaration": {
        const value: Scope.Tree = statement["declaration"]
        if (value.type === "FunctionDeclaration" || value.type === "ClassDeclaration") {
          exports.set("default", { local: declaration(value, statement)[0]! })
        } else defaults.push(statement)
        break
      }
      case "VariableDeclaration":
      case "FunctionDeclaration":
      case "ClassDeclaration":
      case "TSEnumDeclaration":
        declaration(statement, statement)
        break
      default:
        if (!statementTypes.has(statement.type)) unknown(statement)
        // A directive says nothing to a module: it is strict already.
        else if (common || typeof statement["directive"] !== "string") {
          const names = [...new Set(Scope.hoistedNames([statement]))]
          draft({ form: "statement", kind: "_", tree: statement, names }, "statement", statement)
        }
    }
  }
  for (const statement of defaults) {
    const value = Scope.unwrap(statement["declaration"])
    if (value.type === "Identifier" && bindings.has(value["name"])) exports.set("default", { local: value["name"] })
    else {
      exports.set("default", { local: defaultName })
      draft({ form: "default", kind: "_", tree: value, names: [defaultName] }, "variable", statement)
    }
  }

  const normalise = Normalise.normaliser((name) => bindings.has(name))
  const units = drafts.map((piece, index): Unit => ({
    ...normalise(piece),
    index,
    kind: piece.unit,
    label: piece.names.length === 0
      ? text.slice(piece.start, piece.end).split("\n", 1)[0]!.slice(0, 60)
      : piece.names.map((name) => name === defaultName ? "default" : name).join(", "),
    names: piece.names,
    line: lineOf(piece.start),
    endLine: lineOf(Math.max(piece.start, piece.end - 1))
  }))
  return {
    path,
    textDigest: Digest.ofText(text),
    lineOf,
    units,
    bindings,
    exports,
    stars,
    loads,
    statements: units.filter((unit) => unit.kind === "statement").map((unit) => unit.index),
    findings,
    isModule
  }
}

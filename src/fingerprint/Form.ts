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
 *
 * This module knows how names are written and what is listed beside the form;
 * `Normalise` and `Binders` walk the syntax and decide what to write.
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

/** A form that is being written. */
export interface Form {
  /** Adds tokens. */
  readonly put: (...tokens: ReadonlyArray<string>) => void
  /** Adds a mention of something outside the piece. */
  readonly mention: (reference: Reference) => void
  /** Adds an identifier that is used. */
  readonly identifier: (tree: Scope.Tree, scope: Scope.Scope) => void
  /** Adds an identifier in a place that declares it. */
  readonly binding: (tree: Scope.Tree, scope: Scope.Scope) => void
  /** Numbers the names that a scope binds, in their order, except those that it has already. */
  readonly declare: (scope: Scope.Scope, names: ReadonlyArray<string>) => void
  /** Whether a name is bound at module level and hidden by nothing local. */
  readonly isModuleName: (scope: Scope.Scope, name: string) => boolean
  /** Whether a name is bound neither locally nor at module level. */
  readonly isGlobal: (scope: Scope.Scope, name: string) => boolean
  /** Notes that what an assignment target or a receiver leads to is changed. */
  readonly change: (target: Scope.Tree | null, scope: Scope.Scope) => void
  /** Notes that what `tree` reaches cannot be followed. */
  readonly find: (tree: Scope.Tree, reason: string) => void
  /** Notes a call of `make`. */
  readonly made: (make: Make) => void
  /** The digest of all that was put, and what was noted. */
  readonly finish: () => Normalised
}

/**
 * An empty form.
 *
 * `isModuleLevel` tells the names that the file binds at module level, imports
 * included; `declared` are those of them that the piece declares.
 */
export const make = (isModuleLevel: (name: string) => boolean, declared: ReadonlyArray<string>): Form => {
  const out: Array<string> = []
  const references: Array<Reference> = []
  const writes: Array<Reference> = []
  const findings: Array<Finding> = []
  const makes: Array<Make> = []
  let bound = 0

  const put = (...tokens: ReadonlyArray<string>): void => {
    out.push(...tokens)
  }
  const declare = (scope: Scope.Scope, names: ReadonlyArray<string>): void => {
    for (const name of names) if (!scope.names.has(name)) scope.names.set(name, `$${bound++}`)
  }
  const find = (tree: Scope.Tree, reason: string): void => {
    findings.push({ start: tree.start, reason })
  }
  const isModuleName = (scope: Scope.Scope, name: string): boolean =>
    Scope.lookup(scope, name) === undefined && isModuleLevel(name)
  const isGlobal = (scope: Scope.Scope, name: string): boolean =>
    Scope.lookup(scope, name) === undefined && !isModuleLevel(name)
  const mention = (reference: Reference): void => {
    put("@")
    references.push(reference)
  }

  const identifier = (tree: Scope.Tree, scope: Scope.Scope): void => {
    const name: string = tree["name"]
    const local = Scope.lookup(scope, name)
    if (local !== undefined) return put(local)
    if (name === "require") find(tree, "`require` is used other than by calling it with a string")
    if (isModuleLevel(name)) return mention({ kind: "binding", name, path: [] })
    if (name === "eval") find(tree, "`eval` can run any code")
    put(`!${name}`)
  }

  const binding = (tree: Scope.Tree, scope: Scope.Scope): void => {
    const name: string = tree["name"]
    const local = Scope.lookup(scope, name)
    if (local !== undefined) return put(local)
    const slot = declared.indexOf(name)
    if (slot >= 0) return put(`^${slot}`)
    // A `var` declared a second time: the first declaration owns the name, and this one changes it.
    mention({ kind: "binding", name, path: [] })
    writes.push({ kind: "binding", name, path: [] })
  }

  const change = (target: Scope.Tree | null, scope: Scope.Scope): void => {
    for (const { path, root } of Recognise.targets(target)) {
      if (isModuleName(scope, root)) writes.push({ kind: "binding", name: root, path })
    }
  }

  return {
    put,
    mention,
    identifier,
    binding,
    declare,
    isModuleName,
    isGlobal,
    change,
    find,
    made: (made) => {
      makes.push(made)
    },
    finish: () => ({ digest: Digest.ofText(out.join(" ")), references, writes, findings, makes })
  }
}

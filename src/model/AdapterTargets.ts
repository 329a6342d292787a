/**
 * Which modules of a model an adapter changes, which it trains in full, and with which rank: the rules by which PEFT reads
 * `target_modules` and its companions (`check_target_module_exists` and `get_pattern_key` in `tuners_utils.py` and
 * `other.py`), so that a configuration means the same here and there.
 */
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import type { Linear, Model, ParameterSpecification } from "./Architecture.ts"
import * as NamePattern from "./NamePattern.ts"

/** Modules by the ends of their names, whole components at a time, or by a regular expression for whole names. */
export const Names = Schema.Union([
  Schema.Array(Schema.String),
  Schema.Struct({ pattern: Schema.String })
])
export type Names = typeof Names.Type

/**
 * `all-linear`: every linear map but the head's. `attention`: those of them inside of attention. Otherwise modules by name,
 * the head's among them if they are named.
 */
export const Targets = Schema.Union([Schema.Literals(["all-linear", "attention"]), Names])
export type Targets = typeof Targets.Type

/** A configuration of an adapter that does not fit the model, or asks for what is not implemented. */
export class InvalidAdapter extends Schema.TaggedError<InvalidAdapter>()("InvalidAdapter", {
  /** The setting at fault, by its name in adapter_config.json. */
  field: Schema.String,
  reason: Schema.String
}) {
  override get message() {
    return `The adapter's ${this.field} ${this.reason}.`
  }
}

const invalid = (field: string, reason: string) => new InvalidAdapter({ field, reason })

const list = (names: ReadonlyArray<string>): string =>
  names.slice(0, 12).join(", ") + (names.length > 12 ? ` and ${names.length - 12} more` : "")

const matched = (
  field: string,
  pattern: string,
  names: Iterable<string>,
  options: NamePattern.Options
): Effect.Effect<ReadonlyMap<string, string>, InvalidAdapter> => {
  const found = NamePattern.match(pattern, names, options)
  return Result.isSuccess(found) ? Effect.succeed(found.success) : Effect.fail(invalid(field, found.failure))
}

/** Whether a list of names has this one, whole or the end of it after a dot. */
const isNamed = (names: ReadonlyArray<string>, module: string): boolean =>
  names.some((name) => module === name || module.endsWith(`.${name}`))

const isPattern = (targets: Targets): targets is { readonly pattern: string } =>
  typeof targets !== "string" && "pattern" in targets

const byName = Effect.fnUntraced(function*(field: string, names: Names, modules: ReadonlyArray<string>) {
  if (isPattern(names)) return new Set((yield* matched(field, names.pattern, modules, { whole: true })).keys())
  return new Set(modules.filter((module) => isNamed(names, module)))
})

/** The modules that a parameter lies in, from the outermost. */
const modulesAround = (parameter: string): ReadonlyArray<string> => {
  const parts = parameter.split(".")
  return parts.slice(1).map((_, length) => parts.slice(0, length + 1).join("."))
}

/** Heads that a task brings with it: whoever trains an adapter for it trains them. */
const isTaskHead = (model: Pick<Model, "head">): boolean =>
  model.head !== "causal-language-modeling" && model.head !== "none"

/**
 * The parameters that an adapter trains and saves in full: those of modules whose names end as one of `modulesToSave`, and
 * those of a classifier's head, which PEFT adds to them by itself.
 */
export const savedParameters: (
  model: Pick<Model, "head" | "linears" | "parameters" | "vocabularySize">,
  modulesToSave: ReadonlyArray<string>
) => Effect.Effect<ReadonlyArray<ParameterSpecification>, InvalidAdapter> = Effect.fnUntraced(
  function*(
    model: Pick<Model, "head" | "linears" | "parameters" | "vocabularySize">,
    modulesToSave: ReadonlyArray<string>
  ) {
    const saved = model.parameters.filter(({ head, name }) =>
      (head && isTaskHead(model)) ||
      modulesAround(name).some((module) => modulesToSave.some((end) => module.endsWith(end)))
    )
    const hasHead = model.linears.some(({ head }) => head)
    const tied = model.head === "causal-language-modeling" && !hasHead
      ? saved.find(({ layer, shape }) => layer === 0 && shape[0] === model.vocabularySize)
      : undefined
    if (tied !== undefined) {
      return yield* invalid(
        "modules_to_save",
        `name ${tied.name}, which is also the head of this model: saved apart, the two would no longer be one`
      )
    }
    return saved
  }
)

/** The last components of names, each once. */
const endsOf = (names: ReadonlyArray<string>): ReadonlyArray<string> => [
  ...new Set(names.map((name) => name.slice(name.lastIndexOf(".") + 1)))
]

/** Fails where one of the names that a person gave is that of no module: it would be trained in vain. */
export const checkModulesToSave: (
  model: Pick<Model, "parameters">,
  modulesToSave: ReadonlyArray<string>
) => Effect.Effect<void, InvalidAdapter> = Effect.fnUntraced(
  function*(model: Pick<Model, "parameters">, modulesToSave: ReadonlyArray<string>) {
    const modules = [...new Set(model.parameters.flatMap(({ name }) => modulesAround(name)))]
    const unknown = modulesToSave.find((end) => !modules.some((module) => module.endsWith(end)))
    if (unknown === undefined) return
    const called = endsOf(modules).filter((name) => !/^\d+$/.test(name))
    return yield* invalid(
      "modules_to_save",
      `name ${unknown}, and this model has no such module; its modules are called ${list(called)}`
    )
  }
)

/** Where attention is, in the names of every family. */
const insideAttention = /(^|\.)(attn|self_attn|attention)\./

export interface Choice {
  readonly targets: Targets
  readonly exclude: Names
  /** Only these layers, counted from 0; all of them when null. A module whose whole name is listed is taken anyway. */
  readonly layers: ReadonlyArray<number> | null
  /** Regular expressions for the name of the list that layers are counted in: any list when empty. */
  readonly layersPattern: ReadonlyArray<string>
}

/** The index of the layer that a module is in: its first component that is a number. */
const layerIndices = Effect.fnUntraced(function*(modules: ReadonlyArray<string>, patterns: ReadonlyArray<string>) {
  const indices = new Map<string, number>()
  const lists = patterns.length === 0
    ? [String.raw`.*?\.[^.]*`]
    : patterns.map((pattern) => `(?:.*?\\.)?(?:${pattern})`)
  for (const pattern of lists) {
    const left = modules.filter((module) => !indices.has(module))
    const found = yield* matched("layers_pattern", `${pattern}\\.(?<index>\\d+)\\.`, left, {
      whole: false,
      group: "index"
    })
    for (const [module, index] of found) indices.set(module, Number(index))
  }
  return indices
})

/** The linear maps that an adapter changes, in the order of the model. */
export const chosen: (
  model: Pick<Model, "head" | "linears" | "parameters">,
  saved: ReadonlyArray<ParameterSpecification>,
  choice: Choice
) => Effect.Effect<ReadonlyArray<Linear>, InvalidAdapter> = Effect.fnUntraced(
  function*(
    model: Pick<Model, "head" | "linears" | "parameters">,
    saved: ReadonlyArray<ParameterSpecification>,
    { exclude, layers, layersPattern, targets }: Choice
  ) {
    const inFull = new Set(saved.flatMap(({ name }) => modulesAround(name)))
    const free = model.linears.filter(({ name }) => !inFull.has(name))
    const names = free.map(({ name }) => name)
    const wanted = typeof targets === "string"
      ? new Set(
        free.filter(({ head, name }) => !head && (targets === "all-linear" || insideAttention.test(name)))
          .map(({ name }) => name)
      )
      : yield* byName("target_modules", targets, names)
    const refused = yield* byName("exclude_modules", exclude, names)
    const indices = layers === null ? new Map<string, number>() : yield* layerIndices(names, layersPattern)
    const isWhole = (name: string) => typeof targets !== "string" && !isPattern(targets) && targets.includes(name)
    const found = free.filter(({ name }) =>
      wanted.has(name) && !refused.has(name) &&
      (layers === null || isWhole(name) || layers.includes(indices.get(name) ?? Number.NaN))
    )
    if (found.length === 0) {
      const what = typeof targets === "string" || isPattern(targets) ? JSON.stringify(targets) : targets.join(", ")
      return yield* invalid(
        "target_modules",
        `(${what}${layers === null ? "" : `, layers ${layers.join(", ")}`}) choose none of this model's linear maps, ` +
          `which are called ${list(endsOf(names))}, as in ${names[0] ?? "none"}`
      )
    }
    return found
  }
)

/**
 * The names under which `found` are chosen among all of a model's linear maps, as short as they can be: the last components
 * of their names where these choose no others, or else their whole names.
 */
export const shortest = (
  linears: ReadonlyArray<Linear>,
  saved: ReadonlyArray<ParameterSpecification>,
  found: ReadonlyArray<Linear>
): ReadonlyArray<string> => {
  const inFull = new Set(saved.flatMap(({ name }) => modulesAround(name)))
  const wanted = new Set(found.map(({ name }) => name))
  const ends = [...new Set(found.map(({ name }) => name.slice(name.lastIndexOf(".") + 1)))].toSorted()
  const others = linears.filter(({ name }) => !wanted.has(name) && !inFull.has(name))
  return others.some(({ name }) => isNamed(ends, name)) ? [...wanted] : ends
}

/**
 * The value that a record of patterns holds for each module: that of the first pattern that the name's end matches, whole
 * components at a time.
 */
export const fromPatterns: (
  field: string,
  patterns: Readonly<Record<string, number>>,
  modules: ReadonlyArray<string>
) => Effect.Effect<ReadonlyMap<string, number>, InvalidAdapter> = Effect.fnUntraced(
  function*(field: string, patterns: Readonly<Record<string, number>>, modules: ReadonlyArray<string>) {
    const values = new Map<string, number>()
    for (const [pattern, value] of Object.entries(patterns)) {
      const left = modules.filter((module) => !values.has(module))
      for (const module of (yield* matched(field, `(?:.*\\.)?(?:${pattern})`, left, { whole: true })).keys()) {
        values.set(module, value)
      }
    }
    return values
  }
)

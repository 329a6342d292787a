/**
 * Low-rank adapters: small matrices beside the linear maps of a model, which are trained in place of its weights.
 *
 * LoRA (Hu et al., "LoRA: low-rank adaptation of large language models", 2021): `x W + b + scaling (x Aᵀ) Bᵀ`. Its
 * rank-stabilised form (Kalajdzievski, "A rank stabilization scaling factor for fine-tuning with LoRA", 2023) and DoRA
 * (Liu et al., "DoRA: weight-decomposed low-rank adaptation", 2024). Names, defaults and initial values are PEFT's.
 */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import * as Stage from "../pipeline/Stage.ts"
import * as Random from "../random/Random.ts"
import * as AdapterTargets from "./AdapterTargets.ts"
import {
  type BatchExtent,
  type Linear,
  type Model,
  type Parameter,
  type Parameters,
  type ParameterSpecification,
  sizeOf
} from "./Architecture.ts"

const Count = Schema.Int.check(Schema.isGreaterThan(0))
const Whole = Schema.Int.check(Schema.isGreaterThanOrEqualTo(0))
const Positive = Schema.Finite.check(Schema.isGreaterThan(0))
const BelowOne = Schema.Finite.check(Schema.isBetween({ minimum: 0, maximum: 1, exclusiveMaximum: true }))
const withDefault = Stage.withDefault

/** What can be set of an adapter, with PEFT's defaults (`LoraConfig`), but for the targets. */
export const Settings = Schema.Struct({
  /** `dora`: what is trained of a weight is split in direction, which has the matrices, and length, which has a vector. */
  variant: withDefault(Schema.Literals(["lora", "dora"]), "lora"),
  /** The inner width of the matrices: PEFT's `r`. */
  rank: withDefault(Count, 8),
  /** What the matrices add is multiplied by this over the rank. */
  alpha: withDefault(Positive, 8),
  /** `rank-stabilized`: over the square root of the rank instead. */
  scaling: withDefault(Schema.Literals(["standard", "rank-stabilized"]), "standard"),
  /** The probability of dropping each number that enters the matrices. */
  dropout: withDefault(BelowOne, 0),
  targets: withDefault(AdapterTargets.Targets, "all-linear"),
  /** Modules that are left out, whatever the targets are. */
  exclude: withDefault(AdapterTargets.Names, []),
  /** Only these layers, counted from 0. */
  layers: withDefault(Schema.NullOr(Schema.Array(Whole)), null),
  /** Patterns for the name of the list that layers are counted in; any list when empty. */
  layersPattern: withDefault(Schema.Array(Schema.String), []),
  /** Other ranks, and other alphas, for modules whose names end as a pattern says. */
  rankPattern: withDefault(Schema.Record(Schema.String, Count), {}),
  alphaPattern: withDefault(Schema.Record(Schema.String, Positive), {}),
  /** Modules to train and save in full, by the ends of their names. A classifier's head is one of them by itself. */
  modulesToSave: withDefault(Schema.Array(Schema.String), [])
})
export type Settings = typeof Settings.Type

/** Every setting at its default. */
export const defaults: Settings = Settings.make({})

/** A linear map with matrices beside it. */
export interface Adapted {
  readonly linear: Linear
  readonly rank: number
  readonly scaling: number
}

/** Where the settings of an adapter put it in a model. */
export interface Placement {
  readonly settings: Settings
  /** By module, in the order of the model. */
  readonly adapted: ReadonlyMap<string, Adapted>
  /** The model's parameters that are trained and saved in full, by their names. */
  readonly saved: ReadonlyMap<string, ParameterSpecification>
}

/** A parameter that an adapter brings, or takes from its model to train it in full. */
export type AdapterParameter = Omit<ParameterSpecification, "initializer">

const prefix = "base_model.model."

/** The names of an adapter's parameters in PEFT's files. */
export const names = {
  /** `[rank, in]`. */
  down: (module: string) => `${prefix}${module}.lora_A.weight`,
  /** `[out, rank]`. */
  up: (module: string) => `${prefix}${module}.lora_B.weight`,
  /** `[out]`, of DoRA. */
  magnitude: (module: string) => `${prefix}${module}.lora_magnitude_vector`,
  /** Of one of the model's own parameters. */
  saved: (parameter: string) => `${prefix}${parameter}`
}

/** Finds the modules that the settings speak of. */
export const place: (
  model: Model,
  settings: Settings
) => Effect.Effect<Placement, AdapterTargets.InvalidAdapter> = Effect.fnUntraced(
  function*(model: Model, settings: Settings) {
    const saved = yield* AdapterTargets.savedParameters(model, settings.modulesToSave)
    const linears = yield* AdapterTargets.chosen(model, saved, settings)
    const modules = linears.map(({ name }) => name)
    const ranks = yield* AdapterTargets.fromPatterns("rank_pattern", settings.rankPattern, modules)
    const alphas = yield* AdapterTargets.fromPatterns("alpha_pattern", settings.alphaPattern, modules)
    const adapted = linears.map((linear): Adapted => {
      const rank = ranks.get(linear.name) ?? settings.rank
      const alpha = alphas.get(linear.name) ?? settings.alpha
      return { linear, rank, scaling: alpha / (settings.scaling === "standard" ? rank : Math.sqrt(rank)) }
    })
    return {
      settings,
      adapted: new Map(adapted.map((one) => [one.linear.name, one])),
      saved: new Map(saved.map((specification) => [specification.name, specification]))
    }
  }
)

/** The parameters that are trained, by PEFT's names: those of each module from first to last, then those in full. */
export const parametersOf = ({ adapted, saved, settings }: Placement): ReadonlyArray<AdapterParameter> => [
  ...Array.from(adapted.values()).flatMap(({ linear, rank }): Array<AdapterParameter> => {
    const { head, inputs, layer, name, outputs } = linear
    return [
      { name: names.down(name), shape: [rank, inputs], head, layer },
      { name: names.up(name), shape: [outputs, rank], head, layer },
      ...(settings.variant === "dora" ? [{ name: names.magnitude(name), shape: [outputs], head, layer }] : [])
    ]
  }),
  ...Array.from(saved.values(), ({ head, layer, name, shape }) => ({ name: names.saved(name), shape, head, layer }))
]

/** The length of each output's vector of a weight. */
const lengthsOf = (weight: ArrayLike<number>, { inputs, layout, outputs }: Linear): Float64Array => {
  const lengths = new Float64Array(outputs)
  const [ofInput, ofOutput] = layout === "in-out" ? [outputs, 1] : [1, inputs]
  for (let output = 0; output < outputs; output++) {
    let sum = 0
    for (let input = 0; input < inputs; input++) sum += weight[input * ofInput + output * ofOutput]! ** 2
    lengths[output] = Math.sqrt(sum)
  }
  return lengths
}

const parameterOf = (parameters: Parameters, name: string): Parameter => {
  const found = parameters.get(name)
  if (found === undefined) throw new Error(`There is no parameter named ${name}.`)
  return found
}

/** Uniform within `1 / sqrt(in)`: He et al. 2015 with a slope of `sqrt(5)`, as PyTorch draws the weight of a Linear. */
const drawDown = (rank: number, inputs: number, name: string, seed: number): Parameter => {
  const random = Random.make(seed, `initialize ${name}`)
  const bound = 1 / Math.sqrt(inputs)
  const data = Float32Array.from({ length: rank * inputs }, () => bound * (2 * random.uniform() - 1))
  return { shape: [rank, inputs], data }
}

/**
 * The parameters of a new adapter for these weights, which changes nothing yet: `A` uniform, `B` zero, DoRA's lengths those
 * of the weights, and what is trained in full as it is. Each has random numbers of its own.
 */
export const initialize = ({ adapted, saved, settings }: Placement, base: Parameters, seed: number): Parameters => {
  const found = new Map<string, Parameter>()
  for (const { linear, rank } of adapted.values()) {
    const down = names.down(linear.name)
    found.set(down, drawDown(rank, linear.inputs, down, seed))
    found.set(names.up(linear.name), { shape: [linear.outputs, rank], data: new Float32Array(linear.outputs * rank) })
    if (settings.variant === "dora") {
      const data = Float32Array.from(lengthsOf(parameterOf(base, `${linear.name}.weight`).data, linear))
      found.set(names.magnitude(linear.name), { shape: [linear.outputs], data })
    }
  }
  for (const name of saved.keys()) found.set(names.saved(name), parameterOf(base, name))
  return found
}

const transposed = (data: Float32Array, rows: number, columns: number): Float32Array => {
  const turned = new Float32Array(data.length)
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++) turned[column * rows + row] = data[row * columns + column]!
  }
  return turned
}

/** `weight + scaling left right` for `[rows, rank]` and `[rank, columns]`, each number rounded once. */
const plusProduct = (
  weight: Float32Array,
  left: Float32Array,
  right: Float32Array,
  { columns, rank, rows, scaling }: {
    readonly rows: number
    readonly columns: number
    readonly rank: number
    readonly scaling: number
  }
): Float32Array => {
  const sums = new Float32Array(weight.length)
  const row = new Float64Array(columns)
  for (let at = 0; at < rows; at++) {
    row.fill(0)
    for (let inner = 0; inner < rank; inner++) {
      const factor = scaling * left[at * rank + inner]!
      const start = inner * columns
      for (let column = 0; column < columns; column++) row[column]! += factor * right[start + column]!
    }
    const start = at * columns
    for (let column = 0; column < columns; column++) sums[start + column] = weight[start + column]! + row[column]!
  }
  return sums
}

const mergedWeight = (
  weight: Parameter,
  { linear, rank, scaling }: Adapted,
  down: Float32Array,
  up: Float32Array,
  magnitude: Float32Array | undefined
): Parameter => {
  const { inputs, layout, outputs } = linear
  const data = layout === "out-in"
    ? plusProduct(weight.data, up, down, { rows: outputs, columns: inputs, rank, scaling })
    : plusProduct(weight.data, transposed(down, rank, inputs), transposed(up, outputs, rank), {
      rows: inputs,
      columns: outputs,
      rank,
      scaling
    })
  if (magnitude !== undefined) {
    const lengths = lengthsOf(data, linear)
    const outputOf = layout === "out-in"
      ? (at: number) => Math.floor(at / inputs)
      : (at: number) => at % outputs
    for (let at = 0; at < data.length; at++) {
      const output = outputOf(at)
      data[at] = data[at]! * (magnitude[output]! / lengths[output]!)
    }
  }
  return { shape: weight.shape, data }
}

/**
 * The weights of the model that computes by itself what `base` computes with the adapter. What the adapter leaves alone is
 * shared with `base`.
 */
export const merge = (base: Parameters, { adapted, saved, settings }: Placement, adapter: Parameters): Parameters => {
  const found = new Map(base)
  for (const one of adapted.values()) {
    const { name } = one.linear
    const data = (of: (module: string) => string) => parameterOf(adapter, of(name)).data
    const weight = `${name}.weight`
    const magnitude = settings.variant === "dora" ? data(names.magnitude) : undefined
    found.set(
      weight,
      mergedWeight(parameterOf(base, weight), one, data(names.down), data(names.up), magnitude)
    )
  }
  for (const name of saved.keys()) found.set(name, parameterOf(adapter, names.saved(name)))
  return found
}

/**
 * What an adapter keeps of a batch for the backward pass beyond what its model keeps, in numbers (of 4 bytes), at most: the
 * inputs of its maps are among what the model keeps when its weights are trained.
 */
export const footprint = ({ adapted, settings }: Placement, { batch, time }: BatchExtent): number => {
  let each = 0
  for (const { linear, rank } of adapted.values()) {
    each += rank + (settings.variant === "dora" ? linear.outputs : 0)
  }
  return batch * time * each
}

/** How many numbers are trained. */
export const numbersOf = (placement: Placement): number =>
  parametersOf(placement).reduce((sum, { shape }) => sum + sizeOf(shape), 0)

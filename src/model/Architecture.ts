/**
 * What a family of models brings, and what everything else (checkpoints, training, prediction) relies on.
 */
import type * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import * as Random from "../random/Random.ts"
import type { Tensor, Tensor2D, Tf } from "../tensor/Backend.ts"
import type { Dropout } from "./Dropout.ts"
import type { KeyValueCache } from "./KeyValueCache.ts"

/** A parsed config.json, with every field that we do not read kept as it is. */
export type Config = Readonly<Record<string, unknown>>

/** A weight: float32 numbers in row-major order. */
export interface Parameter {
  readonly shape: ReadonlyArray<number>
  readonly data: Float32Array
}

/** Weights by their names in transformers. */
export type Parameters = ReadonlyMap<string, Parameter>

/**
 * What a model puts on top of its hidden states. `sequence-regression` is transformers' sequence classification with one
 * output and `problem_type` "regression"; `none` is the bare body, or a body whose head is none of these.
 */
export const Head = Schema.Literals([
  "causal-language-modeling",
  "sequence-classification",
  "sequence-regression",
  "token-classification",
  "none"
])
export type Head = typeof Head.Type

export interface ParameterSpecification {
  readonly name: string
  readonly shape: ReadonlyArray<number>
  /**
   * How transformers draws it: a constant; the sinusoids of positions; or normal around 0 with this standard deviation, but
   * for a row of zeros, as that of a padding token is.
   */
  readonly initializer: "zeros" | "ones" | "sinusoids" | {
    readonly normal: number
    readonly zeroRow?: number | undefined
  }
  /** Whether it belongs to the head, so that another head has other parameters in its place. */
  readonly head: boolean
  /** 0 for embeddings, 1 and on for the layers, one more for what comes after them. */
  readonly layer: number
  /** Whether a checkpoint may lack it: the model does not compute with it, and another head would. */
  readonly optional?: boolean
}

/** A linear map of a model: a module whose weight an adapter can change. */
export interface Linear {
  /** The module's name in transformers: that of its weight without `.weight`. */
  readonly name: string
  readonly inputs: number
  readonly outputs: number
  readonly bias: boolean
  /** How the weight is stored: `[in, out]` as transformers' Conv1D has it, or `[out, in]` as PyTorch's Linear. */
  readonly layout: "in-out" | "out-in"
  /** As in {@link ParameterSpecification}. */
  readonly head: boolean
  readonly layer: number
}

/**
 * The weights of a model on a backend. What a model computes with a linear map goes through here, so that no family need
 * know of adapters or of what is frozen.
 */
export interface Weights {
  /** A parameter by its name. */
  readonly get: (name: string) => Tensor
  /** `x W + b` of a linear map by its module's name: `[..., in]` to `[..., out]`. */
  readonly linear: (module: string, x: Tensor) => Tensor
  /** The tensors of a layer that gradients are wanted for. */
  readonly trainedOf: (layer: number) => ReadonlyArray<Tensor>
}

/** Token ids of several texts, padded on the right to one length. */
export interface TokenBatch {
  readonly batch: number
  readonly time: number
  /** Row-major `[batch, time]`. */
  readonly inputIds: Int32Array
  /** How many ids of each row are not padding. */
  readonly lengths: Int32Array
  /**
   * Where rows hold several texts: which of its row's texts each position belongs to, counted from 0, row-major
   * `[batch, time]`; -1 for padding. Texts do not see each other, and positions begin anew with each.
   */
  readonly segments?: Int32Array
}

export interface HiddenOptions {
  /** Which rows of `[batch * time]` are wanted: the last layer computes no others. All of them unless given. */
  readonly rows?: Int32Array
  /** Without it nothing is dropped. */
  readonly dropout?: Dropout
  /** Compute each layer anew in the backward pass instead of keeping what it computed (gradient checkpointing). */
  readonly recompute?: boolean
  /** Keys and values of the tokens before these: generation goes on from them, without gradients. */
  readonly cache?: KeyValueCache
}

/** How much a batch holds, as far as memory goes. */
export interface BatchExtent {
  readonly batch: number
  /** Tokens a text, with padding. */
  readonly time: number
  /** Positions from which a prediction is made, in all texts together. */
  readonly rows: number
}

/**
 * What a batch needs of a backend's memory on its way through a model's body, in numbers (of 4 bytes): what lives at the
 * same time, without the parameters and without one gradient for each of them. An upper bound, close to what is measured.
 */
export interface Footprint {
  /** Values that the forward pass leaves for the backward pass. */
  readonly saved: number
  /**
   * The most beside them while the forward pass turns into the backward pass, apart from logits and the head: values that
   * pass, and gradients of parameters that come before saved values of their size go.
   */
  readonly turning: number
  /** The most beside one gradient for each parameter at the end of the backward pass. */
  readonly ending: number
  /** The most at any moment of a forward pass that no backward pass follows, up to the hidden states. */
  readonly predicting: number
  /** What is left of that once the hidden states are there: they, and what the whole pass holds. */
  readonly hidden: number
  /** The weight that makes logits of hidden states. Its gradient is the first, and stays to the end. */
  readonly head: number
}

export interface FootprintOptions {
  readonly dropout: boolean
  /** How many layers, from the lowest up, get no gradients and so keep nothing for them; none unless given. */
  readonly untrained?: number
  /** Whether layers are computed anew in the backward pass. */
  readonly recompute?: boolean
  /** Whether the backend has the fused kernels of norm, attention and activation: composed operations keep more. */
  readonly fused: boolean
}

/** A model of one shape with one head: its parameters' names and shapes, and its forward pass. */
export interface Model {
  readonly family: string
  readonly head: Head
  readonly config: Config
  readonly vocabularySize: number
  /** The longest text it has positions for, in tokens. */
  readonly maximumLength: number
  /** The length of a row of logits: the classes of a classifier, the vocabulary of a language model. */
  readonly outputs: number
  /** The token that pads texts, if the config names one. */
  readonly paddingId: number | undefined
  readonly layers: number
  readonly parameters: ReadonlyArray<ParameterSpecification>
  /** Its linear maps, those of the head among them, in the order of the forward pass. */
  readonly linears: ReadonlyArray<Linear>
  /** The last hidden states, after the final norm: `[batch * time, width]`, or `[rows, width]` of the selected rows. */
  readonly hidden: (tf: Tf, weights: Weights, batch: TokenBatch, options?: HiddenOptions) => Tensor2D
  /** The head on hidden states: `[rows, width]` to `[rows, outputs]`. */
  readonly logits: (tf: Tf, weights: Weights, rows: Tensor2D, dropout?: Dropout) => Tensor2D
  /** What a batch takes of the backend's memory. Whoever changes what {@link Model.hidden} keeps changes this too. */
  readonly footprint: (extent: BatchExtent, options: FootprintOptions) => Footprint
  /** Which token of a text a classifier reads. */
  readonly pooledPosition: (tokens: ArrayLike<number>) => number
}

/** A family: all models that share a `model_type`. */
export interface Family {
  readonly modelType: string
  /** The class name in transformers for each head that it can have, `none` among them. */
  readonly architectures: Readonly<Partial<Record<Head, string>>> & { readonly none: string }
  /** Classes with a head of another kind, such as masked language modeling: their bodies are used, their heads are not. */
  readonly otherArchitectures: ReadonlyArray<string>
  /** The name under which transformers saves a tensor today, or `undefined` for one that holds nothing learned. */
  readonly canonicalName: (name: string) => string | undefined
  readonly make: (config: Config, head: Head) => Effect.Effect<Model, InvalidConfig>
}

/** A config.json that describes no model we can build. */
export class InvalidConfig extends Schema.TaggedError<InvalidConfig>()("InvalidConfig", {
  modelType: Schema.String,
  /** The field at fault. */
  field: Schema.String,
  reason: Schema.String
}) {
  override get message() {
    return `config.json of this ${this.modelType} model: ${this.field} ${this.reason}.`
  }
}

/** How many numbers a shape holds. */
export const sizeOf = (shape: ReadonlyArray<number>): number => shape.reduce((size, length) => size * length, 1)

/** The sinusoids of positions (Vaswani et al. 2017, section 3.5): `[positions, width]`, sines and cosines in turn. */
const fillSinusoids = (data: Float32Array, width: number): void => {
  for (let i = 0; i < data.length; i++) {
    const column = i % width
    const angle = Math.floor(i / width) / 10_000 ** ((column - column % 2) / width)
    data[i] = column % 2 === 0 ? Math.sin(angle) : Math.cos(angle)
  }
}

/** One of the parameters that {@link initialize} draws. */
export const draw = ({ initializer, name, shape }: ParameterSpecification, seed: number): Parameter => {
  const data = new Float32Array(sizeOf(shape))
  if (initializer === "ones") data.fill(1)
  else if (initializer === "sinusoids") fillSinusoids(data, shape[shape.length - 1]!)
  else if (initializer !== "zeros") {
    const { normal, zeroRow } = initializer
    const random = Random.make(seed, `initialize ${name}`)
    for (let i = 0; i < data.length; i++) data[i] = normal * random.normal()
    const width = shape[shape.length - 1]!
    if (zeroRow !== undefined) data.fill(0, zeroRow * width, (zeroRow + 1) * width)
  }
  return { shape, data }
}

/**
 * Untrained weights, distributed as transformers draws them. Each parameter has random numbers of its own, so a seed
 * gives the same body whatever the head.
 */
export const initialize = (model: Model, seed: number): Parameters =>
  new Map(model.parameters.map((specification) => [specification.name, draw(specification, seed)]))

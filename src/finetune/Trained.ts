/**
 * Which parameters of a model learn, and how.
 */
import type { Model, ParameterSpecification } from "../model/Architecture.ts"
import type { Hyperparameters } from "./Hyperparameters.ts"
import type * as Optimizer from "./Optimizer.ts"

export type Settings = Pick<Hyperparameters, "trainedLayers" | "layerwiseDecay">

/** A parameter of a model or of its adapter. */
export type Parameter = Omit<ParameterSpecification, "initializer">

/** Whether a parameter is in one of the topmost layers that learn, or in the head. */
const isHighEnough = (
  model: Pick<Model, "layers">,
  { head, layer }: Parameter,
  { trainedLayers }: Settings
) => trainedLayers === null || head || (layer > model.layers - trainedLayers && layer > 0)

/**
 * The parameters that learn, out of those given, in their order: how each decays and at which rate it learns.
 *
 * Biases and the gains of norms, which have one dimension, do not decay. With a layer-wise decay of d a layer learns at d
 * times the rate of the one above it, the embeddings at that of a layer below the first; what comes after the last layer
 * learns at the full rate.
 */
export const targets = (
  model: Pick<Model, "layers">,
  parameters: ReadonlyArray<Parameter>,
  settings: Settings
): ReadonlyArray<Optimizer.Target> =>
  parameters.filter((parameter) => isHighEnough(model, parameter, settings)).map(({ head, layer, name, shape }) => ({
    name,
    shape,
    decays: shape.length > 1,
    learningRateScale: settings.layerwiseDecay ** (model.layers + 1 - layer),
    matrix: shape.length === 2 && !head && layer >= 1 && layer <= model.layers
  }))

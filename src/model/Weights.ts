/**
 * The weights of a model on a backend, and the products with them.
 */
import type { Tensor, Tensor1D, Tensor2D, Tf } from "../tensor/Backend.ts"
import * as Operations from "../tensor/Operations.ts"
import type { Linear, Model, Weights } from "./Architecture.ts"

export interface Options {
  /** Which parameters get gradients: all unless given. */
  readonly trained?: ReadonlySet<string>
}

/** The weights of a model from a tensor for each name of its parameters. */
export const make = (
  tf: Tf,
  model: Pick<Model, "linears" | "parameters">,
  tensors: ReadonlyMap<string, Tensor>,
  { trained }: Options = {}
): Weights => {
  const linears = new Map(model.linears.map((linear) => [linear.name, linear]))
  const get = (name: string): Tensor => {
    const tensor = tensors.get(name)
    if (tensor === undefined) throw new Error(`The model has no weight named ${name}.`)
    return tensor
  }
  const specificationOf = (module: string): Linear => {
    const linear = linears.get(module)
    if (linear === undefined) throw new Error(`The model has no linear map named ${module}.`)
    return linear
  }
  const isTrained = (name: string): boolean => trained === undefined || trained.has(name)
  return {
    get,
    linear: (module, x) => {
      const { bias, layout } = specificationOf(module)
      const weight = `${module}.weight`
      return Operations.linear(tf, x, get(weight) as Tensor2D, bias ? get(`${module}.bias`) as Tensor1D : undefined, {
        transposed: layout === "out-in",
        frozen: !isTrained(weight) && !(bias && isTrained(`${module}.bias`))
      })
    },
    trainedOf: (layer) =>
      model.parameters.filter((parameter) => parameter.layer === layer && isTrained(parameter.name))
        .map(({ name }) => get(name))
  }
}

/**
 * The weights of a model on a backend, and the products with them.
 */
import type { Tensor, Tensor1D, Tensor2D, Tf } from "../tensor/Backend.ts"
import * as Operations from "../tensor/Operations.ts"
import type { Linear, Model, Weights } from "./Architecture.ts"
import * as Dropout from "./Dropout.ts"
import * as Lora from "./Lora.ts"

export interface Options {
  /** Which of the tensors get gradients: all unless given, or those of the adapter where there is one. */
  readonly trained?: ReadonlySet<string>
  /**
   * An adapter. The tensors then hold its parameters by PEFT's names; those that it trains in full take the place of the
   * model's own, which need not be there.
   */
  readonly adapter?: Lora.Placement
  /** The step's dropout, for the inputs of the adapter: its seed, step and part. The rate is the adapter's own. */
  readonly dropout?: Dropout.Dropout
}

/** The weights of a model from a tensor for each name of its parameters. */
export const make = (
  tf: Tf,
  model: Pick<Model, "linears" | "parameters">,
  tensors: ReadonlyMap<string, Tensor>,
  { adapter, dropout, trained }: Options = {}
): Weights => {
  const linears = new Map(model.linears.map((linear) => [linear.name, linear]))
  const own = adapter === undefined ? [] : Lora.parametersOf(adapter)
  const learning = trained ?? (adapter === undefined ? undefined : new Set(own.map(({ name }) => name)))
  const tensor = (name: string): Tensor => {
    const found = tensors.get(name)
    if (found === undefined) throw new Error(`The model has no weight named ${name}.`)
    return found
  }
  /** Where the tensor of a parameter of the model is. */
  const placeOf = (name: string): string => adapter?.saved.has(name) === true ? Lora.names.saved(name) : name
  const get = (name: string): Tensor => tensor(placeOf(name))
  const specificationOf = (module: string): Linear => {
    const linear = linears.get(module)
    if (linear === undefined) throw new Error(`The model has no linear map named ${module}.`)
    return linear
  }
  const isTrained = (name: string): boolean => learning === undefined || learning.has(name)
  const isFrozen = (name: string): boolean => !isTrained(placeOf(name))

  const plain = ({ bias, layout, name }: Linear, x: Tensor): Tensor => {
    const weight = `${name}.weight`
    return Operations.linear(tf, x, get(weight) as Tensor2D, bias ? get(`${name}.bias`) as Tensor1D : undefined, {
      transposed: layout === "out-in",
      frozen: isFrozen(weight) && (!bias || isFrozen(`${name}.bias`))
    })
  }
  const adapted = ({ linear, scaling }: Lora.Adapted, x: Tensor, { dropout: rate, variant }: Lora.Settings): Tensor => {
    const { bias, layout, name } = linear
    const matrices: Operations.LowRank = {
      down: tensor(Lora.names.down(name)) as Tensor2D,
      up: tensor(Lora.names.up(name)) as Tensor2D,
      scaling,
      factors: () =>
        Dropout.factors(
          tf,
          dropout === undefined ? undefined : { ...dropout, rate },
          `adapter ${name}`,
          x.shape,
          rate
        )
    }
    if (variant === "lora") return tf.add(plain(linear, x), Operations.lowRank(tf, x, matrices))
    return Operations.decomposed(
      tf,
      x,
      get(`${name}.weight`) as Tensor2D,
      bias ? get(`${name}.bias`) as Tensor1D : undefined,
      { ...matrices, magnitude: tensor(Lora.names.magnitude(name)) as Tensor1D, transposed: layout === "out-in" }
    )
  }
  return {
    get,
    linear: (module, x) => {
      const found = adapter?.adapted.get(module)
      return adapter === undefined || found === undefined
        ? plain(specificationOf(module), x)
        : adapted(found, x, adapter.settings)
    },
    trainedOf: (layer) =>
      [
        ...model.parameters.filter(({ name }) => adapter?.saved.has(name) !== true),
        ...own
      ].filter((parameter) => parameter.layer === layer && isTrained(parameter.name)).map(({ name }) => tensor(name))
  }
}

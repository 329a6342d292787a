/**
 * Parameters as the tensors of a safetensors file.
 */
import * as Schema from "effect/Schema"
import type { Parameter, Parameters, ParameterSpecification } from "./Architecture.ts"
import * as Safetensors from "./Safetensors.ts"

/** A tensor of another shape than expected, or of a type that holds no weights. */
export const Difference = Schema.Struct({ name: Schema.String, expected: Schema.String, found: Schema.String })
export type Difference = typeof Difference.Type

/** The first of some names for a message, and how many more there are. */
export const listed = (names: ReadonlyArray<string>): string =>
  names.slice(0, 8).join(", ") + (names.length > 8 ? ` and ${names.length - 8} more` : "")

/** A list of differences for a message. */
export const listedDifferences = (different: ReadonlyArray<Difference>): string =>
  listed(different.map(({ expected, found, name }) => `${name} is ${found}, expected ${expected}`))

const describe = (dtype: string, shape: ReadonlyArray<number>) => `${dtype} [${shape.join(", ")}]`

/** The tensors that are expected, what of them is missing, and what is not as it should be. */
export const select = (
  expected: ReadonlyArray<Pick<ParameterSpecification, "name" | "optional" | "shape">>,
  found: ReadonlyMap<string, Safetensors.Tensor>
) => {
  const selected = new Map<string, Parameter>()
  const missing: Array<string> = []
  const different: Array<Difference> = []
  for (const { name, optional = false, shape } of expected) {
    const tensor = found.get(name)
    if (tensor === undefined) {
      if (!optional) missing.push(name)
    } else if (!(tensor.data instanceof Float32Array) || tensor.shape.join() !== shape.join()) {
      different.push({ name, expected: describe("F32", shape), found: describe(tensor.dtype, tensor.shape) })
    } else selected.set(name, { shape: tensor.shape, data: tensor.data })
  }
  return { selected, missing, different }
}

/** The bytes of a file of parameters, which says that they are PyTorch's, as transformers and PEFT expect. */
export const encode = (parameters: Parameters): Uint8Array =>
  Safetensors.encode(
    Array.from(parameters, ([name, { data, shape }]) => [name, { dtype: "F32", shape, data }] as const),
    { format: "pt" }
  )

/**
 * How an optimizer lays parameters in tensors.
 *
 * Small parameters that are updated alike lie end to end in one tensor of at most some megabytes, so that an update is a
 * dozen kernels over it and not a dozen a parameter; a large parameter has a tensor of its own, and so has each whose
 * numbers are not updated one by one. Each tensor is updated by itself, so that few temporaries live at a time: beside
 * the large embedding of a small model they would weigh more than all else.
 */
import { type Parameter, type Parameters, sizeOf } from "../../model/Architecture.ts"
import type { Tensor, Tensor1D, Tf } from "../../tensor/Backend.ts"
import type { Rule, Shape } from "./Rule.ts"

/** A parameter to optimize. */
export interface Target {
  readonly name: string
  readonly shape: Shape
  /** Whether weight decay applies to it. */
  readonly decays: boolean
  /** What its learning rate is of that of the run. */
  readonly learningRateScale: number
  /** Whether it is the matrix of a hidden layer: no embedding, head, bias or norm. */
  readonly matrix: boolean
}

/** Where a parameter lies. */
export interface Place {
  readonly name: string
  /** In the order in which parameters are given. */
  readonly index: number
  readonly shape: Shape
  readonly offset: number
  readonly size: number
}

/** Parameters in one tensor. */
export interface Group {
  readonly places: ReadonlyArray<Place>
  readonly rule: Rule
  readonly decays: boolean
  readonly learningRateScale: number
  /** Of the tensor: that of its only parameter, or `[length]`. */
  readonly shape: Shape
  readonly length: number
}

/** One tensor of this many numbers takes 4 MiB; a parameter that is larger has its own. */
const capacity = 2 ** 20

/** Lengths are padded to a multiple of this, so that sums of squares can be taken in two stages. */
const lane = 256

/** How one parameter is updated. */
export interface Choice {
  readonly rule: Rule
  /** Multiplied with the parameter's own scale. */
  readonly learningRateScale: number
}

export const layOut = (targets: Iterable<Target>, choose: (target: Target) => Choice): ReadonlyArray<Group> => {
  const groups: Array<Omit<Group, "places" | "shape"> & { readonly places: Array<Place>; length: number }> = []
  let index = 0
  for (const target of targets) {
    const { decays, name, shape } = target
    const { rule, learningRateScale: factor } = choose(target)
    const learningRateScale = target.learningRateScale * factor
    const size = sizeOf(shape)
    let group = rule.elementwise
      ? groups.find((candidate) =>
        candidate.rule === rule && candidate.decays === decays && candidate.learningRateScale === learningRateScale &&
        candidate.length + size <= capacity
      )
      : undefined
    if (group === undefined) groups.push(group = { places: [], rule, decays, learningRateScale, length: 0 })
    group.places.push({ name, index: index++, shape, offset: group.length, size })
    group.length += size
  }
  return groups.map((group) => {
    const length = group.rule.elementwise ? Math.ceil(group.length / lane) * lane : group.length
    return { ...group, length, shape: group.rule.elementwise ? [length] : group.places[0]!.shape }
  })
}

/** The numbers at the end of a group's tensor that belong to no parameter. */
const paddingOf = ({ length, places }: Group): number => {
  const { offset, size } = places[places.length - 1]!
  return length - offset - size
}

/** Whether the parameters of a group are copies of their places in its tensor, rather than that tensor itself. */
export const hasCopies = (group: Group): boolean => group.places.length > 1 || paddingOf(group) > 0

/** How many numbers padding adds. */
export const padding = (groups: ReadonlyArray<Group>): number =>
  groups.reduce((sum, group) => sum + paddingOf(group), 0)

/** A group's tensor, of the parameters given; zeros where there are none. */
export const upload = (tf: Tf, group: Group, parameters: Parameters | undefined): Tensor => {
  const values = new Float32Array(group.length)
  if (parameters !== undefined) {
    for (const { name, offset } of group.places) values.set(parameters.get(name)!.data, offset)
  }
  return tf.tensor(values, [...group.shape], "float32")
}

/** The parameters of a group's tensor. */
export const read = async (group: Group, values: Tensor, into: Map<string, Parameter>): Promise<void> => {
  const flat = await values.data<"float32">()
  for (const { name, offset, shape, size } of group.places) {
    into.set(name, { shape, data: flat.slice(offset, offset + size) })
  }
}

/** The parameters as tensors of their own, which share their numbers with the group's if it has but one. */
export const viewsOf = (tf: Tf, group: Group, values: Tensor): Array<Tensor> => {
  const { places } = group
  if (!hasCopies(group)) return [tf.reshape(values, [...places[0]!.shape])]
  const sizes = places.map(({ size }) => size)
  const padding = paddingOf(group)
  const parts = tf.split(values, padding === 0 ? sizes : [...sizes, padding])
  return places.map(({ shape }, i) => tf.reshape(parts[i]!, [...shape]))
}

/** Gradients, in the order of the parameters, as one vector for each group. They are disposed of. */
export const join = (
  tf: Tf,
  groups: ReadonlyArray<Group>,
  gradients: ReadonlyArray<Tensor>
): ReadonlyArray<Tensor1D> =>
  groups.map((group) => {
    const { places } = group
    const joined = tf.tidy(() => {
      const parts = places.map(({ index, size }) => tf.reshape(gradients[index]!, [size]) as Tensor1D)
      const padding = paddingOf(group)
      return !hasCopies(group)
        ? parts[0]!
        : tf.concat1d(padding === 0 ? parts : [...parts, tf.zeros([padding]) as Tensor1D])
    })
    // At once, so that no more than one of these tensors is there twice.
    tf.dispose(places.map(({ index }) => gradients[index]!))
    return joined
  })

/** Of one row of squares that are summed up at once. */
const widthOf = ({ rule, shape }: Group): number => rule.elementwise ? lane : shape.at(-1) ?? 1

/** The numbers that a group takes while its gradients are joined, or their squares summed up. */
export const joiningSize = (group: Group): number => group.length + group.length / widthOf(group)

/** Rows first, then their sums: a float32 that added up all squares one by one would lose the small ones. */
export const squaredNorm = (tf: Tf, groups: ReadonlyArray<Group>, vectors: ReadonlyArray<Tensor1D>): Tensor =>
  tf.tidy(() =>
    tf.sum(
      tf.stack(
        groups.map((group, i) => {
          const width = widthOf(group)
          return tf.tidy(() => tf.sum(tf.sum(tf.square(tf.reshape(vectors[i]!, [group.length / width, width])), 1)))
        })
      )
    )
  )

/**
 * AdamW (Loshchilov and Hutter, "Decoupled weight decay regularization", ICLR 2019, algorithm 2) in the arithmetic of
 * PyTorch's `torch.optim.AdamW`, on plain tensor operations.
 *
 * Parameters of one dimension (biases, gains of norms) do not decay. Small parameters are laid end to end in one tensor
 * of at most some megabytes, so that an update is a dozen kernels over it and not a dozen a parameter; a large parameter
 * has a tensor of its own. Each such tensor is updated by itself, and each of its three parts by itself, so that few
 * temporaries live at a time: beside the large embedding of a small model they would weigh more than all else.
 */
import { type Parameter, type Parameters, type ParameterSpecification, sizeOf } from "../model/Architecture.ts"
import type { Tensor, Tensor1D, Tf } from "../tensor/Backend.ts"
import * as InPlace from "../tensor/InPlace.ts"

export interface AdamW {
  readonly beta1: number
  readonly beta2: number
  readonly epsilon: number
  readonly weightDecay: number
}

/** The running means of gradients and of their squares, by parameter. */
export interface Moments {
  readonly first: Parameters
  readonly second: Parameters
}

export interface Update {
  /** Counted from 0: the first update corrects its moments for one step. */
  readonly step: number
  readonly learningRate: number
  /** What the gradients are multiplied with before anything else, for clipping. */
  readonly scale: number
}

/** Gradients joined as the optimizer keeps its parameters. The caller disposes of them. */
export type Gradients = ReadonlyArray<Tensor1D>

export interface Optimizer {
  /** The parameters as they are now: other tensors after each update. */
  readonly parameters: () => ReadonlyMap<string, Tensor>
  /** Joins gradients, given in the order of the parameters, and disposes of them. */
  readonly join: (gradients: ReadonlyArray<Tensor>) => Gradients
  /** The squared norm over all gradients, a scalar. */
  readonly squaredNorm: (gradients: Gradients) => Tensor
  readonly update: (gradients: Gradients, update: Update) => void
  /** Copies of the parameters and the moments. */
  readonly read: () => Promise<{ readonly parameters: Parameters; readonly moments: Moments }>
  readonly dispose: () => void
}

/** One tensor of this many numbers takes 4 MiB; a parameter that is larger has its own. */
const capacity = 2 ** 20

/** Lengths are padded to a multiple of this, so that sums of squares can be taken in two stages. */
const lane = 256

interface Slot {
  readonly name: string
  readonly index: number
  readonly shape: ReadonlyArray<number>
  readonly offset: number
  readonly size: number
}

interface Group {
  readonly slots: Array<Slot>
  readonly decays: boolean
  size: number
}

interface Bucket {
  readonly slots: ReadonlyArray<Slot>
  readonly decays: boolean
  readonly length: number
  values: Tensor1D
  first: Tensor1D
  second: Tensor1D
  views: ReadonlyArray<Tensor>
}

const layOut = (parameters: Iterable<Pick<ParameterSpecification, "name" | "shape">>): ReadonlyArray<Group> => {
  const groups: Array<Group> = []
  let index = 0
  for (const { name, shape } of parameters) {
    const size = sizeOf(shape)
    const decays = shape.length > 1
    let group = groups.find((candidate) => candidate.decays === decays && candidate.size + size <= capacity)
    if (group === undefined) groups.push(group = { slots: [], decays, size: 0 })
    group.slots.push({ name, index: index++, shape, offset: group.size, size })
    group.size += size
  }
  return groups
}

const lengthOf = (group: Group): number => Math.ceil(group.size / lane) * lane

/** Whether the parameters of a group are copies of their places in its tensor, rather than that tensor itself. */
const hasCopies = (group: Group): boolean => group.slots.length > 1 || lengthOf(group) !== group.size

/** What an optimizer takes of a backend's memory, in numbers (of 4 bytes). */
export interface Footprint {
  /** All the time: parameters and moments. */
  readonly held: number
  /** Beside them and the gradients, the most while the gradients are joined or the parameters updated. */
  readonly updating: number
}

/** The footprint of an optimizer of these parameters; `inPlace` where the backend updates them where they lie. */
export const footprint = (
  parameters: Iterable<Pick<ParameterSpecification, "name" | "shape">>,
  inPlace: boolean
): Footprint => {
  const groups = layOut(parameters)
  // A group while it is joined, or its squares; composed, its scaled gradient, new second moment and three terms of it.
  const temporaries = inPlace ? 1 : 5
  return {
    held: groups.reduce((sum, group) => sum + 3 * lengthOf(group) + (hasCopies(group) ? lengthOf(group) : 0), 0),
    // With what padding adds to the joined gradients.
    updating: groups.reduce((most, group) => Math.max(most, temporaries * lengthOf(group)), 0) + lane * groups.length
  }
}

const flatten = (group: Group, length: number, parameters: Parameters | undefined): Float32Array => {
  const values = new Float32Array(length)
  if (parameters !== undefined) {
    for (const { name, offset } of group.slots) values.set(parameters.get(name)!.data, offset)
  }
  return values
}

/** An optimizer of these parameters, from the moments given or from zero. */
export const make = (tf: Tf, parameters: Parameters, settings: AdamW, moments?: Moments): Optimizer => {
  const { beta1, beta2, epsilon, weightDecay } = settings
  const upload = (group: Group, length: number, from: Parameters | undefined) =>
    tf.tensor1d(flatten(group, length, from), "float32")

  const viewsOf = (values: Tensor1D, slots: ReadonlyArray<Slot>, length: number): ReadonlyArray<Tensor> => {
    const last = slots[slots.length - 1]!
    const padding = length - last.offset - last.size
    if (padding === 0 && slots.length === 1) return [tf.reshape(values, [...last.shape])]
    const sizes = slots.map(({ size }) => size)
    const parts = tf.split(values, padding === 0 ? sizes : [...sizes, padding])
    return slots.map(({ shape }, i) => tf.reshape(parts[i]!, [...shape]))
  }

  const groups = layOut(Array.from(parameters, ([name, { shape }]) => ({ name, shape })))
  // In a tidy, so that nothing stays behind when there is no room for all of it.
  const stored = tf.tidy(() =>
    groups.map((group) => {
      const length = lengthOf(group)
      const values = upload(group, length, parameters)
      return {
        values,
        first: upload(group, length, moments?.first),
        second: upload(group, length, moments?.second),
        views: [...viewsOf(values, group.slots, length)]
      }
    })
  )
  const buckets = groups.map((group, index): Bucket => ({
    slots: group.slots,
    decays: group.decays,
    length: lengthOf(group),
    ...stored[index]!
  }))

  const join = (gradients: ReadonlyArray<Tensor>): Gradients =>
    buckets.map(({ length, slots }) => {
      const joined = tf.tidy(() => {
        const parts = slots.map(({ index, size }) => tf.reshape(gradients[index]!, [size]) as Tensor1D)
        const last = slots[slots.length - 1]!
        const padding = length - last.offset - last.size
        return padding === 0 && parts.length === 1
          ? parts[0]!
          : tf.concat1d(padding === 0 ? parts : [...parts, tf.zeros([padding]) as Tensor1D])
      })
      // At once, so that no more than one of these tensors is there twice.
      tf.dispose(slots.map(({ index }) => gradients[index]!))
      return joined
    })

  /** Rows first, then their sums: a float32 that added up all squares one by one would lose the small ones. */
  const squaredNorm = (gradients: Gradients): Tensor =>
    tf.tidy(() =>
      tf.sum(
        tf.stack(
          gradients.map((flat) =>
            tf.tidy(() => tf.sum(tf.sum(tf.square(tf.reshape(flat, [flat.size / lane, lane])), 1)))
          )
        )
      )
    )

  /** An update from operations of every backend. */
  const compose = (bucket: Bucket, given: Tensor1D, factors: InPlace.AdamWFactors): void => {
    const { inverseRoot, rate, scale, shrink } = factors
    const replace = (name: "first" | "second" | "values", compute: () => Tensor1D) => {
      bucket[name] = InPlace.assign(tf, bucket[name], tf.tidy(compute))
    }
    const gradient = scale === 1 ? tf.clone(given) : tf.mul(given, scale)
    try {
      replace("first", () => tf.add(tf.mul(bucket.first, beta1), tf.mul(gradient, 1 - beta1)))
      replace("second", () => tf.add(tf.mul(bucket.second, beta2), tf.mul(tf.square(gradient), 1 - beta2)))
    } finally {
      gradient.dispose()
    }
    replace("values", () => {
      const deviation = tf.tidy(() => tf.add(tf.mul(tf.sqrt(bucket.second), inverseRoot), epsilon))
      const direction = tf.tidy(() => tf.mul(tf.div(bucket.first, deviation), rate))
      deviation.dispose()
      return tf.sub(shrink === 1 ? bucket.values : tf.mul(bucket.values, shrink), direction)
    })
  }

  const update = (gradients: Gradients, { learningRate, scale, step }: Update): void => {
    const correction1 = 1 - beta1 ** (step + 1)
    const correction2 = 1 - beta2 ** (step + 1)
    const inverseRoot = 1 / Math.sqrt(correction2), rate = learningRate / correction1
    for (const [i, bucket] of buckets.entries()) {
      const factors = {
        scale,
        beta1,
        beta2,
        inverseRoot,
        epsilon,
        rate,
        shrink: bucket.decays ? 1 - learningRate * weightDecay : 1
      }
      if (!InPlace.adamW(tf, { ...bucket, gradient: gradients[i]! }, factors)) compose(bucket, gradients[i]!, factors)
      const views = tf.tidy(() => [...viewsOf(bucket.values, bucket.slots, bucket.length)])
      bucket.views = bucket.views.map((view, index) => InPlace.assign(tf, view, views[index]!))
    }
  }

  const readAll = async (select: (bucket: Bucket) => Tensor1D): Promise<Parameters> => {
    const found = new Map<string, Parameter>()
    for (const bucket of buckets) {
      const flat = await select(bucket).data<"float32">()
      for (const { name, offset, shape, size } of bucket.slots) {
        found.set(name, { shape, data: flat.slice(offset, offset + size) })
      }
    }
    return new Map(Array.from(parameters.keys(), (name) => [name, found.get(name)!]))
  }

  return {
    parameters: () => {
      const found = new Map<string, Tensor>()
      for (const { slots, views } of buckets) for (const [i, { name }] of slots.entries()) found.set(name, views[i]!)
      return found
    },
    join,
    squaredNorm,
    update,
    read: async () => ({
      parameters: await readAll(({ values }) => values),
      moments: { first: await readAll(({ first }) => first), second: await readAll(({ second }) => second) }
    }),
    dispose: () => {
      for (const { first, second, values, views } of buckets) tf.dispose([values, first, second, ...views])
    }
  }
}

/**
 * The factor that brings gradients of this norm to `maximum` at most, as PyTorch's `clip_grad_norm_` computes it: the
 * small constant keeps it below 1 even at the bound.
 */
export const clipScale = (norm: number, maximum: number): number => Math.min(1, maximum / (norm + 1e-6))

/**
 * Value and gradients of a function, like `tf.valueAndGrads`, with less memory.
 *
 * TensorFlow.js keeps every saved tensor and every gradient of an intermediate value until the whole backward pass is
 * over. Here each is let go as soon as the pass has gone by; what an operation saved for its shape alone is let go at
 * once, and so is all that comes before the first thing that gradients are wanted for, as below the topmost layers where
 * only those are trained. The most that a training step needs falls by about half, and no number changes. Nor does anything
 * stay behind when an operation throws, as it does when the memory is full.
 */
import * as Gradients from "./Gradients.ts"
import type { Scalar, Tensor, Tf } from "./TensorFlow.ts"

/** An operation as the engine of TensorFlow.js records it. */
interface Node {
  readonly kernelName: string
  readonly inputs: Readonly<Record<string, Tensor>>
  readonly outputs: ReadonlyArray<Tensor>
  readonly saved: ReadonlyArray<Tensor> | undefined
  /** From the gradients of the outputs to the gradients of the inputs, by the inputs' names. */
  readonly gradient?: (dys: ReadonlyArray<Tensor | null>) => Readonly<Record<string, () => Tensor>>
}

/** The engine's recorder, as far as it is used here. */
interface Engine {
  readonly state: { activeTape: Array<Node> | null; readonly gradientDepth: number }
  readonly startTape: () => void
  readonly endTape: () => void
}

const letGo = ({ saved }: Node): void => {
  for (const tensor of saved ?? []) tensor.dispose()
}

/** A tape that drops, while it is written, what no gradient goes through, and the numbers of what is saved for its shape. */
class Tape extends Array<Node> {
  /** The ids of all tensors that depend on what gradients are wanted for. */
  readonly reached = new Set<number>()

  override push(...nodes: ReadonlyArray<Node>): number {
    for (const node of nodes) {
      const isReached = Object.values(node.inputs).some(({ id }) => this.reached.has(id))
      if (!isReached || Gradients.needsShapesOnly(node.kernelName)) letGo(node)
      if (!isReached) continue
      for (const { id } of node.outputs) this.reached.add(id)
      super.push(node)
    }
    return this.length
  }
}

/** Runs `f` and records what it does with `xs`. */
const record = <T extends Tensor>(
  tf: Tf,
  f: () => T,
  xs: ReadonlyArray<Tensor>
): { readonly value: T; readonly tape: Tape } => {
  const engine = tf.engine() as unknown as Engine
  if (engine.state.gradientDepth !== 0) throw new Error("Gradients of gradients are not implemented.")
  engine.startTape()
  const tape = engine.state.activeTape = new Tape()
  for (const { id } of xs) tape.reached.add(id)
  try {
    return { value: tf.tidy(f), tape }
  } catch (cause) {
    for (const node of tape) letGo(node)
    throw cause
  } finally {
    engine.endTape()
    engine.state.activeTape = null
  }
}

/** Gradients of tensors, by id. One tensor may be the gradient of several: it goes with the last of them. */
const makeLedger = () => {
  const gradients = new Map<number, Tensor>()
  const holders = new Map<Tensor, number>()
  const release = (gradient: Tensor) => {
    const left = (holders.get(gradient) ?? 0) - 1
    if (left > 0) holders.set(gradient, left)
    else {
      holders.delete(gradient)
      gradient.dispose()
    }
  }
  const put = (id: number, gradient: Tensor) => {
    gradients.set(id, gradient)
    holders.set(gradient, (holders.get(gradient) ?? 0) + 1)
  }
  return {
    of: (id: number): Tensor | undefined => gradients.get(id),
    put,
    /** Adds a gradient to that of a tensor, in place of both. */
    add: (tf: Tf, id: number, gradient: Tensor) => {
      const before = gradients.get(id)
      if (before === undefined) return put(id, gradient)
      put(id, tf.add(before, gradient))
      release(before)
      if (!holders.has(gradient)) gradient.dispose()
    },
    drop: (id: number) => {
      const gradient = gradients.get(id)
      gradients.delete(id)
      if (gradient !== undefined) release(gradient)
    }
  }
}

const differentiate = (
  tf: Tf,
  { gradient, inputs, kernelName }: Node,
  dys: Array<Tensor | null>,
  names: Array<string>
) =>
  tf.tidy(() => {
    if (gradient === undefined) throw new Error(`The operation ${kernelName} has no gradient.`)
    const found = gradient(dys)
    return names.map((name) => {
      const dx = found[name]!()
      const { shape } = inputs[name]!
      if (dx.shape.join() !== shape.join()) {
        throw new Error(`The gradient of ${kernelName} is [${dx.shape.join()}] for an input of [${shape.join()}].`)
      }
      return dx
    })
  })

/** What stands for the gradient of an argument that the function does not depend on. */
type Missing = (x: Tensor, index: number) => Tensor

const walk = (
  tf: Tf,
  value: Tensor,
  dy: Tensor,
  tape: Tape,
  xs: ReadonlyArray<Tensor>,
  missing: Missing
): Array<Tensor> => {
  const ledger = makeLedger()
  ledger.put(value.id, dy)
  for (let at = tape.length - 1; at >= 0; at--) {
    const node = tape[at]!
    const names = Object.keys(node.inputs).filter((name) => tape.reached.has(node.inputs[name]!.id))
    const dys = node.outputs.map(({ id }) => ledger.of(id) ?? null)
    if (names.length > 0 && dys.some((dy) => dy !== null)) {
      const found = differentiate(tf, node, dys, names)
      for (const [index, name] of names.entries()) ledger.add(tf, node.inputs[name]!.id, found[index]!)
    }
    for (const { id } of node.outputs) ledger.drop(id)
    letGo(node)
  }
  return xs.map((x, index) => ledger.of(x.id) ?? missing(x, index))
}

/**
 * The value of `f`, a scalar, and its gradients with respect to each of `xs`, to the bit as `tf.valueAndGrads` computes
 * them. `f` must reach `xs` through operations; the caller disposes of value and gradients, and of nothing else.
 */
export const valueAndGradients = (
  tf: Tf,
  f: () => Scalar,
  xs: ReadonlyArray<Tensor>
): { readonly value: Scalar; readonly gradients: ReadonlyArray<Tensor> } =>
  tf.tidy(() => {
    const { tape, value } = record(tf, f, xs)
    try {
      const gradients = walk(tf, value, tf.onesLike(value), tape, xs, (_, index) => {
        throw new Error(`The function does not depend on its argument ${index}.`)
      })
      return { value, gradients }
    } finally {
      for (const node of tape) letGo(node)
    }
  })

/**
 * The gradients of `f(x)` with respect to `x` and then to each of `weights`, which `f` reaches by itself, from the gradient
 * of its value; zeros for a weight that it does not reach. The caller disposes of them.
 */
export const gradients = (
  tf: Tf,
  f: (x: Tensor) => Tensor,
  x: Tensor,
  weights: ReadonlyArray<Tensor>,
  dy: Tensor
): ReadonlyArray<Tensor> =>
  tf.tidy(() => {
    const { tape, value } = record(tf, () => f(x), [x, ...weights])
    try {
      // Whoever called disposes of dy.
      return walk(tf, value, tf.clone(dy), tape, [x, ...weights], (weight) => tf.zerosLike(weight))
    } finally {
      for (const node of tape) letGo(node)
    }
  })

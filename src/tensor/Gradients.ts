/**
 * The gradients of TensorFlow.js' operations, as far as language models reach them: element by element, products,
 * reductions, and whatever moves elements about.
 *
 * `@tensorflow/tfjs-core` brings operations without gradients on Node; those come with the union package
 * `@tensorflow/tfjs`, along with layers, converters and a browser backend: 240 MB and 100 ms at start. These are
 * registered through the public registry instead. An operation outside the list (convolution, pooling, images, complex
 * numbers) fails in the backward pass with "gradient function not found for" and its name.
 */
import type { GradConfig, Tensor, Tf } from "./TensorFlow.ts"

type Attributes = Readonly<Record<string, unknown>>

/** The gradient of a kernel: what it needs saved, and one lazy gradient an input. */
interface Gradient {
  readonly inputs?: ReadonlyArray<string>
  readonly output?: boolean
  /** Of what is saved it reads no number, only shapes. */
  readonly shapesOnly?: boolean
  readonly of: (
    tf: Tf,
    dy: Tensor,
    saved: Array<Tensor>,
    attributes: Attributes
  ) => Readonly<Record<string, () => Tensor>>
}

/** Sums a gradient over the axes along which its input was repeated. */
const collapse = (tf: Tf, gradient: Tensor, shape: ReadonlyArray<number>): Tensor => {
  const axes = tf.broadcast_util.getReductionAxes([...shape], gradient.shape)
  return tf.reshape(axes.length > 0 ? tf.sum(gradient, axes) : gradient, [...shape])
}

/** A function of two arguments that broadcast, from its two partial derivatives times `dy`. */
const binary = (
  left: (tf: Tf, dy: Tensor, a: Tensor, b: Tensor) => Tensor,
  right: (tf: Tf, dy: Tensor, a: Tensor, b: Tensor) => Tensor,
  options: Pick<Gradient, "shapesOnly"> = {}
): Gradient => ({
  ...options,
  inputs: ["a", "b"],
  of: (tf, dy, [a, b]) => ({
    a: () => collapse(tf, left(tf, dy, a!, b!), a!.shape),
    b: () => collapse(tf, right(tf, dy, a!, b!), b!.shape)
  })
})

/** A function of one number, from its derivative times `dy`, in terms of the argument. */
const unary = (derivative: (tf: Tf, dy: Tensor, x: Tensor, attributes: Attributes) => Tensor): Gradient => ({
  inputs: ["x"],
  of: (tf, dy, [x], attributes) => ({ x: () => derivative(tf, dy, tf.cast(x!, "float32"), attributes) })
})

/** A function of one number whose derivative is simplest in terms of its value. */
const unaryByValue = (derivative: (tf: Tf, dy: Tensor, y: Tensor) => Tensor): Gradient => ({
  output: true,
  of: (tf, dy, [y]) => ({ x: () => derivative(tf, dy, y!) })
})

/** Constant almost everywhere. */
const flat = (...inputs: ReadonlyArray<string>): Gradient => ({
  inputs,
  shapesOnly: true,
  of: (tf, _dy, saved) => Object.fromEntries(inputs.map((name, at) => [name, () => tf.zeros(saved[at]!.shape)]))
})

const elementwise: Readonly<Record<string, Gradient>> = {
  Add: binary((_, dy) => dy, (_, dy) => dy, { shapesOnly: true }),
  Sub: binary((_, dy) => dy, (tf, dy) => tf.neg(dy), { shapesOnly: true }),
  Multiply: binary((tf, dy, _, b) => tf.mul(dy, b), (tf, dy, a) => tf.mul(dy, a)),
  RealDiv: binary(
    (tf, dy, _, b) => tf.div(dy, b),
    (tf, dy, a, b) => tf.neg(tf.div(tf.mul(dy, a), tf.square(b)))
  ),
  // A tie goes whole to the first of a maximum and a minimum.
  Maximum: binary(
    (tf, dy, a, b) => tf.mul(dy, tf.cast(tf.greaterEqual(a, b), "float32")),
    (tf, dy, a, b) => tf.mul(dy, tf.cast(tf.less(a, b), "float32"))
  ),
  Minimum: binary(
    (tf, dy, a, b) => tf.mul(dy, tf.cast(tf.lessEqual(a, b), "float32")),
    (tf, dy, a, b) => tf.mul(dy, tf.cast(tf.greater(a, b), "float32"))
  ),
  SquaredDifference: binary(
    (tf, dy, a, b) => tf.mul(dy, tf.mul(2, tf.sub(a, b))),
    (tf, dy, a, b) => tf.mul(dy, tf.mul(2, tf.sub(b, a)))
  ),
  Pow: binary(
    (tf, dy, a, b) => tf.mul(dy, tf.mul(b, tf.pow(a, tf.sub(tf.cast(b, "float32"), 1)))),
    // log of a number at or below 0 has no real value: taken as 0, as TensorFlow does.
    (tf, dy, a, b) => tf.mul(dy, tf.mul(tf.pow(a, b), tf.where(tf.greater(a, 0), tf.log(a), tf.zerosLike(a))))
  ),
  Abs: unary((tf, dy, x) => tf.mul(dy, tf.sign(x))),
  Neg: unary((tf, dy) => tf.neg(dy)),
  Square: unary((tf, dy, x) => tf.mul(dy, tf.mul(2, x))),
  Sqrt: unaryByValue((tf, dy, y) => tf.div(dy, tf.mul(2, y))),
  Rsqrt: unaryByValue((tf, dy, y) => tf.mul(dy, tf.mul(-0.5, tf.mul(y, tf.square(y))))),
  Reciprocal: unaryByValue((tf, dy, y) => tf.neg(tf.mul(dy, tf.square(y)))),
  Exp: unaryByValue((tf, dy, y) => tf.mul(dy, y)),
  Expm1: unaryByValue((tf, dy, y) => tf.mul(dy, tf.add(y, 1))),
  Log: unary((tf, dy, x) => tf.div(dy, x)),
  Log1p: unary((tf, dy, x) => tf.div(dy, tf.add(x, 1))),
  Sin: unary((tf, dy, x) => tf.mul(dy, tf.cos(x))),
  Cos: unary((tf, dy, x) => tf.neg(tf.mul(dy, tf.sin(x)))),
  Tanh: unaryByValue((tf, dy, y) => tf.mul(dy, tf.sub(1, tf.square(y)))),
  Sigmoid: unaryByValue((tf, dy, y) => tf.mul(dy, tf.mul(y, tf.sub(1, y)))),
  Softplus: unary((tf, dy, x) => tf.mul(dy, tf.sigmoid(x))),
  Erf: unary((tf, dy, x) => tf.mul(dy, tf.mul(2 / Math.sqrt(Math.PI), tf.exp(tf.neg(tf.square(x)))))),
  Relu: unary((tf, dy, x) => tf.mul(dy, tf.step(x))),
  Relu6: unary((tf, dy, x) => tf.mul(dy, tf.mul(tf.step(x), tf.cast(tf.lessEqual(x, 6), "float32")))),
  LeakyRelu: unary((tf, dy, x, { alpha }) => tf.where(tf.greater(x, 0), dy, tf.mul(dy, alpha as number))),
  Elu: unaryByValue((tf, dy, y) => tf.where(tf.greater(y, 0), dy, tf.mul(dy, tf.add(y, 1)))),
  ClipByValue: unary((tf, dy, x, { clipValueMax, clipValueMin }) =>
    tf.where(
      tf.logicalAnd(tf.greaterEqual(x, clipValueMin as number), tf.lessEqual(x, clipValueMax as number)),
      dy,
      tf.zerosLike(dy)
    )
  ),
  Cast: unary((tf, dy) => tf.cast(dy, "float32")),
  Identity: unary((tf, dy) => tf.cast(dy, "float32")),
  Select: {
    inputs: ["condition"],
    of: (tf, dy, [condition]) => ({
      condition: () => tf.zeros(condition!.shape),
      t: () => tf.mul(dy, tf.cast(condition!, "float32")),
      e: () => tf.mul(dy, tf.cast(tf.logicalNot(condition as Tensor<any>), "float32"))
    })
  },
  Ceil: flat("x"),
  Floor: flat("x"),
  Round: flat("x"),
  Sign: flat("x"),
  Step: flat("x"),
  OnesLike: flat("x"),
  ZerosLike: flat("x"),
  Equal: flat("a", "b"),
  NotEqual: flat("a", "b"),
  Greater: flat("a", "b"),
  GreaterEqual: flat("a", "b"),
  Less: flat("a", "b"),
  LessEqual: flat("a", "b"),
  LogicalAnd: flat("a", "b"),
  LogicalNot: flat("x"),
  LogicalOr: flat("a", "b")
}

/** The axes of a reduction, counted from the front. */
const axesOf = (x: Tensor, axis: unknown): Array<number> =>
  (axis === undefined || axis === null ? x.shape.map((_, at) => at) : [axis].flat() as Array<number>)
    .map((at) => at < 0 ? at + x.rank : at)

/** A reduced tensor with its reduced axes back, of extent 1. */
const expand = (tf: Tf, reduced: Tensor, x: Tensor, axes: ReadonlyArray<number>): Tensor =>
  tf.reshape(reduced, x.shape.map((extent, at) => axes.includes(at) ? 1 : extent))

/** Repeats along axes of extent 1. `tf.broadcastTo` leaves those axes at 1 where nothing is asked for. */
const repeat = (tf: Tf, x: Tensor, shape: Array<number>): Tensor =>
  shape.includes(0) ? tf.zeros(shape) : tf.broadcastTo(x, shape)

/** The largest or smallest along axes: the gradient goes to every place that has it. */
const extreme: Gradient = {
  inputs: ["x"],
  output: true,
  of: (tf, dy, [x, y], { axis, reductionIndices }) => ({
    x: () => {
      const axes = axesOf(x!, reductionIndices ?? axis)
      const chosen = tf.cast(tf.equal(x!, expand(tf, y!, x!, axes)), "float32")
      return tf.mul(expand(tf, dy, x!, axes), chosen)
    }
  })
}

const reductions: Readonly<Record<string, Gradient>> = {
  Sum: {
    inputs: ["x"],
    shapesOnly: true,
    of: (tf, dy, [x], { axis }) => ({
      x: () => repeat(tf, expand(tf, dy, x!, axesOf(x!, axis)), x!.shape)
    })
  },
  Mean: {
    inputs: ["x"],
    shapesOnly: true,
    of: (tf, dy, [x], { axis }) => ({
      x: () => {
        const count = axesOf(x!, axis).reduce((product, at) => product * x!.shape[at]!, 1)
        return repeat(tf, tf.div(expand(tf, dy, x!, axesOf(x!, axis)), count), x!.shape)
      }
    })
  },
  Max: extreme,
  Min: extreme,
  Softmax: {
    output: true,
    of: (tf, dy, [y], { dim }) => ({
      logits: () => {
        const weighted = tf.mul(dy, y!)
        return tf.sub(weighted, tf.mul(tf.sum(weighted, dim as number, true), y!))
      }
    })
  },
  Cumsum: {
    of: (tf, dy, _, { axis, exclusive, reverse }) => ({
      x: () => tf.cumsum(dy, axis as number, exclusive as boolean, reverse !== true)
    })
  },
  AddN: {
    shapesOnly: true,
    // Its inputs are a list, and so are its gradients; how many there are only the saved ones tell.
    of: (tf, dy, saved) => Object.fromEntries(saved.map((_, at) => [at, () => tf.clone(dy)]))
  },
  BatchMatMul: {
    inputs: ["a", "b"],
    of: (tf, dy, [a, b], { transposeA, transposeB }) => ({
      a: () =>
        collapse(
          tf,
          transposeA === true
            ? tf.matMul(b!, dy, transposeB === true, true)
            : tf.matMul(dy, b!, false, transposeB !== true),
          a!.shape
        ),
      b: () =>
        collapse(
          tf,
          transposeB === true
            ? tf.matMul(dy, a!, true, transposeA === true)
            : tf.matMul(a!, dy, transposeA !== true, false),
          b!.shape
        )
    })
  }
}

const movements: Readonly<Record<string, Gradient>> = {
  Reshape: { inputs: ["x"], shapesOnly: true, of: (tf, dy, [x]) => ({ x: () => tf.reshape(dy, x!.shape) }) },
  ExpandDims: { inputs: ["input"], shapesOnly: true, of: (tf, dy, [x]) => ({ input: () => tf.reshape(dy, x!.shape) }) },
  Transpose: {
    of: (tf, dy, _, { perm }) => ({
      x: () => {
        const inverse: Array<number> = []
        for (const [to, from] of (perm as Array<number>).entries()) inverse[from] = to
        return tf.transpose(dy, inverse)
      }
    })
  },
  BroadcastTo: { inputs: ["x"], shapesOnly: true, of: (tf, dy, [x]) => ({ x: () => collapse(tf, dy, x!.shape) }) },
  Tile: {
    inputs: ["x"],
    shapesOnly: true,
    of: (tf, dy, [x], { reps }) => ({
      x: () => {
        // Each axis apart into repetitions and extent, then the repetitions added up.
        const apart = x!.shape.flatMap((extent, at) => [(reps as Array<number>)[at]!, extent])
        return tf.sum(tf.reshape(dy, apart), x!.shape.map((_, at) => 2 * at))
      }
    })
  },
  Slice: {
    inputs: ["x"],
    shapesOnly: true,
    of: (tf, dy, [x], { begin, size }) => ({
      x: () => {
        const [from = [], extent = []] = tf.slice_util.parseSliceParams(
          x!,
          begin as Array<number>,
          size as Array<number>
        )
        return tf.pad(dy, from.map((start, at) => [start, x!.shape[at]! - start - extent[at]!]))
      }
    })
  },
  PadV2: {
    inputs: ["x"],
    shapesOnly: true,
    of: (tf, dy, [x], { paddings }) => ({
      x: () => tf.slice(dy, (paddings as Array<[number, number]>).map(([before]) => before), x!.shape)
    })
  },
  Reverse: { of: (tf, dy, _, { dims }) => ({ x: () => tf.reverse(dy, dims as Array<number>) }) },
  Concat: {
    shapesOnly: true,
    of: (tf, dy, saved, { axis }) => {
      const at = axesOf(dy, axis)[0]!
      const parts = tf.split(dy, saved.map((part) => part.shape[at]!), at)
      return Object.fromEntries(parts.map((part, index) => [index, () => part]))
    }
  },
  SplitV: {
    of: (tf, dy, _, { axis }) => ({ x: () => tf.concat(dy as unknown as Array<Tensor>, axis as number) })
  },
  Pack: {
    shapesOnly: true,
    of: (tf, dy, _, { axis }) =>
      Object.fromEntries(tf.unstack(dy, axis as number).map((part, index) => [index, () => part]))
  },
  Unpack: {
    of: (tf, dy, _, { axis }) => ({ value: () => tf.stack(dy as unknown as Array<Tensor>, axis as number) })
  },
  GatherV2: {
    inputs: ["x", "indices"],
    of: (tf, dy, [x, indices], { axis, batchDims }) => ({
      x: () => {
        if (batchDims !== undefined && batchDims !== 0) throw new RangeError("gather with batchDims has no gradient")
        const at = axesOf(x!, axis)[0]!
        const outer = x!.shape.slice(0, at), inner = x!.shape.slice(at + 1)
        // The gathered axis to the front, summed by index, and back to its place.
        const gathered = tf.reshape(dy, [...outer, indices!.size, ...inner])
        const front = [at, ...outer.keys(), ...inner.map((_, index) => at + 1 + index)]
        const back = [...outer.map((_, index) => index + 1), 0, ...inner.map((_, index) => at + 1 + index)]
        const summed = tf.unsortedSegmentSum(
          tf.transpose(gathered, front),
          tf.reshape(indices!, [indices!.size]),
          x!.shape[at]!
        )
        return tf.transpose(summed, back)
      }
    })
  },
  UnsortedSegmentSum: {
    inputs: ["segmentIds"],
    of: (tf, dy, [segments]) => ({
      x: () => {
        // A segment outside the range was left out of the sum: its rows get no gradient.
        const count = dy.shape[0]!
        const kept = tf.logicalAnd(tf.greaterEqual(segments!, 0), tf.less(segments!, count))
        const inside = tf.mul(segments!, tf.cast(kept, "int32"))
        const rows = tf.gather(dy, inside)
        const mask = tf.reshape(tf.cast(kept, "float32"), [...segments!.shape, ...dy.shape.slice(1).map(() => 1)])
        return tf.mul(rows, mask)
      }
    })
  },
  OneHot: {
    inputs: ["indices"],
    shapesOnly: true,
    of: (tf, _dy, [indices]) => ({ indices: () => tf.zeros(indices!.shape) })
  }
}

/** Operations whose inputs are a list: all of them are saved. */
const listInputs = new Set(["AddN", "Concat", "Pack"])

const gradients: Readonly<Record<string, Gradient>> = { ...elementwise, ...reductions, ...movements }

/** Whether the gradient of a kernel reads only the shapes of what was saved for it, so that the numbers need not stay. */
export const needsShapesOnly = (kernelName: string): boolean => gradients[kernelName]?.shapesOnly === true

/** Registers every gradient of the list, replacing what stood there: one set of gradients for every backend. */
export const register = (tf: Tf): void => {
  for (const [kernelName, gradient] of Object.entries(gradients)) {
    const config: GradConfig = {
      kernelName,
      ...(listInputs.has(kernelName) ? { saveAllInputs: true } : { inputsToSave: [...(gradient.inputs ?? [])] }),
      outputsToSave: [gradient.output === true],
      gradFunc: (dy, saved, attributes) => gradient.of(tf, dy as Tensor, saved, attributes)
    }
    tf.registerGradient(config)
  }
}

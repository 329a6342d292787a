/**
 * Problems of the same kinds as those in `Problems.ts`, kept aside: no sampler
 * is tuned on them, so they show whether a method is good or only knows the others.
 *
 * Functions of the literature are as in Surjanovic and Bingham, Virtual Library
 * of Simulation Experiments. No minimum lies in the centre of its box, where a
 * search that begins with defaults would find it at once.
 */
import { box, make, ofPoint, type Problem, uniform } from "./Problem.ts"
import { hartmann } from "./Problems.ts"
import * as Synthetic from "./SyntheticSpaces.ts"

/** Five dimensions, a funnel in an almost flat, wavy plain. */
export const ackley5 = make({
  name: "ackley5",
  hyperparameters: box(5, -15, 30),
  minimum: 0,
  evaluate: ofPoint(5, (x) => {
    let squares = 0, waves = 0
    for (const each of x) {
      squares += each * each
      waves += Math.cos(2 * Math.PI * each)
    }
    return 20 + Math.E - 20 * Math.exp(-0.2 * Math.sqrt(squares / x.length)) - Math.exp(waves / x.length)
  })
})

/** Four dimensions, a curved valley that is easily found and followed with difficulty. */
export const rosenbrock4 = make({
  name: "rosenbrock4",
  hyperparameters: box(4, -5, 10),
  minimum: 0,
  evaluate: ofPoint(4, (x) => {
    let value = 0
    for (let i = 0; i + 1 < x.length; i++) value += 100 * (x[i + 1]! - x[i]! ** 2) ** 2 + (x[i]! - 1) ** 2
    return value
  })
})

/** Six dimensions, fine ripples on a bowl. */
export const griewank6 = make({
  name: "griewank6",
  hyperparameters: box(6, -300, 600),
  minimum: 0,
  evaluate: ofPoint(6, (x) => {
    let squares = 0, waves = 1
    for (const [i, each] of x.entries()) {
      squares += each * each
      waves *= Math.cos(each / Math.sqrt(i + 1))
    }
    return squares / 4000 - waves + 1
  })
})

/** Four dimensions, two wells in each, so sixteen in all. */
export const styblinskiTang4 = make({
  name: "styblinskiTang4",
  hyperparameters: box(4, -5, 5),
  minimum: -156.66466281508565,
  evaluate: ofPoint(4, (x) => x.reduce((sum, each) => sum + (each ** 4 - 16 * each * each + 5 * each) / 2, 0))
})

/** Two dimensions, six wells, two of them deepest. */
export const sixHumpCamel = make<{ readonly x: number; readonly y: number }>({
  name: "sixHumpCamel",
  hyperparameters: [uniform("x", -3, 3), uniform("y", -2, 2)],
  minimum: -1.0316284534898774,
  evaluate: ({ x, y }) => (4 - 2.1 * x * x + x ** 4 / 3) * x * x + x * y + (4 * y * y - 4) * y * y
})

/** Three dimensions, four wells. */
export const hartmann3 = make({
  name: "hartmann3",
  hyperparameters: box(3, 0, 1),
  minimum: -3.8627797873326624,
  evaluate: ofPoint(
    3,
    hartmann(
      [[3, 10, 30], [0.1, 10, 35], [3, 10, 30], [0.1, 10, 35]],
      [[3689, 1170, 2673], [4699, 4387, 7470], [1091, 8732, 5547], [381, 5743, 8828]]
    )
  )
})

/** Five dimensions, flat but for narrow steep valleys. */
export const michalewicz5 = make({
  name: "michalewicz5",
  hyperparameters: box(5, 0, Math.PI),
  minimum: -4.687658179088148,
  evaluate: ofPoint(
    5,
    (x) => x.reduce((sum, each, i) => sum - Math.sin(each) * Math.sin((i + 1) * each * each / Math.PI) ** 20, 0)
  )
})

export const all = [
  ackley5,
  rosenbrock4,
  griewank6,
  styblinskiTang4,
  sixHumpCamel,
  hartmann3,
  michalewicz5,
  Synthetic.mixed9,
  Synthetic.nested,
  Synthetic.noisy,
  Synthetic.plateau,
  Synthetic.categorical
] as ReadonlyArray<Problem>

import { assert, describe, it } from "@effect/vitest"
import * as Random from "../../../src/random/Random.ts"
import type * as Acquisition from "../../../src/search/samplers/Acquisition.ts"
import * as AcquisitionSearch from "../../../src/search/samplers/AcquisitionSearch.ts"
import * as Lattice from "../../../src/search/space/Lattice.ts"
import * as Space from "../../../src/search/space/Space.ts"

/** The point that a search finds for a function of the unit coordinates, where `slope` is its derivative. */
const search = <P extends Space.Params>(
  space: Space.Space<P>,
  value: (params: P) => number,
  options: { readonly slope?: (axis: number, u: number) => number; readonly proposed?: ReadonlyArray<P> } = {}
): P | undefined => {
  const acquisition: Acquisition.Acquisition = (point, gradient) => {
    for (let axis = 0; axis < (gradient?.length ?? 0); axis++) {
      gradient![axis] = options.slope?.(axis, point[axis]!) ?? 0
    }
    return value(space.fromUnit(point))
  }
  const found = AcquisitionSearch.search({
    context: { space: space as unknown as Space.Space, proposed: new Set((options.proposed ?? []).map(space.key)) },
    lattice: Lattice.of(space),
    acquisition,
    best: [],
    random: Random.make(1, "search")
  })
  return found === undefined ? undefined : space.fromUnit(found.point)
}

describe("AcquisitionSearch", () => {
  it("follows the gradient to the very top in many dimensions", () => {
    const top = [0.11, 0.93, 0.5, 0.7123, 0.35, 0.01, 0.64, 0.8]
    const space = Space.make(Object.fromEntries(top.map((_, i) => [`x${i}`, Space.uniform(0, 1)])))
    const found = search(
      space,
      (params) => -top.reduce((sum, at, i) => sum + (1 + i) * (params[`x${i}`]! - at) ** 2, 0),
      { slope: (axis, u) => -2 * (1 + axis) * (u - top[axis]!) }
    )!
    for (const [i, at] of top.entries()) assert.isAtMost(Math.abs(found[`x${i}`]! - at), 1e-3)
  })

  it("finds the best combination of values without order, and the best whole number, though there is no gradient", () => {
    const space = Space.make({
      a: Space.choice(["p", "q", "r", "s", "t", "u"]),
      b: Space.choice(["p", "q", "r", "s", "t", "u"]),
      n: Space.integer(0, 500),
      m: Space.ordinal([1, 2, 4, 8, 16, 32, 64])
    })
    const found = search(
      space,
      ({ a, b, m, n }) => (a === "t" ? 1 : 0) + (b === "q" ? 1 : 0) - Math.abs(n - 333) / 500 - Math.abs(m - 16) / 64
    )
    assert.deepStrictEqual(found, { a: "t", b: "q", n: 333, m: 16 })
  })

  it("compares branches by what they bring", () => {
    const space = Space.make({
      optimizer: Space.branches({
        sgd: { momentum: Space.uniform(0, 1) },
        adamw: { decay: Space.uniform(0, 1), beta: Space.uniform(0, 1) },
        lion: {}
      })
    })
    const found = search(
      space,
      ({ optimizer }) =>
        optimizer._tag === "adamw"
          ? 1 - (optimizer.decay - 0.2) ** 2 - (optimizer.beta - 0.9) ** 2
          : optimizer._tag === "sgd"
          ? 0.9 - (optimizer.momentum - 0.5) ** 2
          : 0.95,
      // The axes are the choice, momentum, decay, beta.
      { slope: (axis, u) => Number.isNaN(u) || axis === 0 ? 0 : -2 * (u - [0, 0.5, 0.2, 0.9][axis]!) }
    )!
    assert.isTrue(found.optimizer._tag === "adamw")
    if (found.optimizer._tag !== "adamw") return
    assert.isAtMost(Math.abs(found.optimizer.decay - 0.2), 1e-3)
    assert.isAtMost(Math.abs(found.optimizer.beta - 0.9), 1e-3)
  })

  it("takes the next best where a trial is already, and none where all are taken", () => {
    const space = Space.make({ n: Space.integer(1, 3), kind: Space.choice(["a", "b"]) })
    const value = ({ kind, n }: Space.Type<typeof space>) => n + (kind === "b" ? 0.5 : 0)
    const proposed: Array<Space.Type<typeof space>> = []
    for (let count = 0; count < 6; count++) proposed.push(search(space, value, { proposed })!)
    assert.deepStrictEqual(proposed.map(value), [3.5, 3, 2.5, 2, 1.5, 1])
    assert.isUndefined(search(space, value, { proposed }))
  })

  it("stays within the constraints, also where what lies beyond is better", () => {
    const space = Space.make({ x: Space.uniform(0, 1), y: Space.uniform(0, 1) }, {
      constraints: { "x + y at most 1": ({ x, y }) => x + y <= 1 }
    })
    const found = search(space, ({ x, y }) => x + 2 * y, { slope: (axis) => 1 + axis })!
    assert.isAtMost(found.x + found.y, 1)
    assert.isAtLeast(found.x + 2 * found.y, 1.7)
  })
})

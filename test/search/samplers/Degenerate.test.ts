/** What no sampler may stumble over: losses and spaces that say next to nothing, or too much. */
import { assert, describe, it } from "@effect/vitest"
import * as Random from "../../../src/random/Random.ts"
import type * as Sampler from "../../../src/search/Sampler.ts"
import * as Auto from "../../../src/search/samplers/Auto.ts"
import * as CmaEs from "../../../src/search/samplers/CmaEs.ts"
import * as GaussianProcessSampler from "../../../src/search/samplers/GaussianProcessSampler.ts"
import * as TreeParzen from "../../../src/search/samplers/TreeParzen.ts"
import * as Space from "../../../src/search/space/Space.ts"

const spaces: Readonly<Record<string, Space.Space>> = {
  "one axis": Space.make({ x: Space.uniform(0, 1) }),
  "two points": Space.make({ x: Space.choice(["a", "b"]), y: Space.fixed(3) }),
  "one point": Space.make({ y: Space.fixed(3) }),
  "branches": Space.make({
    rate: Space.logUniform(1e-6, 1),
    kind: Space.branches({ plain: {}, deep: { layers: Space.integer(1, 3), width: Space.choice([1, 2, 3]) } }),
    units: Space.integer(1, 1000, { scale: "log" })
  }),
  "a narrow strip": Space.make({
    x: Space.uniform(0, 1, { default: 0.5 }),
    y: Space.uniform(0, 1, { default: 0.5 })
  }, { constraints: { "x is about y": ({ x, y }) => Math.abs(x - y) < 0.01 } })
}

/** The loss of a trial, `undefined` for a failure. */
const losses: Readonly<Record<string, (trial: number, chance: number) => number | undefined>> = {
  "all equal": () => 1,
  "as large as numbers go": (trial) => trial % 2 === 0 ? -1e308 : 1e308,
  "as small as numbers go": (trial) => 1e-300 * trial,
  "different in the last digit": (trial) => 1 + 1e-15 * trial,
  "one beyond all others": (trial, chance) => trial === 3 ? 1e30 : chance,
  "all failed": () => undefined,
  "mostly failed": (_, chance) => chance < 0.8 ? undefined : chance,
  "all failed but the first": (trial) => trial === 0 ? 1 : undefined
}

const samplers = [GaussianProcessSampler.make(), TreeParzen.make(), CmaEs.make(), Auto.make()]

describe("every sampler with a model", () => {
  for (const [name, lossOf] of Object.entries(losses)) {
    it(`goes on where losses are ${name}`, () => {
      for (const space of Object.values(spaces)) {
        for (const [objectives, limits] of [[1, 0], [2, 1]] as const) {
          const problem: Sampler.Problem = { space, trials: 60, objectives, limits, budgets: [1] }
          for (const chosen of samplers) {
            if (chosen.check?.(problem) !== undefined) continue
            const sampler = chosen.resolve?.(problem) ?? chosen
            const observations: Array<Sampler.Observation> = []
            const proposed = new Set<string>()
            for (let index = 0; index < 16; index++) {
              const history = () => observations
              const proposal = sampler.propose({ ...problem, seed: 1, index, proposed, earlier: [], history })
              if (proposal === undefined) {
                assert.strictEqual(proposed.size, space.size)
                break
              }
              const { expectedImprovement = 0, params } = proposal
              assert.isTrue(space.allows(params) && !proposed.has(space.key(params)), JSON.stringify(params))
              assert.isTrue(Number.isFinite(expectedImprovement) && expectedImprovement >= 0)
              proposed.add(space.key(params))
              const loss = lossOf(index, Random.make(1, "chance", index).uniform())
              observations.push({
                trial: index,
                params,
                status: loss === undefined ? "failed" : "completed",
                measurements: loss === undefined ? [] : [{
                  rung: 0,
                  budget: 1,
                  losses: [loss, -loss].slice(0, objectives),
                  violations: [loss].slice(0, limits)
                }]
              })
            }
          }
        }
      }
    })
  }
})

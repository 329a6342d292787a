import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Schema } from "effect"
import * as Slots from "../../src/executor/Slots.ts"
import type { Resources } from "../../src/pipeline/Definition.ts"
import * as Node from "../../src/pipeline/Node.ts"
import * as Stage from "../../src/pipeline/Stage.ts"

const job = (resources: Resources, priority = 0) => {
  const made = Stage.make("job", {
    inputs: {},
    params: {},
    output: Schema.Int,
    resources,
    run: () => Effect.succeed(0)
  })
  const { op } = made({}) as Node.Any
  if (op._tag !== "Invoke") throw new Error("not a stage")
  return { stage: op.stage, priority }
}

const capacity = { cpu: 4, gpu: 2, perDevice: 1, memory: 100 }

describe("Slots", () => {
  it.effect("give each job GPU devices of its own, and take them back", () =>
    Effect.gen(function*() {
      const slots = Slots.make(capacity)
      const held: Array<ReadonlyArray<number>> = []
      const one = slots.withResources(job({ gpu: 1 }))(({ devices }) => {
        held.push(devices)
        return Effect.yieldNow
      })
      yield* Effect.all([one, one, one, one], { concurrency: "unbounded" })
      assert.deepStrictEqual(held.slice(0, 2), [[0], [1]])
      assert.strictEqual(held.flat().length, 4)
      const both = yield* slots.withResources(job({ gpu: 2 }))(({ devices }) => Effect.succeed(devices))
      assert.deepStrictEqual(both, [0, 1])
    }))

  it.effect("keep the sum of memory within what there is, and do not starve a large job", () =>
    Effect.gen(function*() {
      const slots = Slots.make(capacity)
      let used = 0, most = 0
      const order: Array<number> = []
      const busy = (memory: number) =>
        slots.withResources(job({ cpu: 0, memory }))(() =>
          Effect.gen(function*() {
            used += memory
            most = Math.max(most, used)
            order.push(memory)
            for (let i = 0; i < 5; i++) yield* Effect.yieldNow
            used -= memory
          })
        )
      yield* Effect.all([busy(60), busy(90), ...Array.from({ length: 20 }, () => busy(10))], {
        concurrency: "unbounded"
      })
      assert.isAtMost(most, 100)
      // The small ones that came after the large one wait for it.
      assert.deepStrictEqual(order.slice(0, 2), [60, 90])
    }))

  it.effect("serve what is nearer to a result first", () =>
    Effect.gen(function*() {
      const slots = Slots.make({ ...capacity, cpu: 1 })
      const order: Array<string> = []
      const one = (name: string, priority: number) =>
        slots.withResources(job({}, priority))(() =>
          Effect.andThen(Effect.yieldNow, Effect.sync(() => order.push(name)))
        )
      yield* Effect.all([one("train 0", 0), one("train 1", 0), one("train 2", 0), one("evaluate 0", 1)], {
        concurrency: "unbounded"
      })
      assert.deepStrictEqual(order, ["train 0", "evaluate 0", "train 1", "train 2"])
    }))

  it.effect("give a stage that computes with tensors a device without its asking, where there is one", () =>
    Effect.gen(function*() {
      const devices = (slots: Slots.Slots, resources: Resources) =>
        slots.withResources(job(resources))(({ devices }) => Effect.as(Effect.yieldNow, devices))
      const withGpus = Slots.make(capacity)
      const tensors = devices(withGpus, { tensors: true })
      assert.deepStrictEqual(yield* Effect.all([tensors, tensors], { concurrency: "unbounded" }), [[0], [1]])
      assert.deepStrictEqual(yield* devices(withGpus, {}), [])
      assert.deepStrictEqual(yield* devices(Slots.make({ ...capacity, gpu: 0 }), { tensors: true }), [])
    }))

  it.effect("share a device among as many stages as was said, spread over the devices, but none that is declared", () =>
    Effect.gen(function*() {
      const slots = Slots.make({ cpu: 16, gpu: 2, perDevice: 2, memory: 100 })
      const running = [0, 0]
      const most = [0, 0]
      const order: Array<ReadonlyArray<number>> = []
      const use = (resources: Resources, weight: number) =>
        slots.withResources(job(resources))(({ devices }) =>
          Effect.gen(function*() {
            order.push(devices)
            for (const device of devices) {
              running[device]! += weight
              most[device] = Math.max(most[device]!, running[device]!)
            }
            for (let i = 0; i < 5; i++) yield* Effect.yieldNow
            for (const device of devices) running[device]! -= weight
          })
        )
      const shared = use({ tensors: true }, 1)
      const alone = use({ tensors: true, gpu: 1 }, 2)
      yield* Effect.all([shared, shared, shared, shared, shared, alone, shared, alone], { concurrency: "unbounded" })
      assert.deepStrictEqual(order.slice(0, 4), [[0], [1], [0], [1]])
      assert.deepStrictEqual([order.length, running, most], [8, [0, 0], [2, 2]])
    }))

  it.effect("are free again after interruption, whether a job ran or waited", () =>
    Effect.gen(function*() {
      const slots = Slots.make({ ...capacity, cpu: 1 })
      const endless = slots.withResources(job({}))(() => Effect.never)
      const running = yield* Effect.forkChild(endless)
      const waiting = yield* Effect.forkChild(endless)
      yield* Effect.yieldNow
      yield* Fiber.interrupt(waiting)
      yield* Fiber.interrupt(running)
      assert.strictEqual(yield* slots.withResources(job({ cpu: 1 }))(() => Effect.succeed("served")), "served")
    }))
})

import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import * as Node from "../../src/pipeline/Node.ts"
import * as Pipeline from "../../src/pipeline/Pipeline.ts"
import { FineTune, Load, observe, Split, TestLayer } from "./stages.ts"

const fresh = <A, E, R>(effect: Effect.Effect<A, E, R>) => effect.pipe(Effect.provide(TestLayer, { local: true }))

describe("Node.at", () => {
  it("says which fields there are when it is given another, as untyped code may", () => {
    const split = Split({ dataset: Load({}, { name: "toy" }) }, { fraction: 0.5 })
    assert.throws(() => Node.at(split, "test" as "train"), /no field "test": its fields are train, validation/)
  })
})

describe("Node.bind", () => {
  const split = Split({ dataset: Load({}, { name: "toy" }) }, { fraction: 0.5 })
  const train = Node.at(split, "train")
  const first = FineTune({ train }, { learningRate: 0.1, epochs: 2, optimizer: "sgd" })
  const again = Node.bind("again", Node.at(first, "epochs"), {
    example: 1,
    node: (epochs) => FineTune({ train }, { learningRate: 0.2, epochs, optimizer: "sgd" })
  })

  it.effect("runs the node it makes of another's output, which shares what it depends on", () =>
    Effect.gen(function*() {
      const { count, exit } = yield* observe(again)
      assert.strictEqual(exit._tag === "Success" ? exit.value.epochs : 0, 2)
      assert.strictEqual(count("stage.completed", "load"), 1)
      assert.strictEqual(count("stage.completed", "fine-tune"), 2)
    }).pipe(fresh))

  it.effect("is unknown in a plan until the other has run", () =>
    Effect.gen(function*() {
      const before = yield* Pipeline.plan(again)
      assert.deepStrictEqual(before.map(({ node, status }) => `${node.name} ${status._tag}`), [
        "load run",
        "split unknown",
        "fine-tune unknown",
        "again unknown"
      ])
      yield* Pipeline.run(again)
      const after = yield* Pipeline.plan(again)
      assert.deepStrictEqual(after.map(({ status }) => status._tag), ["cached", "cached", "cached", "cached"])
    }).pipe(fresh))
})

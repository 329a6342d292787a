import { assert, describe, it } from "@effect/vitest"
import { Cause, Effect, Exit, Fiber, Ref, Schema } from "effect"
import { TestClock } from "effect/testing"
import { InvalidParams, ResourcesUnavailable, StageDefect, StageTimeout } from "../../src/pipeline/Errors.ts"
import * as Node from "../../src/pipeline/Node.ts"
import * as Pipeline from "../../src/pipeline/Pipeline.ts"
import * as Stage from "../../src/pipeline/Stage.ts"
import { Store } from "../../src/store/Store.ts"
import { Checkpoint, Dataset, DatasetNotFound, Diverged, FineTune, Load, observe, Split, TestLayer } from "./stages.ts"

const dataset = () => Load({}, { name: "toy" })
const fresh = <A, E, R>(effect: Effect.Effect<A, E, R>) => effect.pipe(Effect.provide(TestLayer, { local: true }))
const valueOf = <A, E>(exit: Exit.Exit<A, E>): A => {
  if (Exit.isFailure(exit)) throw new Error(Cause.pretty(exit.cause))
  return exit.value
}
const errorOf = <A, E>(exit: Exit.Exit<A, E>): unknown => Exit.isFailure(exit) ? Cause.squash(exit.cause) : undefined

describe("Pipeline.run", () => {
  it.effect("runs what a node depends on and yields its output", () =>
    Effect.gen(function*() {
      const split = Split({ dataset: dataset() }, { fraction: 0.25 })
      const model = FineTune({ train: Node.at(split, "train") }, { learningRate: 0.5, epochs: 2, optimizer: "sgd" })
      const { exit } = yield* observe(model)
      // 12 updates of w += (row - w) / 2 over the rows 1 to 6, twice.
      let weight = 0
      for (let epoch = 0; epoch < 2; epoch++) for (let row = 1; row <= 6; row++) weight += (row - weight) / 2
      assert.strictEqual(valueOf(exit).weight, weight)
    }).pipe(fresh))

  it.effect("reads every stage from the store on a rerun, from graphs built anew", () =>
    Effect.gen(function*() {
      const graph = () =>
        FineTune({ train: Node.at(Split({ dataset: dataset() }, { fraction: 0.5 }), "train") }, {
          learningRate: 0.1,
          epochs: 1,
          optimizer: "sgd"
        })
      const first = yield* observe(graph())
      const second = yield* observe(graph())
      assert.strictEqual(first.count("stage.completed"), 3)
      assert.strictEqual(second.count("stage.completed"), 0)
      assert.strictEqual(second.count("stage.cached"), 3)
      assert.deepStrictEqual(valueOf(second.exit), valueOf(first.exit))
      assert.instanceOf(valueOf(second.exit), Checkpoint)
    }).pipe(fresh))

  it.effect("runs a shared node once, and equal nodes that are asked for at the same moment once", () =>
    Effect.gen(function*() {
      const runs = yield* Ref.make(0)
      const Slow = Stage.make("slow", {
        inputs: {},
        params: { id: Schema.Int },
        output: Schema.Int,
        run: (_, { id }) => Ref.update(runs, (n) => n + 1).pipe(Effect.andThen(Effect.yieldNow), Effect.as(id))
      })
      const shared = Slow({}, { id: 1 })
      const { exit } = yield* observe(Node.all([shared, shared, Slow({}, { id: 1 }), Slow({}, { id: 2 })]))
      assert.deepStrictEqual(valueOf(exit), [1, 1, 1, 2])
      assert.strictEqual(yield* Ref.get(runs), 2)
    }).pipe(fresh))

  it.effect("stops rerunning where a changed stage gives the same output", () =>
    Effect.gen(function*() {
      const load = (version: string) =>
        Stage.make("load", {
          version,
          inputs: {},
          params: {},
          output: Dataset,
          run: () => Effect.succeed(new Dataset({ name: "toy", rows: [1, 2, 3, 4] }))
        })({})
      yield* observe(Split({ dataset: load("1") }, { fraction: 0.5 }))
      const { count } = yield* observe(Split({ dataset: load("2") }, { fraction: 0.5 }))
      assert.strictEqual(count("stage.completed", "load"), 1)
      assert.strictEqual(count("stage.cached", "split"), 1)
    }).pipe(fresh))

  it.effect("fails with the declared error of the stage, and does not remember it", () =>
    Effect.gen(function*() {
      const missing = () => Split({ dataset: Load({}, { name: "missing" }) }, { fraction: 0.5 })
      const first = yield* observe(missing())
      assert.instanceOf(errorOf(first.exit), DatasetNotFound)
      const second = yield* observe(missing())
      assert.strictEqual(second.count("stage.started", "load"), 1)
    }).pipe(fresh))

  it.effect("remembers a failure that the stage says is a result", () =>
    Effect.gen(function*() {
      const diverging = () =>
        FineTune({ train: Node.at(Split({ dataset: dataset() }, { fraction: 0.5 }), "train") }, {
          learningRate: 7,
          epochs: 1,
          optimizer: "sgd"
        })
      yield* observe(diverging())
      const second = yield* observe(diverging())
      assert.instanceOf(errorOf(second.exit), Diverged)
      assert.strictEqual(second.count("stage.started"), 0)
    }).pipe(fresh))

  it.effect("refuses parameters by their schema, naming the stage and the field", () =>
    Effect.gen(function*() {
      const { exit } = yield* observe(Split({ dataset: dataset() }, { fraction: 3 }))
      const error = errorOf(exit)
      assert.instanceOf(error, InvalidParams)
      assert.match((error as InvalidParams).message, /"split" .*: fraction: expected .*, found 3$/)
    }).pipe(fresh))

  it.effect("refuses them before anything upstream has run", () =>
    Effect.gen(function*() {
      const { count } = yield* observe(Split({ dataset: dataset() }, { fraction: 3 }))
      assert.strictEqual(count("stage.started"), 0)
    }).pipe(fresh))

  it("refuses names that a stage does not have where it is wired, for who does not compile or spreads", () => {
    const train = Node.at(Split({ dataset: dataset() }, { fraction: 0.5 }), "train")
    const params = { learningRate: 0.1, epochs: 1, optimizer: "sgd" } as const
    const misspelt = { ...params, learningrate: 0.2 }
    assert.throws(
      () => FineTune({ train }, misspelt),
      /"fine-tune" has no parameter "learningrate": .*"learningRate"\?/
    )
    const foreign = { ...params, warmup: 3 }
    assert.throws(() => FineTune({ train }, foreign), /no parameter "warmup": it has learningRate, epochs, optimizer$/)
    const inputs = { train, chekpoint: undefined }
    assert.throws(() => FineTune(inputs as { train: typeof train }, params), /no input "chekpoint": .*"checkpoint"\?/)
    assert.throws(() => FineTune({} as { train: typeof train }, params), /needs the input "train", .* nothing/)
    assert.doesNotThrow(() => FineTune({ train, checkpoint: undefined }, params))
  })

  it.effect("reports what a stage throws as its defect", () =>
    Effect.gen(function*() {
      const Broken = Stage.make("broken", {
        inputs: {},
        params: {},
        output: Schema.Int,
        run: () =>
          Effect.sync((): number => {
            throw new Error("out of luck")
          })
      })
      const { exit } = yield* observe(Broken({}))
      const error = errorOf(exit)
      assert.instanceOf(error, StageDefect)
      assert.match((error as StageDefect).message, /"broken" broke: out of luck/)
    }).pipe(fresh))

  it.effect("repeats failed attempts as often as the stage asks, with growing pauses", () =>
    Effect.gen(function*() {
      const attempts = yield* Ref.make(0)
      const Flaky = Stage.make("flaky", {
        inputs: {},
        params: {},
        output: Schema.Int,
        error: DatasetNotFound,
        retry: { times: 3, delay: "1 second" },
        run: Effect.fn("Flaky")(function*() {
          const attempt = yield* Ref.updateAndGet(attempts, (n) => n + 1)
          if (attempt < 3) return yield* new DatasetNotFound({ name: "later" })
          return attempt
        })
      })
      const fiber = yield* Effect.forkChild(observe(Flaky({})))
      yield* TestClock.adjust("10 seconds")
      const { count, exit } = yield* Fiber.join(fiber)
      assert.strictEqual(valueOf(exit), 3)
      assert.strictEqual(count("stage.retried"), 2)
      const store = yield* Store
      assert.strictEqual((yield* store.runs)[0]?.attempts, 3)
    }).pipe(fresh))

  it.effect("ends a stage at its timeout", () =>
    Effect.gen(function*() {
      const Endless = Stage.make("endless", {
        inputs: {},
        params: {},
        output: Schema.Int,
        timeout: "1 minute",
        run: () => Effect.never
      })
      const fiber = yield* Effect.forkChild(observe(Endless({})))
      yield* TestClock.adjust("61 seconds")
      const { exit } = yield* Fiber.join(fiber)
      assert.instanceOf(errorOf(exit), StageTimeout)
    }).pipe(fresh))

  it.effect("keeps within the declared resources, and refuses what can never fit", () =>
    Effect.gen(function*() {
      const running = yield* Ref.make(0)
      const most = yield* Ref.make(0)
      const stage = (cpu: number) =>
        Stage.make("busy", {
          inputs: {},
          params: { id: Schema.Int },
          output: Schema.Int,
          resources: { cpu },
          run: Effect.fn("Busy")(function*(_, { id }) {
            const now = yield* Ref.updateAndGet(running, (n) => n + cpu)
            yield* Ref.update(most, (n) => Math.max(n, now))
            for (let i = 0; i < 5; i++) yield* Effect.yieldNow
            yield* Ref.update(running, (n) => n - cpu)
            return id
          })
        })
      const Busy = stage(2)
      yield* observe(Node.all(Array.from({ length: 20 }, (_, id) => Busy({}, { id }))))
      assert.strictEqual(yield* Ref.get(most), 4)
      const refused = yield* observe(stage(5)({}, { id: 99 }))
      const error = errorOf(refused.exit)
      assert.instanceOf(error, ResourcesUnavailable)
      assert.match((error as ResourcesUnavailable).message, /declares 5 CPU slots, and this run has 4/)
    }).pipe(fresh))

  it.effect("runs chains of ten thousand and fans of ten thousand", () =>
    Effect.gen(function*() {
      const Add = Stage.make("add", {
        inputs: { value: Schema.Int },
        params: { by: Schema.Int },
        output: Schema.Int,
        run: ({ value }, { by }) => Effect.succeed(value + by)
      })
      const Zero = Stage.make("zero", { inputs: {}, params: {}, output: Schema.Int, run: () => Effect.succeed(0) })
      const length = 10_000
      let chain: Node.Node<number> = Zero({})
      for (let i = 0; i < length; i++) chain = Add({ value: chain }, { by: 1 })
      assert.strictEqual(yield* Pipeline.run(chain), length)
      const zero = Zero({})
      const fan = Node.all(Array.from({ length }, (_, by) => Add({ value: zero }, { by })))
      const values = yield* Pipeline.run(fan)
      assert.strictEqual(values.length, length)
      assert.strictEqual(values[length - 1], length - 1)
      assert.strictEqual((yield* Pipeline.plan(chain)).length, length + 1)
      assert.include(Pipeline.toDot(chain), "digraph")
    }).pipe(fresh), 120_000)

  it.live("stops at once when it is interrupted, however many stages wait for their turn", () =>
    Effect.gen(function*() {
      const started = yield* Ref.make(0)
      const Endless = Stage.make("endless", {
        inputs: {},
        params: { id: Schema.Int },
        output: Schema.Int,
        run: () => Effect.andThen(Ref.update(started, (n) => n + 1), Effect.never)
      })
      const all = Node.all(Array.from({ length: 100 }, (_, id) => Endless({}, { id })))
      const fiber = yield* Effect.forkChild(Pipeline.run(all))
      while ((yield* Ref.get(started)) < 4) yield* Effect.sleep("1 millis")
      yield* Fiber.interrupt(fiber)
      // None that waited was started by the end of another.
      assert.strictEqual(yield* Ref.get(started), 4)
    }).pipe(fresh))

  it.effect("keeps what ended before an interruption", () =>
    Effect.gen(function*() {
      const Endless = Stage.make("endless", {
        inputs: { dataset: Dataset },
        params: {},
        output: Schema.Int,
        run: () => Effect.never
      })
      const fiber = yield* Effect.forkChild(Pipeline.run(Endless({ dataset: dataset() })))
      const store = yield* Store
      while ((yield* store.runs).length === 0) yield* Effect.yieldNow
      yield* Fiber.interrupt(fiber)
      const { count } = yield* observe(dataset())
      assert.strictEqual(count("stage.cached"), 1)
    }).pipe(fresh))
})

describe("Pipeline.plan", () => {
  const graph = (learningRate: number, fraction = 0.5) =>
    FineTune({ train: Node.at(Split({ dataset: dataset() }, { fraction }), "train") }, {
      learningRate,
      epochs: 1,
      optimizer: "sgd"
    })

  it.effect("says what is cached, what would run and why, and what is unknown until when", () =>
    Effect.gen(function*() {
      const before = yield* Pipeline.plan(graph(0.1))
      assert.deepStrictEqual(before.map(({ node, status }) => [node.name, status._tag]), [
        ["load", "run"],
        ["split", "unknown"],
        ["fine-tune", "unknown"]
      ])
      assert.deepStrictEqual(before.map(({ status }) => status._tag === "unknown" ? status.until : ""), [
        "",
        "load",
        "load"
      ])
      yield* Pipeline.run(graph(0.1))
      const after = yield* Pipeline.plan(graph(0.1))
      assert.deepStrictEqual(after.map(({ status }) => status._tag), ["cached", "cached", "cached"])
      const changed = yield* Pipeline.plan(graph(0.2))
      assert.deepStrictEqual(changed.map(({ status }) => status._tag), ["cached", "cached", "run"])
      const status = changed[2]!.status
      assert.strictEqual(status._tag === "run" ? status.why : "", "parameter learningRate: 0.1 → 0.2")
      const store = yield* Store
      assert.strictEqual((yield* store.runs).length, 3)
    }).pipe(fresh))
})

describe("Pipeline.toMermaid", () => {
  it("draws stages as boxes and projections as edges", () => {
    const split = Split({ dataset: dataset() }, { fraction: 0.5 })
    const text = Pipeline.toMermaid(
      FineTune({ train: Node.at(split, "train") }, { learningRate: 1, epochs: 1, optimizer: "sgd" })
    )
    assert.match(text, /flowchart LR/)
    assert.match(text, /load/)
    assert.match(text, /-->\|"?train"?\|/)
    assert.notMatch(text, /split\.train/)
  })
})

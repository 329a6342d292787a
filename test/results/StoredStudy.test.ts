import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Schema } from "effect"
import * as Node from "../../src/pipeline/Node.ts"
import type { PipelineEvent } from "../../src/pipeline/Progress.ts"
import * as Stage from "../../src/pipeline/Stage.ts"
import * as StoredStudy from "../../src/results/StoredStudy.ts"
import * as Tables from "../../src/results/Tables.ts"
import type { EarlierStudy } from "../../src/search/EarlierStudy.ts"
import type * as Sampler from "../../src/search/Sampler.ts"
import * as RandomSampler from "../../src/search/samplers/RandomSampler.ts"
import * as SuccessiveHalving from "../../src/search/schedulers/SuccessiveHalving.ts"
import * as Space from "../../src/search/space/Space.ts"
import * as Study from "../../src/search/Study.ts"
import { onDisk, record } from "./studies.ts"

class Diverged extends Schema.TaggedError<Diverged>()("Diverged", { rate: Schema.Finite }) {
  override get message(): string {
    return `${this.rate} is too much`
  }
}

const Train = Stage.make("train", {
  inputs: {},
  params: { rate: Schema.Finite, steps: Schema.Finite },
  output: Schema.Struct({ loss: Schema.Finite, score: Schema.Finite }),
  error: Diverged,
  run: (_, { rate, steps }) =>
    rate > 0.95
      ? Effect.fail(new Diverged({ rate }))
      : Effect.succeed({ loss: (rate - 0.3) ** 2 + 1 / steps, score: rate })
})

const scheduler = SuccessiveHalving.make({ budgets: [1, 2], reduction: 2 })
const trial = ({ rate }: { readonly rate: number }, { budgets }: Study.Rung) =>
  Train({}, { rate, steps: budgets.at(-1)! })

const old = Study.make("old", {
  space: Space.make({ rate: Space.uniform(0, 1), momentum: Space.choice([0, 0.9]) }),
  scheduler,
  trials: 12,
  minimize: "loss",
  trial
})

/** A sampler that notes what it is told of earlier studies. */
const recording = () => {
  const seen: Array<ReadonlyArray<Sampler.Earlier>> = []
  const random = RandomSampler.make()
  const sampler: Sampler.Sampler = {
    usesEarlier: true,
    ...random,
    propose: (context) => {
      seen.push(context.earlier)
      return random.propose(context)
    }
  }
  return { sampler, seen: () => seen[0]! }
}

const startedOf = (events: ReadonlyArray<PipelineEvent>, study: string) =>
  events.find((event) => event._tag === "study.started" && event.study === study) as Extract<
    PipelineEvent,
    { readonly _tag: "study.started" }
  >

type Earlier = Node.Node<EarlierStudy, StoredStudy.NoStoredStudy>

const next = (earlier: ReadonlyArray<Earlier>, sampler: Sampler.Sampler, from = 0) =>
  Study.make("new", {
    space: Space.make({ rate: Space.uniform(from, 1), warmup: Space.choice([0, 0.1]) }),
    scheduler,
    trials: 4,
    minimize: "loss",
    sampler,
    earlier,
    trial
  })

/** The error a study ended with. */
const errorOf = (node: Node.Node<unknown, unknown, any>) =>
  Effect.map(record(node), ({ exit }) => {
    const failure = Exit.findErrorOption(exit)
    return failure._tag === "Some" ? failure.value as { readonly _tag: string; readonly message: string } : undefined
  })

describe("StoredStudy", () => {
  it.effect("starts a study from one in the store as from its node: the same trials, the same decisions", () =>
    onDisk(Effect.gen(function*() {
      const { outcome } = yield* record(old)
      const fromStore = recording(), fromNode = recording()
      const stored = yield* record(next([StoredStudy.make("old")], fromStore.sampler))
      const wired = yield* record(next([old as unknown as Earlier], fromNode.sampler))
      assert.deepStrictEqual(fromStore.seen(), fromNode.seen())
      assert.deepStrictEqual(
        stored.outcomes[0]!.trials.map(({ params }) => params),
        wired.outcomes.find(({ study }) => study === "new")!.trials.map(({ params }) => params)
      )
      const [earlier] = fromStore.seen()
      assert.strictEqual(earlier?.study, "old")
      // The hyperparameter that it did not have is at its default, the one that is gone is gone.
      assert.deepStrictEqual(
        earlier?.observations.map(({ measurements, params, status }) => [
          params,
          status,
          measurements.map(({ budget, losses }) => [budget, ...losses])
        ]),
        outcome.trials.map(({ params, rungs, status }) => [
          { rate: params["rate"], warmup: 0 },
          status,
          rungs.map(({ budget, value }) => [budget, value])
        ])
      )
      assert.include(outcome.trials.map(({ status }) => status), "stopped")
      const result = Exit.getSuccess(stored.exit)
      assert(result._tag === "Some")
      const { reused } = result.value
      assert.deepStrictEqual(reused, [{
        study: "old",
        trials: 12,
        used: 12,
        leftOut: null,
        assumed: ["warmup"],
        dropped: ["momentum"]
      }])
      assert.deepStrictEqual(startedOf(stored.events, "new").reused, reused)
    })))

  it.effect("leaves out the trials that are not in the space, and says so", () =>
    onDisk(Effect.gen(function*() {
      const { outcome } = yield* record(old)
      const { sampler, seen } = recording()
      const { events } = yield* record(next([StoredStudy.make("old")], sampler, 0.4))
      const inside = outcome.trials.filter(({ params }) => (params["rate"] as number) >= 0.4)
      assert.isBelow(inside.length, 12)
      assert.deepStrictEqual(
        seen()[0]!.observations.map(({ params }) => params["rate"]),
        inside.map(({ params }) => params["rate"])
      )
      const [reused] = startedOf(events, "new").reused
      assert.strictEqual(reused?.used, inside.length)
      assert.match(reused?.leftOut ?? "", /^rate: found 0\.\d+; expected 0\.4 to 1$/)
    })))

  it.effect("fails with the name of a study that went the other way, or is the study itself", () =>
    onDisk(Effect.gen(function*() {
      yield* record(old)
      const { sampler } = recording()
      const about = { space: Space.make({ rate: Space.uniform(0, 1) }), scheduler, trials: 4, sampler, trial }
      const otherWay = yield* errorOf(
        Study.make("new", { ...about, maximize: "score", earlier: [StoredStudy.make("old")] })
      )
      assert.strictEqual(otherWay?._tag, "InvalidStudy")
      assert.include(otherWay?.message, "the study \"old\", which is to minimize loss")
      const itself = yield* errorOf(
        Study.make("old", { ...about, minimize: "loss", earlier: [StoredStudy.make("old")] })
      )
      assert.strictEqual(itself?._tag, "InvalidStudy")
      assert.include(itself?.message, "the study \"old\" itself")
    })))

  it.effect("names the studies that there are when it has none of that name", () =>
    onDisk(Effect.gen(function*() {
      const empty = yield* Effect.flip(StoredStudy.read("old"))
      assert.deepStrictEqual(empty.studies, [])
      yield* record(old)
      const error = yield* errorOf(next([StoredStudy.make("odl")], recording().sampler))
      assert.strictEqual(error?._tag, "NoStoredStudy")
      assert.include(error?.message, "no study \"odl\"")
      assert.include(error?.message, "Its studies are: old.")
    })))

  it.effect("reads what the table of a study that was cut short has", () =>
    onDisk(Effect.gen(function*() {
      const { events } = yield* record(old)
      // The same study as far as half of its events tell, then the end of the process.
      const cut = events.slice(0, Math.floor(events.length / 2)).map((event) =>
        "study" in event ? { ...event, study: "cut" } as PipelineEvent : event
      )
      yield* replay(cut)
      const study = yield* StoredStudy.read("cut")
      assert.isAbove(study.trials.length, 0)
      assert.isBelow(study.trials.length, 12)
      assert.deepStrictEqual(Object.keys(study.space?.fields ?? {}), ["momentum", "rate"])
      const { sampler, seen } = recording()
      yield* record(next([StoredStudy.make("cut")], sampler))
      // What ran then does not run for this study.
      assert.notInclude(seen()[0]!.observations.map(({ status }) => status), "running")
      assert.strictEqual(seen()[0]!.observations.length, study.trials.length)
    })))
})

const replay = (events: ReadonlyArray<PipelineEvent>) =>
  Effect.scoped(Effect.flatMap(Tables.recorder, (tell) => Effect.forEach(events, tell, { discard: true })))

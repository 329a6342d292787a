import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import * as Probe from "../../src/executor/Probe.ts"
import { processor } from "../../src/tensor/Driver.ts"

const measure = new URL("../fixtures/executor/measure.ts", import.meta.url)

/** Starts the backend that works everywhere, and has it measured by something that does what `how` says. */
const measured = (how: string, options: Probe.Options = {}) =>
  Probe.start("wasm", { measure, environment: { ...process.env, ATTUNE_TEST_MEASURE: how }, ...options })

describe("Probe", () => {
  it.live("tells what a backend is and computes on, without loading it here", () =>
    Effect.gen(function*() {
      const { devices, runtime, throughput } = yield* Probe.start("wasm")
      assert.strictEqual(runtime.backend, "wasm")
      assert.match(runtime.version, /^tfjs-\d/)
      assert.strictEqual(runtime.determinism, "exact")
      assert.deepStrictEqual(devices, [processor])
      assert.isUndefined(throughput)
    }))

  it.live("has it measured in the same process", () =>
    Effect.gen(function*() {
      const { throughput } = yield* measured("well")
      assert.deepStrictEqual(throughput, { tokensPerSecond: 144, batchSize: 3, steps: 2 })
    }))

  it.live("keeps what it knows of a backend whose measurement hangs, dies or throws, and says which", () =>
    Effect.gen(function*() {
      const [hangs, dies, throws] = yield* Effect.all([
        measured("hangs", { measureWithin: "500 millis" }),
        measured("dies"),
        measured("throws")
      ], { concurrency: "unbounded" })
      assert.strictEqual(hangs.throughput, "it started, but its training steps did not end within 0.5 s")
      assert.match(String(dies.throughput), /broke down while it trained \(ended by SIGKILL\).*the driver is lost/)
      assert.strictEqual(throws.throughput, "no kernel for this GPU")
      for (const { runtime } of [hangs, dies, throws]) assert.strictEqual(runtime.backend, "wasm")
    }))

  it.live("gives up on a backend that does not start in time, and says so", () =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(Probe.start("wasm", { startWithin: "1 millis" }))
      assert.match(error.message, /"wasm" cannot start: it did not start within 0.001 s/)
    }))

  it.live("passes on why a backend cannot start, in its own words", ({ skip }) =>
    Effect.gen(function*() {
      skip(process.platform !== "linux", "only on Linux can a GPU be hidden from webgpu")
      const environment = { ...process.env, VK_DRIVER_FILES: "/nowhere.json", VK_ICD_FILENAMES: "/nowhere.json" }
      const error = yield* Effect.flip(Probe.start("webgpu", { environment }))
      assert.strictEqual(error._tag, "BackendUnavailable")
      assert.match(error.reason, /no usable adapter|not installed/)
      assert.match(error.remedy, /--backend wasm/)
    }))
})

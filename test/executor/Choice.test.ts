import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import * as Choice from "../../src/executor/Choice.ts"
import type * as Probe from "../../src/executor/Probe.ts"
import * as Backend from "../../src/tensor/Backend.ts"

type Device = Backend.Device

const gpu: Device = { kind: "gpu", name: "NVIDIA H100" }
const software: Device = { kind: "software", name: "llvmpipe" }
const cpu: Device = { kind: "cpu", name: "EPYC" }

/** Backends by what they compute on here, or by why they do not start; those that are left out are not installed. */
type Machine = { readonly [K in Backend.Name]?: Device | string }

/** The choice on a machine, in words, and which backends were started to make it. */
const on = Effect.fnUntraced(function*(machine: Machine) {
  const started: Array<Backend.Name> = []
  const choice = yield* Choice.choose(
    (backend) => {
      started.push(backend)
      const found = machine[backend]
      return typeof found === "object"
        ? Effect.succeed<Probe.Running>({
          runtime: { backend, version: "1", determinism: "exact" },
          devices: [found],
          throughput: undefined
        })
        : Effect.fail(new Backend.BackendUnavailable({ backend, reason: found ?? "not installed", remedy: "" }))
    },
    (backend) => backend === "wasm" || backend === "cpu" || machine[backend] !== undefined
  )
  return [Choice.describe(choice), started] as const
})

describe("--backend auto", () => {
  const cases: ReadonlyArray<readonly [Machine, says: string, starts: Array<Backend.Name>]> = [
    [{ wasm: cpu }, "wasm (tensorflow: not installed; webgpu: not installed)", []],
    [
      { wasm: cpu, webgpu: "Dawn found no usable adapter" },
      "wasm (tensorflow: not installed; webgpu: Dawn found no usable adapter)",
      ["webgpu"]
    ],
    [{ wasm: cpu, webgpu: gpu }, "webgpu on NVIDIA H100 (tensorflow: not installed)", ["webgpu"]],
    [{ wasm: cpu, webgpu: gpu, tensorflow: gpu }, "tensorflow on NVIDIA H100", ["tensorflow"]],
    [
      { wasm: cpu, webgpu: gpu, tensorflow: "no libcudart" },
      "webgpu on NVIDIA H100 (tensorflow: no libcudart)",
      ["tensorflow", "webgpu"]
    ]
  ]
  for (const [machine, says, starts] of cases) {
    it.effect(says, () =>
      Effect.gen(function*() {
        assert.deepStrictEqual(yield* on(machine), [says, starts])
      }))
  }

  it.effect("prefers a GPU to native TensorFlow on the CPU, and that to wasm", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* on({ wasm: cpu, webgpu: gpu, tensorflow: cpu }), [
        "webgpu on NVIDIA H100 (tensorflow: it finds no GPU here)",
        ["tensorflow", "webgpu"]
      ])
      assert.deepStrictEqual(yield* on({ wasm: cpu, tensorflow: cpu }), [
        "tensorflow on the CPU (webgpu: not installed)",
        ["tensorflow"]
      ])
    }))

  it.effect("never takes a GPU that is only software", () =>
    Effect.gen(function*() {
      const [says] = yield* on({ wasm: cpu, webgpu: software })
      assert.strictEqual(says, "wasm (tensorflow: not installed; webgpu: llvmpipe is no GPU, only software)")
    }))
})

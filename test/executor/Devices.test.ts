import { assert, describe, it } from "@effect/vitest"
import * as Devices from "../../src/executor/Devices.ts"
import type { Device } from "../../src/tensor/Backend.ts"

const h100: Device = { kind: "gpu", name: "NVIDIA H100 (81559 MiB)" }
const t4: Device = { kind: "gpu", name: "Tesla T4 (15360 MiB)" }
const cpu: Device = { kind: "cpu", name: "EPYC" }

describe("Devices", () => {
  it("share stages out among the GPUs that are the same as the first, and name the others", () => {
    const { devices, leftOut } = Devices.pool("tensorflow", [h100, t4, h100, cpu])
    assert.deepStrictEqual(devices, [0, 2])
    assert.deepStrictEqual(leftOut, [{ number: 1, device: t4 }])
  })

  it("are none where the backend computes on the CPU", () => {
    assert.deepStrictEqual(Devices.pool("wasm", [cpu]).devices, [])
    assert.deepStrictEqual(Devices.pool("tensorflow", [cpu]).devices, [])
    assert.deepStrictEqual(Devices.pool("wasm", []).devices, [])
  })

  it("are the first alone where a process cannot be bound to another", () => {
    const { devices, leftOut } = Devices.pool("webgpu", [h100, h100])
    assert.deepStrictEqual(devices, [0])
    assert.deepStrictEqual(leftOut.map(({ number }) => number), [1])
  })

  it("bind a process by their numbers among those that a scheduler left us", () => {
    const visible = (numbers: ReadonlyArray<number>, inherited: Record<string, string>) =>
      Devices.environment("tensorflow", numbers, inherited)["CUDA_VISIBLE_DEVICES"]
    assert.strictEqual(visible([1], {}), "1")
    assert.strictEqual(visible([0, 2], {}), "0,2")
    assert.strictEqual(visible([1], { CUDA_VISIBLE_DEVICES: "3, 5" }), "5")
    assert.strictEqual(visible([0], { CUDA_VISIBLE_DEVICES: "GPU-aa,GPU-bb" }), "GPU-aa")
    // One that is not there is none, rather than all.
    assert.strictEqual(visible([2], { CUDA_VISIBLE_DEVICES: "3,5" }), "")
  })

  it("leave the environment alone where nobody is bound", () => {
    const inherited = { CUDA_VISIBLE_DEVICES: "3", HOME: "/home/ada" }
    assert.deepStrictEqual(Devices.environment("tensorflow", undefined, inherited), inherited)
    assert.deepStrictEqual(Devices.environment("wasm", [0], inherited), inherited)
  })
})

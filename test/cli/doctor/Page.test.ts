import { assert, describe, it } from "@effect/vitest"
import type { BackendCheck } from "../../../src/cli/doctor/Backends.ts"
import * as Page from "../../../src/cli/doctor/Page.ts"
import type * as Probe from "../../../src/executor/Probe.ts"
import type { Device } from "../../../src/tensor/Backend.ts"

const page = (columns: number | undefined) =>
  Page.make({ colours: false, repaints: columns !== undefined, columns: () => columns ?? 80 })

const running = (devices: ReadonlyArray<Device>, throughput: Probe.Running["throughput"]): Probe.Running => ({
  runtime: { backend: "webgpu", version: "tfjs-4.22.0 dawn-0.6.2", determinism: "exact" },
  devices,
  throughput
})

const check = (backend: BackendCheck["backend"], rest: Partial<BackendCheck>): BackendCheck => ({
  check: `backend ${backend}`,
  status: "ok",
  detail: "",
  backend,
  running: undefined,
  ...rest
})

const gpus: ReadonlyArray<Device> = [{ kind: "gpu", name: "NVIDIA H100" }, { kind: "gpu", name: "NVIDIA H100" }]
const fast = { tokensPerSecond: 123_456, batchSize: 16, steps: 120 }
const missing = check("tensorflow", {
  status: "missing",
  detail: "neither of its packages is installed",
  remedy: "Install one, or choose --backend wasm. `attune doctor --explain tensorflow` says more about how."
})

describe("the page of attune doctor", () => {
  it("has a line for each backend, with its rate, its devices and what makes its results what they are", () => {
    assert.deepStrictEqual(page(undefined).backend(check("webgpu", { running: running(gpus, fast) })), [
      "ok       webgpu       123,000  0: NVIDIA H100, exact",
      "                               1: NVIDIA H100",
      "                               tfjs-4.22.0 dawn-0.6.2"
    ])
  })

  it("says of a backend that does not train, or computes in software, that it does", () => {
    const [broken] = page(undefined).backend(check("webgpu", {
      status: "broken",
      running: running(gpus.slice(1), "the driver is lost")
    }))
    assert.strictEqual(broken, "broken   webgpu             –  NVIDIA H100: the driver is lost")
    const software = running([{ kind: "software", name: "llvmpipe" }], fast)
    assert.include(page(undefined).backend(check("webgpu", { running: software }))[0], "llvmpipe (software, no GPU)")
  })

  it("fits the terminal, and is whole where there is none", () => {
    const machine = [{ check: "machine", status: "ok" as const, detail: "linux x64, a processor, 2 cores, 24 GiB" }]
    const lines = (columns: number | undefined) => {
      const { backend, conclusion, heading, machine: about } = page(columns)
      const automatic = { check: "backend auto", status: "ok" as const, detail: "wasm (tensorflow: not installed)" }
      return [...about(machine, []), ...heading, ...backend(missing), ...conclusion(automatic)]
    }
    for (const columns of [60, 80, 120]) {
      for (const line of lines(columns)) assert.isAtMost(line.length, columns, line)
      assert.deepStrictEqual(
        lines(columns).join(" ").split(/\s+/),
        lines(undefined).join(" ").split(/\s+/)
      )
    }
    assert.isTrue(lines(undefined).some((line) => line.endsWith(missing.remedy!)))
  })
})

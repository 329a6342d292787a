import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { execFile } from "node:child_process"
import { Backend, type Tf } from "../../../src/tensor/Backend.ts"
import { DeviceFailed } from "../../../src/tensor/webgpu/DeviceFailed.ts"
import type { WebgpuBackend } from "../../../src/tensor/webgpu/Gpu.ts"
import * as Program from "../../../src/tensor/webgpu/Program.ts"
import { isPresent } from "../Parity.ts"

const on = <A, E>(body: (tf: Tf) => Effect.Effect<A, E>) =>
  Backend.use(({ tf }) => body(tf)).pipe(Effect.provide(Backend.layer("webgpu")))

const stock = (tf: Tf) => tf.backend() as unknown as WebgpuBackend

/** What a shader gives that the device does not understand. */
const misunderstood = (tf: Tf) => {
  const program: Program.Program = {
    name: "not WGSL",
    inputs: [],
    outputs: { y: "f32" },
    given: {},
    threads: 1,
    code: "fn run(group: u32, thread: u32) { y[0] = hello; }"
  }
  const [info] = Program.run(stock(tf), program, {
    inputs: [],
    outputs: [{ shape: [1], dtype: "float32" }],
    given: [],
    groups: 1
  })
  return tf.engine().makeTensorFromTensorInfo(info!)
}

/** A sum over more bytes than a shader may see at once, on a device where that is not too many to try. */
const tooLarge = (tf: Tf) => {
  const limit = stock(tf).device.limits["maxStorageBufferBindingSize"]!
  return limit > 2 ** 28 ? undefined : tf.tidy(() => tf.sum(tf.mul(tf.ones([limit / 4096 + 1, 1024]), 3)))
}

/** What a read fails with. */
const failure = (read: () => Promise<unknown>): Effect.Effect<unknown> =>
  Effect.promise(() => read().then((values) => assert.fail(`It gave ${String(values)}.`), (cause) => cause))

/** Runs a module in a process of its own. */
const inProcess = (code: string, environment: Readonly<Record<string, string>> = {}) =>
  Effect.promise(() =>
    new Promise<{ readonly code: number | string; readonly stdout: string }>((resolve) =>
      execFile(
        process.execPath,
        ["--input-type=module", "--eval", code],
        {
          cwd: new URL("../../..", import.meta.url),
          encoding: "utf8",
          env: { ...process.env, ...environment },
          timeout: 60_000
        },
        (error, stdout) => resolve({ code: error?.code ?? (error === null ? 0 : "killed"), stdout })
      )
    )
  )

const started = `
  import { Effect } from "effect"
  import { Backend } from "./src/tensor/Backend.ts"
  const on = (body) => Effect.runPromise(Backend.use(body).pipe(Effect.provide(Backend.layer("webgpu"))))
`

const reasonOfStart = (environment: Readonly<Record<string, string>>) =>
  Effect.map(
    inProcess(
      `${started}
      try { await on(() => Effect.void); process.stdout.write("started") }
      catch (error) { process.stdout.write(error._tag + " " + error.message) }`,
      environment
    ),
    ({ stdout }) => stdout
  )

describe.skipIf(!isPresent("webgpu"))("webgpu", () => {
  it.effect("says what it computes on, and names in its version all that can change a bit", () =>
    Effect.gen(function*() {
      const { determinism, devices: [device], version } = yield* Backend.use(Effect.succeed).pipe(
        Effect.provide(Backend.layer("webgpu"))
      )
      assert.strictEqual(determinism, "exact")
      assert.match(version, /^tfjs-\d+\.\d+\.\d+ dawn-\d+\.\d+\.\d+ kernels-\d+ \(.+\)$/)
      assert.include(version, device.name)
      assert.strictEqual(device.kind === "software", /llvmpipe|swiftshader/i.test(version))
      assert.notStrictEqual(device.kind, "cpu")
    }))

  it.effect("fails reads of what the device refused to compute, instead of giving zeros, and then goes on", () =>
    on((tf) =>
      Effect.gen(function*() {
        for (
          const [cause, kind, reason] of [
            [misunderstood, "validation", /hello/],
            [tooLarge, "out-of-memory", /larger than .*smaller batch/]
          ] as const
        ) {
          const tensor = cause(tf)
          if (tensor === undefined) continue
          const error = yield* failure(() => tensor.data())
          assert.instanceOf(error, DeviceFailed)
          assert.strictEqual(error.kind, kind)
          assert.match(error.message, reason)
          tensor.dispose()
        }
        const fine = tf.tidy(() => tf.sum(tf.ones([10])))
        assert.deepStrictEqual(Array.from(yield* Effect.promise(() => fine.data())), [10])
        fine.dispose()
      })
    ))

  it.effect("fails every read that overlaps with such a one", () =>
    on((tf) =>
      Effect.gen(function*() {
        const before = tf.memory().numTensors
        const sum = misunderstood(tf), other = tf.tidy(() => tf.mul(sum, 2))
        const errors = yield* Effect.all([failure(() => sum.data()), failure(() => other.data())], {
          concurrency: "unbounded"
        })
        for (const error of errors) assert.instanceOf(error, DeviceFailed)
        tf.dispose([sum, other])
        assert.strictEqual(tf.memory().numTensors, before)
      })
    ))

  it.effect("fails reads of what was computed before it knew, too, and of nothing older", () =>
    on((tf) =>
      Effect.gen(function*() {
        const older = tf.tidy(() => tf.square(tf.tensor1d([1, 2])))
        yield* Effect.promise(() => tf.tidy(() => tf.add(older, 1)).data())
        const sum = misunderstood(tf), doubled = tf.tidy(() => tf.mul(sum, 2))
        yield* failure(() => sum.data())
        assert.instanceOf(yield* failure(() => doubled.data()), DeviceFailed)
        assert.deepStrictEqual(Array.from(yield* Effect.promise(() => older.data())), [1, 4])
        tf.dispose([older, sum, doubled])
      })
    ))

  it.effect("does not tell of it to whoever starts the backend next", () =>
    Effect.gen(function*() {
      yield* on((tf) => Effect.sync(() => misunderstood(tf).dispose()))
      yield* on((tf) =>
        Effect.gen(function*() {
          const sum = tf.tidy(() => tf.sum(tf.ones([2000])))
          assert.deepStrictEqual(Array.from(yield* Effect.promise(() => sum.data())), [2000])
          sum.dispose()
        })
      )
    }))

  it.effect("does not read synchronously, and says so", () =>
    on((tf) =>
      Effect.sync(() =>
        tf.tidy(() => {
          assert.deepStrictEqual(Array.from(tf.tensor1d([1, 2]).dataSync()), [1, 2])
          assert.throws(() => tf.square(tf.tensor1d([1, 2])).dataSync(), /await its `data\(\)`/)
        })
      )
    ))

  it.effect("says that a device is lost, and starts another the next time", () =>
    Effect.gen(function*() {
      yield* on((tf) =>
        Effect.gen(function*() {
          stock(tf).device.destroy()
          const sum = tf.tidy(() => tf.sum(tf.ones([2000])))
          const error = yield* failure(() => sum.data())
          assert.instanceOf(error, DeviceFailed)
          assert.strictEqual(error.kind, "lost")
          sum.dispose()
        })
      )
      yield* on((tf) =>
        Effect.gen(function*() {
          const sum = tf.tidy(() => tf.sum(tf.ones([2000])))
          assert.deepStrictEqual(Array.from(yield* Effect.promise(() => sum.data())), [2000])
          sum.dispose()
        })
      )
    }))

  it.effect("lets its process end, and prints nothing to standard output", () =>
    Effect.gen(function*() {
      const { code, stdout } = yield* inProcess(`${started}
        for (const write of ["log", "info", "warn", "error", "debug"]) console[write] = () => process.stdout.write("printed")
        await on(({ tf }) => Effect.promise(() => tf.sum(tf.ones([3000])).data()))
        await on(({ tf }) => Effect.promise(async () => process.stdout.write(String((await tf.sum(tf.ones([3000])).data())[0]))))
      `)
      assert.deepStrictEqual({ code, stdout }, { code: 0, stdout: "3000" })
    }))

  it.effect("lists the adapters there are when it is told to take one that is not", () =>
    Effect.gen(function*() {
      const reason = yield* reasonOfStart({ ATTUNE_WEBGPU_ADAPTER: "no such adapter" })
      assert.match(reason, /^BackendUnavailable .*Available adapters: backend: .+ATTUNE_WEBGPU_ADAPTER/)
    }))
})

describe.skipIf(process.platform !== "linux")("webgpu without a driver", () => {
  it.effect("gives Dawn's own reason, and says what to install", () =>
    Effect.gen(function*() {
      const reason = yield* reasonOfStart({ VK_DRIVER_FILES: "/nowhere.json", VK_ICD_FILENAMES: "/nowhere.json" })
      assert.match(
        reason,
        /^BackendUnavailable .*Dawn found no usable adapter: .*(vkCreateInstance|Couldn't load Vulkan).* Vulkan driver/
      )
    }))
})

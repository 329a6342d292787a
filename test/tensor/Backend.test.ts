import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { execFileSync } from "node:child_process"
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import { fileURLToPath } from "node:url"
import * as Backend from "../../src/tensor/Backend.ts"

const total = Effect.gen(function*() {
  const { tf } = yield* Backend.Backend
  return tf.tidy(() => tf.sum(tf.tensor1d([1, 2, 3])).dataSync()[0])
})

/** Runs a module in a process of its own and gives what it wrote to either stream. */
const inProcess = (code: string): string =>
  execFileSync(process.execPath, ["--input-type=module", "--eval", `${code}`], {
    cwd: new URL("../..", import.meta.url),
    encoding: "utf8",
    stdio: ["ignore", "pipe", "inherit"]
  })

const optional = [
  "webgpu",
  "@tensorflow/tfjs-backend-webgpu",
  "@tensorflow/tfjs-node",
  "@tensorflow/tfjs-node-gpu"
]

/**
 * What is said of starting a backend, and then `wasm`, by a copy of the sources in a project that has no packages but the
 * ones that it needs and those given.
 */
const inProject = (packages: ReadonlyArray<string>, backend: Backend.Name) =>
  Effect.acquireUseRelease(
    Effect.sync(() => fs.realpathSync(fs.mkdtempSync(path.join(os.tmpdir(), "attune-backend-")))),
    (root) =>
      Effect.sync(() => {
        const repository = fileURLToPath(new URL("../..", import.meta.url))
        for (const folder of ["tensor", "random"]) {
          fs.cpSync(path.join(repository, "src", folder), path.join(root, "src", folder), { recursive: true })
        }
        fs.writeFileSync(path.join(root, "package.json"), JSON.stringify({ type: "module" }))
        for (const name of ["effect", "@tensorflow/tfjs-core", ...packages]) {
          const link = path.join(root, "node_modules", name)
          fs.mkdirSync(path.dirname(link), { recursive: true })
          fs.symlinkSync(fs.realpathSync(path.join(repository, "node_modules", name)), link)
        }
        // Whatever lies in a folder above is out of sight behind a package of its name that has nothing to import.
        for (const name of optional.filter((name) => !packages.includes(name))) {
          const folder = path.join(root, "node_modules", name)
          fs.mkdirSync(folder, { recursive: true })
          fs.writeFileSync(path.join(folder, "package.json"), JSON.stringify({ name, exports: {} }))
        }
        const code = `
          import { Effect } from "effect"
          import { Backend } from "./src/tensor/Backend.ts"
          const total = (name) => Effect.runPromise(
            Backend.use(({ tf }) => Effect.promise(() => tf.sum(tf.tensor1d([1, 2, 3])).data())).pipe(
              Effect.provide(Backend.layer(name)),
              Effect.match({
                onFailure: (error) => error._tag + " " + error.message,
                onSuccess: ([sum]) => name + " computes " + sum
              })
            )
          )
          process.stdout.write(JSON.stringify([await total("${backend}"), await total("wasm")]))`
        return JSON.parse(
          execFileSync(process.execPath, ["--input-type=module", "--eval", code], { cwd: root, encoding: "utf8" })
        ) as ReadonlyArray<string>
      }),
    (root) => Effect.sync(() => fs.rmSync(root, { recursive: true, force: true }))
  )

describe("Backend", () => {
  it.effect.each(["wasm", "cpu"] as const)(
    "starts %s, and it is the one that computes",
    (name) =>
      Effect.gen(function*() {
        const backend = yield* Backend.Backend
        assert.strictEqual(backend.name, name)
        assert.strictEqual(backend.tf.getBackend(), name)
        assert.strictEqual(backend.determinism, "exact")
        assert.match(backend.version, /^tfjs-\d+\.\d+\.\d+/)
        assert.strictEqual(yield* total, 6)
      }).pipe(Effect.provide(Backend.Backend.layer(name)))
  )

  it.effect("puts our kernels' revision and the instruction set into wasm's version", () =>
    Effect.gen(function*() {
      const { version } = yield* Backend.Backend
      assert.match(version, /wasm-(simd|scalar)/)
      assert.match(version, /kernels-\d+/)
    }).pipe(Effect.provide(Backend.Backend.layer("wasm"))))

  it.effect.each(
    [
      ["webgpu", [], /the package \S+ is not installed.*npm install webgpu @tensorflow\/tfjs-backend-webgpu/],
      ["webgpu", ["webgpu"], /the package @tensorflow\/tfjs-backend-webgpu is not installed/],
      ["webgpu", ["@tensorflow/tfjs-backend-webgpu"], /the package webgpu is not installed/],
      ["tensorflow", [], /neither .* is installed.*doctor --explain tensorflow/]
    ] as const
  )(
    "fails where %s has not all its packages, and says how to get them",
    ([name, installed, reason]) =>
      Effect.gen(function*() {
        const [error, after] = yield* inProject(["@tensorflow/tfjs-backend-wasm", ...installed], name)
        assert.match(error!, new RegExp(`^BackendUnavailable .*"${name}" cannot start`))
        assert.match(error!, reason)
        // Nothing was started in its place.
        assert.strictEqual(after, "wasm computes 6")
      })
  )

  it.effect("knows its names and lists them for one that it does not know", () =>
    Effect.gen(function*() {
      for (const name of Backend.names) assert.strictEqual(yield* Backend.parse(name), name)
      const error = yield* Effect.flip(Backend.parse("gpu"))
      assert.strictEqual(error._tag, "UnknownBackend")
      assert.strictEqual(
        error.message,
        "There is no tensor backend \"gpu\". Choose one of: wasm, webgpu, tensorflow, cpu."
      )
    }))

  it.effect("refuses a second backend while one is live, and takes it after the release", () =>
    Effect.gen(function*() {
      yield* Effect.gen(function*() {
        const error = yield* Effect.flip(Effect.provide(total, Backend.Backend.layer("cpu")))
        assert.strictEqual(error._tag, "BackendUnavailable")
        assert.include(error.message, "\"wasm\" is live in this process")
        // The same one again is fine, and the live one is unharmed.
        assert.strictEqual(yield* Effect.provide(total, Backend.Backend.layer("wasm")), 6)
        assert.strictEqual(yield* total, 6)
      }).pipe(Effect.provide(Backend.Backend.layer("wasm")))
      assert.strictEqual(yield* Effect.provide(total, Backend.Backend.layer("cpu")), 6)
    }))

  it.effect("lets one of two backends that are asked for at once start, and fails the other", () =>
    Effect.gen(function*() {
      const attempt = (name: Backend.Name) =>
        Effect.gen(function*() {
          const { tf } = yield* Backend.Backend
          yield* Effect.yieldNow
          return tf.getBackend() === name
        }).pipe(
          Effect.provide(Backend.Backend.layer(name)),
          Effect.catchTag("BackendUnavailable", () => Effect.succeed("refused"))
        )
      assert.deepStrictEqual(
        yield* Effect.all([attempt("wasm"), attempt("cpu")], { concurrency: "unbounded" }),
        [true, "refused"]
      )
    }))

  it("loads no tensor library when it is imported", () => {
    const out = inProcess(`
      import "./src/tensor/Backend.ts"
      import { createRequire } from "node:module"
      const cache = Object.keys(createRequire(import.meta.url).cache)
      console.log(cache.filter((path) => path.includes("@tensorflow")).length)
    `)
    assert.strictEqual(out.trim(), "0")
  })

  it("writes nothing to the console when it starts and computes", () => {
    const out = inProcess(`
      import { Effect } from "effect"
      import { Backend } from "./src/tensor/Backend.ts"
      for (const write of ["log", "info", "warn", "error", "debug"]) console[write] = (text) => process.stdout.write("printed: " + text)
      for (const name of ["cpu", "wasm"]) {
        await Effect.runPromise(Backend.use(({ tf }) => Effect.sync(() => tf.tensor1d([1]).dataSync()))
          .pipe(Effect.provide(Backend.layer(name))))
      }
      process.stdout.write("done")
    `)
    assert.strictEqual(out, "done")
  })
})

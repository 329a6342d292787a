/**
 * What the machinery costs: a fan of small stages run for the first time, run
 * again from the cache, and planned, beside calling their effects directly.
 *
 *     npm run bench -- pipeline [--format json]
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import * as Local from "../src/executor/Local.ts"
import * as Node from "../src/pipeline/Node.ts"
import * as Pipeline from "../src/pipeline/Pipeline.ts"
import * as Stage from "../src/pipeline/Stage.ts"
import { Store } from "../src/store/Store.ts"

const sizes = [100, 1000, 10_000]

const body = (value: number) => Effect.sync(() => ({ square: value * value }))

const Square = Stage.make("square", {
  inputs: {},
  params: { value: Schema.Int },
  output: Schema.Struct({ square: Schema.Int }),
  run: (_, { value }) => body(value)
})

const fan = (size: number) => Node.all(Array.from({ length: size }, (_, value) => Square({}, { value })))

const millis = Effect.fnUntraced(function*<A, E, R>(effect: Effect.Effect<A, E, R>) {
  const before = performance.now()
  yield* effect
  return performance.now() - before
})

const measure = Effect.fnUntraced(function*(size: number) {
  const direct = yield* millis(Effect.forEach(Array.from({ length: size }, (_, value) => value), body))
  const first = yield* millis(Pipeline.run(fan(size)))
  const cached = yield* millis(Pipeline.run(fan(size)))
  const planned = yield* millis(Pipeline.plan(fan(size)))
  return { stages: size, direct, first, cached, planned }
})

export const run = async (): Promise<void> => {
  const rows = []
  for (const size of sizes) {
    const folder = fs.mkdtempSync(path.join(os.tmpdir(), "attune-bench-"))
    rows.push(
      await Effect.runPromise(
        measure(size).pipe(Effect.provide(Layer.mergeAll(Store.layer(folder), Local.layer({ cpu: 2 }))))
      )
    )
    fs.rmSync(folder, { recursive: true })
  }
  if (process.argv.includes("json") || process.argv.includes("--format=json")) {
    process.stdout.write(`${JSON.stringify({ benchmark: "pipeline", unit: "milliseconds", rows }, undefined, 2)}\n`)
    return
  }
  process.stdout.write("stages   direct ms   first run ms   from the cache ms   plan ms\n")
  for (const { cached, direct, first, planned, stages } of rows) {
    process.stdout.write(
      `${String(stages).padStart(6)}${direct.toFixed(1).padStart(12)}${first.toFixed(0).padStart(15)}${
        cached.toFixed(0).padStart(20)
      }${planned.toFixed(0).padStart(10)}\n`
    )
  }
}

if (import.meta.main) await run()

/** Fine-tuning and evaluation by the command line, in worker processes, on backends that not every machine has. */
import { afterAll, assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import * as fs from "node:fs"
import * as path from "node:path"
import { fileURLToPath } from "node:url"
import { Store } from "../../src/store/Store.ts"
import * as Command from "../cli/process.ts"
import { present } from "./Parity.ts"

const pipeline = fileURLToPath(new URL("../fixtures/tensor/pipeline.ts", import.meta.url))
const root = Command.temporaryFolder()
afterAll(() => fs.rmSync(root, { recursive: true, force: true }))

interface Result {
  readonly loss: number
  readonly confusion: ReadonlyArray<ReadonlyArray<number>>
}

/** What the pipeline gives in a store of its own, and what the store says of it. */
const run = Effect.fnUntraced(function*(backend: string, store: string) {
  const folder = path.join(root, store)
  const { code, stderr, stdout } = yield* Effect.promise(() =>
    Command.start(["run", pipeline, "--store", folder, "--backend", backend]).ended
  )
  assert.strictEqual(code, 0, stderr)
  const records = yield* Effect.provide(Effect.flatMap(Store, (store) => store.runs), Store.layer(folder))
  return { stdout, result: JSON.parse(stdout) as Result, records }
})

describe.skipIf(present.length === 0)("A pipeline", () => {
  it.live.each(present)(
    "is fine-tuned and evaluated on %s as on wasm, and again to the bit",
    (backend) =>
      Effect.gen(function*() {
        const reference = yield* run("wasm", `wasm beside ${backend}`)
        const found = yield* run(backend, backend)
        assert.closeTo(found.result.loss, reference.result.loss, 1e-3)
        assert.deepStrictEqual(found.result.confusion, reference.result.confusion)
        const runtimes = new Map(found.records.map(({ runtime, stage }) => [stage, runtime]))
        for (const stage of ["fine-tune", "evaluate"]) assert.strictEqual(runtimes.get(stage)?.backend, backend)
        assert.strictEqual(runtimes.get("split-examples"), null)
        if (runtimes.get("fine-tune")!.determinism === "exact") {
          assert.strictEqual((yield* run(backend, `${backend} again`)).stdout, found.stdout)
        }
      }),
    120_000
  )
})

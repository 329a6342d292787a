import { assert, describe, it } from "@effect/vitest"
import { Cause, Effect, Exit, Layer, Schema } from "effect"
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import * as Local from "../../src/executor/Local.ts"
import { CodeIdentity } from "../../src/pipeline/Code.ts"
import * as Stage from "../../src/pipeline/Stage.ts"
import * as Artifact from "../../src/store/Artifact.ts"
import { Store } from "../../src/store/Store.ts"
import { StoreError } from "../../src/store/StoreError.ts"
import { observe } from "./stages.ts"

const Row = Schema.Struct({ value: Schema.Finite })

const Write = Stage.make("write", {
  inputs: {},
  params: {},
  output: Artifact.table(Row),
  run: () => Artifact.writeTable("numbers", Row, [{ value: 1 }, { value: 2 }])
})

const Sum = Stage.make("sum", {
  inputs: { table: Artifact.table(Row) },
  params: { plus: Schema.Finite },
  output: Schema.Finite,
  run: Effect.fn("Sum")(function*({ table }, { plus }) {
    const rows = yield* Artifact.readTable(Row, table)
    return rows.reduce((sum, { value }) => sum + value, plus)
  })
})

const temporary = Effect.acquireRelease(
  Effect.sync(() => fs.mkdtempSync(path.join(os.tmpdir(), "attune-damage-"))),
  (folder) => Effect.sync(() => fs.rmSync(folder, { recursive: true, force: true }))
)

const layer = (root: string) =>
  Layer.mergeAll(Store.layer(root), Local.layer(), Layer.succeed(CodeIdentity, () => Effect.succeed("1")))

const objectOf = (root: string): string =>
  fs.readdirSync(path.join(root, "objects"), { recursive: true, encoding: "utf8" })
    .map((file) => path.join(root, "objects", file))
    .find((file) => file.endsWith(".parquet"))!

describe("a damaged store", () => {
  const run = (root: string, plus: number) =>
    observe(Sum({ table: Write({}) }, { plus })).pipe(Effect.provide(layer(root), { local: true }))

  it.effect("is never believed: a flipped byte is an error once, and is made good by the next run", () =>
    Effect.gen(function*() {
      const root = yield* temporary
      yield* run(root, 0)
      const file = objectOf(root)
      const bytes = fs.readFileSync(file)
      bytes[40]! ^= 1
      fs.writeFileSync(file, bytes)
      const { exit } = yield* run(root, 1)
      const error = Exit.isFailure(exit) ? Cause.squash(exit.cause) : undefined
      assert.instanceOf(error, StoreError)
      assert.strictEqual((error as StoreError).reason, "corrupt")
      const again = yield* run(root, 1)
      assert.deepStrictEqual(again.exit, Exit.succeed(4))
      assert.strictEqual(again.count("stage.completed", "write"), 1)
    }))

  it.effect("is made good where a file is cut short or gone", () =>
    Effect.gen(function*() {
      for (const damage of [(file: string) => fs.truncateSync(file, 10), (file: string) => fs.rmSync(file)]) {
        const root = yield* temporary
        yield* run(root, 0)
        damage(objectOf(root))
        const { count, exit } = yield* run(root, 1)
        assert.deepStrictEqual(exit, Exit.succeed(4))
        assert.strictEqual(count("stage.completed", "write"), 1)
      }
    }))

  it.effect("keeps what it has when it cannot be written any more", () =>
    Effect.gen(function*() {
      const root = yield* temporary
      yield* run(root, 0)
      // Where new files would be written there is a file now: what fails is writing, not reading.
      fs.rmSync(path.join(root, "tmp"), { recursive: true })
      fs.writeFileSync(path.join(root, "tmp"), "")
      const cached = yield* run(root, 0)
      assert.deepStrictEqual(cached.exit, Exit.succeed(3))
      const { exit } = yield* run(root, 1)
      assert.instanceOf(Exit.isFailure(exit) ? Cause.squash(exit.cause) : undefined, StoreError)
      fs.rmSync(path.join(root, "tmp"))
      const after = yield* run(root, 1)
      assert.deepStrictEqual(after.exit, Exit.succeed(4))
    }))
})

import { assert, describe, it } from "@effect/vitest"
import { Cause, Schema } from "effect"
import * as ExitCode from "../../src/cli/ExitCode.ts"
import * as Failure from "../../src/cli/Failure.ts"
import { UsageError } from "../../src/cli/UsageError.ts"
import { PipelineFileError } from "../../src/executor/PipelineFile.ts"
import { ResourcesUnavailable } from "../../src/pipeline/Errors.ts"
import { NoSuchMetric } from "../../src/results/Importances.ts"
import { QueryError } from "../../src/results/QueryError.ts"
import { NoStoredStudy } from "../../src/results/StoredStudy.ts"
import { StoreError } from "../../src/store/StoreError.ts"
import { BackendUnavailable, UnknownBackend } from "../../src/tensor/Backend.ts"

class Plain extends Schema.TaggedError<Plain>()("Plain", { rows: Schema.Int }) {}

const of = (error: unknown, debug = false) => Failure.of(Cause.fail(error), debug)

describe("Failure", () => {
  it("tells misuse, a broken store and a failed pipeline apart", () => {
    const query = { detail: "no", tables: {} }
    assert.deepStrictEqual(
      [
        new UsageError({ detail: "a", remedy: "b" }),
        new UnknownBackend({ backend: "cuda", known: [] }),
        new BackendUnavailable({ backend: "webgpu", reason: "no adapter", remedy: "Install a driver." }),
        new PipelineFileError({ file: "x.ts", detail: "no" }),
        new QueryError({ ...query, sql: "selec" }),
        new StoreError({ operation: "write", path: "x", reason: "full", detail: "no" }),
        new QueryError({ ...query, sql: "" }),
        new NoStoredStudy({ study: "a", root: "r", studies: [] }),
        new NoSuchMetric({ study: "a", metric: "b", metrics: [] }),
        new Plain({ rows: 1 }),
        new Error("no"),
        "no"
      ].map(ExitCode.of),
      [2, 2, 2, 2, 2, 3, 3, 3, 2, 1, 1, 1]
    )
  })

  it("adds what to do where the error does not say it", () => {
    const error = new ResourcesUnavailable({ stage: "s", resource: "CPU slots", requested: 8, available: 2 })
    const { lines } = of(error)
    assert.strictEqual(lines.length, 2)
    assert.include(lines[1], "--concurrency")
  })

  it("shows the fields of an error that has no message of its own", () => {
    assert.deepStrictEqual(of(new Plain({ rows: 3 })).lines, ["Plain · rows: 3"])
  })

  it("shows a stack only when asked for", () => {
    const error = new TypeError("x is not a function")
    assert.notInclude(of(error).lines.join("\n"), "    at ")
    assert.include(of(error).lines[0], "x is not a function")
    assert.include(of(error, true).lines.join("\n"), "Failure.test.ts")
  })
})

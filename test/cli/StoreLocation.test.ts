import { afterAll, assert, describe, it } from "@effect/vitest"
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import * as StoreLocation from "../../src/cli/StoreLocation.ts"

const root = fs.mkdtempSync(path.join(os.tmpdir(), "attune-location-"))
afterAll(() => fs.rmSync(root, { recursive: true }))

const project = path.join(root, "project")
const loose = path.join(root, "loose")
fs.mkdirSync(path.join(project, "pipelines", "deep"), { recursive: true })
fs.mkdirSync(loose)
fs.writeFileSync(path.join(project, "package.json"), "{}")

const environment = undefined

describe("StoreLocation", () => {
  it("is in the project of the pipeline, wherever the command is called", () => {
    const options = { store: undefined, environment: "" }
    const expected = path.join(project, ".attune")
    const pipeline = path.join(project, "pipelines", "deep", "tune.ts")
    assert.strictEqual(StoreLocation.resolve({ ...options, pipeline, workingDirectory: loose }), expected)
    const relative = { ...options, pipeline: "deep/tune.ts", workingDirectory: path.join(project, "pipelines") }
    assert.strictEqual(StoreLocation.resolve(relative), expected)
  })

  it("is in the project of the working directory for commands without a pipeline", () => {
    const workingDirectory = path.join(project, "pipelines")
    assert.strictEqual(
      StoreLocation.resolve({ store: undefined, environment: "", workingDirectory }),
      path.join(project, ".attune")
    )
  })

  it("is beside the pipeline where there is no project", () => {
    const options = { store: undefined, environment: "", workingDirectory: project }
    assert.strictEqual(
      StoreLocation.resolve({ ...options, pipeline: path.join(loose, "tune.ts") }),
      path.join(loose, ".attune")
    )
  })

  it("is what the variable says, unless the flag says otherwise", () => {
    const options = { pipeline: path.join(project, "tune.ts"), workingDirectory: loose }
    assert.strictEqual(
      StoreLocation.resolve({ ...options, store: undefined, environment: "kept" }),
      path.join(loose, "kept")
    )
    assert.strictEqual(StoreLocation.resolve({ ...options, store: "/data/s", environment: "kept" }), "/data/s")
    assert.strictEqual(
      StoreLocation.resolve({ ...options, store: "../s", environment }),
      path.join(root, "s")
    )
  })
})

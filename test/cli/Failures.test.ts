import { afterAll, assert, describe, it } from "@effect/vitest"
import * as fs from "node:fs"
import * as path from "node:path"
import { attune, type Ended, fixture, temporaryFolder } from "./process.ts"

const root = temporaryFolder()
afterAll(() => fs.rmSync(root, { recursive: true }))
const inRoot = (name: string) => path.join(root, name)

fs.copyFileSync(fixture("malformed.txt"), inRoot("malformed.ts"))
fs.writeFileSync(inRoot("file"), "not a folder")
fs.mkdirSync(inRoot("later"))
fs.writeFileSync(inRoot("later/format.json"), "{ \"format\": 99 }\n")

const study = [fixture("study.ts"), "--set", `journal=${inRoot("journal")}`]

const isClear = ({ stderr, stdout }: Ended) => {
  assert.strictEqual(stdout, "")
  assert.match(stderr, /^error: \S/m)
  assert.notMatch(stderr, /^\s+at /m)
  // oxlint-disable-next-line no-control-regex
  assert.notMatch(stderr, /[\u0000-\u0009\u000b-\u001f]/)
}

const usage: ReadonlyArray<readonly [what: string, args: ReadonlyArray<string>, says: ReadonlyArray<string>]> = [
  ["a file that is not there", ["run", "nowhere.ts"], ["nowhere.ts", "no such file"]],
  ["a file with a syntax error", ["run", inRoot("malformed.ts")], ["malformed.ts", "line 2"]],
  ["a file without a default export", ["plan", fixture("nodeless.ts")], ["nodeless.ts", "default export"]],
  ["a backend that does not exist", ["run", ...study, "--backend", "cuda"], ["\"cuda\"", "auto", "wasm", "webgpu"]],
  ["devices that are no numbers", ["run", ...study, "--devices", "all"], ["--devices", "0,1"]],
  ["a way to round that does not exist", ["run", ...study, "--determinism", "some"], ["\"exact\"", "\"fast\""]],
  ["a page that does not exist", ["doctor", "--explain", "cuda"], ["\"webgpu\"", "\"tensorflow\""]],
  ["a setting that does not exist", ["run", ...study, "--set", "trails=3"], ["trails", "trials: a whole number"]],
  ["a flag that does not exist", ["run", ...study, "--speed", "9"], ["--speed", "attune run --help"]],
  ["a command that does not exist", ["train"], ["train", "attune --help"]]
]

describe("exit code 2, misuse", () => {
  for (const [what, args, says] of usage) {
    it.concurrent(what, async () => {
      const ended = await attune([...args])
      assert.strictEqual(ended.code, 2, ended.stderr)
      isClear(ended)
      for (const part of says) assert.include(ended.stderr, part)
    })
  }
})

/** Hides every GPU from webgpu, where it is installed, whatever this machine has. */
const withoutGpu = { environment: { VK_DRIVER_FILES: "/nowhere.json", VK_ICD_FILENAMES: "/nowhere.json" } }

describe("exit code 2, a backend that cannot start here", () => {
  it.concurrent("said once, with its reason, before anything runs", async ({ skip }) => {
    skip(process.platform !== "linux", "only on Linux can a GPU be hidden from webgpu")
    const store = inRoot("no-gpu")
    const args = [...study, "--backend", "webgpu", "--store", store]
    const [run, plan] = await Promise.all([
      attune(["run", ...args], withoutGpu),
      attune(["plan", ...args], withoutGpu)
    ])
    for (const ended of [run, plan]) {
      assert.strictEqual(ended.code, 2, ended.stderr)
      isClear(ended)
      assert.match(
        ended.stderr,
        /^error: The tensor backend "webgpu" cannot start: .*(no usable adapter|not installed)/
      )
      assert.strictEqual(ended.stderr.trimEnd().split("\n").length, 1)
    }
    assert.isFalse(fs.existsSync(store))
  })

  it.concurrent("nor devices that it does not have", async () => {
    const ended = await attune(["run", ...study, "--devices", "0"])
    assert.strictEqual(ended.code, 2)
    isClear(ended)
    assert.include(ended.stderr, "--concurrency")
  })
})

describe("exit code 1, the pipeline", () => {
  it.concurrent("a stage that fails, with what it says written out", async () => {
    const ended = await attune(["run", fixture("failing.ts"), "--store", inRoot("failing")])
    assert.strictEqual(ended.code, 1)
    isClear(ended)
    assert.include(ended.stderr, "Somebody spilled \\e[2Jthe\\rmilk")
    // What a stage writes to the console is for people.
    assert.include(ended.stderr, "pouring")
  })
})

describe("exit code 3, the store", () => {
  it.concurrent("a folder that cannot be made", async () => {
    const ended = await attune(["run", ...study, "--store", inRoot("file/store")])
    assert.strictEqual(ended.code, 3)
    isClear(ended)
    assert.include(ended.stderr, inRoot("file/store"))
    assert.strictEqual(ended.stderr.split("\n").length, 2)
  })

  it.concurrent("a store of another version", async () => {
    const ended = await attune(["trials", "--store", inRoot("later")])
    assert.strictEqual(ended.code, 3)
    isClear(ended)
    assert.include(ended.stderr, "format 99")
  })

  it.concurrent("a store without results", async () => {
    const [trials, query] = await Promise.all([
      attune(["trials", "--store", inRoot("empty")]),
      attune(["query", "select 1", "--store", inRoot("empty")])
    ])
    for (const ended of [trials, query]) {
      assert.strictEqual(ended.code, 3)
      isClear(ended)
    }
    assert.isFalse(fs.existsSync(inRoot("empty")))
  })

  it.concurrent("a full disk: what was stored stays, and the same command goes on", async () => {
    const store = inRoot("full")
    const args = ["run", ...study, "--store", store]
    // No file may grow beyond a block: the records fit, the tables of metrics do not.
    const limited = await attune(args, { shell: "trap '' XFSZ; ulimit -f 1" })
    assert.strictEqual(limited.code, 3, limited.stderr)
    isClear(limited)
    assert.match(limited.stderr, /would exceed the largest size|no space left/)
    assert.include(limited.stderr, "run the same command again")
    const again = await attune(args)
    assert.strictEqual(again.code, 0, again.stderr)
    assert.match(again.stderr, /[1-9]\d* cached/)
  })
})

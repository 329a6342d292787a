import { afterAll, assert, describe, it } from "@effect/vitest"
import * as fs from "node:fs"
import * as path from "node:path"
import { attune, type Ended, fixture, isAlive, linesOf, recordsIn, start, temporaryFolder, until } from "./process.ts"

const root = temporaryFolder()
afterAll(() => fs.rmSync(root, { recursive: true }))

/** The toy study, slow enough to be caught in the middle. */
const study = (name: string) => {
  const journal = path.join(root, `${name}.journal`)
  const store = path.join(root, name)
  const args = [
    "run",
    fixture("study.ts"),
    "--set",
    `journal=${journal}`,
    "--set",
    "pauseMillis=60",
    "--concurrency",
    "2",
    "--store",
    store
  ]
  const finished = () => linesOf(journal).filter((line) => line.startsWith("end "))
  return { args, store, journal, finished }
}

/** That of the study's ten stages those with a record were not run again. */
const goesOn = (resumed: Ended, kept: number) => {
  assert.strictEqual(resumed.code, 0, resumed.stderr)
  assert.include(resumed.stderr, `: ${10 - kept} stages run, ${kept} cached.`)
}

describe("a run that is stopped", () => {
  it.concurrent("by Ctrl-C says how to resume, and the same command does", async () => {
    const { args, finished, store } = study("interrupted")
    const { ended, process } = start(args)
    await until(() => finished().length >= 3)
    process.kill("SIGINT")
    // As npm does, which passes on what the terminal has sent already.
    process.kill("SIGINT")
    const stopped = await ended
    assert.strictEqual(stopped.code, 130, stopped.stderr)
    assert.strictEqual(stopped.stdout, "")
    assert.match(stopped.stderr, /^Stopped\. To resume, run the same command again: attune run .*study\.ts/m)
    assert.isTrue(fs.existsSync(path.join(store, "tables", "runs.parquet")))
    const kept = recordsIn(store)
    assert.isAtLeast(kept, 2)
    const resumed = await attune(args)
    goesOn(resumed, kept)
    assert.match(resumed.stdout, /^Best: /)
  })

  it.concurrent("by kill -9 of all its processes repeats nothing that had finished, and ends the same", async () => {
    const unbroken = study("unbroken")
    const killed = study("killed")
    const whole = attune(unbroken.args)
    const { ended, process: child } = start(killed.args)
    await until(() => killed.finished().length >= 4)
    process.kill(-child.pid!, "SIGKILL")
    assert.strictEqual((await ended).signal, "SIGKILL")
    const kept = recordsIn(killed.store)
    assert.isAtLeast(kept, 2)
    const resumed = await attune(killed.args)
    goesOn(resumed, kept)
    assert.strictEqual(resumed.stdout, (await whole).stdout)
    const trials = (store: string) =>
      attune([
        "query",
        "select * exclude (duration_seconds, params, rungs, runs) from trials order by trial",
        "--store",
        store,
        "--format",
        "csv"
      ])
    assert.strictEqual((await trials(killed.store)).stdout, (await trials(unbroken.store)).stdout)
  })

  const killed = async (signal: "SIGTERM" | "SIGKILL") => {
    const name = `worker-${signal}`
    const journal = path.join(root, `${name}.journal`)
    const { ended, process } = start(["run", fixture("worker.ts"), "--store", path.join(root, name)], {
      environment: { ATTUNE_TEST_JOURNAL: journal }
    })
    await until(() => linesOf(journal).length === 1)
    const worker = Number(linesOf(journal)[0])
    assert.isTrue(isAlive(worker))
    process.kill(signal)
    const how = await ended
    await until(() => !isAlive(worker))
    return how
  }

  it.concurrent("by SIGTERM takes its worker processes with it", async () => {
    assert.strictEqual((await killed("SIGTERM")).code, 143)
  })

  it.concurrent("by kill -9 takes its worker processes with it, even one that never pauses", async () => {
    assert.strictEqual((await killed("SIGKILL")).signal, "SIGKILL")
  })

  it.concurrent("by a second Ctrl-C at once, whatever will not end", async () => {
    const journal = path.join(root, "stubborn.journal")
    const { ended, process } = start(["run", fixture("stubborn.ts"), "--store", path.join(root, "stubborn")], {
      environment: { ATTUNE_TEST_JOURNAL: journal }
    })
    await until(() => linesOf(journal).length === 1)
    process.kill("SIGINT")
    await new Promise((resolve) => setTimeout(resolve, 1_000))
    assert.isNull(process.exitCode)
    process.kill("SIGINT")
    assert.strictEqual((await ended).code, 130)
  })
})

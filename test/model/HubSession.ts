/**
 * A cache, a hub with a model in it, and what the tests of the hub read through both.
 */
import { Effect, Logger } from "effect"
import * as childProcess from "node:child_process"
import { createHash } from "node:crypto"
import * as fs from "node:fs"
import * as path from "node:path"
import { fileURLToPath } from "node:url"
import { promisify } from "node:util"
import * as Hub from "../../src/model/Hub.ts"
import type * as Node from "../../src/pipeline/Node.ts"
import type { ExternalFile } from "../../src/store/Artifact.ts"
import * as FakeHub from "./FakeHub.ts"

export const sha256 = (bytes: Uint8Array | string) => createHash("sha256").update(bytes).digest("hex")

/** Bytes that no two places have alike; from word `from` on, where they are a part of more. */
export const noise = (length: number, seed = 1, from = 0): Uint8Array => {
  const words = new Uint32Array(Math.ceil(length / 4))
  for (let i = 0; i < words.length; i++) words[i] = Math.imul(from + i + seed, 2654435761) ^ ((from + i) >>> 3)
  return new Uint8Array(words.buffer, 0, length)
}

/** The same, made as it is asked for, so that a large file takes no memory here. */
export const noiseOnTheWay = (length: number): FakeHub.Bytes => ({
  length,
  subarray: (from, to) => {
    const word = Math.floor(from / 4)
    return noise(to - 4 * word, 1, word).subarray(from - 4 * word)
  }
})

export const model = (weights: FakeHub.Bytes = noise(5000)) => ({
  "config.json": "{\"model_type\":\"gpt2\"}",
  "README.md": "not needed",
  "pytorch_model.bin": noise(3000, 7),
  "model.safetensors": weights,
  "tokenizer.json": "{}",
  "tokenizer_config.json": "{\"eos_token\":null}",
  "chat_template.jinja": "{{ messages }}",
  "onnx/model.safetensors": noise(2000, 9)
})

export interface Session {
  readonly hub: FakeHub.FakeHub
  readonly home: string
  readonly cache: string
  /** What was logged. */
  readonly log: Array<string>
  readonly read: <E>(
    node: Node.Node<ReadonlyArray<ExternalFile>, E>,
    variables?: Readonly<Record<string, string>>
  ) => Effect.Effect<ReadonlyArray<ExternalFile>, E>
  readonly variables: Readonly<Record<string, string>>
}

/** A hub with the model `org/name`, and nothing in the cache. */
export const session: Effect.Effect<Session, never, any> = Effect.gen(function*() {
  const hub = yield* FakeHub.start
  const home = yield* FakeHub.home
  hub.repositories.set("org/name", { revisions: { main: model() } })
  const variables = { HF_ENDPOINT: `${hub.endpoint}/`, HF_HOME: home }
  const log: Array<string> = []
  const logger = Logger.make<unknown, void>(({ message }) => void log.push([message].flat().join(" ")))
  return {
    hub,
    home,
    log,
    variables,
    cache: path.join(home, "hub", "models--org--name"),
    read: <E>({ op }: Node.Node<ReadonlyArray<ExternalFile>, E>, more: Readonly<Record<string, string>> = {}) =>
      (op._tag === "Source" ? op.read : Effect.die("not a source")).pipe(
        Effect.provideService(Hub.Variables, { ...variables, ...more }),
        Effect.provideService(Hub.Backoff, 1),
        Effect.provide(Logger.layer([logger]))
      ) as Effect.Effect<ReadonlyArray<ExternalFile>, E>
  }
})

export const names = (files: ReadonlyArray<ExternalFile>) => files.map(({ name }) => name)
export const offline = { HF_HUB_OFFLINE: "1" }

/** Every file below a folder, by its path in it. */
export const below = (folder: string): ReadonlyArray<string> =>
  fs.readdirSync(folder, { recursive: true, encoding: "utf8" }).filter((file) =>
    fs.lstatSync(path.join(folder, file)).isDirectory() === false
  )

/** What another process reads. */
export const elsewhere = (variables: Readonly<Record<string, string>>, file: string) =>
  Effect.promise(async () => {
    const reader = fileURLToPath(new URL("hub-reader.ts", import.meta.url))
    const { stdout } = await promisify(childProcess.execFile)(process.execPath, [
      "--expose-gc",
      reader,
      "org/name",
      file
    ], {
      env: { ...process.env, ...variables }
    })
    return JSON.parse(stdout.trim().split("\n").at(-1)!) as {
      readonly found: ReadonlyArray<ExternalFile>
      readonly grown: number
    }
  })

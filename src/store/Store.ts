/**
 * The content-addressed folder that holds artifacts and the record of each
 * stage run.
 *
 * ```
 * .attune/
 *   format.json                  version of this layout
 *   objects/ab/abcd….parquet     artifacts, named by the SHA-256 of their bytes
 *   runs/ab/abcd….json           one record for each key
 *   code/ab/abcd….json           what a fingerprint was made of
 *   journals/<id>.json           one for each pipeline run: which keys it used
 *   pins/<digest>.json           keys that a lock file of results names
 *   logs/<key>.jsonl             metrics of a stage that is running
 *   locks/<key>                  held by the process that runs the stage
 *   tables/…                     result tables, made from the records
 *   sketches/ab/<digest>         hashes of the lines of a source file
 *   cache/…                      what can be computed anew at any time
 *   quarantine/                  files that did not match their digest
 *   tmp/                         files being written
 * ```
 *
 * Every file appears complete or not at all. Nothing outside the folder is
 * written.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import * as Digest from "./Digest.ts"
import type { Appender, Disk } from "./Disk.ts"
import * as DiskModule from "./Disk.ts"
import * as Lock from "./Lock.ts"
import * as Presence from "./Presence.ts"
import type { ObjectReference, RunRecord } from "./RunRecord.ts"
import * as Sealed from "./Sealed.ts"
import { fromCause, StoreError } from "./StoreError.ts"

/** Where the bytes of an artifact are: all that is needed to read and verify them. */
export type Address = Pick<ObjectReference, "sha256" | "bytes" | "extension">

/** Keys that a file outside the store names. */
export interface Pin {
  /** Absolute. */
  readonly file: string
  readonly keys: ReadonlyArray<string>
}

export class Store extends Context.Service<Store, {
  /** The folder, absolute. */
  readonly root: string
  /** Its files, for the modules of this folder that look after them. */
  readonly disk: Disk
  /** Keeps bytes as an object; `extension` is the ending of its file name. Equal bytes are kept once. */
  readonly putObject: (bytes: Uint8Array, extension: string) => Effect.Effect<Address, StoreError>
  /** The bytes of an object, verified against its SHA-256. */
  readonly getObject: (address: Address) => Effect.Effect<Uint8Array, StoreError>
  /** Whether the object is there with the right size. Its bytes are verified when they are read. */
  readonly hasObject: (address: Address) => Effect.Effect<boolean, StoreError>
  /** The absolute path of an object's file, for readers that map or stream it. */
  readonly objectPath: (address: Address) => string
  /** The record of a key, or `undefined` when the key never ran here, or its record is damaged. */
  readonly getRun: (key: string) => Effect.Effect<RunRecord | undefined, StoreError>
  /** Commits a record. Where the key has one already, that one stays and is returned. */
  readonly putRun: (record: RunRecord) => Effect.Effect<RunRecord, StoreError>
  /** Replaces the record of a key, where what it names is lost and came out differently when it was made anew. */
  readonly replaceRun: (record: RunRecord) => Effect.Effect<void, StoreError>
  /** All records, in the order of their keys. */
  readonly runs: Effect.Effect<ReadonlyArray<RunRecord>, StoreError>
  /**
   * Takes a key if no process is running it, until the scope closes, and answers whether it did. It saves work and
   * guards nothing: should two run a key after all, the first record stays.
   */
  readonly claim: (key: string) => Effect.Effect<boolean, StoreError, Scope.Scope>
  /** An append-only log of the run of a key. Lines of an earlier attempt that was cut short are dropped. */
  readonly openLog: (key: string) => Effect.Effect<Appender & { readonly path: string }, StoreError>
  readonly removeLog: (key: string) => Effect.Effect<void, StoreError>
  /** Writes a file of `tables/`; answers its absolute path. */
  readonly putTable: (name: string, bytes: Uint8Array) => Effect.Effect<string, StoreError>
  /** Names of the files of `tables/`. */
  readonly tables: Effect.Effect<ReadonlyArray<string>, StoreError>
  /** Keeps what a fingerprint was made of, where it is not kept already. */
  readonly putCode: (fingerprint: string, manifest: Schema.Json) => Effect.Effect<void, StoreError>
  readonly getCode: (fingerprint: string) => Effect.Effect<Schema.Json | undefined, StoreError>
  /** Keeps hashes of the lines of the source file with this digest. */
  readonly putSketch: (digest: string, bytes: Uint8Array) => Effect.Effect<void, StoreError>
  readonly getSketch: (digest: string) => Effect.Effect<Uint8Array | undefined, StoreError>
  /** What can be computed anew at any time, by name. */
  readonly putCache: (name: string, bytes: Uint8Array) => Effect.Effect<void, StoreError>
  readonly getCache: (name: string) => Effect.Effect<Uint8Array | undefined, StoreError>
  /** Keeps the runs of these keys for as long as the file is there. */
  readonly putPin: (pin: Pin) => Effect.Effect<void, StoreError>
  readonly pins: Effect.Effect<ReadonlyArray<Pin>, StoreError>
  /** Takes the store for upkeep, until the scope closes. Fails with the reason `busy` while a run uses it. */
  readonly upkeep: Effect.Effect<void, StoreError, Scope.Scope>
  /** Fails unless the folder can be written to. */
  readonly checkWritable: Effect.Effect<void, StoreError>
}>()("attune/store/Store") {
  /** A store in the folder `root`, made when something is first written. */
  static readonly layer = (root: string): Layer.Layer<Store, StoreError> =>
    Layer.effect(Store, Effect.suspend(() => make(DiskModule.node(root))))

  /** A store that is gone with the process. */
  static readonly layerMemory: Layer.Layer<Store> = Layer.effect(
    Store,
    Effect.orDie(Effect.suspend(() => make(DiskModule.memory())))
  )
}

const format = 1
const shard = (digest: string) => digest.slice(0, 2)
const objectFile = (address: Pick<Address, "sha256" | "extension">) =>
  `objects/${shard(address.sha256)}/${address.sha256}.${address.extension}`
const runFile = (key: string) => `runs/${shard(key)}/${key}.json`
const logFile = (key: string) => `logs/${key}.jsonl`

const codeFile = (fingerprint: string) => `code/${shard(fingerprint)}/${fingerprint}.json`
const sketchFile = (digest: string) => `sketches/${shard(digest)}/${digest}`
const pinFile = (file: string) => `pins/${Digest.ofText(file)}.json`

/** The seal vouches for the content: it is what an encoded record was. */
const unseal = (bytes: Uint8Array): RunRecord | undefined => {
  const record = Sealed.unseal("run", bytes) as RunRecord | undefined
  return record?.format === 1 ? record : undefined
}

const make = (disk: Disk): Effect.Effect<Store["Service"], StoreError> => {
  const attempt = <A>(operation: string, file: string, body: () => A): Effect.Effect<A, StoreError> =>
    Effect.try({ try: body, catch: fromCause(operation, `${disk.root}/${file}`) })

  const quarantine = (file: string) => {
    disk.rename(file, `quarantine/${file.slice(file.lastIndexOf("/") + 1)}`)
  }

  const checkFormat = attempt("read its format", "format.json", () => {
    const bytes = disk.read("format.json")
    if (bytes === undefined) return
    const found = /"format":\s*(\d+)/.exec(Buffer.from(bytes).toString("utf8"))?.[1]
    if (found !== String(format)) {
      throw new StoreError({
        operation: "open",
        path: disk.root,
        reason: "other",
        detail: `it has format ${found ?? "unknown"}, and this version of Attune reads format ${format}`
      })
    }
  })

  let stamped = false
  /** The first write stamps the folder with its format and keeps it out of git. */
  const stamp = () => {
    if (stamped) return
    if (disk.read("format.json") === undefined) {
      disk.write("format.json", Buffer.from(`{ "format": ${format} }\n`))
      disk.write(".gitignore", Buffer.from("*\n"))
    }
    stamped = true
  }

  const getRun = (key: string) =>
    attempt("read a record", runFile(key), () => {
      const bytes = disk.read(runFile(key))
      if (bytes === undefined) return undefined
      const record = unseal(bytes)
      // A damaged record is set aside and counts as never written.
      if (record === undefined || record.key !== key) quarantine(runFile(key))
      return record?.key === key ? record : undefined
    })

  const service = Store.of({
    root: disk.root,
    disk,
    objectPath: (address) => `${disk.root}/${objectFile(address)}`,
    putObject: (bytes, extension) => {
      const address = { sha256: Digest.ofBytes(bytes), bytes: bytes.length, extension }
      const file = objectFile(address)
      return attempt("write an artifact", file, () => {
        stamp()
        if (disk.size(file) !== bytes.length) disk.write(file, bytes)
        return address
      })
    },
    getObject: (address) => {
      const file = objectFile(address)
      return Effect.flatMap(attempt("read an artifact", file, () => disk.read(file)), (bytes) => {
        if (bytes !== undefined && Digest.ofBytes(bytes) === address.sha256) return Effect.succeed(bytes)
        const error = (reason: "missing" | "corrupt", detail: string) =>
          new StoreError({ operation: "read an artifact", path: `${disk.root}/${file}`, reason, detail })
        if (bytes === undefined) return Effect.fail(error("missing", "the file does not exist"))
        return Effect.andThen(
          attempt("set a damaged artifact aside", file, () => quarantine(file)),
          Effect.fail(error("corrupt", "its content does not match its SHA-256"))
        )
      })
    },
    hasObject: (address) =>
      attempt("look for an artifact", objectFile(address), () => disk.size(objectFile(address)) === address.bytes),
    getRun,
    putRun: Effect.fnUntraced(function*(record: RunRecord) {
      const isNew = yield* attempt("write a record", runFile(record.key), () => {
        stamp()
        return disk.writeOnce(runFile(record.key), Sealed.seal("run", record))
      })
      return isNew ? record : (yield* getRun(record.key)) ?? record
    }),
    replaceRun: (record) =>
      attempt("write a record", runFile(record.key), () => {
        stamp()
        disk.write(runFile(record.key), Sealed.seal("run", record))
      }),
    runs: Effect.suspend(() =>
      attempt("list the records", "runs", () =>
        disk.list("runs").flatMap((file) => {
          const bytes = disk.read(file)
          const record = bytes === undefined ? undefined : unseal(bytes)
          return record === undefined ? [] : [record]
        }))
    ),
    claim: (key) => Lock.claim(disk, `locks/${key}`),
    openLog: (key) =>
      attempt("open a log", logFile(key), () => {
        stamp()
        disk.remove(logFile(key))
        return { ...disk.appender(logFile(key)), path: `${disk.root}/${logFile(key)}` }
      }),
    removeLog: (key) => attempt("remove a log", logFile(key), () => disk.remove(logFile(key))),
    putTable: (name, bytes) =>
      attempt("write a table", `tables/${name}`, () => {
        stamp()
        disk.write(`tables/${name}`, bytes)
        return `${disk.root}/tables/${name}`
      }),
    tables: Effect.suspend(() =>
      attempt("list the tables", "tables", () => disk.list("tables").map((file) => file.slice("tables/".length)))
    ),
    putCode: (fingerprint, manifest) =>
      attempt("write what a fingerprint was made of", codeFile(fingerprint), () => {
        if (disk.size(codeFile(fingerprint)) !== undefined) return
        stamp()
        disk.write(codeFile(fingerprint), Sealed.seal("code", manifest))
      }),
    getCode: (fingerprint) =>
      attempt("read what a fingerprint was made of", codeFile(fingerprint), () => {
        const bytes = disk.read(codeFile(fingerprint))
        return bytes === undefined ? undefined : Sealed.unseal("code", bytes) as Schema.Json | undefined
      }),
    putSketch: (digest, bytes) =>
      attempt("write the sketch of a file", sketchFile(digest), () => {
        if (disk.size(sketchFile(digest)) !== undefined) return
        stamp()
        disk.write(sketchFile(digest), bytes)
      }),
    getSketch: (digest) =>
      attempt("read the sketch of a file", sketchFile(digest), () => disk.read(sketchFile(digest))),
    putCache: (name, bytes) =>
      attempt("write to its cache", `cache/${name}`, () => {
        stamp()
        disk.write(`cache/${name}`, bytes)
      }),
    getCache: (name) => attempt("read its cache", `cache/${name}`, () => disk.read(`cache/${name}`)),
    putPin: (pin) =>
      attempt("pin the keys of a file", pinFile(pin.file), () => {
        stamp()
        disk.write(pinFile(pin.file), Sealed.seal("pin", pin))
      }),
    pins: Effect.suspend(() =>
      attempt("list its pins", "pins", () =>
        disk.list("pins").flatMap((file) => {
          const bytes = disk.read(file)
          const pin = bytes === undefined ? undefined : Sealed.unseal("pin", bytes) as Pin | undefined
          return pin === undefined ? [] : [pin]
        }))
    ),
    upkeep: Presence.upkeep(disk),
    checkWritable: Effect.suspend(() =>
      attempt("write to its folder", "tmp", () => {
        stamp()
        const probe = `tmp/probe-${process.pid}`
        disk.write(probe, new Uint8Array())
        disk.remove(probe)
      })
    )
  })
  return Effect.as(checkFormat, service)
}

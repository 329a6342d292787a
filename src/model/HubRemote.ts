/**
 * What is asked of the hub over HTTP: which commit a revision is, what it
 * consists of, and the bytes of a file, each again with growing pauses while
 * the hub is busy or the connection breaks.
 *
 * The requests for information are those of @huggingface/hub. Files are not
 * downloaded by it: its downloads begin anew when they break, are not checked
 * against their digests, and write into each other's files.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import { type Entry, HubCacheError, type Incomplete, isCommit, isSafePath, type Repository } from "../store/HubCache.ts"
import type { Settings } from "./HubEnvironment.ts"
import { HubCorrupt, HubNotFound, HubUnauthorized } from "./HubError.ts"

/** The hub does not answer, or not as the hub does. */
export class Unanswered {
  readonly _tag = "Unanswered"
  readonly reason: string
  constructor(reason: string) {
    this.reason = reason
  }
}

export type RemoteError = Unanswered | HubNotFound | HubUnauthorized | HubCorrupt

export interface Remote {
  /** The commit of a branch, tag or abbreviated commit. `attempts` is how often it is asked for. */
  readonly commit: (attempts: number) => Effect.Effect<string, RemoteError>
  /** The files of a commit. */
  readonly list: (commit: string) => Effect.Effect<ReadonlyArray<Entry>, RemoteError>
  /** Brings the rest of a file. */
  readonly fill: (
    commit: string,
    entry: Entry
  ) => (incomplete: Incomplete) => Effect.Effect<void, RemoteError | HubCacheError>
}

/** The first pause before something is asked again, in milliseconds; each further one is twice as long. */
export const Backoff = Context.Reference<number>("attune/model/HubBackoff", { defaultValue: () => 1_000 })

/** How often something is asked for before it is given up. */
export const attempts = 5

/** As much as the hub says that it wants to be left alone, but no longer, in milliseconds. */
const longestPause = 60_000

/** For an answer to begin or to go on, in milliseconds. */
const patience = 30_000

/** A download that breaks after so many bytes has got on: its failures are counted anew. */
const progress = 1 << 20

/** More files than any model has: a hostile list need not end. */
const mostFiles = 200_000

/** An answer other than success. */
class Refusal {
  readonly status: number
  readonly code: string
  readonly message: string
  readonly retryAfter: number
  constructor(response: Response) {
    this.status = response.status
    this.code = response.headers.get("X-Error-Code") ?? ""
    this.message = response.headers.get("X-Error-Message") ?? ""
    const after = response.headers.get("Retry-After") ?? ""
    const millis = /^\d+$/.test(after) ? 1_000 * Number(after) : Date.parse(after) - Date.now()
    this.retryAfter = Number.isFinite(millis) ? Math.min(Math.max(0, millis), longestPause) : 0
  }
}

const isBusy = (status: number): boolean => [408, 425, 429, 500, 502, 503, 504].includes(status)

type Failure = Refusal | Unanswered | HubCacheError | HubCorrupt

/** Why a request failed: what the system says, which never holds what was sent. */
const classify = (cause: unknown): Failure => {
  if (
    cause instanceof Refusal || cause instanceof Unanswered || cause instanceof HubCacheError
    || cause instanceof HubCorrupt
  ) return cause
  const error = cause as { readonly name?: string; readonly cause?: unknown; readonly code?: unknown }
  if (cause instanceof SyntaxError) {
    return new Unanswered("it answers with something else than JSON, as a proxy or a login page does")
  }
  if (error.name === "TimeoutError" || error.name === "AbortError") {
    return new Unanswered(`it did not answer within ${patience / 1000} s`)
  }
  for (let inner: unknown = error; typeof inner === "object" && inner !== null;) {
    const { code, cause: next } = inner as { readonly code?: unknown; readonly cause?: unknown }
    if (typeof code === "string") return new Unanswered(reasons[code] ?? `the connection failed (${code})`)
    inner = next
  }
  return new Unanswered("the connection failed")
}

const reasons: Readonly<Record<string, string>> = {
  ENOTFOUND: "its name is not known here, as without a connection",
  EAI_AGAIN: "its name cannot be looked up, as without a connection",
  ECONNREFUSED: "it refuses the connection",
  ECONNRESET: "the connection was reset",
  ENETUNREACH: "the network cannot be reached",
  UND_ERR_CONNECT_TIMEOUT: "the connection could not be made in time",
  UND_ERR_SOCKET: "the connection broke"
}

const isTransient = (failure: Failure): failure is Unanswered | Refusal =>
  failure instanceof Unanswered || (failure instanceof Refusal && isBusy(failure.status))

/** An aborted signal, too, when nothing has come for a while. */
const makePatience = (signal: AbortSignal) => {
  const late = new AbortController()
  const timer = setTimeout(() => late.abort(new DOMException("", "TimeoutError")), patience)
  return {
    signal: AbortSignal.any([signal, late.signal]),
    again: () => void timer.refresh(),
    done: () => clearTimeout(timer)
  }
}

/** The hub at an endpoint, as far as one repository at one revision goes. */
export const make = (
  { endpoint, token }: Settings,
  { id, type }: Repository,
  revision: string
): Remote => {
  const about = { type, id, revision }
  const page = `${endpoint}/${type === "dataset" ? "datasets/" : ""}${id}`
  const origin = new URL(endpoint).origin

  const request = async (url: string, headers: Record<string, string>, signal: AbortSignal): Promise<Response> => {
    const sent = new Headers(headers)
    // Whatever a list of files links to: the token goes to the hub alone. A redirect elsewhere is followed without it.
    if (token !== undefined && new URL(url).origin === origin) {
      const value = Redacted.value(token)
      // Node names a header's value when it refuses it.
      if (!/^[\x21-\x7e]+$/.test(value)) throw new Refusal(new Response(null, { status: 401 }))
      sent.set("Authorization", `Bearer ${value}`)
    }
    const response = await fetch(url, { headers: sent, signal })
    if (response.ok) return response
    await response.body?.cancel()
    throw new Refusal(response)
  }

  /** The `fetch` for @huggingface/hub, which neither knows the token nor sees a refusal. */
  const fetchWith = (late: ReturnType<typeof makePatience>): typeof fetch => (input, init) => {
    late.again()
    return request(String(input), Object.fromEntries(new Headers(init?.headers).entries()), late.signal)
  }

  const get = <A>(body: (hub: typeof import("@huggingface/hub"), fetch: typeof globalThis.fetch) => Promise<A>) =>
    Effect.tryPromise({
      try: async (signal) => {
        const late = makePatience(signal)
        try {
          // Loaded when something is asked for: a program that only names a model need not wait for it.
          return await body(await import("@huggingface/hub"), fetchWith(late))
        } finally {
          late.done()
        }
      },
      catch: classify
    })

  /** The names of the branches and tags, to say what there is; none where the hub does not tell. */
  const references = get(async (_, fetch) => {
    const response = await fetch(`${endpoint}/api/${type}s/${id}/refs`)
    const body = await response.json() as Record<string, unknown>
    return ["branches", "tags"].flatMap((kind) => Array.isArray(body[kind]) ? body[kind] : [])
      .map((reference: { readonly name?: unknown } | null) => reference?.name)
      .filter((name) => typeof name === "string")
  }).pipe(Effect.orElseSucceed((): ReadonlyArray<string> => []))

  const refused = (
    { code, message, status }: Refusal,
    file: string | undefined
  ): Effect.Effect<never, RemoteError> => {
    const unauthorized = (reason: HubUnauthorized["reason"]) =>
      Effect.fail(new HubUnauthorized({ ...about, reason, page, token: token !== undefined }))
    if (code === "GatedRepo") return unauthorized("gated")
    if (code === "RevisionNotFound") {
      return Effect.flatMap(
        references,
        (exists) => Effect.fail(new HubNotFound({ ...about, what: "revision", detail: "", exists }))
      )
    }
    if (status === 401 && token !== undefined && (code === "" || message.startsWith("Invalid credentials"))) {
      return unauthorized("invalid-token")
    }
    if (status === 403) return unauthorized("forbidden")
    if (status === 404 && file !== undefined && code !== "RepoNotFound") {
      return Effect.fail(new HubNotFound({ ...about, what: "file", detail: `there is no ${file}`, exists: [] }))
    }
    // To somebody who is not logged in the hub answers 401 for what does not exist and for what is private alike.
    if (status === 404 || status === 401 || code === "RepoNotFound") {
      return Effect.fail(new HubNotFound({ ...about, what: "repository", detail: "", exists: [] }))
    }
    return Effect.fail(new Unanswered(`it answers with status ${status}`))
  }

  /** Tries until it succeeds, fails for good, or has failed too often in a row. */
  const retrying = <A>(
    times: number,
    once: Effect.Effect<A, Failure>,
    options?: { readonly file: string; readonly reached: () => number }
  ): Effect.Effect<A, RemoteError | HubCacheError> =>
    Effect.gen(function*() {
      const backoff = yield* Backoff
      let reached = options?.reached() ?? 0
      for (let failed = 1;; failed++) {
        const failure = yield* Effect.matchEffect(once, {
          onSuccess: (value) => Effect.succeed({ value }),
          onFailure: (failure) => Effect.succeed(failure)
        })
        if ("value" in failure) return failure.value
        if (!isTransient(failure)) {
          return yield* failure instanceof Refusal ? refused(failure, options?.file) : Effect.fail(failure)
        }
        const now = options?.reached() ?? 0
        if (now - reached >= progress) {
          failed = 0
          reached = now
        }
        if (failed >= times) {
          return yield* failure instanceof Refusal ? refused(failure, options?.file) : Effect.fail(failure)
        }
        const pause = Math.min(backoff * 2 ** Math.max(0, failed - 1), longestPause)
        yield* Effect.sleep(Math.max(pause, failure instanceof Refusal ? failure.retryAfter : 0))
      }
    })

  const information = <A>(
    times: number,
    body: (hub: typeof import("@huggingface/hub"), fetch: typeof globalThis.fetch) => Promise<A>
  ): Effect.Effect<A, RemoteError> =>
    retrying(times, get(body)).pipe(Effect.catchTag("HubCacheError", (error) => Effect.die(error)))

  const commit = (times: number) =>
    information(times, async (hub, fetch) => {
      const asked = { name: id, revision, hubUrl: endpoint, additionalFields: ["sha" as const], fetch }
      const { sha } = type === "model" ? await hub.modelInfo(asked) : await hub.datasetInfo(asked)
      // It becomes the name of a folder.
      if (typeof sha !== "string" || !isCommit(sha)) {
        throw new Unanswered("it answers with something else than a commit")
      }
      return sha
    })

  const list = (commit: string) =>
    information(attempts, async (hub, fetch) => {
      const entries: Array<Entry> = []
      const files = hub.listFiles({
        repo: { type, name: id },
        revision: commit,
        recursive: true,
        hubUrl: endpoint,
        fetch
      })
      for await (const { lfs, oid, path, size, type: kind, xetHash } of files) {
        if (kind === "directory") continue
        const bytes = lfs?.size ?? size
        const wrong = (reason: string) => new HubCorrupt({ ...about, file: JSON.stringify(path), reason })
        if (typeof path !== "string" || !isSafePath(path)) {
          throw wrong("is listed as one of its files, but is no path inside a folder. Do not trust this repository")
        }
        if (
          !Number.isSafeInteger(bytes) || bytes < 0 || !/^[0-9a-f]{40}$/.test(oid ?? "")
          || (lfs !== undefined && !/^[0-9a-f]{64}$/.test(lfs.oid))
        ) throw wrong("is listed without a size and a digest")
        entries.push({
          path,
          bytes,
          blobId: oid!,
          ...(lfs === undefined ? {} : { sha256: lfs.oid }),
          ...(typeof xetHash === "string" && /^[0-9a-f]{64}$/.test(xetHash) ? { xetHash } : {})
        })
        if (entries.length > mostFiles) throw wrong(`comes after ${mostFiles} others, which is where we stop`)
      }
      return entries
    })

  /** One attempt at the rest of a file. It succeeds when all of it is there. */
  const download = (url: string, entry: Entry, incomplete: Incomplete): Effect.Effect<void, Failure> =>
    Effect.tryPromise({
      try: async (signal) => {
        if (incomplete.length() > entry.bytes) incomplete.truncate()
        const from = incomplete.length()
        if (from === entry.bytes) return
        const late = makePatience(signal)
        try {
          const response = await request(
            url,
            // Compressed on its way, a file could not be gone on with.
            { "Accept-Encoding": "identity", ...(from === 0 ? {} : { Range: `bytes=${from}-` }) },
            late.signal
          )
          let position = from
          if (from > 0 && (response.status !== 206 || !rangeBegins(response, from))) {
            incomplete.truncate()
            position = 0
            if (response.status === 206) throw new Unanswered("it sends another part of a file than it was asked for")
          }
          for await (const chunk of response.body ?? []) {
            late.again()
            if (position + chunk.length > entry.bytes) {
              throw new HubCorrupt({
                ...about,
                file: entry.path,
                reason: `is listed with ${entry.bytes} bytes, and the hub sends more`
              })
            }
            // A chunk may be at hand when this is interrupted, and the file closed.
            late.signal.throwIfAborted()
            incomplete.write(position, chunk)
            position += chunk.length
          }
          if (position < entry.bytes) throw new Unanswered("the connection broke")
        } catch (cause) {
          // What it was to go on from is not part of this file.
          if (cause instanceof Refusal && cause.status === 416 && from > 0) {
            incomplete.truncate()
            throw new Unanswered("it has no more of a file that is not complete")
          }
          throw cause
        } finally {
          late.done()
        }
      },
      catch: classify
    })

  return {
    commit,
    list,
    fill: (commit, entry) => (incomplete) =>
      retrying(
        attempts,
        download(
          `${page}/resolve/${commit}/${entry.path.split("/").map(encodeURIComponent).join("/")}`,
          entry,
          incomplete
        ),
        { file: entry.path, reached: incomplete.length }
      )
  }
}

const rangeBegins = (response: Response, from: number): boolean =>
  new RegExp(`^bytes ${from}-`).test(response.headers.get("Content-Range") ?? "")

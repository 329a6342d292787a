/**
 * The files of a repository of the hub at a revision: taken from the cache as
 * far as they are there, downloaded as far as they are not.
 */
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import { Planning } from "../pipeline/Planning.ts"
import type { ExternalFile } from "../store/Artifact.ts"
import * as HubCache from "../store/HubCache.ts"
import * as HubEnvironment from "./HubEnvironment.ts"
import { HubCorrupt, type HubError, HubNotFound, HubUnreachable } from "./HubError.ts"
import * as HubRemote from "./HubRemote.ts"

/** A repository at a revision, as far as choosing files of it goes. */
export interface Snapshot {
  /** Every file, in the order of their paths. */
  readonly files: ReadonlyArray<HubCache.Entry>
  /** The files of these paths, brought here. */
  readonly read: (paths: ReadonlyArray<string>) => Effect.Effect<ReadonlyArray<ExternalFile>, HubError>
  /**
   * That files are not there. Where all that is known is what the cache holds, that is for want of a connection; `missing`
   * are their paths, if they are known.
   */
  readonly notFound: (
    detail: string,
    exists?: ReadonlyArray<string>,
    missing?: ReadonlyArray<string>
  ) => HubNotFound | HubUnreachable
  readonly corrupt: (file: string, reason: string) => HubCorrupt
}

/** How many files are downloaded at once. */
const concurrency = 4

/** As the hub has them: `name` or `organisation/name`. */
const idPattern = /^[A-Za-z0-9](?:[\w.-]*\w)?(?:\/[A-Za-z0-9_](?:[\w.-]*\w)?)?$/
const isId = (id: string): boolean => idPattern.test(id) && id.length <= 96 && !id.includes("--") && !id.includes("..")

/** A revision becomes the name of a file: nothing that git would refuse as a branch. */
const isRevision = (revision: string): boolean =>
  HubCache.isSafePath(revision) && /^[\w./+@#-]+$/.test(revision) && !revision.startsWith("-")
  && !revision.includes("..") && !revision.endsWith(".lock")

/**
 * Has `choose` pick files of a repository at a revision, and answers them.
 *
 * In a plan the content of large files stays where it is: the hub tells their digests.
 */
export const files = Effect.fnUntraced(function*(
  repository: HubCache.Repository,
  revision: string,
  choose: (snapshot: Snapshot) => Effect.Effect<ReadonlyArray<string>, HubError>
): Effect.fn.Return<ReadonlyArray<ExternalFile>, HubError> {
  const about = { ...repository, revision }
  if (!isId(repository.id)) {
    const detail = ": an id is as in \"name\" or \"organisation/name\""
    return yield* new HubNotFound({ ...about, what: "repository", detail, exists: [] })
  }
  if (!isRevision(revision)) return yield* new HubNotFound({ ...about, what: "revision", detail: "", exists: [] })
  const settings = yield* HubEnvironment.settings
  const planning = yield* Planning
  const cache = HubCache.open(settings.cache, repository)
  const remote = yield* connect(settings, repository, revision)

  const unreachable = (reason: string, missing: ReadonlyArray<string>) =>
    // An endpoint may hold a password.
    new HubUnreachable({ ...about, endpoint: originOf(settings.endpoint), reason, missing, cache: cache.folder })
  const answered = <A>(
    effect: Effect.Effect<A, HubRemote.RemoteError | HubCache.HubCacheError>,
    missing: ReadonlyArray<string>
  ): Effect.Effect<A, HubError> =>
    Effect.catchTag(effect, "Unanswered", ({ reason }) => Effect.fail(unreachable(reason, missing)))

  const name = `${repository.type} ${repository.id}`
  const commitOf: Effect.Effect<string, HubError> = Effect.gen(function*() {
    if (HubCache.isCommit(revision)) return revision
    const known = cache.reference(revision)
    const short = known?.slice(0, 12)
    if (remote === undefined) {
      if (known === undefined) return yield* unreachable(offline, [])
      yield* Effect.logInfo(
        `The ${name} is read from the cache: ${revision} as it was there last, ${short} (${offline})`
      )
      return known
    }
    if (known === undefined) return yield* answered(remote.commit(HubRemote.attempts), [])
    return yield* remote.commit(1).pipe(
      Effect.catchTag("Unanswered", ({ reason }) =>
        Effect.as(
          Effect.logWarning(
            `Whether ${revision} of the ${name} has changed cannot be told, since ${
              originOf(settings.endpoint)
            } cannot be `
              + `asked: ${reason}. It is read from the cache as it was there last, ${short}.`
          ),
          known
        ))
    )
  })

  const entriesOf = Effect.fnUntraced(
    function*(
      commit: string
    ): Effect.fn.Return<{ readonly files: ReadonlyArray<HubCache.Entry>; readonly partial?: string }, HubError> {
      const listed = cache.tree(commit)
      if (listed !== undefined) return { files: listed }
      const here = cache.snapshot(commit)
      if (remote === undefined) {
        return here.length === 0 ? yield* unreachable(offline, []) : { files: here, partial: offline }
      }
      const entries = yield* remote.list(commit).pipe(
        Effect.catchTag("Unanswered", ({ reason }) =>
          // What is here may be all that is needed: whoever chooses will see.
          here.length === 0
            ? Effect.fail(unreachable(reason, []))
            : Effect.as(Effect.logWarning(`The files of the ${name} are those in the cache: ${reason}.`), reason))
      )
      if (typeof entries === "string") return { files: here, partial: entries }
      yield* cache.keepTree(commit, entries)
      return { files: entries }
    }
  )

  const commit = yield* commitOf
  const { files: unsorted, partial } = yield* entriesOf(commit)
  const entries = unsorted.toSorted((a, b) => a.path < b.path ? -1 : 1)

  const corrupt = (file: string, reason: string) => new HubCorrupt({ ...about, file, reason })

  /** A file with the content that was promised. One that has another, here or on its way, is downloaded anew, once. */
  const present = Effect.fnUntraced(function*(entry: HubCache.Entry): Effect.fn.Return<HubCache.Present, HubError> {
    let wrong: HubCache.Mismatch | undefined
    for (let downloads = 0; downloads <= 2; downloads++) {
      if (yield* cache.has(commit, entry)) {
        const verified = yield* cache.verify(commit, entry)
        if (Result.isSuccess(verified)) return verified.success
        wrong = verified.failure
        if (remote === undefined) break
        yield* Effect.logWarning(`${entry.path} of the ${name} is damaged in the cache, and is downloaded again`)
        yield* cache.discard(commit, entry)
      }
      if (remote === undefined) return yield* unreachable(offline, [entry.path])
      if (downloads === 2) break
      const brought = yield* answered(cache.bring(commit, entry, remote.fill(commit, entry)), [entry.path])
      if (Result.isFailure(brought)) wrong = brought.failure
    }
    return yield* corrupt(
      entry.path,
      `has the digest ${wrong?.found} instead of ${wrong?.expected}, ${
        remote === undefined
          ? `in the cache: remove ${cache.pathOf(commit, entry.path)} and run this again with a connection`
          : "as often as it is downloaded: something between the hub and here changes it"
      }`
    )
  })

  const external = ({ bytes, digest, path }: HubCache.Present, name: string): ExternalFile => ({
    $artifact: "external",
    name,
    digest,
    bytes,
    path
  })

  const read = Effect.fnUntraced(function*(paths: ReadonlyArray<string>) {
    const chosen = entries.filter(({ path }) => paths.includes(path))
    const isElsewhere = (entry: HubCache.Entry) => planning && entry.sha256 !== undefined
    const missing = yield* Effect.filter(chosen, (entry) => Effect.map(cache.has(commit, entry), (there) => !there))
    if (remote === undefined && missing.length > 0) {
      return yield* unreachable(offline, missing.map(({ path }) => path))
    }
    const wanted = missing.filter((entry) => !isElsewhere(entry))
    const bytes = wanted.reduce((sum, entry) => sum + entry.bytes, 0)
    if (bytes >= worthTelling) {
      yield* Effect.logInfo(
        `Downloading ${wanted.length} ${wanted.length === 1 ? "file" : "files"} of the ${name} (${
          (bytes / 1e6).toFixed(bytes < 1e7 ? 1 : 0)
        } MB) into ${cache.folder}`
      )
    }
    return yield* Effect.forEach(
      chosen,
      (entry) =>
        isElsewhere(entry)
          ? Effect.succeed(
            external({ path: cache.pathOf(commit, entry.path), bytes: entry.bytes, digest: entry.sha256! }, entry.path)
          )
          : Effect.map(present(entry), (found) => external(found, entry.path)),
      { concurrency }
    )
  })

  const snapshot: Snapshot = {
    files: entries,
    read,
    corrupt,
    notFound: (detail, exists = [], missing = []) =>
      partial === undefined
        ? new HubNotFound({ ...about, what: "file", detail, exists })
        : unreachable(partial, missing)
  }
  const found = yield* read(yield* choose(snapshot))
  // Only now: a branch that stands for a commit without its files would be of no use without a connection.
  if (!planning && remote !== undefined) yield* cache.keepReference(revision, commit)
  return found
})

const offline = "HF_HUB_OFFLINE is set, so it is not asked"

/** A download that takes long enough to be told of, in bytes. */
const worthTelling = 1_000_000

const originOf = (endpoint: string): string => URL.canParse(endpoint) ? new URL(endpoint).origin : endpoint

const connect = (
  settings: HubEnvironment.Settings,
  repository: HubCache.Repository,
  revision: string
): Effect.Effect<HubRemote.Remote | undefined, HubUnreachable> => {
  if (settings.offline) return Effect.succeed(undefined)
  const refuse = (endpoint: string, reason: string) =>
    Effect.fail(new HubUnreachable({ ...repository, revision, endpoint, reason, missing: [], cache: settings.cache }))
  const url = URL.canParse(settings.endpoint) ? new URL(settings.endpoint) : undefined
  if (url === undefined || !/^https?:$/.test(url.protocol)) {
    return refuse("HF_ENDPOINT", "it is no address as in https://huggingface.co")
  }
  if (url.username !== "" || url.password !== "") {
    return refuse(url.origin, "HF_ENDPOINT must not hold a name or password; a token goes into HF_TOKEN")
  }
  return Effect.succeed(HubRemote.make(settings, repository, revision))
}

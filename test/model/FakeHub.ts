/**
 * A hub of a test's own on this machine: the requests that a client makes, answered as the real one answers them, large
 * files by a redirect to another origin. What goes wrong is said beforehand.
 */
import { Effect } from "effect"
import { createHash } from "node:crypto"
import { once } from "node:events"
import * as fs from "node:fs"
import * as http from "node:http"
import type { AddressInfo } from "node:net"
import * as os from "node:os"
import * as path from "node:path"

export interface Request {
  readonly server: "hub" | "storage"
  readonly path: string
  readonly token: string | undefined
  readonly range: string | undefined
}

/** Bytes that are there when they are asked for: those of an array, or such as are made on the way. */
export interface Bytes {
  readonly length: number
  readonly subarray: (from: number, to: number) => Uint8Array
}

/** What a file is served with in place of what it is. */
export interface Trouble {
  /** Statuses to answer the next requests with, before one is answered well. */
  statuses?: Array<readonly [status: number, headers?: Readonly<Record<string, string>>]>
  /** After how many bytes each of the next connections breaks. */
  cuts?: Array<number>
  /** Ranges are not understood. */
  whole?: boolean
  /** Other bytes than were promised. */
  instead?: Uint8Array
}

export interface Repository {
  readonly type?: "model" | "dataset"
  /** By branch or tag. */
  readonly revisions: Record<string, Files>
  /** Who may read it: anybody unless given. */
  readonly token?: string
  readonly gated?: boolean
  /** Replaces the list of files. */
  readonly list?: unknown
}

export interface FakeHub {
  readonly endpoint: string
  readonly repositories: Map<string, Repository>
  /** By the path in a repository, or by the path of a request to the API. */
  readonly troubles: Map<string, Trouble>
  readonly requests: Array<Request>
  /** Of a file of at least this many bytes the SHA-256 is listed, and the content is elsewhere. */
  largeBytes: number
}

/** How many bytes are made and sent at a time. */
const chunk = 65_536

/** A digest that is computed once for the same bytes: each request asks for it. */
const digester = (algorithm: string, prefix: (bytes: Bytes) => string) => {
  const known = new WeakMap<Bytes, string>()
  return (bytes: Bytes): string => {
    const before = known.get(bytes)
    if (before !== undefined) return before
    const hash = createHash(algorithm).update(prefix(bytes))
    for (let at = 0; at < bytes.length; at += chunk) hash.update(bytes.subarray(at, Math.min(at + chunk, bytes.length)))
    const digest = hash.digest("hex")
    known.set(bytes, digest)
    return digest
  }
}

export const sha256 = digester("sha256", () => "")
const gitId = digester("sha1", ({ length }) => `blob ${length}\0`)
const bytesOf = (content: Bytes | string): Bytes =>
  typeof content === "string" ? new TextEncoder().encode(content) : content

type Files = Readonly<Record<string, Bytes | string>>

/** A commit of these files: equal ones are one commit. */
export const commitOf = (files: Files): string =>
  createHash("sha1").update(Object.entries(files).map(([name, content]) => name + gitId(bytesOf(content))).join("\n"))
    .digest("hex")

export const start = Effect.acquireRelease(
  Effect.promise(async () => {
    const hub: FakeHub = {
      endpoint: "",
      repositories: new Map(),
      troubles: new Map(),
      requests: [],
      largeBytes: 1000
    }
    const contents = new Map<string, { readonly bytes: Bytes; readonly file: string }>()

    const trouble = (name: string, response: http.ServerResponse): boolean => {
      const next = hub.troubles.get(name)?.statuses?.shift()
      if (next !== undefined) response.writeHead(next[0], next[1] ?? {}).end("trouble")
      return next !== undefined
    }

    /** Serves bytes, or a range of them, slowly enough that a broken connection leaves a part. */
    const send = async (
      name: string,
      right: Bytes,
      request: http.IncomingMessage,
      response: http.ServerResponse
    ) => {
      const { cuts, instead, whole } = hub.troubles.get(name) ?? {}
      const bytes = instead ?? right
      const from = whole ? 0 : Number(/^bytes=(\d+)-/.exec(request.headers.range ?? "")?.[1] ?? 0)
      if (from > 0 && from >= bytes.length) return void response.writeHead(416).end()
      response.writeHead(from > 0 ? 206 : 200, {
        "Content-Length": bytes.length - from,
        ...(from > 0 ? { "Content-Range": `bytes ${from}-${bytes.length - 1}/${bytes.length}` } : {})
      })
      const cut = cuts?.shift()
      const end = cut === undefined ? bytes.length : Math.min(bytes.length, from + cut)
      for (let at = from; at < end; at += chunk) {
        if (!response.write(bytes.subarray(at, Math.min(at + chunk, end)))) {
          if (response.destroyed) return
          await once(response, "drain").catch(() => {})
        }
      }
      if (cut === undefined) response.end()
      else setTimeout(() => response.destroy(), 20)
    }

    const record = (server: Request["server"], request: http.IncomingMessage) => {
      hub.requests.push({
        server,
        path: request.url ?? "",
        token: request.headers.authorization,
        range: request.headers.range
      })
    }

    const storage = http.createServer((request, response) => {
      record("storage", request)
      const found = contents.get((request.url ?? "").split("?")[0]!.slice(1))
      if (found === undefined) return void response.writeHead(404).end()
      if (!trouble(found.file, response)) void send(found.file, found.bytes, request, response)
    })

    const json = (response: http.ServerResponse, body: unknown, headers: Record<string, string> = {}) =>
      void response.writeHead(200, { "Content-Type": "application/json", ...headers }).end(JSON.stringify(body))

    const server = http.createServer((request, response) => {
      record("hub", request)
      const url = new URL(request.url ?? "", "http://hub")
      const api = /^\/api\/(model|dataset)s\/(.+?)\/(revision|tree|refs)(?:\/([^/]+))?$/.exec(url.pathname)
      const resolve = /^\/(datasets\/)?(.+?)\/resolve\/([^/]+)\/(.+)$/.exec(url.pathname)
      const id = api?.[2] ?? resolve?.[2] ?? ""
      const type = api?.[1] ?? (resolve?.[1] === undefined ? "model" : "dataset")
      const repository = hub.repositories.get(id)
      const refuse = (status: number, code: string, message: string) =>
        void response.writeHead(status, { "X-Error-Code": code, "X-Error-Message": message }).end(
          // A hub that repeats what it was sent must not have us print it.
          JSON.stringify({ error: `${message} ${request.headers.authorization}` })
        )
      if (trouble(url.pathname, response)) return
      if (repository === undefined || (repository.type ?? "model") !== type) {
        return refuse(401, "RepoNotFound", "Repository not found")
      }
      if (repository.token !== undefined && request.headers.authorization !== `Bearer ${repository.token}`) {
        return request.headers.authorization === undefined
          ? repository.gated
            ? refuse(401, "GatedRepo", "Access is restricted")
            : refuse(401, "RepoNotFound", "Not found")
          : refuse(401, "", "Invalid credentials in Authorization header")
      }
      if (repository.gated === true && repository.token === undefined) {
        return refuse(403, "GatedRepo", "Access is restricted")
      }
      const asked = decodeURIComponent(api?.[4] ?? resolve?.[3] ?? "")
      const files = Object.entries(repository.revisions).find(([name, files]) =>
        name === asked || commitOf(files) === asked
      )
        ?.[1]
      if (api?.[3] === "refs") {
        return json(response, {
          branches: Object.entries(repository.revisions).map(([name, files]) => ({
            name,
            targetCommit: commitOf(files)
          })),
          tags: []
        })
      }
      if (files === undefined) return refuse(404, "RevisionNotFound", "Invalid rev id")
      if (api?.[3] === "revision") {
        return json(response, {
          _id: "1",
          id,
          sha: commitOf(files),
          private: false,
          lastModified: new Date(0).toISOString()
        })
      }
      if (api?.[3] === "tree") {
        if (repository.list !== undefined) return json(response, repository.list)
        const entries = Object.entries(files).map(([name, content]) => {
          const bytes = bytesOf(content)
          const entry = { type: "file", path: name, size: bytes.length, oid: gitId(bytes) }
          return bytes.length < hub.largeBytes
            ? entry
            : { ...entry, oid: "f".repeat(40), lfs: { oid: sha256(bytes), size: bytes.length, pointerSize: 130 } }
        })
        // In pages, as the hub lists many files.
        const from = Number(url.searchParams.get("cursor") ?? 0)
        const next = new URL(url.href)
        next.searchParams.set("cursor", String(from + 3))
        return json(
          response,
          entries.slice(from, from + 3),
          from + 3 < entries.length ? { Link: `<${hub.endpoint}${next.pathname}${next.search}>; rel="next"` } : {}
        )
      }
      const name = decodeURIComponent(resolve?.[4] ?? "")
      const content = files[name]
      if (content === undefined) return refuse(404, "EntryNotFound", "Entry not found")
      const bytes = bytesOf(content)
      response.setHeader("X-Repo-Commit", commitOf(files))
      response.setHeader("ETag", `"${gitId(bytes)}"`)
      if (bytes.length < hub.largeBytes) {
        if (!trouble(name, response)) void send(name, bytes, request, response)
        return
      }
      const key = sha256(bytes)
      contents.set(key, { bytes, file: name })
      response.setHeader("X-Linked-ETag", `"${key}"`)
      response.setHeader("X-Linked-Size", bytes.length)
      const { port } = storage.address() as AddressInfo
      response.writeHead(302, { Location: `http://127.0.0.1:${port}/${key}?Signature=secret-signature` }).end()
    })
    for (const each of [server, storage]) await new Promise<void>((resolve) => each.listen(0, resolve))
    return Object.assign(hub, {
      endpoint: `http://localhost:${(server.address() as AddressInfo).port}`,
      close: () => {
        for (const each of [server, storage]) {
          each.closeAllConnections()
          each.close()
        }
      }
    })
  }),
  (hub) => Effect.sync(() => hub.close())
)

/** A folder for a cache, gone when the test ends. */
export const home = Effect.acquireRelease(
  Effect.sync(() => fs.mkdtempSync(path.join(os.tmpdir(), "attune-hub-"))),
  (folder) => Effect.sync(() => fs.rmSync(folder, { recursive: true, force: true }))
)

/**
 * What can go wrong with a repository of the Hugging Face hub. No message and
 * no field holds a token, nor an address that was redirected to: those carry signatures.
 */
import * as Schema from "effect/Schema"
import { HubCacheError } from "../store/HubCache.ts"

const some = (names: ReadonlyArray<string>, limit = 12): string =>
  names.slice(0, limit).join(", ") + (names.length > limit ? ` and ${names.length - limit} more` : "")

const repository = {
  type: Schema.Literals(["model", "dataset"]),
  /** As in `org/name`. */
  id: Schema.String,
  /** The branch, tag or commit that was asked for. */
  revision: Schema.String
}

/** The hub has no such repository, revision or file. */
export class HubNotFound extends Schema.TaggedError<HubNotFound>()("HubNotFound", {
  ...repository,
  what: Schema.Literals(["repository", "revision", "file"]),
  /** What was missed, where it is a file. */
  detail: Schema.String,
  /** What there is in its place: branches and tags, or files. */
  exists: Schema.Array(Schema.String)
}) {
  override get message(): string {
    const found = this.exists.length === 0 ? "" : ` It has ${some(this.exists)}.`
    switch (this.what) {
      case "repository":
        return `The hub has no ${this.type} "${this.id}"${this.detail}, or it is private: then set HF_TOKEN to a token that may `
          + "read it, or log in with `hf auth login`."
      case "revision":
        return `The ${this.type} "${this.id}" has no branch, tag or commit "${this.revision}".${found}`
      case "file":
        return `The ${this.type} "${this.id}" at ${this.revision}: ${this.detail}.${found}`
    }
  }
}

/** The hub does not let this user read the repository. */
export class HubUnauthorized extends Schema.TaggedError<HubUnauthorized>()("HubUnauthorized", {
  ...repository,
  reason: Schema.Literals(["gated", "invalid-token", "forbidden"]),
  /** Where the repository is presented, and access to it asked for. */
  page: Schema.String,
  /** Whether a token was sent. */
  token: Schema.Boolean
}) {
  override get message(): string {
    const name = `the ${this.type} "${this.id}"`
    switch (this.reason) {
      case "gated":
        return `Access to ${name} must be granted by its owner: ask for it at ${this.page}, `
          + (this.token
            ? "with the account that the token in use belongs to."
            : "then set HF_TOKEN to a token of that account, or log in with `hf auth login`.")
      case "invalid-token":
        return `The hub refuses the token that was sent to read ${name}: it is expired, revoked or mistyped. `
          + "Set HF_TOKEN to another, or log in again with `hf auth login`; public repositories need none."
      case "forbidden":
        return this.token
          ? `The token in use may not read ${name}. Give it read access to this repository, or use another token.`
          : `Reading ${name} takes a token: set HF_TOKEN, or log in with \`hf auth login\`.`
    }
  }
}

/** The hub does not answer, or was not to be asked, and the cache does not hold all that is needed. */
export class HubUnreachable extends Schema.TaggedError<HubUnreachable>()("HubUnreachable", {
  ...repository,
  endpoint: Schema.String,
  reason: Schema.String,
  /** Files that are needed and not in the cache, where it is known which they are. */
  missing: Schema.Array(Schema.String),
  /** The folder where they were looked for. */
  cache: Schema.String
}) {
  override get message(): string {
    const names = this.missing.length > 8 ? "" : this.missing.map((file) => ` ${file}`).join("")
    const type = this.type === "dataset" ? " --repo-type dataset" : ""
    const revision = this.revision === "main" ? "" : ` --revision ${this.revision}`
    return [
      `Cannot get the ${this.type} "${this.id}" at ${this.revision} from ${this.endpoint}: ${this.reason}.`,
      this.missing.length === 0
        ? `The cache ${this.cache} does not hold it.`
        : `The cache ${this.cache} lacks ${some(this.missing)}.`,
      `With a connection, \`hf download ${this.id}${names}${type}${revision}\` puts it there, and so does running this again;`,
      "or copy the files into a folder and name that with Source.folder."
    ].join(" ")
  }
}

/** What the hub sent, or what the cache holds, is not what it should be. */
export class HubCorrupt extends Schema.TaggedError<HubCorrupt>()("HubCorrupt", {
  ...repository,
  /** The file, or the path, that is wrong. */
  file: Schema.String,
  reason: Schema.String
}) {
  override get message(): string {
    return `The ${this.type} "${this.id}" at ${this.revision}: ${this.file} ${this.reason}.`
  }
}

/** What can go wrong with a repository of the hub. */
export const HubError = Schema.Union([HubNotFound, HubUnauthorized, HubUnreachable, HubCorrupt, HubCacheError])
export type HubError = typeof HubError.Type

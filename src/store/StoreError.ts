import * as Schema from "effect/Schema"

/**
 * The store could not do what was asked of it.
 *
 * A trial that fails is a row of data; a store that fails ends the run, since
 * nothing after it could be kept. What was committed before stays as it was.
 */
export class StoreError extends Schema.TaggedError<StoreError>()("StoreError", {
  /** What was being done, as in "write the record of fine-tune". */
  operation: Schema.String,
  /** The file concerned. */
  path: Schema.String,
  reason: Schema.Literals(["full", "read-only", "permission", "corrupt", "missing", "busy", "other"]),
  detail: Schema.String
}) {
  override get message(): string {
    return `The store could not ${this.operation} (${this.path}): ${this.detail}. ${advice[this.reason]}`
  }
}

const advice: { readonly [R in StoreError["reason"]]: string } = {
  full: "The disk is full: free some space and run the same command again; finished stages are kept.",
  "read-only": "The file system is read-only: choose another folder with --store.",
  permission: "Give this user write access to the folder, or choose another with --store.",
  corrupt: "The damaged file has been set aside in quarantine/; run the same command again to make it anew.",
  missing: "Run the pipeline again to make it anew.",
  busy: "Wait until that has ended, or end it, and try again.",
  other: "Nothing that was stored before has been changed; another folder can be chosen with --store."
}

const reasons: Readonly<Record<string, StoreError["reason"]>> = {
  ENOSPC: "full",
  EDQUOT: "full",
  EFBIG: "full",
  EROFS: "read-only",
  EACCES: "permission",
  EPERM: "permission"
}

const details: Readonly<Record<string, string>> = {
  ENOSPC: "no space left on the device",
  EDQUOT: "the disk quota is used up",
  EFBIG: "the file would exceed the largest size allowed",
  EROFS: "the file system is read-only",
  EACCES: "permission denied",
  EPERM: "operation not permitted",
  ENOTDIR: "a file stands where a folder should be",
  EEXIST: "a file stands where a folder should be",
  ENOENT: "the folder cannot be made here"
}

/** The store error for what a file operation threw. */
export const fromCause = (operation: string, path: string) => (cause: unknown): StoreError => {
  if (cause instanceof StoreError) return cause
  const { code, message } = cause as NodeJS.ErrnoException
  return new StoreError({
    operation,
    path,
    reason: (code !== undefined ? reasons[code] : undefined) ?? "other",
    detail: (code !== undefined ? details[code] : undefined) ?? message ?? String(cause)
  })
}

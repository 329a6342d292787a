/**
 * What the exit code of `attune` says. docs/cli.md documents them for users.
 */

/** Done what was asked. */
export const ok = 0
/** The pipeline, one of its stages or the machine failed. */
export const failed = 1
/** The command was called in a way it does not understand, or was given a file or value it cannot use. */
export const usage = 2
/** The store cannot be read or written, or has not what was asked for. */
export const store = 3
/** Ended by Ctrl-C (128 + SIGINT). */
export const interrupted = 130
/** Ended by SIGTERM (128 + SIGTERM). */
export const terminated = 143

/**
 * By the tag of the error. Tags and not classes, since most of the classes live in modules that a command loads only
 * when it needs them.
 */
const byTag: Readonly<Record<string, number>> = {
  ShowHelp: usage,
  UsageError: usage,
  UnknownBackend: usage,
  BackendUnavailable: usage,
  DevicesUnavailable: usage,
  PipelineFileError: usage,
  NoSuchMetric: usage,
  InvalidStudy: usage,
  StoreError: store,
  NothingStored: store,
  NoStoredStudy: store,
  NoStoredSpace: store,
  NoImportance: store
}

/** The exit code for what a command failed with. */
export const of = (error: unknown): number => {
  if (typeof error !== "object" || error === null || !("_tag" in error)) return failed
  // A query error without a query is about the tables that every query needs.
  if (error._tag === "QueryError") return "sql" in error && error.sql !== "" ? usage : store
  return byTag[String(error._tag)] ?? failed
}

/**
 * A failed command in a line or two: what happened and what to do about it.
 */
import * as Cause from "effect/Cause"
import * as ExitCode from "./ExitCode.ts"
import * as Text from "./Text.ts"

/** The exit code, and the lines for standard error. */
export interface Failure {
  readonly exitCode: number
  readonly lines: ReadonlyArray<string>
}

/** What can be done about errors whose own message does not say it, by tag. */
const remedies: Readonly<Record<string, string>> = {
  ResourcesUnavailable: "Raise --concurrency, or lower what the stage declares under `resources`.",
  StageTimeout: "Raise the stage's `timeout`; what has finished is kept, and the same command goes on from there.",
  WorkerDied: "What has finished is kept, and the same command goes on from there."
}

export const of = (cause: Cause.Cause<unknown>, debug: boolean): Failure => {
  const error = Cause.squash(cause)
  const exitCode = ExitCode.of(error)
  const details = debug ? ["", ...Cause.pretty(cause).split("\n").map(Text.visible)] : []
  if (isTagged(error)) {
    const remedy = remedies[error._tag]
    const message = typeof error.message === "string" && error.message !== "" ? error.message : describeFields(error)
    return { exitCode, lines: [...Text.visibleLines(message), ...(remedy === undefined ? [] : [remedy]), ...details] }
  }
  const message = error instanceof Error ? `${error.name}: ${error.message}` : String(error)
  return {
    exitCode,
    lines: [
      ...Text.visibleLines(message),
      ...(debug ? details : ["This was not foreseen. `--log-level debug` shows where it happened."])
    ]
  }
}

const isTagged = (error: unknown): error is { readonly _tag: string; readonly message?: unknown } =>
  typeof error === "object" && error !== null && "_tag" in error

/** A stage's own error class need not have a message: then its fields tell. */
const describeFields = ({ _tag, ...fields }: { readonly _tag: string }): string => {
  const entries = Object.entries(fields).filter(([name]) => name !== "stack" && name !== "name" && name !== "message")
  return [_tag, ...entries.map(([name, value]) => `${name}: ${Text.value(value)}`)].join(" · ")
}

/**
 * Patterns that choose among names, as PEFT's configuration files hold them: regular expressions of Python's `re`.
 *
 * Such a file may come from anywhere, and a pattern can be written that takes longer than anyone will wait; so all of them
 * are matched under a limit of time.
 */
import * as Result from "effect/Result"
import * as vm from "node:vm"

/** Far more than a pattern for the names of a model needs. */
const milliseconds = 2000

/** What JavaScript writes differently: named groups, and the ends of the text. */
const translate = (pattern: string): string =>
  pattern.replaceAll("(?P<", "(?<").replaceAll(/\(\?P=(\w+)\)/g, "\\k<$1>").replaceAll("\\A", "^").replaceAll(
    "\\Z",
    "$"
  )

export interface Options {
  /** Whether a name is to be matched to its end: Python's `re.fullmatch` instead of `re.match`. */
  readonly whole: boolean
  /** Give the text of the group of this name instead of all that was matched. */
  readonly group?: string
}

/**
 * For each name that matches from its beginning, what was matched of it.
 *
 * Fails with a clause that says what is wrong with the pattern.
 */
export const match = (
  pattern: string,
  names: Iterable<string>,
  { group, whole }: Options
): Result.Result<ReadonlyMap<string, string>, string> => {
  const all = [...names]
  const source = `^(?:${translate(pattern)})${whole ? "$" : ""}`
  try {
    const found = vm.runInNewContext(
      "const regular = new RegExp(source); names.map((name) => {" +
        " const found = regular.exec(name); return group === undefined ? found?.[0] : found?.groups?.[group] })",
      { names: all, source, group },
      { timeout: milliseconds }
    ) as ReadonlyArray<string | undefined>
    return Result.succeed(new Map(all.flatMap((name, at) => found[at] === undefined ? [] : [[name, found[at]]])))
  } catch (cause) {
    const { code, message } = cause as { readonly code?: string; readonly message: string }
    return Result.fail(
      code === "ERR_SCRIPT_EXECUTION_TIMEOUT"
        ? `holds the pattern ${JSON.stringify(pattern)}, which takes too long to match`
        : `holds the pattern ${JSON.stringify(pattern)}, which is no regular expression here (${message})`
    )
  }
}

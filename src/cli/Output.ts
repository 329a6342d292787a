/**
 * The two streams of a command: data goes to standard output, everything meant for a person to standard error.
 */

export interface Output {
  readonly write: (text: string) => void
  /** Columns and rows of the terminal; a usual size where there is none. */
  readonly columns: () => number
  readonly rows: () => number
  /** Whether what was written can be painted over. */
  readonly repaints: boolean
  readonly colours: boolean
  /** Calls back when the terminal changes its size; answers how to stop that. */
  readonly onResize: (listener: () => void) => () => void
}

const isSet = (variable: string | undefined): boolean => variable !== undefined && variable !== ""

const of = (stream: NodeJS.WriteStream): Output => {
  // Bound now, so that `divert` does not catch what we write ourselves.
  const write = stream.write.bind(stream)
  const { FORCE_COLOR, NO_COLOR, TERM } = process.env
  const isTerminal = stream.isTTY === true
  const repaints = isTerminal && TERM !== "dumb"
  const forced = isSet(FORCE_COLOR) && FORCE_COLOR !== "0" && FORCE_COLOR !== "false"
  return {
    write: (text) => void write(text),
    columns: () => stream.columns > 0 ? stream.columns : 80,
    rows: () => stream.rows > 0 ? stream.rows : 24,
    repaints,
    colours: !isSet(NO_COLOR) && TERM !== "dumb" && (forced || isTerminal),
    onResize: (listener) => {
      stream.on("resize", listener)
      return () => stream.off("resize", listener)
    }
  }
}

export const stdout: Output = of(process.stdout)
export const stderr: Output = of(process.stderr)

/** A line of data. */
export const print = (text: string): void => stdout.write(text.endsWith("\n") ? text : `${text}\n`)

/** A line for a person. */
export const say = (line: string): void => stderr.write(`${line}\n`)

/**
 * Hands over, line by line, what anyone else in this process writes to either stream, such as a stage that logs to the
 * console: standard output is for data, and a block that is painted must not be written into. Answers how to stop.
 */
export const divert = (onLine: (line: string) => void): () => void => {
  const restore = [process.stdout, process.stderr].map((stream) => {
    const { write } = stream
    let rest = ""
    stream.write = (chunk: Uint8Array | string, ...others: ReadonlyArray<unknown>): boolean => {
      const lines = (rest + (typeof chunk === "string" ? chunk : Buffer.from(chunk).toString("utf8"))).split("\n")
      rest = lines.pop()!
      for (const line of lines) onLine(line)
      const done = others.findLast((other) => typeof other === "function")
      if (done !== undefined) queueMicrotask(() => Reflect.apply(done, undefined, []))
      return true
    }
    return () => {
      stream.write = write
      if (rest !== "") onLine(rest)
    }
  })
  return () => restore.forEach((stop) => stop())
}

/** Colours and weights, or none. */
export interface Style {
  readonly bold: (text: string) => string
  readonly faint: (text: string) => string
  readonly good: (text: string) => string
  readonly bad: (text: string) => string
  readonly accent: (text: string) => string
}

export const style = (output: Pick<Output, "colours">): Style => {
  const paint = (code: number, end: number) => (text: string) =>
    output.colours && text !== "" ? `\u001b[${code}m${text}\u001b[${end}m` : text
  return { bold: paint(1, 22), faint: paint(2, 22), good: paint(32, 39), bad: paint(31, 39), accent: paint(36, 39) }
}

/**
 * Paints a block of lines at the bottom of a terminal and paints over it when it changes.
 *
 * Each repaint is one write that replaces the lines from the top of the block down, clearing only what is left over, so
 * that nothing is ever seen blank.
 */
import type { Output } from "../Output.ts"
import * as Text from "../Text.ts"

export interface Painter {
  /** Shows these lines in place of those shown before. */
  readonly paint: (lines: ReadonlyArray<string>) => void
  /** Writes lines above the block, to stay. */
  readonly log: (lines: ReadonlyArray<string>) => void
  /** Removes the block. */
  readonly clear: () => void
}

const escape = "\u001b"
const hideCursor = `${escape}[?25l`
/** Gives the cursor back; written too by whatever ends the process while a block is shown. */
const showCursor = `${escape}[?25h`
/** Terminals that know this mode show a repaint all at once; others ignore it. */
const beginUpdate = `${escape}[?2026h`
const endUpdate = `${escape}[?2026l`
const clearToEndOfLine = `${escape}[K`
const clearBelow = `${escape}[J`
const up = (rows: number) => rows === 0 ? "\r" : `\r${escape}[${rows}A`

// oxlint-disable-next-line no-control-regex
const styling = /\u001b\[[0-9;]*m/g
const widthOf = (line: string) => Text.width(line.replaceAll(styling, ""))

export const make = (output: Pick<Output, "write" | "columns">): Painter => {
  let shown: ReadonlyArray<string> = []
  let shownAt = 0

  /** The rows the block fills now: a terminal that became narrower has wrapped its lines. */
  const rows = (columns: number) =>
    shown.reduce((sum, line) => sum + Math.max(1, Math.ceil(widthOf(line) / columns)), 0)

  const body = (lines: ReadonlyArray<string>) => lines.map((line) => `${line}${clearToEndOfLine}\n`).join("")

  return {
    paint: (lines) => {
      const columns = output.columns()
      if (columns === shownAt && lines.length === shown.length && lines.every((line, index) => line === shown[index])) {
        return
      }
      output.write(
        `${beginUpdate}${hideCursor}${up(rows(columns))}${body(lines)}${clearBelow}${endUpdate}`
      )
      shown = lines
      shownAt = columns
    },
    log: (lines) => {
      const columns = output.columns()
      if (shown.length === 0) return output.write(lines.map((line) => `${line}\n`).join(""))
      output.write(`${beginUpdate}${up(rows(columns))}${body(lines)}${body(shown)}${clearBelow}${endUpdate}`)
      shownAt = columns
    },
    clear: () => {
      if (shownAt === 0) return
      output.write(`${up(rows(output.columns()))}${clearBelow}${showCursor}`)
      shown = []
      shownAt = 0
    }
  }
}

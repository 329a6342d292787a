/** A terminal as far as the painter uses one: text, line feeds, carriage returns, wrapping, moving up, clearing. */
export interface Terminal {
  readonly write: (text: string) => void
  readonly columns: () => number
  /** Makes it wider or narrower; lines wrap anew, as in most terminals. */
  readonly resize: (columns: number) => void
  readonly lines: () => ReadonlyArray<string>
  readonly writes: Array<string>
  readonly cursorHidden: () => boolean
}

export const make = (initial: number): Terminal => {
  let columns = initial
  let hidden = false
  let row = 0, column = 0
  /** Rows, each with whether it goes on in the next. */
  let rows: Array<{ text: string; wraps: boolean }> = [{ text: "", wraps: false }]
  const writes: Array<string> = []

  const put = (character: string) => {
    if (column === columns) {
      rows[row]!.wraps = true
      row++
      column = 0
      rows[row] ??= { text: "", wraps: false }
    }
    const { text } = rows[row]!
    rows[row]!.text = text.padEnd(column).slice(0, column) + character + text.slice(column + 1)
    column++
  }

  const control = (sequence: string) => {
    if (sequence === "[?25l") hidden = true
    else if (sequence === "[?25h") hidden = false
    else if (sequence === "[K") rows[row]!.text = rows[row]!.text.slice(0, column)
    else if (sequence === "[J") {
      rows[row]!.text = rows[row]!.text.slice(0, column)
      rows.splice(row + 1)
    } else if (/^\[\d+A$/.test(sequence)) row = Math.max(0, row - Number(sequence.slice(1, -1)))
    else if (!/^\[(\?2026[hl]|\d+m)$/.test(sequence)) throw new Error(`unknown sequence ${JSON.stringify(sequence)}`)
  }

  return {
    writes,
    columns: () => columns,
    cursorHidden: () => hidden,
    lines: () => rows.map(({ text }) => text.trimEnd()),
    write: (text) => {
      writes.push(text)
      // oxlint-disable-next-line no-control-regex
      for (const [part, sequence] of text.matchAll(/\u001b(\[[?\d;]*[A-Za-z])|[^]/g)) {
        if (sequence !== undefined) control(sequence)
        else if (part === "\n") {
          row++
          column = 0
          rows[row] ??= { text: "", wraps: false }
        } else if (part === "\r") column = 0
        else put(part)
      }
    },
    resize: (next) => {
      const logical: Array<string> = []
      let joins = false
      for (const { text, wraps } of rows) {
        if (joins) logical[logical.length - 1] += text
        else logical.push(text)
        joins = wraps
      }
      columns = next
      rows = logical.flatMap((text) => {
        const parts = text.trimEnd().match(new RegExp(`.{1,${next}}`, "g")) ?? [""]
        return parts.map((part, index) => ({ text: part, wraps: index < parts.length - 1 }))
      })
      row = rows.length - 1
      column = 0
    }
  }
}

/**
 * Lines of a file of text, from its bytes.
 *
 * A line feed is one byte in UTF-8 and part of no other character, so lines are
 * cut before they are decoded: a line of any length is put together once, and
 * bytes that are no UTF-8 are found in the line they are in.
 */
import { isUtf8 } from "node:buffer"

export interface Lines {
  /** Takes the next bytes of the file and gives the lines that end in them, without their line ends. */
  readonly push: (bytes: Uint8Array) => ReadonlyArray<Uint8Array>
  /** Gives what stands after the last line end, if anything does. */
  readonly end: () => ReadonlyArray<Uint8Array>
  /** Bytes held of a line that has not ended. */
  readonly held: () => number
}

const lineFeed = 0x0a
const carriageReturn = 0x0d

const withoutReturn = (line: Uint8Array): Uint8Array =>
  line.at(-1) === carriageReturn ? line.subarray(0, line.length - 1) : line

/** Cuts bytes into lines, each ended by LF or CRLF. */
export const make = (): Lines => {
  let parts: Array<Uint8Array> = []
  let held = 0
  const take = (last: Uint8Array): Uint8Array => {
    if (parts.length === 0) return withoutReturn(last)
    const line = Buffer.concat([...parts, last])
    parts = []
    held = 0
    return withoutReturn(line)
  }
  return {
    push: (bytes) => {
      const lines: Array<Uint8Array> = []
      let start = 0
      for (let end = bytes.indexOf(lineFeed); end >= 0; end = bytes.indexOf(lineFeed, start)) {
        lines.push(take(bytes.subarray(start, end)))
        start = end + 1
      }
      if (start < bytes.length) {
        parts.push(bytes.subarray(start))
        held += bytes.length - start
      }
      return lines
    },
    end: () => (held === 0 ? [] : [take(new Uint8Array())]),
    held: () => held
  }
}

/** The mark that some programs put before a text in UTF-8. */
export const withoutMark = (bytes: Uint8Array): Uint8Array =>
  bytes[0] === 0xef && bytes[1] === 0xbb && bytes[2] === 0xbf ? bytes.subarray(3) : bytes

/** Whether the file begins with the mark of UTF-16, which is not read. */
export const isUtf16 = (bytes: Uint8Array): boolean =>
  (bytes[0] === 0xff && bytes[1] === 0xfe) || (bytes[0] === 0xfe && bytes[1] === 0xff)

/** What stands around the first bytes of a line that are no UTF-8 (shown as \ufffd), or `undefined` if all are. */
export const notUtf8 = (line: Uint8Array): string | undefined => {
  if (isUtf8(line)) return undefined
  const text = new TextDecoder().decode(line)
  const at = text.indexOf("\ufffd")
  return JSON.stringify(text.slice(Math.max(0, at - 20), at + 20))
}

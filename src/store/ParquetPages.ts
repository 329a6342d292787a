/**
 * A look at the pages of a column chunk before they are decoded.
 *
 * The decoder trusts the sizes that stand in the headers of pages: a damaged
 * one can send it back to where it was, or make it ask for gigabytes.
 */
import type { ColumnMetaData } from "hyparquet"
import { parquetHeader } from "hyparquet/src/column.js"

/**
 * What is wrong with the headers of the pages in `bytes`, the bytes of one
 * column chunk, or `undefined` when they add up to what its footer says.
 */
export const fault = (bytes: Uint8Array, chunk: ColumnMetaData): string | undefined => {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const reader = { view, offset: 0 }
  const values = Number(chunk.num_values)
  let found = 0
  for (let page = 1; found < values; page++) {
    if (reader.offset >= bytes.length) return `its pages hold ${found} of ${values} values`
    let header: ReturnType<typeof parquetHeader>
    try {
      header = parquetHeader(reader)
    } catch (error) {
      return `the header of its page ${page} cannot be read (${(error as Error).message})`
    }
    const { compressed_page_size: size, data_page_header: v1, data_page_header_v2: v2, type } = header
    if (!(size >= 0 && reader.offset + size <= bytes.length)) return `its page ${page} claims ${size} bytes`
    // No page is larger than all pages together, headers included.
    const unpacked = header.uncompressed_page_size
    if (!(unpacked >= 0 && unpacked <= Math.max(Number(chunk.total_uncompressed_size), 1 << 24))) {
      return `its page ${page} claims ${unpacked} bytes when unpacked`
    }
    if (type === "DATA_PAGE" || type === "DATA_PAGE_V2") {
      const count = (v1 ?? v2)?.num_values
      if (count === undefined || !(count >= 0 && found + count <= values)) {
        return `its page ${page} claims ${count} values`
      }
      if (v2 !== undefined) {
        const levels = [v2.definition_levels_byte_length, v2.repetition_levels_byte_length]
        if (levels.some((length) => !(length >= 0)) || levels[0]! + levels[1]! > Math.min(size, unpacked)) {
          return `its page ${page} claims levels of ${levels.join(" and ")} bytes`
        }
        if (!(v2.num_nulls >= 0 && v2.num_nulls <= count)) return `its page ${page} claims ${v2.num_nulls} nulls`
      }
      found += count
    } else if (type === "DICTIONARY_PAGE") {
      const count = header.dictionary_page_header?.num_values
      if (count === undefined || !(count >= 0 && count <= Math.max(values, unpacked))) {
        return `its dictionary claims ${count} values`
      }
    } else if (type === undefined) return `its page ${page} is of no known kind`
    reader.offset += size
  }
  return undefined
}

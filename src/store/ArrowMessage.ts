/**
 * The Arrow schema inside a Parquet file: written as Arrow's libraries write
 * it, read with every bound checked.
 *
 * The FlatBuffers code in apache-arrow takes a length that it reads for
 * granted, so that a damaged byte in a footer can use up the memory. What is
 * needed here is little: which texts are dictionaries, which time zone a
 * timestamp has, and the notes on each field.
 */
import { Message } from "apache-arrow/ipc/metadata/message"
import type { Schema } from "apache-arrow/schema"

/** The key under which Arrow's libraries keep the schema of a table in a Parquet file. */
export const key = "ARROW:schema"

/** The value under {@link key}: the schema message of an IPC stream, in base 64. */
export const write = (schema: Schema): string => {
  const body = Message.encode(Message.from(schema))
  // Encapsulated message (Arrow columnar format, IPC): a continuation mark, the
  // length of what follows padded to eight bytes, the message.
  const padded = Math.ceil(body.length / 8) * 8
  const framed = Buffer.alloc(8 + padded)
  framed.writeUInt32LE(0xffffffff, 0)
  framed.writeInt32LE(padded, 4)
  framed.set(body, 8)
  return framed.toString("base64")
}

/** What an embedded schema says of a field beyond its Parquet type. */
export interface FieldNote {
  readonly name: string
  readonly dictionary: boolean
  readonly timezone: string | undefined
  readonly metadata: ReadonlyMap<string, string>
  readonly children: ReadonlyArray<FieldNote>
}

// Numbers of the slots in Message.fbs and Schema.fbs of the Arrow format.
const schemaHeader = 1
const timestampType = 10

/** Tables, vectors and texts of a FlatBuffer. All reads outside of it throw. */
class Reader {
  private readonly view: DataView
  private fields = 0

  constructor(bytes: Uint8Array) {
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  }

  root(): number {
    return this.view.getUint32(0, true)
  }

  /** The position of a slot of a table, or 0 when it is not there. */
  slot(table: number, index: number): number {
    const vtable = table - this.view.getInt32(table, true)
    const entry = 4 + 2 * index
    if (entry + 2 > this.view.getUint16(vtable, true)) return 0
    const offset = this.view.getUint16(vtable + entry, true)
    return offset === 0 ? 0 : table + offset
  }

  byte(table: number, index: number): number {
    const at = this.slot(table, index)
    return at === 0 ? 0 : this.view.getUint8(at)
  }

  table(table: number, index: number): number {
    const at = this.slot(table, index)
    return at === 0 ? 0 : at + this.view.getUint32(at, true)
  }

  text(table: number, index: number): string | undefined {
    const at = this.table(table, index)
    if (at === 0) return undefined
    const length = this.view.getUint32(at, true)
    if (at + 4 + length > this.view.byteLength) throw new RangeError("a text runs out of the message")
    return Buffer.from(this.view.buffer, this.view.byteOffset + at + 4, length).toString("utf8")
  }

  tables(table: number, index: number): ReadonlyArray<number> {
    const at = this.table(table, index)
    if (at === 0) return []
    const length = this.view.getUint32(at, true)
    if (at + 4 + 4 * length > this.view.byteLength) throw new RangeError("a list runs out of the message")
    return Array.from({ length }, (_, i) => {
      const entry = at + 4 + 4 * i
      return entry + this.view.getUint32(entry, true)
    })
  }

  field(table: number): FieldNote {
    // Damage can make a field its own child.
    if (++this.fields > 100_000) throw new RangeError("the fields never end")
    return {
      name: this.text(table, 0) ?? "",
      dictionary: this.slot(table, 4) !== 0,
      timezone: this.byte(table, 2) === timestampType ? this.text(this.table(table, 3), 1) : undefined,
      metadata: new Map(
        this.tables(table, 6).map((pair): [string, string] => [this.text(pair, 0) ?? "", this.text(pair, 1) ?? ""])
      ),
      children: this.tables(table, 5).map((child) => this.field(child))
    }
  }
}

/** What is noted under {@link key}, or `undefined` where it cannot be read: the table can be read without. */
export const read = (text: string): ReadonlyArray<FieldNote> | undefined => {
  try {
    const framed = Buffer.from(text, "base64")
    // Before Arrow 0.15 there was no continuation mark.
    const start = framed.readUInt32LE(0) === 0xffffffff ? 4 : 0
    const reader = new Reader(framed.subarray(start + 4, start + 4 + framed.readInt32LE(start)))
    const message = reader.root()
    if (reader.byte(message, 1) !== schemaHeader) return undefined
    return reader.tables(reader.table(message, 2), 1).map((field) => reader.field(field))
  } catch {
    return undefined
  }
}

/**
 * The safetensors file format, in memory.
 *
 * A file is eight bytes of header length (little-endian), a JSON header that
 * gives each tensor its type, shape and byte range, and then the tensors' bytes
 * without gaps. Numbers are little-endian, as on every machine that Node runs on.
 *
 * Source: https://github.com/huggingface/safetensors#format
 */
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import * as HalfFloat from "./HalfFloat.ts"

/** How a number is stored. */
export type DType =
  | "BOOL"
  | "U8"
  | "I8"
  | "U16"
  | "I16"
  | "U32"
  | "I32"
  | "U64"
  | "I64"
  | "F16"
  | "BF16"
  | "F32"
  | "F64"

/**
 * The array that holds numbers stored as `D`. JavaScript has no array of
 * bfloat16 (nor, before Node 24, of float16), so both are widened to float32,
 * which holds each of their values exactly.
 */
export interface Arrays {
  readonly BOOL: Uint8Array
  readonly U8: Uint8Array
  readonly I8: Int8Array
  readonly U16: Uint16Array
  readonly I16: Int16Array
  readonly U32: Uint32Array
  readonly I32: Int32Array
  readonly U64: BigUint64Array
  readonly I64: BigInt64Array
  readonly F16: Float32Array
  readonly BF16: Float32Array
  readonly F32: Float32Array
  readonly F64: Float64Array
}

/** A tensor: the numbers in row-major order, their storage type and their shape (`[]` for a scalar). */
export type Tensor = {
  readonly [D in DType]: {
    readonly dtype: D
    readonly shape: ReadonlyArray<number>
    readonly data: Arrays[D]
  }
}[DType]

/** What a file holds. */
export interface Safetensors {
  readonly tensors: ReadonlyMap<string, Tensor>
  /** The `__metadata__` entry: free text by key. */
  readonly metadata: Readonly<Record<string, string>>
}

/** A value of the header for a message. It may be as long as the header is. */
const shown = (value: unknown): string => {
  const text = JSON.stringify(value) ?? "nothing"
  return text.length > 100 ? `${text.slice(0, 100)}…` : text
}

/** The bytes are not a safetensors file, or lie about what they hold. */
export class MalformedSafetensors extends Schema.TaggedError<MalformedSafetensors>()("MalformedSafetensors", {
  /** The name of the file, where it is known. */
  file: Schema.optional(Schema.String),
  /** The tensor whose entry is wrong, when it is an entry that is wrong. */
  tensor: Schema.optional(Schema.String),
  reason: Schema.String
}) {
  override get message() {
    const where = this.tensor === undefined ? "" : ` (tensor ${shown(this.tensor)})`
    return `${
      this.file === undefined ? "" : `${this.file}: `
    }Not a valid safetensors file${where}: ${this.reason}. Fetch or export the file again.`
  }
}

const itemBytes: Readonly<Record<DType, number>> = {
  BOOL: 1,
  U8: 1,
  I8: 1,
  U16: 2,
  I16: 2,
  U32: 4,
  I32: 4,
  U64: 8,
  I64: 8,
  F16: 2,
  BF16: 2,
  F32: 4,
  F64: 8
}

const isDType = (value: unknown): value is DType => typeof value === "string" && Object.hasOwn(itemBytes, value)

/** The limit of the reference implementation: a longer header is an attack or a mistake. */
const maximumHeaderBytes = 100_000_000

interface Entry {
  readonly name: string
  readonly dtype: DType
  readonly shape: ReadonlyArray<number>
  readonly begin: number
  readonly end: number
}

const malformed = (reason: string, tensor?: string) =>
  Result.fail(new MalformedSafetensors({ reason, ...(tensor === undefined ? {} : { tensor }) }))

const isCount = (value: unknown): value is number => Number.isSafeInteger(value) && (value as number) >= 0

const parseEntry = (
  name: string,
  entry: unknown,
  dataBytes: number
): Result.Result<Entry, MalformedSafetensors> => {
  if (typeof entry !== "object" || entry === null) return malformed("its entry is not an object", name)
  const { dtype, shape, data_offsets: offsets } = entry as Record<string, unknown>
  if (!isDType(dtype)) {
    return malformed(
      `unknown dtype ${shown(dtype)}, expected one of ${Object.keys(itemBytes).join(", ")}`,
      name
    )
  }
  if (!Array.isArray(shape) || !shape.every(isCount)) {
    return malformed(`shape ${shown(shape)} is not a list of non-negative integers`, name)
  }
  if (!Array.isArray(offsets) || offsets.length !== 2 || !offsets.every(isCount)) {
    return malformed(`data_offsets ${shown(offsets)} are not two non-negative integers`, name)
  }
  const [begin, end] = offsets as [number, number]
  const expected = shape.reduce((size: number, length: number) => size * length, itemBytes[dtype])
  if (end - begin !== expected) {
    return malformed(
      `its bytes ${begin} to ${end} are ${end - begin} bytes, but ${dtype} ${shown(shape)} takes ${expected}`,
      name
    )
  }
  if (end > dataBytes) {
    return malformed(`its bytes end at ${end}, but the file has only ${dataBytes} bytes of data (truncated?)`, name)
  }
  return Result.succeed({ name, dtype, shape, begin, end })
}

/** How deep a header goes: the header, an entry, its shape. */
const maximumDepth = 3

/**
 * What JSON.parse does not tell of a header: that it goes deeper than any
 * header does, which costs a multiple of its size in memory, or that a name
 * stands in it twice, of which readers take one or the other.
 */
const oddity = (text: string): Result.Result<void, MalformedSafetensors> => {
  const names = new Set<string>()
  let depth = 0
  let start = 0
  let end = 0
  for (let i = 0; i < text.length; i++) {
    const character = text.charCodeAt(i)
    if (character === 0x22) {
      start = i
      for (i++; i < text.length && text.charCodeAt(i) !== 0x22; i++) if (text.charCodeAt(i) === 0x5c) i++
      end = i + 1
      continue
    }
    if (character === 0x7b || character === 0x5b) {
      if (++depth > maximumDepth) return malformed(`the header is nested more than ${maximumDepth} deep`)
    } else if (character === 0x7d || character === 0x5d) depth--
    else if (character === 0x3a && depth === 1) {
      const name = text.slice(start, end)
      // Two spellings of a name are one name.
      const plain = name.includes("\\") ? String(JSON.parse(name)) : name.slice(1, -1)
      if (names.has(plain)) return malformed("it is there twice", plain)
      names.add(plain)
    }
  }
  return Result.succeed(undefined)
}

const parseJson = (bytes: Uint8Array): Result.Result<unknown, MalformedSafetensors> => {
  try {
    const text = new TextDecoder("utf-8", { fatal: true }).decode(bytes)
    const odd = oddity(text)
    return Result.isFailure(odd) ? Result.fail(odd.failure) : Result.succeed(JSON.parse(text))
  } catch (error) {
    return malformed(`the header is not JSON in UTF-8 (${(error as Error).message})`)
  }
}

const parseMetadata = (value: unknown): Result.Result<Record<string, string>, MalformedSafetensors> => {
  if (value === undefined) return Result.succeed({})
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    return malformed("__metadata__ is not an object")
  }
  for (const [key, text] of Object.entries(value)) {
    if (typeof text !== "string") return malformed(`__metadata__ holds ${shown(key)} as something else than text`)
  }
  return Result.succeed(value as Record<string, string>)
}

const decodeResult = (bytes: Uint8Array): Result.Result<Safetensors, MalformedSafetensors> => {
  if (bytes.byteLength < 8) return malformed(`the file has ${bytes.byteLength} bytes, a header alone has more`)
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const headerBytes = Number(view.getBigUint64(0, true))
  if (headerBytes > maximumHeaderBytes) {
    return malformed(`it declares a header of ${headerBytes} bytes, more than the allowed ${maximumHeaderBytes}`)
  }
  if (8 + headerBytes > bytes.byteLength) {
    return malformed(
      `it declares a header of ${headerBytes} bytes, but only ${bytes.byteLength - 8} follow (truncated?)`
    )
  }
  const header = parseJson(bytes.subarray(8, 8 + headerBytes))
  if (Result.isFailure(header)) return Result.fail(header.failure)
  if (typeof header.success !== "object" || header.success === null || Array.isArray(header.success)) {
    return malformed("the header is not an object")
  }
  const { __metadata__, ...rest } = header.success as Record<string, unknown>
  const metadata = parseMetadata(__metadata__)
  if (Result.isFailure(metadata)) return Result.fail(metadata.failure)
  const start = 8 + headerBytes
  const dataBytes = bytes.byteLength - start
  const entries: Array<Entry> = []
  for (const [name, value] of Object.entries(rest)) {
    const entry = parseEntry(name, value, dataBytes)
    if (Result.isFailure(entry)) return Result.fail(entry.failure)
    entries.push(entry.success)
  }
  // Each byte belongs to exactly one tensor: no overlap, no gap, nothing after the last.
  let position = 0
  for (const entry of entries.toSorted((a, b) => a.begin - b.begin || a.end - b.end)) {
    if (entry.begin !== position) {
      return malformed(
        `its bytes begin at ${entry.begin}, but the tensor before ends at ${position} (overlap or gap)`,
        entry.name
      )
    }
    position = entry.end
  }
  if (position !== dataBytes) {
    return malformed(`${dataBytes - position} bytes after the last tensor belong to none`)
  }
  const tensors = new Map<string, Tensor>()
  for (const { name, dtype, shape, begin, end } of entries) {
    tensors.set(name, { dtype, shape, data: readArray(dtype, bytes.subarray(start + begin, start + end)) } as Tensor)
  }
  return Result.succeed({ tensors, metadata: metadata.success })
}

const named = ({ reason, tensor }: MalformedSafetensors, file: string): MalformedSafetensors =>
  new MalformedSafetensors({ file, reason, ...(tensor === undefined ? {} : { tensor }) })

/**
 * Reads a safetensors file. `file` is its name, for messages.
 *
 * The tensors are views of `bytes` where alignment allows, so `bytes` must not
 * change afterwards; misaligned tensors and those stored as F16 or BF16 are copied.
 */
export const decode = (bytes: Uint8Array, file?: string): Effect.Effect<Safetensors, MalformedSafetensors> =>
  Effect.suspend(() => {
    const decoded = decodeResult(bytes)
    return Effect.fromResult(
      Result.isFailure(decoded) && file !== undefined
        ? Result.fail(named(decoded.failure, file))
        : decoded
    )
  })

const constructors = {
  BOOL: Uint8Array,
  U8: Uint8Array,
  I8: Int8Array,
  U16: Uint16Array,
  I16: Int16Array,
  U32: Uint32Array,
  I32: Int32Array,
  U64: BigUint64Array,
  I64: BigInt64Array,
  F32: Float32Array,
  F64: Float64Array
} as const

const viewAs = (dtype: keyof typeof constructors, bytes: Uint8Array): Arrays[DType] => {
  // Not its own slice: what is read from a file is a Buffer, whose slice is no copy.
  const aligned = bytes.byteOffset % itemBytes[dtype] === 0 ? bytes : new Uint8Array(bytes)
  return new constructors[dtype](
    aligned.buffer as ArrayBuffer,
    aligned.byteOffset,
    aligned.byteLength / itemBytes[dtype]
  )
}

const readArray = (dtype: DType, bytes: Uint8Array): Arrays[DType] => {
  if (dtype !== "F16" && dtype !== "BF16") return viewAs(dtype, bytes)
  const halves = viewAs("U16", bytes) as Uint16Array
  return dtype === "BF16" ? HalfFloat.widenBfloat16(halves) : HalfFloat.widenFloat16(halves)
}

const bytesOf = (tensor: Tensor): Uint8Array => {
  const data = tensor.dtype === "F16"
    ? HalfFloat.narrowToFloat16(tensor.data)
    : tensor.dtype === "BF16"
    ? HalfFloat.narrowToBfloat16(tensor.data)
    : tensor.data
  return new Uint8Array(data.buffer, data.byteOffset, data.byteLength)
}

/**
 * Writes a safetensors file: tensors in the order of their names, so that equal
 * contents give equal bytes, and the header padded with spaces to a multiple of
 * eight, so that every tensor a reader maps is aligned.
 *
 * A tensor whose shape and length disagree is a programming error and throws.
 */
export const encode = (
  tensors: Iterable<readonly [string, Tensor]>,
  metadata?: Readonly<Record<string, string>>
): Uint8Array => {
  // Widest items first keeps every tensor aligned to its own item size.
  const sorted = Array.from(tensors).toSorted(([a, left], [b, right]) =>
    itemBytes[right.dtype] - itemBytes[left.dtype] || (a < b ? -1 : a > b ? 1 : 0)
  )
  const header: Record<string, unknown> = Object.create(null) as Record<string, unknown>
  if (metadata !== undefined) header["__metadata__"] = metadata
  const parts: Array<Uint8Array> = []
  let position = 0
  for (const [name, tensor] of sorted) {
    const part = bytesOf(tensor)
    const expected = tensor.shape.reduce((size, length) => size * length, itemBytes[tensor.dtype])
    if (name === "__metadata__") throw new RangeError("__metadata__ is reserved and cannot name a tensor")
    if (part.byteLength !== expected) {
      throw new RangeError(
        `Tensor ${name} of shape [${tensor.shape.join(", ")}] takes ${expected} bytes but has ${part.byteLength}`
      )
    }
    header[name] = { dtype: tensor.dtype, shape: tensor.shape, data_offsets: [position, position + part.byteLength] }
    parts.push(part)
    position += part.byteLength
  }
  const text = new TextEncoder().encode(JSON.stringify(header))
  const headerBytes = Math.ceil(text.byteLength / 8) * 8
  const bytes = new Uint8Array(8 + headerBytes + position).fill(0x20, 8 + text.byteLength, 8 + headerBytes)
  new DataView(bytes.buffer).setBigUint64(0, BigInt(headerBytes), true)
  bytes.set(text, 8)
  let offset = 8 + headerBytes
  for (const part of parts) {
    bytes.set(part, offset)
    offset += part.byteLength
  }
  return bytes
}

import { assert, describe, it } from "@effect/vitest"
import { Effect, Schema } from "effect"
import { readFileSync } from "node:fs"
import * as Safetensors from "../../src/model/Safetensors.ts"

const fixture = (path: string) => new Uint8Array(readFileSync(new URL(`../fixtures/hf/${path}`, import.meta.url)))

/** A file with this header (as it is, or as JSON) and these data bytes (or so many zeros). */
const file = (header: unknown, data: Uint8Array | number = 0, declared?: bigint): Uint8Array => {
  const text = header instanceof Uint8Array ? header : new TextEncoder().encode(JSON.stringify(header))
  const bytes = new Uint8Array([
    ...new Uint8Array(8),
    ...text,
    ...(typeof data === "number" ? new Uint8Array(data) : data)
  ])
  new DataView(bytes.buffer).setBigUint64(0, declared ?? BigInt(text.length), true)
  return bytes
}

const F32 = (shape: ReadonlyArray<number>, data_offsets: ReadonlyArray<unknown>) => ({
  dtype: "F32",
  shape,
  data_offsets
})

/** The value of a binary16 or bfloat16, by its definition. */
const halfValue = (bits: number, exponentBits: number) => {
  const fractionBits = 15 - exponentBits
  const sign = bits & 0x8000 ? -1 : 1
  const exponent = (bits >> fractionBits) & ((1 << exponentBits) - 1)
  const fraction = bits & ((1 << fractionBits) - 1)
  const bias = (1 << (exponentBits - 1)) - 1
  if (exponent === (1 << exponentBits) - 1) return fraction === 0 ? sign * Infinity : NaN
  return exponent === 0
    ? sign * fraction * 2 ** (1 - bias - fractionBits)
    : sign * (1 + fraction * 2 ** -fractionBits) * 2 ** (exponent - bias)
}

describe("Safetensors", () => {
  it.effect("reads what the reference implementation wrote, and writes the same tensors back", () =>
    Effect.gen(function*() {
      const original = yield* Safetensors.decode(fixture("gpt2/model.safetensors"))
      assert.deepStrictEqual(original.metadata, { format: "pt" })
      assert.deepStrictEqual(original.tensors.get("transformer.wte.weight")?.shape, [384, 48])
      const again = yield* Safetensors.decode(Safetensors.encode(original.tensors, original.metadata))
      assert.deepStrictEqual([...again.tensors.keys()].toSorted(), [...original.tensors.keys()].toSorted())
      for (const [name, tensor] of original.tensors) assert.deepStrictEqual(again.tensors.get(name), tensor)
      assert.deepStrictEqual(
        Safetensors.encode(original.tensors, original.metadata),
        fixture("gpt2/model.safetensors"),
        "byte for byte, both being sorted and padded"
      )
    }))

  const dtypes: ReadonlyArray<Safetensors.DType> = [
    "BOOL",
    "U8",
    "I8",
    "U16",
    "I16",
    "U32",
    "I32",
    "U64",
    "I64",
    "F16",
    "BF16",
    "F32",
    "F64"
  ]
  const bytesOf = {
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
  const Entry = Schema.Struct({
    name: Schema.String,
    dtype: Schema.Literals(dtypes),
    shape: Schema.Array(Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 4 }))).check(Schema.isMaxLength(4)),
    seed: Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 2 ** 31 - 1 }))
  })

  it.effect.prop(
    "round-trips any tensors of any type at any alignment",
    [Schema.Array(Entry).check(Schema.isMaxLength(5)), Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 7 }))],
    ([entries, shift]) =>
      Effect.gen(function*() {
        // Raw bytes laid out here, not by encode: what decode reads must be what these bytes say.
        const header: Record<string, unknown> = {}
        const raw: Array<number> = []
        for (const { name, dtype, shape, seed } of entries) {
          if (name === "__metadata__" || name === "__proto__" || Object.hasOwn(header, name)) continue
          // JSON.parse of Node 24.21 may read the key "\\n" as "\\" once it has read an object with the latter.
          if (JSON.stringify(name) !== `"${name}"`) continue
          const size = shape.reduce((a, b) => a * b, 1) * bytesOf[dtype]
          header[name] = { dtype, shape, data_offsets: [raw.length, raw.length + size] }
          for (let i = 0; i < size; i++) raw.push(((seed + i) * 2654435761) >>> 24)
        }
        const source = file(header, new Uint8Array(raw))
        const shifted = new Uint8Array(source.length + shift).subarray(shift)
        shifted.set(source)
        const decoded = yield* Safetensors.decode(shifted)
        assert.deepStrictEqual([...decoded.tensors.keys()].toSorted(), Object.keys(header).toSorted())
        const again = yield* Safetensors.decode(Safetensors.encode(decoded.tensors, { a: "b" }))
        assert.deepStrictEqual(again.metadata, { a: "b" })
        for (const [name, tensor] of decoded.tensors) {
          const other = again.tensors.get(name)!
          assert.deepStrictEqual(other.shape, tensor.shape)
          assert.strictEqual(other.dtype, tensor.dtype)
          assert.deepStrictEqual(String(other.data), String(tensor.data))
        }
      })
  )

  for (const [dtype, exponentBits] of [["F16", 5], ["BF16", 8]] as const) {
    it.effect(`widens every ${dtype} exactly and narrows it back to itself`, () =>
      Effect.gen(function*() {
        const bits = Uint16Array.from({ length: 65536 }, (_, i) => i)
        const decoded = yield* Safetensors.decode(
          file({ x: { dtype, shape: [65536], data_offsets: [0, 131072] } }, new Uint8Array(bits.buffer))
        )
        const tensor = decoded.tensors.get("x")!
        for (let i = 0; i < 65536; i++) {
          const expected = halfValue(i, exponentBits)
          if (!Object.is(tensor.data[i], expected)) assert.fail(`${i}: ${tensor.data[i]} is not ${expected}`)
        }
        const bytes = Safetensors.encode([["x", tensor]])
        const back = new Uint16Array(bytes.slice(bytes.length - 131072).buffer)
        for (let i = 0; i < 65536; i++) {
          if (!Number.isNaN(halfValue(i, exponentBits)) && back[i] !== i) assert.fail(`${i} came back as ${back[i]}`)
          if (Number.isNaN(halfValue(i, exponentBits)) !== Number.isNaN(halfValue(back[i]!, exponentBits))) {
            assert.fail(`NaN ${i} came back as ${back[i]}`)
          }
        }
      }))

    it.effect.prop(
      `narrows any float32 to a nearest ${dtype}`,
      [Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 2 ** 32 - 1 }))],
      ([bits]) =>
        Effect.gen(function*() {
          const data = new Float32Array(Uint32Array.of(bits).buffer)
          if (Number.isNaN(data[0])) return
          const narrowed = yield* Safetensors.decode(Safetensors.encode([["x", { dtype, shape: [1], data }]]))
          const chosen = narrowed.tensors.get("x")!.data[0] as number
          const bytes = Safetensors.encode([["x", { dtype, shape: [1], data }]])
          const code = bytes[bytes.length - 2]! | (bytes[bytes.length - 1]! << 8)
          if (!Number.isFinite(chosen)) {
            // Half a unit beyond the largest finite value rounds to infinity.
            const largest = dtype === "F16" ? 65504 : halfValue(0x7f7f, 8)
            assert.isTrue(Math.abs(data[0]!) > largest)
            return
          }
          const distance = Math.abs(chosen - data[0]!)
          for (const neighbour of [code - 1, code + 1]) {
            if (neighbour < 0 || neighbour > 0xffff) continue
            const value = halfValue(neighbour, exponentBits)
            if (!Number.isFinite(value) || (code & 0x8000) !== (neighbour & 0x8000)) continue
            const other = Math.abs(value - data[0]!)
            assert.isTrue(distance < other || (distance === other && (code & 1) === 0), `${data[0]} became ${chosen}`)
          }
        })
    )
  }

  const hostile: ReadonlyArray<readonly [string, Uint8Array, RegExp]> = [
    ["an empty file", new Uint8Array(0), /0 bytes/],
    ["a header longer than the file", file({}, 0, 1000n), /1000 bytes.*truncated/],
    ["a header length of nearly 2^64", file({}, 0, 2n ** 64n - 1n), /more than the allowed/],
    ["a header that is not JSON", file(new TextEncoder().encode("{nope")), /not JSON/],
    ["a header that is not UTF-8", file(Uint8Array.of(0x22, 0xff, 0x22)), /not JSON/],
    ["a header that is a list", file([]), /not an object/],
    ["an entry that is a number", file({ x: 3 }), /entry is not an object/],
    [
      "an unknown dtype",
      file({ x: { dtype: "F8_E4M3", shape: [1], data_offsets: [0, 1] } }, 1),
      /unknown dtype "F8_E4M3"/
    ],
    ["a dtype of the prototype", file({ x: { dtype: "toString", shape: [], data_offsets: [0, 0] } }), /unknown dtype/],
    ["a negative length", file({ x: F32([-1], [0, 4]) }, 4), /non-negative/],
    ["a fractional length", file({ x: F32([0.5], [0, 2]) }, 2), /non-negative/],
    ["a shape whose size overflows", file({ x: F32([2 ** 40, 2 ** 40], [0, 4]) }, 4), /takes/],
    ["offsets that are text", file({ x: F32([1], ["0", "4"]) }, 4), /two non-negative/],
    ["offsets in reverse", file({ x: F32([1], [4, 0]) }, 4), /takes 4/],
    ["offsets past the end", file({ x: F32([2], [0, 8]) }, 4), /truncated/],
    ["offsets that disagree with the shape", file({ x: F32([2], [0, 4]) }, 4), /takes 8/],
    ["two tensors that overlap", file({ x: F32([1], [0, 4]), y: F32([1], [0, 4]) }, 4), /overlap/],
    ["a gap between tensors", file({ x: F32([1], [0, 4]), y: F32([1], [8, 12]) }, 12), /gap/],
    ["bytes after the last tensor", file({ x: F32([1], [0, 4]) }, 9), /5 bytes after/],
    ["metadata that is not text", file({ __metadata__: { epoch: 3 } }), /epoch/]
  ]
  for (const [what, bytes, reason] of hostile) {
    it.effect(`refuses ${what}`, () =>
      Effect.gen(function*() {
        const error = yield* Effect.flip(Safetensors.decode(bytes))
        assert.strictEqual(error._tag, "MalformedSafetensors")
        assert.match(error.message, reason)
      }))
  }

  /** A file whose header is this text, so that it can be what JSON.stringify does not write. */
  const raw = (header: string, bytes = 4) => file(new TextEncoder().encode(header), bytes)
  const x = "\"x\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}"
  const deep = (levels: number) => "[".repeat(levels) + "]".repeat(levels)
  for (
    const [what, bytes, reason] of [
      ["a header of 100 MB that is not there", file({}, 0, 99_999_999n), /99999999 bytes.*truncated/],
      ["a header longer than any", file({}, 0, 100_000_001n), /more than the allowed/],
      ["a name that is there twice", raw(`{${x},${x}}`), /"x".*twice/],
      ["a name that is there twice in two spellings", raw(`{${x},${x.replace("x", "\\u0078")}}`), /"x".*twice/],
      ["a header nested without end", raw(`{"x":${deep(1_000_000)}}`), /nested/],
      ["a dtype nested without end", raw(x.replace("\"F32\"", deep(200_000)).replace(/^/, "{") + "}"), /nested/],
      ["a header of colons", raw(`{${":".repeat(1_000_000)}`), /twice|not JSON/],
      ["a header with a broken name", raw("{\"\\x\":1}"), /not JSON/],
      ["a dtype as long as a book", raw(`{"x":{"dtype":"${"F".repeat(1_000_000)}"}}`), /^.{0,400}$/],
      ["a shape as long as a book", raw(`{"x":{"dtype":"F32","shape":[${"-1,".repeat(99_999)}1]}}`), /^.{0,400}$/]
    ] as const
  ) {
    it.effect(`refuses ${what}`, () =>
      Effect.gen(function*() {
        const error = yield* Effect.flip(Safetensors.decode(bytes))
        assert.strictEqual(error._tag, "MalformedSafetensors")
        assert.match(error.message, reason)
      }))
  }

  it.effect("names the file it refuses", () =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(Safetensors.decode(new Uint8Array(3), "model-00002-of-00003.safetensors"))
      assert.deepInclude(error, { file: "model-00002-of-00003.safetensors" })
      assert.match(error.message, /^model-00002-of-00003\.safetensors: /)
    }))

  it.effect("reads a file whose header is not padded, as it comes from disk", () =>
    Effect.gen(function*() {
      // A Buffer, whose own slice shares memory.
      for (let padding = 0; padding < 8; padding++) {
        const bytes = Buffer.from(raw(`{${x}}${" ".repeat(padding)}`))
        bytes.writeFloatLE(1.5, bytes.length - 4)
        assert.deepStrictEqual([...(yield* Safetensors.decode(bytes)).tensors.get("x")!.data], [1.5])
      }
    }))

  it.effect("keeps every bit of a number: zeros with a sign, infinities, the payload of a NaN", () =>
    Effect.gen(function*() {
      const patterns = {
        F32: new Uint8Array(Uint32Array.of(0x8000_0000, 0x7f80_0000, 0xff80_0000, 0x7fc0_1234, 0x0000_0001).buffer),
        F64: new Uint8Array(BigUint64Array.of(1n << 63n, 0x7ff0n << 48n, 0x7ff8_0000_0000_beefn, 1n).buffer),
        I64: new Uint8Array(BigInt64Array.of(-1n, -(1n << 63n), (1n << 63n) - 1n).buffer)
      }
      for (const [dtype, bytes] of Object.entries(patterns)) {
        const items = bytes.length / bytesOf[dtype as keyof typeof patterns]
        const whole = file({ x: { dtype, shape: [items], data_offsets: [0, bytes.length] } }, bytes)
        const again = Safetensors.encode((yield* Safetensors.decode(whole)).tensors)
        assert.deepStrictEqual(again.subarray(again.length - bytes.length), bytes, dtype)
      }
      for (const dtype of ["F16", "BF16"] as const) {
        const bytes = new Uint8Array(Uint16Array.of(0x8000, 0x0000).buffer)
        const whole = file({ x: { dtype, shape: [2], data_offsets: [0, 4] } }, bytes)
        const { data } = (yield* Safetensors.decode(whole)).tensors.get("x")!
        assert.isTrue(Object.is(data[0], -0) && Object.is(data[1], 0))
      }
    }))

  it.effect("reads tensors without elements and without dimensions wherever they stand", () =>
    Effect.gen(function*() {
      const { tensors } = yield* Safetensors.decode(file({
        scalar: F32([], [0, 4]),
        before: F32([0, 3], [0, 0]),
        after: { dtype: "I64", shape: [2 ** 40, 0], data_offsets: [4, 4] }
      }, 4))
      assert.deepStrictEqual(Array.from(tensors, ([name, { data, shape }]) => [name, shape, data.length]), [
        ["scalar", [], 1],
        ["before", [0, 3], 0],
        ["after", [2 ** 40, 0], 0]
      ])
    }))

  it.effect("refuses a file cut anywhere", () =>
    Effect.gen(function*() {
      const whole = Safetensors.encode([["a", { dtype: "F32", shape: [3], data: Float32Array.of(1, 2, 3) }]])
      for (let length = 0; length < whole.length; length++) {
        const error = yield* Effect.flip(Safetensors.decode(whole.subarray(0, length)))
        assert.strictEqual(error._tag, "MalformedSafetensors")
      }
    }))
})

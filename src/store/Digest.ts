/**
 * SHA-256 of content, as 64 lower-case hexadecimal digits.
 *
 * Everything here is synchronous: a digest is taken for every stage run and
 * every row of a split, where a promise each would cost more than the hash.
 */
import { createHash, hash } from "node:crypto"

export interface Hasher {
  /** Adds bytes, or the UTF-8 encoding of a text, to what is hashed. */
  readonly update: (chunk: Uint8Array | string) => Hasher
  /** The digest of all chunks in order. The hasher cannot be used afterwards. */
  readonly digest: () => string
}

/** The digest of bytes. */
export const ofBytes = (bytes: Uint8Array): string => hash("sha256", bytes, "hex")

/** The digest of the UTF-8 encoding of a text. */
export const ofText = (text: string): string => hash("sha256", text, "hex")

/** A digest of content that comes in pieces. */
export const hasher = (): Hasher => {
  const sha256 = createHash("sha256")
  const self: Hasher = {
    update: (chunk) => {
      if (typeof chunk === "string") sha256.update(chunk, "utf8")
      else sha256.update(chunk)
      return self
    },
    digest: () => sha256.digest("hex")
  }
  return self
}

/** Thrown by {@link canonicalJson} for a value that JSON cannot hold. */
export class NotJson extends TypeError {
  /** Where the value stands, as in `$.space.learningRate[0]`. */
  readonly path: string
  constructor(path: string, found: string) {
    super(
      `Cannot write ${path} as canonical JSON: found ${found}, expected null, a boolean, a finite number, a `
        + "string, an array or a plain object. Encode the value by its schema first."
    )
    this.name = "NotJson"
    this.path = path
  }
}

// A lone surrogate has no UTF-8 encoding: it would hash like U+FFFD, so that
// two different texts had one digest. Under the flag u a whole pair is one
// code point and does not match.
const loneSurrogate = /\p{Surrogate}/u

const write = (value: unknown, path: string, seen: Set<object>): string => {
  switch (typeof value) {
    case "string":
      if (loneSurrogate.test(value)) throw new NotJson(path, "a text with a lone surrogate")
      return JSON.stringify(value)
    case "boolean":
      return value ? "true" : "false"
    case "number":
      if (!Number.isFinite(value)) throw new NotJson(path, `the number ${value}`)
      return JSON.stringify(value)
    case "object":
      break
    default:
      throw new NotJson(path, value === undefined ? "undefined" : `a ${typeof value}`)
  }
  if (value === null) return "null"
  if (seen.has(value)) throw new NotJson(path, "a reference to an object that contains it")
  seen.add(value)
  let text: string
  if (Array.isArray(value)) {
    const items: Array<string> = []
    for (let i = 0; i < value.length; i++) items.push(write(value[i], `${path}[${i}]`, seen))
    text = `[${items.join(",")}]`
  } else {
    const prototype = Object.getPrototypeOf(value)
    // Class instances of schemas are plain data with a prototype; a Map, a Date
    // or a typed array keeps its content elsewhere and would come out as `{}`.
    if (prototype !== Object.prototype && prototype !== null && isExotic(value)) {
      throw new NotJson(path, `a ${value.constructor?.name ?? "special object"}`)
    }
    const record = value as Record<string, unknown>
    const members: Array<string> = []
    // The default order of a sort is by UTF-16 code units, as RFC 8785 section 3.2.3 asks.
    for (const key of Object.keys(record).toSorted()) {
      if (loneSurrogate.test(key)) throw new NotJson(path, "a key with a lone surrogate")
      members.push(`${JSON.stringify(key)}:${write(record[key], `${path}.${key}`, seen)}`)
    }
    text = `{${members.join(",")}}`
  }
  seen.delete(value)
  return text
}

const isExotic = (value: object): boolean =>
  ArrayBuffer.isView(value) || Object.prototype.toString.call(value) !== "[object Object]"

/**
 * A value as JSON with one spelling: keys in the order of their UTF-16 code
 * units at every depth, no white space, numbers as ECMAScript prints them
 * (RFC 8785, JSON Canonicalization Scheme). `-0` is written `0`, as there.
 *
 * Throws {@link NotJson} on what JSON cannot hold: `undefined`, `NaN`,
 * infinities, bigints, functions, symbols, dates, maps, typed arrays, cycles.
 * Nothing is dropped in silence.
 */
export const canonicalJson = (value: unknown): string => write(value, "$", new Set())

/** The digest of a value's {@link canonicalJson}. */
export const ofJson = (value: unknown): string => ofText(canonicalJson(value))

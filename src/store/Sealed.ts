/**
 * Small JSON files that carry the digest of their own text, so that a bit that
 * flipped on the medium, or a file that was edited by hand, counts as absent
 * and never as a wrong result.
 */
import * as Digest from "./Digest.ts"

/** What is in the file: the name of its one member. */
export type Kind = "run" | "code" | "journal" | "pin"

/** The bytes of a file that holds a JSON value. */
export const seal = (kind: Kind, value: unknown): Uint8Array => {
  const body = JSON.stringify(value)
  return Buffer.from(`{"sha256":"${Digest.ofText(body)}","${kind}":${body}}\n`)
}

const head = /^\{"sha256":"([0-9a-f]{64})","([a-z]+)":/

/** The JSON value, or `undefined` where the file is not what was written. */
export const unseal = (kind: Kind, bytes: Uint8Array): unknown => {
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("utf8")
  const match = head.exec(text)
  if (match === null || match[2] !== kind || !text.endsWith("}\n")) return undefined
  const body = text.slice(match[0].length, -2)
  if (Digest.ofText(body) !== match[1]) return undefined
  try {
    return JSON.parse(body)
  } catch {
    return undefined
  }
}

/**
 * Which stage runs another one was made from, told from their records alone: a
 * record keeps the digest of each input, and the output of a record, or a part
 * of it, has that digest.
 */
import type * as Schema from "effect/Schema"
import * as Artifact from "../store/Artifact.ts"
import type { RunRecord } from "../store/RunRecord.ts"

/** The digests of an output and of every part of it that a node can be wired to. */
const provided = (run: RunRecord): ReadonlySet<string> => {
  const digests = new Set<string>()
  if (run.outcome._tag === "failure") return digests
  digests.add(run.outcome.digest)
  const visit = (value: Schema.Json | undefined) => {
    if (typeof value !== "object" || value === null || Array.isArray(value) || "$artifact" in value) return
    for (const part of Object.values(value)) {
      digests.add(Artifact.digestOf(part!))
      visit(part)
    }
  }
  visit(run.outcome.output)
  return digests
}

/** Answers, for a set of records, what any record was made from among them, directly or through others. */
export const among = (records: ReadonlyArray<RunRecord>): (run: RunRecord) => ReadonlySet<RunRecord> => {
  const makers = new Map<string, Array<RunRecord>>()
  for (const record of records) {
    for (const digest of provided(record)) {
      const known = makers.get(digest)
      if (known === undefined) makers.set(digest, [record])
      else known.push(record)
    }
  }
  return (run) => {
    const found = new Set<RunRecord>()
    const pending = [run]
    while (pending.length > 0) {
      for (const digest of Object.values(pending.pop()!.inputs)) {
        for (const maker of makers.get(digest) ?? []) {
          if (maker === run || found.has(maker)) continue
          found.add(maker)
          pending.push(maker)
        }
      }
    }
    return found
  }
}

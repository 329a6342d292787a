/**
 * The key under which a stage run is cached: everything that can change its
 * result, and nothing else.
 */
import type * as Schema from "effect/Schema"
import * as Digest from "./Digest.ts"
import type { Runtime } from "./RunRecord.ts"

export interface Components {
  readonly stage: string
  /** Hash of the stage's code and of all it reaches. */
  readonly fingerprint: string
  /** The parameters that the stage reads, encoded. */
  readonly params: Schema.Json
  /** Digest of each input's content, by name. */
  readonly inputs: Readonly<Record<string, string>>
  /** What tensors are computed with; `null` where the stage computes none. */
  readonly runtime: Runtime | null
}

export const make = (components: Components): string => Digest.ofJson({ ...components })

/**
 * Whether a graph is walked for a plan. Nothing is executed then, and a source
 * need not bring what is far away and large when it knows its digest.
 */
import * as Context from "effect/Context"

export const Planning = Context.Reference<boolean>("attune/pipeline/Planning", { defaultValue: () => false })

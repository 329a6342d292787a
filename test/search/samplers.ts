import type * as Sampler from "../../src/search/Sampler.ts"
import type * as Space from "../../src/search/Space.ts"

/** What a sampler proposes, one after the other, until it has no more or `count` is reached. */
export const proposals = <P extends Space.Params>(
  sampler: Sampler.Sampler,
  space: Space.Space<P>,
  count: number,
  options: { readonly seed?: number; readonly enqueued?: ReadonlyArray<P> } = {}
): ReadonlyArray<P> => {
  const proposed = new Set((options.enqueued ?? []).map((params) => space.key(params)))
  const points: Array<P> = []
  while (points.length < count) {
    const params = sampler.propose({
      space,
      seed: options.seed ?? 1,
      direction: "minimize",
      index: points.length,
      proposed,
      history: () => []
    }) as P | undefined
    if (params === undefined) break
    proposed.add(space.key(params))
    points.push(params)
  }
  return points
}

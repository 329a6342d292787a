import type * as Sampler from "../../../src/search/Sampler.ts"
import type * as Space from "../../../src/search/space/Space.ts"

/** A study of one objective without limits. */
export const problem = (space: Space.Space, trials = 10): Sampler.Problem => ({
  space,
  trials,
  objectives: 1,
  limits: 0,
  budgets: [1]
})

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
    const proposal = sampler.propose({
      ...problem(space, count),
      seed: options.seed ?? 1,
      index: points.length,
      proposed,
      earlier: [],
      history: () => []
    })
    const params = proposal?.params as P | undefined
    if (params === undefined) break
    proposed.add(space.key(params))
    points.push(params)
  }
  return points
}

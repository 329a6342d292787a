/**
 * Runs of tokens and how often they occur, which BLEU, chrF and ROUGE compare.
 */

/** How often each run of tokens occurs. Keys are opaque: the same for the same run, and for no other. */
export type Counts = ReadonlyMap<string, number>

/** The runs of `order` tokens, overlapping ones included. */
export const count = (tokens: ReadonlyArray<string>, order: number): Counts => {
  // With its length before it, no token can be taken for the end of one and the start of the next.
  const marked = tokens.map((token) => `${token.length}:${token}`)
  const counts = new Map<string, number>()
  for (let start = 0; start + order <= marked.length; start++) {
    let key = marked[start]!
    for (let i = 1; i < order; i++) key += marked[start + i]!
    counts.set(key, (counts.get(key) ?? 0) + 1)
  }
  return counts
}

/** How many runs two counts share, each as often as in the one that has it less often. */
export const overlap = (first: Counts, second: Counts): number => {
  let shared = 0
  for (const [run, count] of first) shared += Math.min(count, second.get(run) ?? 0)
  return shared
}

/** How many runs of `order` there are among so many tokens. */
export const total = (tokens: number, order: number): number => Math.max(0, tokens - order + 1)

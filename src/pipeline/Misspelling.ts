/** Which name was meant by one that there is not. */

/** The fewest letters to insert, leave out or exchange to make one word of the other (Levenshtein 1966). */
const distance = (a: string, b: string): number => {
  let row = Array.from({ length: b.length + 1 }, (_, at) => at)
  for (let i = 0; i < a.length; i++) {
    const next = [i + 1]
    for (let j = 0; j < b.length; j++) {
      next.push(Math.min(next[j]! + 1, row[j + 1]! + 1, row[j]! + (a[i] === b[j] ? 0 : 1)))
    }
    row = next
  }
  return row[b.length]!
}

/** The known name that is nearest to a misspelt one, upper and lower case being alike; `undefined` where none is near. */
export const meant = (name: string, known: ReadonlyArray<string>): string | undefined => {
  const lower = name.toLowerCase()
  const found = known
    .map((candidate) => ({ candidate, distance: distance(lower, candidate.toLowerCase()) }))
    .toSorted((a, b) => a.distance - b.distance)[0]
  return found !== undefined && found.distance <= Math.max(1, Math.floor(name.length / 3)) ? found.candidate : undefined
}

/** The names there are: the one that was meant, or a list of all. */
export const hint = (name: string, known: ReadonlyArray<string>): string => {
  const found = meant(name, known)
  if (found !== undefined) return `did you mean "${found}"?`
  return known.length === 0 ? "it has none" : `it has ${known.join(", ")}`
}

/**
 * How long the check of a split for texts on more than one side takes, beside
 * comparing the shingles of all texts with all, and how many pairs either finds.
 *
 *     npm run bench -- leakage [--format json]
 */
import * as Effect from "effect/Effect"
import * as Leakage from "../src/dataset/Leakage.ts"
import type * as LeakingPairs from "../src/dataset/LeakingPairs.ts"
import * as NormalText from "../src/dataset/NormalText.ts"
import * as Shingles from "../src/dataset/Shingles.ts"
import * as Random from "../src/random/Random.ts"

const sizes = [1000, 4000, 20_000, 100_000]
/** The largest number of texts that are compared all with all: 8 million pairs. */
const largestPlain = 4000
const characters = 500

const options: Leakage.Options = {
  threshold: 0.8,
  shingle: { of: "characters", length: 5 },
  punctuation: "keep",
  permutations: 128,
  seed: 0,
  listed: 100,
  comparisons: 100_000_000
}

/** Texts of words that are as unevenly frequent as those of a language. One of twenty is another with three words changed. */
const texts = (size: number): ReadonlyArray<string> => {
  const random = Random.make(1, "bench")
  const words = Array.from(
    { length: 20_000 },
    () => Array.from({ length: 2 + random.integer(8) }, () => "etaoinshrdlucmfwyp"[random.integer(18)]).join("")
  )
  const word = () => words[Math.floor(words.length ** random.uniform()) - 1]!
  const made: Array<string> = []
  for (let i = 0; i < size; i++) {
    if (i % 20 === 19) {
      const other = made[random.integer(made.length)]!.split(" ")
      for (let edit = 0; edit < 3; edit++) other[random.integer(other.length)] = word()
      made.push(other.join(" "))
    } else {
      let text = word()
      while (text.length < characters) text += ` ${word()}`
      made.push(text)
    }
  }
  return made
}

const plain = (all: ReadonlyArray<string>): number => {
  const shingles = Shingles.make(options.shingle)
  const sets = all.map((text) => shingles.set(NormalText.normalize(text, options)))
  let pairs = 0
  sets.forEach((set, i) => {
    for (let j = 0; j < i; j++) if (Shingles.jaccard(set, sets[j]!, options.threshold) > 0) pairs++
  })
  return pairs
}

const seconds = async <A>(work: () => A | Promise<A>): Promise<{ readonly result: A; readonly seconds: number }> => {
  const before = performance.now()
  const result = await work()
  return { result, seconds: (performance.now() - before) / 1000 }
}

const measure = async (size: number) => {
  const all = texts(size)
  const rows = all.map((text, i): LeakingPairs.Row => ({ example: String(i), text, label: null }))
  const train = rows.slice(0, size * 0.9), validation = rows.slice(size * 0.9)
  const check = await seconds(() => Effect.runPromise(Leakage.check({ train, validation }, options)))
  const found = check.result.counts.reduce((sum, { pairs }) => sum + pairs, 0)
  const allPairs = size > largestPlain ? undefined : await seconds(() => plain(all))
  return {
    texts: size,
    seconds: check.seconds,
    pairs: found,
    missedAtThreshold: check.result.missedAtThreshold,
    allPairsSeconds: allPairs?.seconds ?? null,
    allPairs: allPairs?.result ?? null,
    peakMebibytes: Math.round(process.resourceUsage().maxRSS / 1024)
  }
}

export const run = async (): Promise<void> => {
  const rows = []
  for (const size of sizes) rows.push(await measure(size))
  if (process.argv.includes("json") || process.argv.includes("--format=json")) {
    process.stdout.write(`${JSON.stringify({ benchmark: "leakage", characters, rows }, undefined, 2)}\n`)
    return
  }
  process.stdout.write(
    `Texts of ${characters} characters; the memory is that of the whole process, texts included.\n\n`
  )
  process.stdout.write("  texts   check s   pairs   all with all s   pairs   peak MiB\n")
  for (const { allPairs, allPairsSeconds, pairs, peakMebibytes, seconds, texts } of rows) {
    process.stdout.write(
      `${String(texts).padStart(7)}${seconds.toFixed(1).padStart(10)}${String(pairs).padStart(8)}${
        (allPairsSeconds?.toFixed(1) ?? "").padStart(17)
      }${String(allPairs ?? "").padStart(8)}${String(peakMebibytes).padStart(11)}\n`
    )
  }
}

if (import.meta.main) await run()

import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import * as Leakage from "../../src/dataset/Leakage.ts"
import type * as LeakingPairs from "../../src/dataset/LeakingPairs.ts"
import * as NormalText from "../../src/dataset/NormalText.ts"
import * as Random from "../../src/random/Random.ts"
import * as Digest from "../../src/store/Digest.ts"

const defaults: Leakage.Options = {
  threshold: 0.8,
  shingle: { of: "characters", length: 5 },
  punctuation: "keep",
  permutations: 128,
  seed: 0,
  listed: 1000,
  comparisons: 1_000_000
}

const row = (text: string, label: string | null = "x"): LeakingPairs.Row => ({
  example: Digest.ofJson({ text, label }),
  text,
  label
})

const check = (
  train: ReadonlyArray<LeakingPairs.Row>,
  validation: ReadonlyArray<LeakingPairs.Row>,
  test?: ReadonlyArray<LeakingPairs.Row>,
  options?: Partial<Leakage.Options>
) => Leakage.check({ train, validation, test }, { ...defaults, ...options })

const count = (
  { counts }: Leakage.Findings,
  kind: LeakingPairs.Kind,
  sideA: LeakingPairs.Side,
  sideB: LeakingPairs.Side
) => counts.find((count) => count.kind === kind && count.sideA === sideA && count.sideB === sideB)!

const parcel =
  "The parcel that I ordered on Monday has not arrived yet, although the tracking page says it was handed over."
const refund =
  "Could you please tell me when the refund for the blue jacket will be on my account? It has been two weeks now."
const unrelated = [
  "Mein Konto ist gesperrt, seit ich das Kennwort dreimal falsch eingegeben habe.",
  "Is there a discount for schools that order more than thirty copies of the atlas?",
  "Où puis-je télécharger la facture du mois de mars pour mon entreprise ?",
  "The door of the washing machine will not open after the program has ended.",
  "We would like to move our subscription to another address from July on."
]

describe("the check of a split", () => {
  it.effect("finds what differs by case, white space or Unicode form alone, as exact", () =>
    Effect.gen(function*() {
      const twins = [
        parcel.toUpperCase(),
        `  ${parcel.replaceAll(" ", " \n")}`,
        parcel.replaceAll("i", "ｉ"),
        parcel.normalize("NFD")
      ]
      const found = yield* check([row(parcel), row(unrelated[0]!)], [...twins, unrelated[1]!].map((text) => row(text)))
      const exact = count(found, "exact", "train", "validation")
      assert.deepStrictEqual([exact.pairs, exact.rowsA, exact.rowsB], [4, 1, 4])
      assert.strictEqual(count(found, "near", "train", "validation").pairs, 0)
      assert.deepStrictEqual(found.leaking, { train: [0], validation: [0, 1, 2, 3], test: [] })
      const bare = parcel.replaceAll(/[.,]/g, "")
      const withPunctuation = yield* check([row(parcel)], [row(bare)])
      assert.strictEqual(count(withPunctuation, "exact", "train", "validation").pairs, 0)
      const without = yield* check([row(parcel)], [row(bare)], undefined, { punctuation: "ignore" })
      assert.strictEqual(count(without, "exact", "train", "validation").pairs, 1)
    }))

  it.effect("finds an edited word as near, with the similarity of the shingles", () =>
    Effect.gen(function*() {
      const found = yield* check(
        [row(unrelated[0]!), row(parcel)],
        [row(parcel.replace("Monday", "Sunday")), row(unrelated[1]!)]
      )
      const near = found.pairs.filter(({ kind }) => kind === "near")
      assert.strictEqual(near.length, 1)
      assert.deepInclude(near[0], { sideA: "train", textA: parcel, sideB: "validation", sameLabel: true })
      // 108 characters are 104 shingles, of which the two letters of "Mo" are in six.
      const shingles = parcel.length - 4, changed = 6
      assert.strictEqual(near[0]!.similarity, (shingles - changed) / (shingles + changed))
      assert.deepStrictEqual(found.leaking, { train: [1], validation: [0], test: [] })
    }))

  it.effect("raises no alarm about different texts, nor about sentences in another order", () =>
    Effect.gen(function*() {
      const reordered = refund.split("? ").toReversed().join(" ")
      const found = yield* check(
        [row(refund), ...unrelated.slice(0, 3).map((text) => row(text)), row("cat"), row("")],
        [row(`${unrelated[3]} ${reordered}`), row("cats"), row("dog")],
        unrelated.slice(3).map((text) => row(text))
      )
      assert.deepStrictEqual(found.pairs, [])
      assert.deepStrictEqual(found.leaking, { train: [], validation: [], test: [] })
      for (const { pairs, rowsA, rowsB } of found.counts) assert.deepStrictEqual([pairs, rowsA, rowsB], [0, 0, 0])
    }))

  it.effect("knows texts that are shorter than a shingle", () =>
    Effect.gen(function*() {
      const found = yield* check(
        ["Yes", "no", "はい", ""].map((text) => row(text)),
        ["yes ", "はい", " "].map((text) => row(text))
      )
      assert.deepStrictEqual(found.leaking, { train: [0, 2, 3], validation: [0, 1, 2], test: [] })
      const words = yield* check([row("Yes, please")], [row("yes, PLEASE")], undefined, {
        shingle: { of: "words", length: 3 }
      })
      assert.deepStrictEqual(words.leaking.train, [0])
    }))

  it.effect("finds a text that is whole inside another only when asked to, and says which is inside", () =>
    Effect.gen(function*() {
      const page = `${unrelated.join(" ")} ${parcel} ${refund}`
      const rows = [[row(page, "page")], [row(parcel.toUpperCase(), "parcel")]] as const
      const unasked = yield* check(...rows)
      assert.deepStrictEqual(unasked.pairs, [])
      const asked = yield* check(...rows, undefined, { containedFrom: 40 })
      assert.strictEqual(asked.pairs.length, 1)
      assert.deepInclude(asked.pairs[0], { kind: "contained", labelA: "page", labelB: "parcel", sideA: "train" })
      assert.isBelow(asked.pairs[0]!.similarity, 0.3)
      assert.deepStrictEqual(asked.leaking, { train: [0], validation: [0], test: [] })
      const turned = yield* check(rows[1], rows[0], undefined, { containedFrom: 40 })
      assert.strictEqual(count(turned, "contained", "validation", "train").pairs, 1)
      assert.strictEqual(count(turned, "contained", "train", "validation").pairs, 0)
      const tooShort = yield* check(...rows, undefined, { containedFrom: parcel.length + 1 })
      assert.deepStrictEqual(tooShort.pairs, [])
    }))

  it.effect("counts duplicates within training, and those whose labels conflict", () =>
    Effect.gen(function*() {
      const found = yield* check(
        [row(parcel, "late"), row(parcel, "late"), row(parcel.toLowerCase(), "lost"), row(refund, "money")],
        [row(unrelated[0]!)]
      )
      assert.deepInclude(count(found, "exact", "train", "train"), { pairs: 3, rowsA: 3, rowsB: 3, conflictingPairs: 2 })
      // What is twice in training is no leak.
      assert.deepStrictEqual(found.leaking.train, [])
      const listed = found.pairs.map(({ exampleA, exampleB, sameLabel }) => [sameLabel, exampleA === exampleB])
      assert.deepStrictEqual(listed, [[false, false], [true, true]])
    }))

  it.effect("tells nothing of a test row but digests and numbers", () =>
    Effect.gen(function*() {
      const secret = parcel.replace("Monday", "Sunday")
      const found = yield* check(
        [row(parcel, "late"), row(refund, "money")],
        [row(refund.replace("blue", "grey"), "money")],
        [row(secret, "hidden label"), row(refund, "hidden label"), row(secret.toUpperCase(), "hidden label")]
      )
      const text = JSON.stringify(found)
      for (const word of ["sunday", "hidden", "parcel that"]) assert.notInclude(text.toLowerCase(), word)
      const ofTest = found.pairs.filter(({ sideB }) => sideB === "test")
      assert.isAbove(ofTest.length, 3)
      for (const { labelA, labelB, sameLabel, textA, textB } of ofTest) {
        assert.deepStrictEqual([textA, textB, labelA, labelB, sameLabel], [null, null, null, null, null])
      }
      for (const { conflictingPairs, sideB } of found.counts) {
        if (sideB === "test") assert.isNull(conflictingPairs)
      }
      assert.deepStrictEqual(found.leaking.test, [0, 1, 2])
      // Between training and validation the texts are shown.
      assert.include(text, "blue jacket")
    }))

  it.effect("lists so many pairs of a kind for two sides, conflicts and the most similar first, and counts all", () =>
    Effect.gen(function*() {
      const validation = [row(`${parcel} ${refund} Case 7`)]
      for (let odd = 0; odd < 30; odd += 3) {
        // The one with another label is the least similar.
        const train = Array.from(
          { length: 30 },
          (_, i) => row(`${parcel} ${refund} Case ${i}${i === odd ? " of many" : ""}`, i === odd ? "other" : "x")
        )
        const all = yield* check(train, validation)
        const few = yield* check(train, validation, undefined, { listed: 3 })
        const none = yield* check(train, validation, undefined, { listed: 0 })
        assert.deepStrictEqual(few.counts, all.counts)
        assert.deepStrictEqual([none.counts, none.pairs], [all.counts, []])
        assert.deepInclude(count(few, "near", "train", "train"), { pairs: 435, conflictingPairs: 29 })
        const within = (pairs: ReadonlyArray<LeakingPairs.Pair>) =>
          pairs.filter(({ kind, sideB }) => kind === "near" && sideB === "train")
        assert.deepStrictEqual(within(few.pairs), within(all.pairs).slice(0, 3))
        for (const { sameLabel } of within(few.pairs)) assert.isFalse(sameLabel)
        const similarities = within(all.pairs).slice(29).map(({ similarity }) => similarity)
        assert.deepStrictEqual(similarities, similarities.toSorted((a, b) => b - a))
      }
    }))

  it.effect("gives up with advice where all texts look alike", () =>
    Effect.gen(function*() {
      const template = (side: string) => Array.from({ length: 50 }, (_, i) => row(`${parcel} ${refund} ${side} ${i}`))
      const error = yield* Effect.flip(check(template("a"), template("b"), undefined, { comparisons: 1000 }))
      assert.strictEqual(error._tag, "TooAlike")
      assert.match(error.message, /More than 1000 pairs among 100 different texts/)
      yield* check(template("a"), template("b"), undefined, { comparisons: 4950 })
    }))

  it.effect("shortens long texts between characters", () =>
    Effect.gen(function*() {
      const long = row("😀".repeat(300))
      const { pairs } = yield* check([long], [long])
      assert.strictEqual(pairs[0]!.textA, `${"😀".repeat(200)}…`)
    }))
})

/** The findings by their definition: all rows of all sides compared with all others. */
const bruteForce = (rows: Leakage.Rows, { containedFrom = Infinity, shingle, threshold }: Leakage.Options) => {
  const all = (["train", "validation", "test"] as const).flatMap((side, order) =>
    rows[side]!.map(({ label, text }, index) => {
      const normal = NormalText.normalize(text, { punctuation: "keep" })
      const units = Array.from(normal)
      const width = Math.min(shingle.length, units.length)
      const set = new Set(
        Array.from({ length: units.length - width + 1 }, (_, i) => units.slice(i, i + width).join(""))
      )
      return { side, order, index, label, normal, set }
    })
  )
  const counts = new Map<string, { pairs: number; conflicting: number; rowsA: Set<number>; rowsB: Set<number> }>()
  const leaking = { train: new Set<number>(), validation: new Set<number>(), test: new Set<number>() }
  let near = 0
  all.forEach((first, i) => {
    for (const second of all.slice(i + 1)) {
      let [a, b] = [first, second]
      const shared = [...a.set].filter((one) => b.set.has(one)).length
      const similarity = shared / (a.set.size + b.set.size - shared)
      if (a.normal.length < b.normal.length) [a, b] = [b, a]
      const kind = a.normal === b.normal
        ? "exact"
        : b.normal.length >= containedFrom && a.normal.includes(b.normal)
        ? "contained"
        : similarity >= threshold
        ? "near"
        : undefined
      if (kind === undefined) continue
      if (kind === "near") near++
      if (kind !== "contained" && a.order > b.order) [a, b] = [b, a]
      const key = `${kind} ${a.side} ${b.side}`
      const tally = counts.get(key) ?? { pairs: 0, conflicting: 0, rowsA: new Set(), rowsB: new Set() }
      counts.set(key, tally)
      tally.pairs++
      if (a.label !== b.label) tally.conflicting++
      tally.rowsA.add(a.index)
      tally.rowsB.add(b.index)
      if (a.side === b.side && kind !== "contained") {
        tally.rowsA.add(b.index)
        tally.rowsB.add(a.index)
      }
      if (a.side !== b.side) {
        leaking[a.side].add(a.index)
        leaking[b.side].add(b.index)
      }
    }
  })
  const ascending = (set: Set<number>) => [...set].toSorted((a, b) => a - b)
  return {
    near,
    leaking: {
      train: ascending(leaking.train),
      validation: ascending(leaking.validation),
      test: ascending(leaking.test)
    },
    counts: new Map([...counts].map(([key, { conflicting, pairs, rowsA, rowsB }]) => [
      key,
      [pairs, rowsA.size, rowsB.size, key.includes("test") ? null : conflicting]
    ]))
  }
}

/** Texts many of which were made from an earlier one: the same, with other letters, with words changed, cut off. */
const family = (random: Random.Random, size: number): Leakage.Rows => {
  const words = Array.from(
    { length: 60 },
    () => Array.from({ length: 2 + random.integer(7) }, () => "etaoinshrdlu"[random.integer(12)]).join("")
  )
  const texts: Array<string> = []
  for (let i = 0; i < size; i++) {
    const parent = texts[random.integer(Math.max(1, texts.length))]
    const kind = parent === undefined ? 0 : random.integer(6)
    const own = (parent ?? "").split(" ")
    if (kind <= 1) {
      own.splice(
        0,
        own.length,
        ...Array.from({ length: random.integer(40) }, () => words[random.integer(60)]!)
      )
    } else if (kind === 2) own[0] = own[0]!.toUpperCase()
    else if (kind === 3) own.splice(random.integer(own.length), 1, words[random.integer(60)]!)
    else if (kind === 4) own.push(words[random.integer(60)]!)
    else own.splice(random.integer(own.length), 3)
    texts.push(own.join(" "))
  }
  const rows = texts.map((text) => row(text, "ab"[random.integer(2)]!))
  const side = rows.map(() => random.integer(4))
  return {
    train: rows.filter((_, i) => side[i]! < 2),
    validation: rows.filter((_, i) => side[i] === 2),
    test: rows.filter((_, i) => side[i] === 3)
  }
}

const named = ({ counts }: Leakage.Findings) =>
  new Map(
    counts.filter(({ pairs }) => pairs > 0).map(({ conflictingPairs, kind, pairs, rowsA, rowsB, sideA, sideB }) => [
      `${kind} ${sideA} ${sideB}`,
      [pairs, rowsA, rowsB, conflictingPairs]
    ])
  )

describe("against comparing all with all", () => {
  it.effect("finds the same where signatures are long", () =>
    Effect.gen(function*() {
      for (let seed = 0; seed < 6; seed++) {
        const rows = family(Random.make(seed, "test"), 120)
        for (const containedFrom of [undefined, 12]) {
          const options = { ...defaults, permutations: 512, containedFrom }
          const found = yield* Leakage.check(rows, options)
          const expected = bruteForce(rows, options)
          assert.deepStrictEqual(new Map([...named(found)].toSorted()), new Map([...expected.counts].toSorted()))
          assert.deepStrictEqual(found.leaking, expected.leaking)
        }
      }
    }))

  it.effect("misses no more near pairs than it says, and reports none that is not one", () =>
    Effect.gen(function*() {
      let expected = 0, found = 0, said = 0
      for (let seed = 0; seed < 20; seed++) {
        const rows = family(Random.make(seed, "recall"), 100)
        // Few permutations, so that something is missed at all.
        const options = { ...defaults, permutations: 32, seed }
        const findings = yield* Leakage.check(rows, options)
        for (const { kind, pairs } of findings.counts) if (kind === "near") found += pairs
        expected += bruteForce(rows, options).near
        said = findings.missedAtThreshold
        for (const { kind, similarity } of findings.pairs) if (kind === "near") assert.isAtLeast(similarity, 0.8)
      }
      assert.isAbove(expected, 500)
      assert.isAtMost(found, expected)
      // What is said is for pairs at the threshold; most are above it.
      assert.isAtMost((expected - found) / expected, said)
    }))

  it.effect("finds the same in any order of the rows, and every time", () =>
    Effect.gen(function*() {
      const rows = family(Random.make(9, "order"), 150)
      const options = { ...defaults, containedFrom: 20, listed: 5 }
      const first = yield* Leakage.check(rows, options)
      assert.isAbove(first.pairs.length, 20)
      assert.deepStrictEqual(yield* Leakage.check(rows, options), first)
      const random = Random.make(10, "order")
      const shuffle = (side: ReadonlyArray<LeakingPairs.Row>) =>
        [...random.permutation(side.length)].map((i) => side[i]!)
      const shuffled = { train: shuffle(rows.train), validation: shuffle(rows.validation), test: shuffle(rows.test!) }
      const second = yield* Leakage.check(shuffled, options)
      assert.deepStrictEqual([second.pairs, second.counts], [first.pairs, first.counts])
      const examples = (given: Leakage.Rows, { leaking }: Leakage.Findings) =>
        leaking.train.map((index) => given.train[index]!.example).toSorted()
      assert.deepStrictEqual(examples(shuffled, second), examples(rows, first))
    }))
})

import { assert, describe, it } from "@effect/vitest"
import * as Containment from "../../src/dataset/Containment.ts"
import * as Random from "../../src/random/Random.ts"

const find = (texts: ReadonlyArray<string>, shortest: number) => {
  const finder = Containment.finder(texts.length, shortest)
  for (const text of texts) finder.count(text)
  texts.forEach((text, number) => finder.seek(number, text))
  const found: Array<string> = []
  texts.forEach((text, number) => finder.within(number, text, (inner) => found.push(`${number} has ${inner}`)))
  return found.toSorted()
}

/** By looking for every text in every other. */
const plain = (texts: ReadonlyArray<string>, shortest: number) =>
  texts.flatMap((outer, number) =>
    texts.flatMap((inner, other) =>
      inner.length >= shortest && inner.length < outer.length && outer.includes(inner) ? [`${number} has ${other}`] : []
    )
  ).toSorted()

describe("Containment", () => {
  it("finds exactly the texts that are inside others, at the ends and in the middle", () => {
    const random = Random.make(1, "test")
    for (let round = 0; round < 60; round++) {
      const shortest = 1 + random.integer(40)
      // Two letters, so that nearly every window occurs often.
      const draw = (length: number) =>
        Array.from({ length }, () => "ab"[random.integer(round % 2 === 0 ? 2 : 1)]).join("")
      const texts = new Set([draw(random.integer(5))])
      for (let i = 0; i < 40; i++) {
        const before = [...texts][random.integer(texts.size)]!
        const start = random.integer(before.length + 1)
        texts.add(
          i % 3 === 0 ? draw(random.integer(60)) : i % 3 === 1 ? before.slice(start) : draw(3) + before + draw(2)
        )
      }
      assert.deepStrictEqual(find([...texts], shortest), plain([...texts], shortest))
    }
  })

  it("tells a text of one letter repeated only once, however often it fits", () => {
    assert.deepStrictEqual(find(["aaaaaaaaaaaaaaaa", "aaaa", "aaa"], 4), ["0 has 1"])
  })
})

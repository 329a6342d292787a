/**
 * Makes the data set of the main job: names of regions, languages and currencies
 * in languages written in Latin script, labelled by language.
 *
 * The facts come from the Unicode CLDR, in the copy that Node's own ICU carries.
 * A name that more than one of the languages has (Angola, euro) tells nothing
 * about the language and is left out.
 *
 *     npx attune run pipelines/language-names.ts --export data
 */
import { Artifact, Stage } from "attune"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"

const Name = Schema.Struct({
  name: Schema.String,
  /** ISO 639-1 code of the language the name is in. */
  language: Schema.String,
  /** What is named. */
  kind: Schema.Literals(["region", "language", "currency"]),
  /** Its code in ISO 3166-1, ISO 639 or ISO 4217. */
  code: Schema.String
})
type Name = typeof Name.Type

const languages = [
  ..."af az br bs ca cs cy da de en es et eu fi fo fr fy ga gd gl hr".split(" "),
  ..."hu id is it lb lt lv mt nb nl pl pt rm ro sk sl sq sv sw tr vi".split(" ")
]

const letters = Array.from({ length: 26 }, (_, index) => String.fromCharCode(97 + index))
const pairs = letters.flatMap((first) => letters.map((second) => first + second))
const triples = pairs.flatMap((pair) => letters.map((third) => pair + third))

/** Every code of a kind that has a name in English: CLDR has no list of its own in Node. */
const codesOf = (kind: Name["kind"]): ReadonlyArray<string> => {
  const english = new Intl.DisplayNames(["en"], { type: kind, fallback: "none" })
  const candidates = {
    region: pairs.map((pair) => pair.toUpperCase()),
    language: [...pairs, ...triples],
    currency: Intl.supportedValuesOf("currency")
  }
  return candidates[kind].filter((code) => english.of(code) !== undefined)
}

const isLatin = /^(?:\p{Script=Latin}|\p{M}|[ '’ʻʼ·.-])+$/u
const longest = 40

const kinds = ["region", "language", "currency"] as const

const namesIn = (language: string, codes: ReadonlyMap<Name["kind"], ReadonlyArray<string>>): ReadonlyArray<Name> =>
  kinds.flatMap((kind) => {
    const names = new Intl.DisplayNames([language], { type: kind, fallback: "none" })
    return codes.get(kind)!.flatMap((code) => {
      const name = names.of(code)?.normalize("NFC")
      if (name === undefined || !isLatin.test(name) || Buffer.byteLength(name) > longest) return []
      return [{ name, language, kind, code }]
    })
  })

const CollectNames = Stage.make("collect-names", {
  inputs: {},
  params: {
    languages: Schema.Array(Schema.String),
    /** The release of the CLDR in this Node: another one has other names. */
    cldr: Schema.String
  },
  output: Schema.Struct({ names: Artifact.table(Name), cldr: Schema.String, languages: Schema.Int }),
  run: Effect.fn("CollectNames")(function*(_, { cldr, languages }) {
    const codes = new Map(kinds.map((kind) => [kind, codesOf(kind)]))
    const all = languages.flatMap((language) => namesIn(language, codes))
    const spoken = new Map<string, Set<string>>()
    for (const { language, name } of all) spoken.set(name, (spoken.get(name) ?? new Set()).add(language))
    const unique = new Map(all.filter(({ name }) => spoken.get(name)!.size === 1).map((row) => [row.name, row]))
    const rows = [...unique.values()].toSorted((a, b) =>
      a.language === b.language ? (a.name < b.name ? -1 : 1) : (a.language < b.language ? -1 : 1)
    )
    return { names: yield* Artifact.writeTable("language-names", Name, rows), cldr, languages: languages.length }
  })
})

export default CollectNames({}, { languages, cldr: process.versions["cldr"] ?? "unknown" })

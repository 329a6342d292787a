/**
 * Makes the conversations that `own-model.ts` runs on unless it is given others: questions for the code of a currency, and
 * the answers. The facts come from the Unicode CLDR, in the copy that Node's own ICU carries.
 *
 *     npx attune run pipelines/currency-chats.ts --export data
 */
import { Artifact, Stage } from "attune"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"

const CurrencyChats = Stage.make("currency-chats", {
  inputs: {},
  // The release of the CLDR in this Node: another one may have other names.
  params: { cldr: Schema.String },
  output: Artifact.File,
  run: Effect.fn("CurrencyChats")(function*() {
    const names = new Intl.DisplayNames("en", { type: "currency", fallback: "none" })
    const lines = Intl.supportedValuesOf("currency").flatMap((code) => {
      const name = names.of(code)
      // Currencies that are no more have their years in their names.
      if (name === undefined || /\d/.test(name)) return []
      const messages = [
        { role: "user", content: `What is the ISO 4217 code of this currency: ${name}?` },
        { role: "assistant", content: code }
      ]
      return [`${JSON.stringify({ messages })}\n`]
    })
    return yield* Artifact.writeFile("currencies.jsonl", new TextEncoder().encode(lines.join("")))
  })
})

export default CurrencyChats({}, { cldr: process.versions["cldr"] ?? "unknown" })

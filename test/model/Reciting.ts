/** Language models that write what they are told to, whatever their prompt: for tests of what is done with their texts. */
import { Effect } from "effect"
import { type Parameter, sizeOf } from "../../src/model/Architecture.ts"
import * as Checkpoint from "../../src/model/Checkpoint.ts"
import * as Llama from "../../src/model/Llama.ts"
import * as Tokenizer from "../../src/model/Tokenizer.ts"

const width = 260

const base = {
  ...Llama.config({ vocabularySize: 257, positions: 64, width, layers: 1, heads: 2, inner: 8, endOfTextId: 256 }),
  tie_word_embeddings: false
}

/**
 * A model over bytes that follows each token by the one it is paired with: its layer adds nothing, so that the hidden state
 * of a position is the embedding of its token, one of the unit vectors, and the head looks up what comes next.
 */
export const following = Effect.fnUntraced(function*(
  pairs: Iterable<readonly [number, number]>,
  overrides: Readonly<Record<string, unknown>> = {}
) {
  const config = { ...base, ...overrides }
  const model = yield* Checkpoint.modelOf({ config })
  const { config: tokenizerConfig, tokenizer } = Tokenizer.byteLevel()
  const tensors = new Map(model.parameters.map(({ initializer, name, shape }): readonly [string, Parameter] => [
    name,
    { shape, data: new Float32Array(sizeOf(shape)).fill(initializer === "ones" ? 1 : 0) }
  ]))
  const put = (name: string, row: number, column: number) => {
    tensors.get(name)!.data[row * width + column] = 1
  }
  for (let id = 0; id < 257; id++) put("model.embed_tokens.weight", id, id)
  for (const [from, to] of pairs) put("lm_head.weight", to, from)
  const checkpoint: Checkpoint.Checkpoint = {
    config,
    tensors,
    companions: new Map([
      [Tokenizer.fileNames.tokenizer, tokenizer],
      [Tokenizer.fileNames.config, tokenizerConfig]
    ]),
    unused: []
  }
  return checkpoint
})

/** The tokens of a text. */
export const tokensOf = (text: string) =>
  Effect.map(Tokenizer.fromFiles(Tokenizer.byteLevel()), (tokenizer) => tokenizer.encode(text))

/** A model that goes on along whichever of `texts` it is in, to its end. No byte may come twice in them. */
export const reciting = Effect.fnUntraced(function*(texts: ReadonlyArray<string>) {
  const all = yield* Effect.forEach(texts, tokensOf)
  const bytes = all.flatMap((tokens) => Array.from(tokens))
  if (new Set(bytes).size < bytes.length) return yield* Effect.die("A byte comes twice.")
  return yield* following(
    all.flatMap((tokens) => Array.from(tokens, (token, index) => [token, tokens[index + 1] ?? 256] as const))
  )
})

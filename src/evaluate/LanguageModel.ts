/**
 * Scores of a language model from its loss.
 *
 * Perplexity is a loss per token, and a token is what the tokenizer makes it: a vocabulary of longer tokens has fewer of
 * them to predict, each harder, so that perplexities of models with different tokenizers cannot be compared. The total
 * loss of a text can: it is the number of nats in which the model encodes it, whatever the pieces. Divided by what the
 * text itself has, its UTF-8 bytes or its characters, it is comparable between any two models, on the same text (Gao et
 * al., "The Pile", 2020, section 3.1).
 *
 * That holds only where every model predicted the whole text: a loss over some tokens goes with the bytes of those, not
 * of a prompt that was masked out, nor of what was cut off. A first token that nothing precedes is not predicted; its
 * bytes do not count either, unless a beginning-of-sequence token stands before it.
 */

/** What one text adds to the scores of many. */
export interface Counts {
  /** Its loss, summed over its predicted tokens, in nats. */
  readonly nats: number
  /** How many tokens were predicted. */
  readonly tokens: number
  /** How many bytes those tokens are in UTF-8. */
  readonly bytes: number
  /** How many characters those tokens are: Unicode code points. */
  readonly characters: number
}

export interface Scores extends Counts {
  /** Nats per token. */
  readonly meanLoss: number
  /** The exponential of the mean loss; comparable only between models of one tokenizer. */
  readonly perplexity: number
  /** Comparable between tokenizers. */
  readonly bitsPerByte: number
  /** Comparable between tokenizers, and kinder to alphabets whose letters take several bytes. */
  readonly bitsPerCharacter: number
}

/** The exponential of a mean loss in nats per token (Jelinek, Mercer, Bahl and Baker, "Perplexity: a measure of the
 * difficulty of speech recognition tasks", Journal of the Acoustical Society of America 62, supplement 1, 1977). */
export const perplexity = (meanLoss: number): number => Math.exp(meanLoss)

/**
 * How many bits a byte of UTF-8 costs: the total loss in nats over ln 2, which makes bits of nats, over the bytes. The
 * same as the loss in nats per token × tokens per byte ÷ ln 2.
 */
export const bitsPerByte = (nats: number, bytes: number): number => nats / (bytes * Math.LN2)

/** How many bits a character costs: the total loss in nats over ln 2, over the Unicode code points. */
export const bitsPerCharacter = (nats: number, characters: number): number => nats / (characters * Math.LN2)

/** How many bytes a text is in UTF-8; half of a surrogate pair is the three bytes of the replacement character. */
export const bytesOf = (text: string): number => Buffer.byteLength(text, "utf8")

/** How many Unicode code points a text has: not its length in UTF-16, nor what a reader would call a letter. */
export const charactersOf = (text: string): number => {
  let characters = 0
  for (const _ of text) characters++
  return characters
}

/** What a text adds, of which every token was predicted: `nats` is the sum of their losses. */
export const counts = (text: string, nats: number, tokens: number): Counts => ({
  nats,
  tokens,
  bytes: bytesOf(text),
  characters: charactersOf(text)
})

/**
 * The scores of texts taken together, so that long ones count for more; NaN without any. With `examples`, only those
 * indices count, each as often as it is listed, which is how a bootstrap resamples.
 */
export const score = (texts: ReadonlyArray<Counts>, examples?: ArrayLike<number>): Scores => {
  let nats = 0, tokens = 0, bytes = 0, characters = 0
  const length = examples === undefined ? texts.length : examples.length
  for (let i = 0; i < length; i++) {
    const text = texts[examples === undefined ? i : examples[i]!]!
    nats += text.nats
    tokens += text.tokens
    bytes += text.bytes
    characters += text.characters
  }
  const meanLoss = nats / tokens
  return {
    nats,
    tokens,
    bytes,
    characters,
    meanLoss,
    perplexity: perplexity(meanLoss),
    bitsPerByte: bitsPerByte(nats, bytes),
    bitsPerCharacter: bitsPerCharacter(nats, characters)
  }
}

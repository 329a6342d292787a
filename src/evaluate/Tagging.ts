/**
 * Scores of token classification: how many tags are right, and how many entities.
 *
 * An entity is a run of tokens with its type. One that was found counts as right when start, end and type are those of a
 * labelled one; nothing is counted in part (Tjong Kim Sang and De Meulder, "Introduction to the CoNLL-2003 shared task",
 * CoNLL 2003). Tags are read as their script conlleval and the Python package seqeval, by default, read them:
 * leniently, so that an entity may begin without its B.
 */

export interface Options {
  /**
   * How tags name entities.
   *
   * `"prefixed"`, unless given: `O` is outside of any entity, and `B-`, `I-`, `E-` and `S-` before a type are the
   * beginning, the inside and the end of an entity and one of a single token, so that IOB1, IOB2 and IOBES are all
   * understood, and BILOU with `L-` for the end and `U-` for a single token. A tag that continues nothing begins an
   * entity, and so does one whose type is not that of the tag before it.
   *
   * `"plain"`: `O` is outside, any other tag is a type, and each longest run of one tag is an entity.
   */
  readonly scheme?: "prefixed" | "plain"
}

/** A run of tokens of one type. */
export interface Entity {
  readonly type: string
  /** The index of its first token. */
  readonly start: number
  /** The index after its last token. */
  readonly end: number
}

/** What one sentence adds to the scores of a corpus. */
export interface Counts {
  readonly tokens: number
  /** How many tokens have the tag they should. */
  readonly rightTokens: number
  /** Of each type that occurs: entities labelled, predicted, and both. */
  readonly entities: ReadonlyMap<string, EntityCounts>
}

export interface EntityCounts {
  readonly labelled: number
  readonly predicted: number
  readonly right: number
}

/** Scores of the entities of one type. A ratio with a zero denominator is 0. */
export interface TypeScores {
  readonly type: string
  readonly precision: number
  readonly recall: number
  readonly f1: number
  /** How many entities of this type are labelled. */
  readonly support: number
}

export interface Scores {
  readonly tokens: number
  /** The share of tokens, those outside of entities included, whose tag is the one it should be. */
  readonly tokenAccuracy: number
  /** Over all entities whatever their type: the micro average, which conlleval reports. */
  readonly precision: number
  readonly recall: number
  readonly f1: number
  /** The mean over the types that occur among the labels or the predictions. */
  readonly f1Macro: number
  /** The mean over the types, each counting as often as it is labelled. */
  readonly f1Weighted: number
  /** How many entities are labelled. */
  readonly support: number
  /** In the order of the types' names. */
  readonly perType: ReadonlyArray<TypeScores>
}

type Position = "outside" | "begin" | "inside" | "end" | "single"

const read = (tag: string, scheme: "prefixed" | "plain"): { readonly position: Position; readonly type: string } => {
  if (tag === "O") return { position: "outside", type: "" }
  if (scheme === "plain") return { position: "inside", type: tag }
  // A position may stand by itself, where there is but one type of entity.
  const type = tag.slice(2) || "_"
  const prefix = tag.length === 1 || tag[1] === "-" ? tag[0] : ""
  switch (prefix) {
    case "B":
      return { position: "begin", type }
    case "I":
      return { position: "inside", type }
    case "E":
    case "L":
      return { position: "end", type }
    case "S":
    case "U":
      return { position: "single", type }
    default:
      throw new RangeError(
        `The tag "${tag}" is neither O nor B-, I-, E-, S-, L- or U- before a type; ` +
          "where tags are types without a position, say so with the scheme \"plain\""
      )
  }
}

/** The entities of a sentence, in order, from its tags. A tag that the scheme does not know throws. */
export const entities = (tags: ReadonlyArray<string>, options: Options = {}): ReadonlyArray<Entity> => {
  const found: Array<Entity> = []
  let before: ReturnType<typeof read> = { position: "outside", type: "" }
  let start = -1
  for (let index = 0; index <= tags.length; index++) {
    const tag = index === tags.length ? read("O", "prefixed") : read(tags[index]!, options.scheme ?? "prefixed")
    const continues = start >= 0 && tag.type === before.type &&
      (tag.position === "inside" || tag.position === "end") &&
      (before.position === "begin" || before.position === "inside")
    if (!continues) {
      if (start >= 0) found.push({ type: before.type, start, end: index })
      start = tag.position === "outside" ? -1 : index
    }
    before = tag
  }
  return found
}

/** What a sentence adds to the scores of a corpus. There must be a predicted tag for each labelled one. */
export const counts = (
  labels: ReadonlyArray<string>,
  predictions: ReadonlyArray<string>,
  options: Options = {}
): Counts => {
  if (labels.length !== predictions.length) {
    throw new RangeError(
      `${labels.length} labels of a sentence cannot be compared with ${predictions.length} predictions`
    )
  }
  const byType = new Map<string, { labelled: number; predicted: number; right: number }>()
  const ofType = (type: string) => {
    const known = byType.get(type)
    if (known !== undefined) return known
    const fresh = { labelled: 0, predicted: 0, right: 0 }
    byType.set(type, fresh)
    return fresh
  }
  // Entities do not overlap, so the start tells which one it could be.
  const labelled = new Map(entities(labels, options).map((entity) => [entity.start, entity]))
  for (const { type } of labelled.values()) ofType(type).labelled++
  for (const { end, start, type } of entities(predictions, options)) {
    const count = ofType(type)
    count.predicted++
    const same = labelled.get(start)
    if (same !== undefined && same.end === end && same.type === type) count.right++
  }
  return {
    tokens: labels.length,
    rightTokens: labels.reduce((sum, label, index) => sum + (label === predictions[index] ? 1 : 0), 0),
    entities: byType
  }
}

const ratio = (numerator: number, denominator: number) => denominator === 0 ? 0 : numerator / denominator

const scoresOf = ({ labelled, predicted, right }: EntityCounts) => ({
  precision: ratio(right, predicted),
  recall: ratio(right, labelled),
  f1: ratio(2 * right, predicted + labelled),
  support: labelled
})

/**
 * The scores of the sentences that these counts are of. With `examples`, only those indices count, each as often as it
 * is listed, which is how a bootstrap resamples sentences.
 */
export const score = (sentences: ReadonlyArray<Counts>, examples?: ArrayLike<number>): Scores => {
  let tokens = 0, rightTokens = 0
  const all = { labelled: 0, predicted: 0, right: 0 }
  const byType = new Map<string, { labelled: number; predicted: number; right: number }>()
  const length = examples === undefined ? sentences.length : examples.length
  for (let i = 0; i < length; i++) {
    const sentence = sentences[examples === undefined ? i : examples[i]!]!
    tokens += sentence.tokens
    rightTokens += sentence.rightTokens
    for (const [type, { labelled, predicted, right }] of sentence.entities) {
      const sum = byType.get(type) ?? { labelled: 0, predicted: 0, right: 0 }
      byType.set(type, sum)
      for (const count of [sum, all]) {
        count.labelled += labelled
        count.predicted += predicted
        count.right += right
      }
    }
  }
  const perType = Array.from(byType, ([type, count]): TypeScores => ({ type, ...scoresOf(count) }))
    .toSorted((a, b) => a.type < b.type ? -1 : 1)
  const { f1, precision, recall, support } = scoresOf(all)
  return {
    tokens,
    tokenAccuracy: ratio(rightTokens, tokens),
    precision,
    recall,
    f1,
    f1Macro: ratio(perType.reduce((sum, type) => sum + type.f1, 0), perType.length),
    f1Weighted: ratio(perType.reduce((sum, type) => sum + type.f1 * type.support, 0), support),
    support,
    perType
  }
}

/** The scores of a corpus: `predictions[i]` are the tags predicted for the sentence that `labels[i]` are of. */
export const evaluate = (
  labels: ReadonlyArray<ReadonlyArray<string>>,
  predictions: ReadonlyArray<ReadonlyArray<string>>,
  options: Options = {}
): Scores => {
  if (labels.length !== predictions.length) {
    throw new RangeError(`${labels.length} labelled sentences cannot be compared with ${predictions.length} predicted`)
  }
  return score(labels.map((tags, index) => counts(tags, predictions[index]!, options)))
}

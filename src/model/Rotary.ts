/**
 * The angles of rotary position embedding (Su et al., "RoFormer", 2021, section 3.2.2) and its scalings for longer texts, as
 * transformers computes them (`modeling_rope_utils.py`), read from config.json in the form of its version 4 (`rope_theta`
 * beside `rope_scaling`) and of its version 5 (`rope_parameters`).
 */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import type { Tf } from "../tensor/Backend.ts"
import type { Turns } from "../tensor/Operations.ts"
import { type Config, InvalidConfig, type TokenBatch } from "./Architecture.ts"
import * as Attention from "./Attention.ts"
import { field } from "./ConfigFields.ts"
import type { KeyValueCache } from "./KeyValueCache.ts"

/** Angles a position, in radians. */
export interface Frequencies {
  /** One for each pair of a head's elements. */
  readonly perPosition: Float32Array
  /** What cosines and sines are multiplied with. */
  readonly amplitude: number
}

export interface Rotary {
  /** Elements of a head. */
  readonly size: number
  /** The longest text that the scaling is made for, in tokens. */
  readonly maximumLength: number
  /** For a batch whose longest text, or whose position furthest from a text's start, has so many tokens. */
  readonly frequencies: (longest: number) => Frequencies
}

export interface Shape {
  readonly modelType: string
  /** Elements of a head. */
  readonly size: number
  /** The config's `max_position_embeddings`. */
  readonly positions: number
}

const Factor = Schema.Finite.check(Schema.isGreaterThan(0))
const Length = Schema.Int.check(Schema.isGreaterThan(0))

const Fields = Schema.Struct({
  rope_theta: field(Factor),
  rope_type: field(Schema.String),
  type: field(Schema.String),
  partial_rotary_factor: field(Factor),
  factor: field(Factor),
  original_max_position_embeddings: field(Length),
  attention_factor: field(Factor),
  beta_fast: field(Factor),
  beta_slow: field(Factor),
  mscale: field(Schema.Finite),
  mscale_all_dim: field(Schema.Finite),
  truncate: field(Schema.Boolean),
  low_freq_factor: field(Factor),
  high_freq_factor: field(Factor)
})
type Fields = typeof Fields.Type

/** The base of the angles where no config names one. */
const defaultBase = 10_000

const single = Math.fround

/** Elements of a head. */
const longestHead = 65_536

/** `base^(-2i / size)`, rounded at each step as torch rounds it. */
const inverses = (base: number, size: number): Float32Array =>
  Float32Array.from({ length: size / 2 }, (_, i) => 1 / single(single(base) ** single(2 * i / size)))

/** Llama 3.1's scaling: long waves stretched, short ones left alone, those between blended. */
const blend = (plain: Float32Array, factor: number, low: number, high: number, original: number): Float32Array =>
  plain.map((frequency) => {
    const wavelength = single(2 * Math.PI / frequency)
    if (wavelength < original / high) return frequency
    if (wavelength > original / low) return frequency / factor
    const share = single(single(single(original / wavelength) - low) / single(high - low))
    return single(single(1 - share) * frequency / factor) + single(share * frequency)
  })

/**
 * YaRN (Peng et al. 2023, section 3.2): pairs that turn often within the original length keep their frequency, those that
 * turn less than once have it divided, and between the share rises evenly.
 */
const ramp = (base: number, size: number, factor: number, original: number, fields: Fields): Float32Array => {
  const pairOf = (turns: number) => size * Math.log(original / (turns * 2 * Math.PI)) / (2 * Math.log(base))
  const whole = fields.truncate !== false
  const first = pairOf(fields.beta_fast ?? 32), last = pairOf(fields.beta_slow ?? 1)
  const low = Math.max(whole ? Math.floor(first) : first, 0)
  const high = Math.min(whole ? Math.ceil(last) : last, size - 1)
  const width = high === low ? 0.001 : high - low
  return inverses(base, size).map((frequency, i) => {
    const stretched = Math.min(1, Math.max(0, (i - low) / width))
    return frequency / factor * stretched + frequency * (1 - stretched)
  })
}

const yarnAmplitude = (factor: number, { attention_factor, mscale, mscale_all_dim }: Fields): number => {
  const amplitude = (scale: number) => factor <= 1 ? 1 : 0.1 * scale * Math.log(factor) + 1
  return attention_factor ?? (mscale && mscale_all_dim ? amplitude(mscale) / amplitude(mscale_all_dim) : amplitude(1))
}

const isRecord = (value: unknown): value is Config =>
  typeof value === "object" && value !== null && !Array.isArray(value)

/** The scaling's own fields, those beside them that count, and where they were found. */
const gather = (config: Config) => {
  const name = isRecord(config["rope_scaling"]) && Object.keys(config["rope_scaling"]).length > 0
    ? "rope_scaling"
    : "rope_parameters"
  const given = config[name]
  const beside = Object.fromEntries(
    ["rope_theta", "partial_rotary_factor"].flatMap((key) => config[key] === undefined ? [] : [[key, config[key]]])
  )
  const original = config["original_max_position_embeddings"]
  return {
    name,
    given,
    fields: {
      ...beside,
      ...(isRecord(given) ? given : {}),
      ...(original === undefined || original === null ? {} : { original_max_position_embeddings: original })
    }
  }
}

/** Reads the rotary embedding of a config. */
export const make = Effect.fnUntraced(function*(
  config: Config,
  { modelType, positions, size }: Shape
): Effect.fn.Return<Rotary, InvalidConfig> {
  const { fields: found, given, name } = gather(config)
  const invalid = (field: string, reason: string) => new InvalidConfig({ modelType, field, reason })
  if (given !== undefined && given !== null && !isRecord(given)) return yield* invalid(name, "is not an object")
  const nested = Object.entries(found).find(([, value]) => isRecord(value))
  if (nested !== undefined) {
    return yield* invalid(
      `${name}.${nested[0]}`,
      "is an object; rotary parameters for each layer type are not implemented"
    )
  }
  const fields = yield* Schema.decodeUnknownEffect(Fields)(found).pipe(
    Effect.mapError((error) => invalid(name, `holds a value that is not allowed: ${error.message}`))
  )
  // A table of this length is made: longer heads than any model has are an attack on memory.
  if (size > longestHead) {
    return yield* invalid("head_dim", `is ${size}; the most that is implemented is ${longestHead}`)
  }
  if (size % 2 !== 0) return yield* invalid("head_dim", `is ${size}; rotary embedding turns pairs, so it must be even`)
  const { partial_rotary_factor: part } = fields
  if (part !== undefined && part !== null && part !== 1) {
    return yield* invalid("partial_rotary_factor", `is ${part}; only heads that turn as a whole are implemented`)
  }
  const base = fields.rope_theta ?? defaultBase
  const type = fields.rope_type ?? fields.type ?? "default"
  const original = fields.original_max_position_embeddings ?? positions
  const fixed = (perPosition: Float32Array, amplitude = 1, maximumLength = positions): Rotary => ({
    size,
    maximumLength,
    frequencies: () => ({ perPosition, amplitude })
  })
  const required = (field: "factor" | "low_freq_factor" | "high_freq_factor"): Effect.Effect<number, InvalidConfig> => {
    const value = fields[field]
    return value === undefined || value === null
      ? Effect.fail(invalid(`${name}.${field}`, `is missing, and rotary embedding of type ${type} needs it`))
      : Effect.succeed(value)
  }
  switch (type) {
    case "default":
      return fixed(inverses(base, size))
    case "linear": {
      const factor = yield* required("factor")
      return fixed(inverses(base, size).map((frequency) => frequency / factor))
    }
    case "dynamic": {
      const factor = yield* required("factor")
      if (size < 4) return yield* invalid("head_dim", `is ${size}, too few for rotary embedding of type dynamic`)
      return {
        size,
        maximumLength: Math.floor(factor * positions),
        frequencies: (longest) => {
          const stretch = factor * Math.max(longest, positions) / positions - (factor - 1)
          return { perPosition: inverses(base * stretch ** (size / (size - 2)), size), amplitude: 1 }
        }
      }
    }
    case "llama3": {
      const factor = yield* required("factor")
      const low = yield* required("low_freq_factor"), high = yield* required("high_freq_factor")
      if (high <= low) {
        return yield* invalid(`${name}.high_freq_factor`, `is ${high}, which is not above low_freq_factor, ${low}`)
      }
      return fixed(blend(inverses(base, size), factor, low, high, original))
    }
    case "yarn": {
      const factor = fields.factor ?? positions / original
      const perPosition = ramp(base, size, factor, original, fields)
      return fixed(perPosition, yarnAmplitude(factor, fields), Math.max(positions, Math.floor(factor * original)))
    }
    default:
      return yield* invalid(
        `${name}.rope_type`,
        `is ${type}; implemented are default, linear, dynamic, llama3 and yarn`
      )
  }
})

/** Cosines and sines for the positions of a batch: of one row where all rows have the same. */
export const turns = (tf: Tf, rotary: Rotary, batch: TokenBatch, cache?: KeyValueCache): Turns => {
  const alike = batch.segments === undefined && cache === undefined
  const rows = alike ? 1 : batch.batch
  const positions = Attention.positions(alike ? { ...batch, batch: 1 } : batch, cache)
  const longest = 1 + positions.reduce((furthest, position) => Math.max(furthest, position), 0)
  const { amplitude, perPosition } = rotary.frequencies(longest)
  const { size } = rotary
  const half = size / 2
  const cosines = new Float32Array(positions.length * size), sines = new Float32Array(positions.length * size)
  const known = new Map<number, number>()
  for (const [index, position] of positions.entries()) {
    const start = index * size
    const before = known.get(position)
    if (before !== undefined) {
      cosines.copyWithin(start, before, before + size)
      sines.copyWithin(start, before, before + size)
      continue
    }
    known.set(position, start)
    for (let pair = 0; pair < half; pair++) {
      const angle = single(position * perPosition[pair]!)
      const cosine = single(Math.cos(angle)) * amplitude, sine = single(Math.sin(angle)) * amplitude
      cosines[start + pair] = cosine
      cosines[start + half + pair] = cosine
      sines[start + pair] = -sine
      sines[start + half + pair] = sine
    }
  }
  const shape: [number, number, number, number] = [rows, batch.time, 1, size]
  return { cosines: tf.tensor4d(cosines, shape), sines: tf.tensor4d(sines, shape) }
}

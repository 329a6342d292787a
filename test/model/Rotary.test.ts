import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { readFileSync } from "node:fs"
import type { Config } from "../../src/model/Architecture.ts"
import type { KeyValueCache } from "../../src/model/KeyValueCache.ts"
import * as Rotary from "../../src/model/Rotary.ts"
import { Backend } from "../../src/tensor/Backend.ts"
import * as Reference from "./Reference.ts"

/** Angles that transformers computes for heads of 32. */
interface Case {
  readonly name: string
  readonly config: Config
  /** The same as version 4 of transformers wrote it. */
  readonly config4: Config
  readonly positions: ReadonlyArray<number>
  readonly inverse: ReadonlyArray<number>
  readonly amplitude: number
  readonly cosines: ReadonlyArray<ReadonlyArray<number>>
  readonly sines: ReadonlyArray<ReadonlyArray<number>>
}

const { cases }: { readonly cases: ReadonlyArray<Case> } = JSON.parse(
  readFileSync(new URL("../fixtures/hf/rotary.json", import.meta.url), "utf8")
)

const make = (config: Config) =>
  Rotary.make(config, { modelType: "llama", size: 32, positions: config["max_position_embeddings"] as number })

const batch = (...lengths: ReadonlyArray<number>) => {
  const time = Math.max(...lengths)
  return {
    batch: lengths.length,
    time,
    inputIds: new Int32Array(lengths.length * time),
    lengths: Int32Array.from(lengths)
  }
}

/** A cache that holds so many tokens of each row. */
const after = (lengths: ReadonlyArray<number>): KeyValueCache => ({
  batch: lengths.length,
  time: Math.max(...lengths),
  lengths: Int32Array.from(lengths),
  held: new Uint8Array(lengths.length * Math.max(...lengths)),
  extend: (_, keys, values) => ({ keys, values })
})

describe("rotary embedding", () => {
  for (const expected of cases) {
    it.effect(`has transformers' angles: ${expected.name}`, () =>
      Effect.gen(function*() {
        for (const config of [expected.config, expected.config4]) {
          const { frequencies } = yield* make(config)
          const { amplitude, perPosition } = frequencies(expected.positions.at(-1)! + 1)
          assert.closeTo(amplitude, expected.amplitude, 1e-7)
          for (const [pair, frequency] of expected.inverse.entries()) {
            assert.closeTo(perPosition[pair]!, frequency, 1e-6 * frequency, `pair ${pair}`)
          }
        }
      }))
  }

  it.effect("turns each position by its angles", () =>
    Effect.gen(function*() {
      const { tf } = yield* Backend
      for (const { config, cosines, name, positions, sines } of cases) {
        const rotary = yield* make(config)
        const past = after(positions)
        const [foundCosines, foundSines] = yield* Reference.read(tf, () => {
          const turns = Rotary.turns(tf, rotary, batch(...positions.map(() => 1)), past)
          assert.deepStrictEqual(turns.cosines.shape, [positions.length, 1, 1, 32])
          return [turns.cosines, turns.sines]
        })
        for (const [index, position] of positions.entries()) {
          const row = (values: Float32Array) => values.subarray(index * 32, (index + 1) * 32)
          // Far out the last bit of a frequency is many of an angle's.
          const tolerance = position < 200 ? 1e-5 : 1e-7 * position + 1e-5
          assert.isAtMost(Reference.relative(row(foundCosines!), cosines[index]!, 1), tolerance, `${name}, ${position}`)
          const signed = sines[index]!.map((sine, element) => element < 16 ? -sine : sine)
          assert.isAtMost(Reference.relative(row(foundSines!), signed, 1), tolerance, `${name}, ${position}`)
        }
      }
    }).pipe(Effect.provide(Backend.layer("wasm"))))

  it.effect("begins anew with each text of a row, and goes on from a cache", () =>
    Effect.gen(function*() {
      const { tf } = yield* Backend
      const rotary = yield* make(cases[0]!.config)
      const [alike, packed, cached] = yield* Reference.read(tf, () => [
        Rotary.turns(tf, rotary, batch(9)).cosines,
        Rotary.turns(tf, rotary, { ...batch(5, 5), segments: Int32Array.of(0, 0, 1, 1, 1, 0, 1, 2, 2, 2) }).cosines,
        Rotary.turns(tf, rotary, batch(2, 2), after([7, 3])).cosines
      ])
      const rows = (positions: ReadonlyArray<number>) =>
        positions.flatMap((position) => Array.from(alike!.subarray(position * 32, (position + 1) * 32)))
      assert.deepStrictEqual(Array.from(packed!), rows([0, 1, 0, 1, 2, 0, 0, 0, 1, 2]))
      assert.deepStrictEqual(Array.from(cached!), rows([7, 8, 3, 4]))
    }).pipe(Effect.provide(Backend.layer("wasm"))))

  it.effect("takes texts as long as the scaling is made for", () =>
    Effect.gen(function*() {
      const config = { max_position_embeddings: 1000, rope_theta: 1e4 }
      const longest = (rope_scaling: Config) =>
        Effect.map(make({ ...config, rope_scaling }), ({ maximumLength }) => maximumLength)
      assert.strictEqual(yield* longest({}), 1000)
      assert.strictEqual(yield* longest({ type: "linear", factor: 4 }), 1000)
      assert.strictEqual(yield* longest({ type: "dynamic", factor: 4 }), 4000)
      assert.strictEqual(yield* longest({ type: "yarn", factor: 4, original_max_position_embeddings: 1000 }), 4000)
      assert.strictEqual(yield* longest({ type: "yarn", factor: 4, original_max_position_embeddings: 250 }), 1000)
    }))

  for (
    const [what, config, field] of [
      [
        "a type that is not implemented",
        { rope_parameters: { rope_type: "longrope", factor: 2 } },
        "rope_parameters.rope_type"
      ],
      ["a scaling without its factor", { rope_scaling: { type: "linear" } }, "rope_scaling.factor"],
      ["a factor that is text", { rope_scaling: { type: "linear", factor: "2" } }, "rope_scaling"],
      ["heads that turn in part", { partial_rotary_factor: 0.5 }, "partial_rotary_factor"],
      [
        "parameters for each layer type",
        { rope_parameters: { full_attention: { rope_theta: 1e4 } } },
        "rope_parameters.full_attention"
      ],
      ["parameters that are a list", { rope_parameters: [1] }, "rope_parameters"],
      [
        "a blend of frequencies from high to low",
        { rope_scaling: { rope_type: "llama3", factor: 8, low_freq_factor: 4, high_freq_factor: 1 } },
        "rope_scaling.high_freq_factor"
      ]
    ] as ReadonlyArray<[string, Config, string]>
  ) {
    it.effect(`refuses ${what}`, () =>
      Effect.gen(function*() {
        const error = yield* Effect.flip(make({ max_position_embeddings: 64, ...config }))
        assert.strictEqual(error.field, field)
      }))
  }
})

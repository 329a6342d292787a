import { assert, describe, it } from "@effect/vitest"
import { Effect, Schema } from "effect"
import * as Settings from "../../src/cli/Settings.ts"

const settings = Schema.Struct({
  trials: Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 64 })).pipe(
    Schema.withConstructorDefault(Effect.succeed(16))
  ),
  rate: Schema.Finite.pipe(Schema.withConstructorDefault(Effect.succeed(0.1))),
  verbose: Schema.Boolean.pipe(Schema.withConstructorDefault(Effect.succeed(false))),
  optimizer: Schema.Literals(["adamw", "sgd"]).pipe(Schema.withConstructorDefault(Effect.succeed("adamw" as const))),
  layers: Schema.Literals([1, 2]).pipe(Schema.withConstructorDefault(Effect.succeed(1 as const))),
  budgets: Schema.Array(Schema.Finite).pipe(Schema.withConstructorDefault(Effect.succeed([1, 3]))),
  limit: Schema.NullOr(Schema.Int).pipe(Schema.withConstructorDefault(Effect.succeed(null))),
  name: Schema.NonEmptyString
})

const decode = (...texts: ReadonlyArray<string>) => Settings.decode(settings, texts)
const refusal = (...texts: ReadonlyArray<string>) => Effect.map(Effect.flip(decode(...texts)), ({ message }) => message)

describe("Settings", () => {
  it.effect("reads numbers, truth values, words and JSON, and fills in the rest", () =>
    Effect.gen(function*() {
      const decoded = yield* decode(
        "name=a=b",
        "trials=32",
        "rate=1e-3",
        "verbose=true",
        "optimizer=sgd",
        "layers=2",
        "budgets=[2, 4]",
        "limit=7"
      )
      assert.deepStrictEqual(decoded, {
        name: "a=b",
        trials: 32,
        rate: 0.001,
        verbose: true,
        optimizer: "sgd",
        layers: 2,
        budgets: [2, 4],
        limit: 7
      })
      assert.deepStrictEqual((yield* decode("name=x", "limit=null", "trials=3", "trials=4"))["trials"], 4)
      assert.deepStrictEqual((yield* decode("name=x"))["budgets"], [1, 3])
    }))

  it.effect("keeps text that looks like a number", () =>
    Effect.gen(function*() {
      assert.strictEqual((yield* decode("name=3"))["name"], "3")
    }))

  it.effect("says which value does not fit and what would", () =>
    Effect.gen(function*() {
      const message = yield* refusal("name=x", "trials=99")
      assert.include(message, "--set trials=99")
      assert.include(message, "a whole number, at least 1 and at most 64 (default 16)")
      assert.include(yield* refusal("name=x", "optimizer=adam"), "\"adamw\" or \"sgd\" (default \"adamw\")")
      assert.include(yield* refusal("name=x", "rate="), "--set rate=")
      assert.include(yield* refusal("name=x", "verbose=yes"), "true or false")
    }))

  it.effect("lists the settings where one is not known, missing or not of the form name=value", () =>
    Effect.gen(function*() {
      for (const message of [yield* refusal("name=x", "trails=3"), yield* refusal("trials"), yield* refusal()]) {
        assert.include(message, "trials: a whole number")
        assert.include(message, "name: text (required)")
      }
      assert.include(yield* refusal("toString=1"), "no setting \"toString\"")
      assert.include(yield* refusal(), "needs --set name=…")
    }))

  it.effect("writes out what would act on the terminal", () =>
    Effect.gen(function*() {
      const message = yield* refusal("\u001b[2J=1")
      assert.notInclude(message, "\u001b")
    }))
})

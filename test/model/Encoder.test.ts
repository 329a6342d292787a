import { layer } from "@effect/vitest"
import { Backend } from "../../src/tensor/Backend.ts"
import * as DrawnReference from "./DrawnReference.ts"
import * as Reference from "./Reference.ts"
const fixture = DrawnReference.read("encoders.json")

layer(Backend.layer("wasm"))("encoders on wasm", (it) => {
  Reference.tests(it, ["bert", "roberta", "distilbert", "bert-token-classification"])
  it.effect.each(fixture.cases)(
    "gives what transformers gives for $name",
    (expected) => DrawnReference.agrees(fixture, expected)
  )
})

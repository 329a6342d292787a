import { assert, describe, it } from "@effect/vitest"
import * as Lora from "../../src/model/Lora.ts"
import * as ModelCard from "../../src/publish/ModelCard.ts"
import { evaluated, facts, study } from "./cards.ts"
import * as FrontMatter from "./FrontMatter.ts"

const headings = (body: string) =>
  Array.from(body.replaceAll(/^```[\s\S]*?^```$/gm, "").matchAll(/^#+ .*$/gm), ([line]) => line)

/** The rows of the table that follows a line. */
const tableAfter = (body: string, line: string): ReadonlyArray<ReadonlyArray<string>> => {
  const [table] = /\|[\s\S]*?(?=\n\n|$)/.exec(body.slice(body.indexOf(line)))!
  return table.split("\n").map((row) => row.split(/(?<!\\)\|/).slice(1, -1).map((cell) => cell.trim()))
}

describe("ModelCard", () => {
  it("has the metadata that the hub reads", () => {
    const { metadata } = FrontMatter.split(ModelCard.render(facts()))
    const { "model-index": index, ...rest } = metadata
    assert.deepStrictEqual(rest, {
      license: "apache-2.0",
      language: ["en", "de"],
      library_name: "transformers",
      pipeline_tag: "text-classification",
      base_model: "somebody/base",
      base_model_relation: "finetune",
      tags: ["attune"],
      datasets: ["somebody/tickets"]
    })
    assert.strictEqual(index[0].name, "tickets")
    const [test, validation] = index[0].results
    assert.deepStrictEqual(test.task, { type: "text-classification" })
    assert.deepStrictEqual(test.dataset, { name: "somebody/tickets", type: "somebody/tickets", split: "test" })
    assert.deepStrictEqual(test.metrics[0], { type: "accuracy", value: 0.75, name: "Accuracy" })
    assert.strictEqual(validation.dataset.split, "validation")
  })

  it("tells everything that is known, in order", () => {
    const { body } = FrontMatter.split(ModelCard.render(facts()))
    assert.deepStrictEqual(headings(body), [
      "# tickets",
      "## How to load it",
      "## Results",
      "## Data",
      "## Hyperparameters",
      "## Training",
      "## Search",
      "## How to do it again",
      "## Limitations"
    ])
    assert.include(
      body,
      "of 366,912 parameters that puts a text into one of 2 classes, fine-tuned from `somebody/base`."
    )
    assert.include(body, "| train | 1,234 | `bbbb")
    assert.include(body, "42 optimizer steps in 6 epochs, all that were planned.")
    assert.include(body, "The lowest validation loss was 0.500, after 5 epochs.")
    assert.include(body, "12 trials (4 completed, 7 stopped, 1 failed) and selected trial 11")
    assert.include(body, "npx attune run pipelines/tickets.ts --set trials=12 --backend wasm --export model\n")
    assert.include(body, "`npx attune show 11 --study tickets`")
    assert.include(body, "Attune 1.2.3 on Node 24.0.0")
  })

  it("gives every measure with its interval, and says where the choice was made", () => {
    const { body } = FrontMatter.split(ModelCard.render(facts()))
    const [head, , accuracy, balanced] = tableAfter(body, "## Results")
    assert.deepStrictEqual(head, ["measure", "validation, 4 examples", "test, 8 examples"])
    assert.match(accuracy![1]!, /^75\.0 % \(\d+\.\d % to 100\.0 %\)$/)
    assert.match(accuracy![2]!, /^75\.0 % \(\d+\.\d % to \d+\.\d %\)$/)
    // Nothing was said of how to resample this one.
    assert.strictEqual(balanced![2], "75.0 %")
    assert.include(body, "which flatters what is measured on them")
    const other = facts({
      change: { study: { ...study("x", {}), best: { trial: 11, params: {}, budget: 6, value: 0.7 } } }
    })
    assert.notInclude(ModelCard.render(other), "flatters")
  })

  it("shows the hyperparameters that were searched or set, beside their defaults", () => {
    const { body } = FrontMatter.split(ModelCard.render(facts()))
    const [head, , ...rows] = tableAfter(body, "## Hyperparameters")
    assert.deepStrictEqual(head, ["hyperparameter", "value", "default", "tried", "what it does"])
    assert.deepStrictEqual(rows.map((row) => row.slice(0, 4)), [
      ["`learningRate`", "0.01235", "–", "0.001 to 0.01235"],
      ["`batchSize`", "4", "8", "4"],
      ["`schedule`", "`cosine`", "`linear`", ""]
    ])
    assert.isTrue(rows.every(([, , , , description]) => description !== ""))
  })

  it("lists the ten best trials, those with the most budget first, in the direction of the study", () => {
    const order = (card: string) =>
      tableAfter(FrontMatter.split(card).body, "## Search").slice(2).map(([trial]) => trial!.replaceAll("*", ""))
    assert.deepStrictEqual(order(ModelCard.render(facts())), ["11", "10", "9", "8", "7", "6", "5", "4", "3", "2"])
    const search = { direction: "minimize", sampler: "points", scheduler: "halving", seed: 5 } as const
    const minimized = facts({ change: { study: { ...facts().study!, search } } })
    assert.deepStrictEqual(order(ModelCard.render(minimized)).slice(0, 5), ["8", "9", "10", "11", "1"])
    assert.include(ModelCard.render(minimized), "Sampler: points. Scheduler: halving. Seed of the study: 5.")
  })

  it("says nothing of what it does not know", () => {
    const card = ModelCard.render(facts({
      about: { name: "bare" },
      change: {
        head: "causal-language-modeling",
        architecture: "LlamaForCausalLM",
        labels: [],
        base: undefined,
        data: {},
        study: undefined,
        training: undefined,
        validation: undefined,
        test: undefined
      }
    }))
    const { body, metadata } = FrontMatter.split(card)
    assert.deepStrictEqual(metadata, {
      library_name: "transformers",
      pipeline_tag: "text-generation",
      tags: ["attune"]
    })
    assert.deepStrictEqual(headings(body), ["# bare", "## How to load it", "## How to do it again", "## Limitations"])
    assert.notMatch(body, /fine-tuned|undefined|null|NaN|attune run|attune show/)
    assert.include(body, "No evaluation of it is recorded here.")
  })

  it("says which labels no test example has", () => {
    const test = evaluated("test", ["a", "b", "c"], [0, 0, 1], [0, 1, 1])
    const card = ModelCard.render(facts({ labels: ["a", "b", "c"], change: { test } }))
    assert.include(card, "No test example has the label c.")
    assert.notInclude(ModelCard.render(facts()), "No test example")
  })

  it("loads an adapter beside its base, with the classes that it was trained for", () => {
    const adapter = { settings: Lora.Settings.make({ rank: 4 }), merged: false, parameters: 1000 }
    const { body, metadata } = FrontMatter.split(ModelCard.render(facts({ change: { adapter } })))
    assert.strictEqual(metadata.library_name, "peft")
    assert.strictEqual(metadata.base_model_relation, "adapter")
    assert.deepStrictEqual(metadata.tags, ["attune", "lora"])
    assert.include(body, "fine-tuned with LoRA of rank 4 from `somebody/base`.")
    assert.include(body, "base = \"somebody/base\"\n")
    assert.include(body, "PeftModel.from_pretrained(model, folder)")
    const merged = ModelCard.render(facts({ change: { adapter: { ...adapter, merged: true } } }))
    assert.notInclude(merged, "PeftModel")
    assert.include(merged, "The adapter is merged into the weights")
  })

  it("names no folder as a model of the hub", () => {
    for (const base of ["../base", "/data/base", "a/b/c"]) {
      const { metadata } = FrontMatter.split(ModelCard.render(facts({ change: { base } })))
      assert.isUndefined(metadata.base_model, base)
    }
  })

  it("is what it is whatever labels and names contain", () => {
    const hostile = [
      "</code><script>alert(1)</script>",
      "a | b\n| c |",
      "\n---\nlicense: mit\n---\n# Heading",
      "```\n# Heading",
      "[x](http://example.org)"
    ]
    const plain = FrontMatter.split(ModelCard.render(facts({ labels: ["a", "b", "c", "d", "e"] })))
    const about = {
      name: hostile[2]!,
      license: hostile[2]!,
      languages: [hostile[0]!],
      tags: hostile,
      datasets: [hostile[1]!],
      datasetName: hostile[3]!,
      pipeline: "x.ts\n```\n# Heading; rm -rf $HOME",
      settings: { [hostile[1]!]: hostile[3]! },
      hyperparameters: { [hostile[1]!]: hostile[0]!, loss: hostile[3]! }
    }
    const test = evaluated("test", hostile, [0, 1, 2, 3, 4], [0, 1, 2, 4, 3])
    const named = study(hostile[3]!, { [hostile[1]!]: hostile[2]! })
    const card = ModelCard.render(facts({
      about,
      labels: hostile,
      change: { base: hostile[3], test, study: named, architecture: hostile[0]! }
    }))
    const { body, metadata } = FrontMatter.split(card)
    assert.strictEqual(metadata.license, hostile[2])
    assert.deepStrictEqual(metadata.tags, ["attune", ...hostile])
    assert.deepStrictEqual(metadata.datasets, [hostile[1]])
    assert.strictEqual(metadata["model-index"][0].results[0].dataset.name, hostile[3])
    assert.deepStrictEqual(headings(body).slice(1), headings(plain.body).slice(1))
    assert.strictEqual(headings(body).length, headings(plain.body).length)
    const prose = body.replaceAll(/^(`{3,})[\s\S]*?^\1$/gm, "").replaceAll(/(`+)(?!`)[\s\S]*?[^`]\1(?!`)/g, "")
    assert.notMatch(prose.replaceAll(/\\[\s\S]/g, ""), /[<>]|\]\(/)
    for (const after of ["## Results", "## Hyperparameters", "## Search", "Label by label"]) {
      const rows = tableAfter(body, after)
      assert.isTrue(rows.every((row) => row.length === rows[0]!.length), after)
    }
    assert.deepStrictEqual(tableAfter(body, "Label by label").length, 2 + hostile.length)
  })

  it("is the same each time", () => {
    assert.strictEqual(ModelCard.render(facts()), ModelCard.render(facts()))
  })
})

import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import * as path from "node:path"
import * as HubFolder from "../../src/dataset/HubFolder.ts"
import * as Pipeline from "../../src/pipeline/Pipeline.ts"
import { failure, folder, fresh } from "./runs.ts"

describe("HubFolder", () => {
  it("finds the files of a split by the rules of the hub", () => {
    const shards = [
      "data/test-00000-of-00001.parquet",
      "data/train-00001-of-00002.parquet",
      "data/train-00000-of-00002-ab12.parquet"
    ]
    const cases: ReadonlyArray<readonly [ReadonlyArray<string>, string, ReadonlyArray<string>]> = [
      [shards, "train", ["data/train-00000-of-00002-ab12.parquet", "data/train-00001-of-00002.parquet"]],
      [shards, "test", ["data/test-00000-of-00001.parquet"]],
      [["README.md", "train.jsonl", "test.csv", "dev.jsonl"], "validation", ["dev.jsonl"]],
      [["train.jsonl", "test.csv"], "test", ["test.csv"]],
      [["my-data_train.csv", "my-data_test.csv"], "train", ["my-data_train.csv"]],
      [["train/a.csv", "train/b.csv", "test/a.csv"], "train", ["train/a.csv", "train/b.csv"]],
      [["restrained.csv", "b.csv"], "train", ["b.csv", "restrained.csv"]],
      [["hard-00000-of-00001.parquet", "train-00000-of-00001.parquet"], "hard", ["hard-00000-of-00001.parquet"]]
    ]
    for (const [files, split, expected] of cases) assert.deepStrictEqual(HubFolder.filesOf(files, split), expected)
  })

  it("says what is missing, and what it cannot choose between", () => {
    const cases: ReadonlyArray<readonly [ReadonlyArray<string>, string, RegExp]> = [
      [["README.md", "train.json"], "train", /no file that ends in/],
      [["train.csv"], "test", /no file of the split "test", only train\.csv/],
      [["only.csv"], "validation", /no file of the split "validation"/],
      [["train.csv", "train.jsonl"], "train", /in several formats \(train\.csv, train\.jsonl\)/],
      [
        ["data/train-00000-of-00003.parquet", "data/train-00002-of-00003.parquet"],
        "train",
        /shard 1 of 3 is not there/
      ],
      [["train-00000-of-00001.parquet", "train-00000-of-00002.parquet"], "train", /several sets of shards/]
    ]
    for (const [files, split, expected] of cases) assert.match(HubFolder.filesOf(files, split) as string, expected)
  })

  it.effect("reads them at every run, and nothing from folders of other kinds", () =>
    Effect.gen(function*() {
      const location = yield* folder({
        "train.csv": "a",
        "data/train.csv": "b",
        "other/train.csv": "c",
        ".cache/train.csv": "d"
      })
      const files = yield* Pipeline.run(HubFolder.split(location, "train"))
      assert.deepStrictEqual(files.map((file) => path.relative(location, file.path)), ["data/train.csv", "train.csv"])
      const missing = yield* failure(Pipeline.run(HubFolder.split(path.join(location, "none"), "train")))
      assert.match(missing.message, /none: there is no such folder/)
      const file = yield* failure(Pipeline.run(HubFolder.split(path.join(location, "train.csv"), "train")))
      assert.match(file.message, /use Source\.file/)
    }).pipe(fresh))
})

import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import * as Adapter from "../../src/model/Adapter.ts"
import * as Checkpoint from "../../src/model/Checkpoint.ts"
import * as Gpt2 from "../../src/model/Gpt2.ts"
import * as Lora from "../../src/model/Lora.ts"
import * as PretrainedModel from "../../src/model/PretrainedModel.ts"
import * as Tokenizer from "../../src/model/Tokenizer.ts"
import { Store } from "../../src/store/Store.ts"

const untrained = Checkpoint.untrained(
  Gpt2.config({ vocabularySize: 257, positions: 8, width: 16, layers: 2, heads: 2 }),
  Tokenizer.byteLevel(),
  1
)

/** A model with an adapter that changes nothing yet. */
const adapted = Effect.fnUntraced(function*(base: Checkpoint.Checkpoint) {
  const model = yield* Checkpoint.modelOf(base)
  const placement = yield* Lora.place(model, Lora.defaults)
  return { ...base, adapter: Adapter.make(model, placement, Lora.initialize(placement, base.tensors, 1)) }
})

/** The store, with what is read from and written to it listed by digest. */
const watched = Effect.map(Store, (store) => {
  const read: Array<string> = [], written: Array<string> = []
  const service = Store.of({
    ...store,
    getObject: (address) => {
      read.push(address.sha256)
      return store.getObject(address)
    },
    putObject: (bytes, extension) =>
      Effect.tap(store.putObject(bytes, extension), ({ sha256 }) => Effect.sync(() => written.push(sha256)))
  })
  return { read, written, service }
})

const weightsOf = ({ files }: PretrainedModel.PretrainedModel) =>
  files.find(({ name }) => name === "model.safetensors")!

describe("a model that was made from another", () => {
  it.effect("shares the file of its weights where they are the same, without writing it", () =>
    Effect.gen(function*() {
      const { service, written } = yield* watched
      const origin = yield* PretrainedModel.open((yield* PretrainedModel.store(yield* untrained)).files)
      const model = yield* adapted(origin.checkpoint)
      const stored = yield* PretrainedModel.store(model, origin).pipe(Effect.provideService(Store, service))
      assert.notInclude(written, weightsOf(stored).sha256)
      assert.include(written, stored.files.find(({ name }) => name === "adapter_model.safetensors")!.sha256)
      assert.deepStrictEqual(stored, yield* PretrainedModel.store(model))
    }).pipe(Effect.provide(Store.layerMemory)))

  it.effect("has a file of its own where a single weight is another", () =>
    Effect.gen(function*() {
      const origin = yield* PretrainedModel.open((yield* PretrainedModel.store(yield* untrained)).files)
      const [[name, { data, shape }] = assert.fail()] = origin.checkpoint.tensors
      const changed = data.slice()
      changed[0]! += 1
      const tensors = new Map([...origin.checkpoint.tensors, [name, { shape, data: changed }]])
      const stored = yield* PretrainedModel.store({ ...origin.checkpoint, tensors }, origin)
      const found = (yield* PretrainedModel.load(stored.files)).tensors.get(name)!
      assert.deepStrictEqual(found.data, changed)
    }).pipe(Effect.provide(Store.layerMemory)))

  it.effect("is read without what the other has too", () =>
    Effect.gen(function*() {
      const { read, service } = yield* watched
      const origin = yield* PretrainedModel.open((yield* PretrainedModel.store(yield* untrained)).files)
      const { files } = yield* PretrainedModel.store(yield* adapted(origin.checkpoint), origin)
      const { checkpoint } = yield* PretrainedModel.open(files, origin).pipe(Effect.provideService(Store, service))
      const own = files.filter(({ name }) => name.startsWith("adapter_"))
      assert.sameMembers(read, own.map(({ sha256 }) => sha256))
      assert.deepStrictEqual(checkpoint, yield* PretrainedModel.load(files))
    }).pipe(Effect.provide(Store.layerMemory)))
})

/** A process of its own that reads a file of a model of the hub: says what it has, and how much memory that took. */
import { Effect } from "effect"
import * as Hub from "../../src/model/Hub.ts"

const read = (id: string, file: string) => {
  const { op } = Hub.model(id, { files: [file] })
  if (op._tag !== "Source") throw new Error("A model of the hub is no source")
  const read = op.read as Effect.Effect<unknown, unknown>
  return Effect.runPromise(Effect.provideService(read, Hub.Backoff, 1))
}

const [id, file] = process.argv.slice(2)
// A small one first, so that what every download takes is there.
await read(id!, "config.json")
/** What is held, without what only waits to be collected: what a collection finds is given back as the next one begins. */
const held = () => {
  globalThis.gc?.()
  globalThis.gc?.()
  const { external, heapUsed } = process.memoryUsage()
  return external + heapUsed
}
const before = held()
let peak = before
const watch = setInterval(() => peak = Math.max(peak, held()), 200)
const found = await read(id!, file!)
clearInterval(watch)
process.stdout.write(JSON.stringify({ found, grown: peak - before }))

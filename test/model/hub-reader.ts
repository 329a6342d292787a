/** A process of its own that reads a file of a model of the hub: says what it has, and how much memory that took. */
import { Effect } from "effect"
import * as Hub from "../../src/model/Hub.ts"

const read = (id: string, file: string) => {
  const { op } = Hub.model(id, { files: [file] })
  if (op._tag !== "Source") throw new Error("A model of the hub is no source")
  return Effect.runPromise(Effect.provideService(op.read, Hub.Backoff, 1))
}

const [id, file] = process.argv.slice(2)
// A small one first, so that what every download takes is there.
await read(id!, "config.json")
/** What is held, without what only waits to be collected. */
const held = () => {
  globalThis.gc?.()
  const { external, heapUsed } = process.memoryUsage()
  return external + heapUsed
}
const before = held()
let peak = before
const watch = setInterval(() => peak = Math.max(peak, held()), 25)
const found = await read(id!, file!)
clearInterval(watch)
process.stdout.write(JSON.stringify({ found, grown: peak - before }))

import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Pipeline from "../src/pipeline/Pipeline.ts"
import * as PipelineFile from "../src/executor/PipelineFile.ts"
import * as Local from "../src/executor/Local.ts"
import { Store } from "../src/store/Store.ts"
import { Progress } from "../src/pipeline/Progress.ts"
import { Backend } from "../src/tensor/Backend.ts"
import * as Codec from "../src/pipeline/Codec.ts"
const p = await Effect.runPromise(PipelineFile.load(process.argv[2]!))
const settings = await Effect.runPromise(Codec.construct(p.settings, JSON.parse(process.argv[3] ?? "{}")))
const node = p.node(settings as never)
let last = 0
const out = await Effect.runPromise(Pipeline.run(node as any).pipe(
  Effect.provideService(Progress, (e) => Effect.sync(() => { if (e._tag !== "stage.progress") console.error(JSON.stringify(e).slice(0, 300)); else if (performance.now() - last > 10000) { last = performance.now(); console.error(JSON.stringify(e.progress)) } })),
  Effect.provide(Layer.mergeAll(Store.layer("/tmp/pre-store"), Local.layer({ backend: Backend.layer("wasm") })))) as any)
console.log(JSON.stringify(out, null, 1).slice(0, 3000))

/**
 * The main module of a worker process: loads the pipeline, starts the backend,
 * then runs the stages it is sent, one at a time.
 */
import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Codec from "../pipeline/Codec.ts"
import { describe, StageDefect, StageUnavailable } from "../pipeline/Errors.ts"
import * as Execution from "../pipeline/Execution.ts"
import * as Stage from "../pipeline/Stage.ts"
import { Store } from "../store/Store.ts"
import * as Backend from "../tensor/Backend.ts"
import * as ParentWatch from "./ParentWatch.ts"
import * as PipelineFile from "./PipelineFile.ts"
import * as Protocol from "./Protocol.ts"

const reply = (message: Protocol.Reply) => void process.send?.(Protocol.encodeReply(message))

// A worker has no life of its own: it goes with its driver, however that ended.
process.on("disconnect", () => process.exit(0))
ParentWatch.start()
// Ctrl-C reaches every process of the terminal; the driver decides what it means.
process.on("SIGINT", () => {})

const setup = Protocol.decodeSetup(process.argv[2])

const start = Effect.gen(function*() {
  const pipeline = yield* PipelineFile.load(setup.pipeline)
  const settings = yield* Codec.decode(pipeline.settings, setup.settings)
  // A stage may be defined while the graph is built: building it makes it known here.
  yield* PipelineFile.wire(setup.pipeline, pipeline, settings)
  const backend = yield* Backend.parse(setup.backend)
  return yield* Layer.build(
    Layer.mergeAll(
      Store.layer(setup.store),
      Backend.Backend.layer(backend, setup),
      pipeline.layer ?? Layer.empty
    )
  )
})

const handle = Effect.fnUntraced(function*(request: Protocol.Request): Effect.fn.Return<Execution.Completed, any, any> {
  const stage = Stage.lookup(request.stage)
  if (stage === undefined || stage === "ambiguous") {
    const detail = stage === undefined
      ? `importing ${setup.pipeline} does not define ${request.stage}; define it at the top level of a module`
      : `${request.stage} is made more than once; give each stage a name of its own`
    return yield* new StageUnavailable({ stage: request.stage, detail })
  }
  const { id, inputs, key, owner, params } = request
  return yield* Execution.run({
    stage,
    key,
    owner,
    inputs,
    params,
    onProgress: ({ step, steps, values }) => reply({ _tag: "progress", id, step, steps: steps ?? null, values })
  })
})

/**
 * The memory of WebAssembly never shrinks, so without a bound a worker would keep for the rest of a study what its
 * largest trial took.
 */
const { keptMemory = 2 ** 30 } = setup

const heldBytes = (tf: Backend.Tf) => ({ process: process.memoryUsage.rss(), tensors: tf.memory().numBytes })

const main = Effect.gen(function*() {
  const context = yield* start
  const { determinism, name, tf, version } = Context.get(context, Backend.Backend)
  const before = heldBytes(tf)
  const holdsTooMuch = () => {
    const now = heldBytes(tf)
    return Math.max(now.process - before.process, now.tensors - before.tensors) > keptMemory
  }
  process.on("message", (message) => {
    const request = message as Protocol.Request
    Effect.runCallback(Effect.provideContext(handle(request), context as Context.Context<any>), {
      onExit: (exit) => {
        const { id } = request
        if (Exit.isSuccess(exit)) {
          return reply({ _tag: "completed", id, completed: exit.value, spent: holdsTooMuch() })
        }
        // Execution turns whatever a stage throws into an error of these kinds.
        const error = Cause.squash(exit.cause) as Extract<Protocol.Reply, { _tag: "failed" }>["error"]
        // A stage that broke may have left the backend in any state: a heap that overflowed stays broken.
        reply({ _tag: "failed", id, error, spent: error instanceof StageDefect || holdsTooMuch() })
      }
    })
  })
  reply({ _tag: "ready", runtime: { backend: name, version, determinism } })
  return yield* Effect.never
}).pipe(Effect.scoped)

Effect.runCallback(main, {
  onExit: (exit) => {
    if (Exit.isFailure(exit)) reply({ _tag: "unusable", detail: describe(Cause.squash(exit.cause)) })
    process.disconnect()
  }
})

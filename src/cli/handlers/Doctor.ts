import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import * as Data from "../Data.ts"
import * as Backends from "../doctor/Backends.ts"
import type { Check } from "../doctor/Check.ts"
import * as Machine from "../doctor/Machine.ts"
import * as Page from "../doctor/Page.ts"
import type { Topic } from "../explain/Topics.ts"
import type { Format } from "../Flags.ts"
import * as Output from "../Output.ts"
import * as Painter from "../progress/Painter.ts"
import * as StoreLocation from "../StoreLocation.ts"

/** Something that every pipeline needs does not work here. */
export class NotReady extends Schema.TaggedError<NotReady>()("NotReady", { checks: Schema.Array(Schema.String) }) {
  override get message(): string {
    return `Not ready: ${this.checks.join(", ")}. See above for what to do.`
  }
}

export const doctor = Effect.fnUntraced(function*(flags: {
  readonly store: string | undefined
  readonly format: Format
  readonly explain: Topic | undefined
}) {
  if (flags.explain !== undefined) return Output.print(yield* explanation(flags.explain))
  const page = Page.make(Output.stdout)
  const print = (lines: ReadonlyArray<string>) => {
    if (flags.format === "table") lines.forEach(Output.print)
  }
  const machine = [...Machine.checks(), yield* Machine.store(StoreLocation.resolve(flags))]
  const packages = Machine.packages()
  print(page.machine(machine, packages))
  print(page.heading)
  const { automatic, checks: backends } = yield* Effect.acquireUseRelease(
    Effect.sync(() => waiting()),
    (wait) =>
      Backends.inspect({
        onStart: (backend) => wait.on(`Trying ${backend} …`),
        onCheck: (check) => {
          wait.off()
          print(page.backend(check))
        }
      }),
    (wait) => Effect.sync(wait.off)
  )
  print(page.conclusion(automatic))
  const checks: ReadonlyArray<Check> = [...machine, ...backends, automatic, ...packages]
  if (flags.format !== "table") Data.print(flags.format, Data.table(columns, checks.map(rowOf)))
  const broken = checks.filter(({ status }) => status === "broken").map(({ check }) => check)
  if (broken.length > 0) return yield* new NotReady({ checks: broken })
  Output.say("Ready to run pipelines.")
})

const explanation = (topic: Topic): Effect.Effect<string> =>
  Effect.promise(async () => {
    switch (topic) {
      case "webgpu":
        return (await import("../explain/Webgpu.ts")).explanation
      case "tensorflow":
        return (await import("../explain/TensorFlow.ts")).explanation
    }
  })

/** A line that says what is waited for, where one can be taken away again. */
const waiting = () => {
  const painter = Painter.make(Output.stderr)
  const { repaints } = Output.stderr
  if (repaints) process.once("exit", painter.clear)
  return {
    on: (line: string) => {
      if (repaints) painter.paint([Output.style(Output.stderr).faint(line)])
    },
    off: painter.clear
  }
}

const columns = ["check", "status", "detail", "remedy", "version", "determinism", "devices", "tokens_per_second"]

const rowOf = (check: Check & Partial<Backends.BackendCheck>): Data.Row => {
  const { detail, remedy, running, status } = check
  const throughput = running?.throughput
  return {
    check: check.check,
    status,
    detail,
    remedy: remedy ?? null,
    version: running?.runtime.version ?? null,
    determinism: running?.runtime.determinism ?? null,
    devices: running?.devices.map(({ kind, name }) => ({ kind, name })) ?? null,
    tokens_per_second: typeof throughput === "object" ? throughput.tokensPerSecond : null
  }
}

import * as Effect from "effect/Effect"
import * as fs from "node:fs"
import * as path from "node:path"
import { stripVTControlCharacters } from "node:util"
import * as Codec from "../../pipeline/Codec.ts"
import * as Pipeline from "../../pipeline/Pipeline.ts"
import { Progress } from "../../pipeline/Progress.ts"
import * as Tables from "../../results/Tables.ts"
import * as Export from "../../store/Export.ts"
import { Store } from "../../store/Store.ts"
import type { Determinism } from "../../tensor/Backend.ts"
import * as Data from "../Data.ts"
import type { Format } from "../Flags.ts"
import * as Output from "../Output.ts"
import type * as Board from "../progress/Board.ts"
import * as Display from "../progress/Display.ts"
import * as Wording from "../progress/Wording.ts"
import * as Result from "../Result.ts"
import * as Session from "../Session.ts"
import * as StoreLocation from "../StoreLocation.ts"
import * as Text from "../Text.ts"

export interface Flags {
  readonly pipeline: string
  readonly store: string | undefined
  readonly concurrency: number | undefined
  readonly backend: string
  readonly determinism: Determinism
  readonly devices: ReadonlyArray<number> | undefined
  readonly perDevice: number
  readonly settings: ReadonlyArray<string>
  readonly format: Format | undefined
  /** Where copies of the artifacts in the result are to go. */
  readonly exportTo: string | undefined
}

/** Runs the pipeline, shows how it goes, prints what it came to. */
export const run = Effect.fnUntraced(function*(flags: Flags) {
  const session = yield* Session.open(flags)
  session.notes.forEach(Output.say)
  const started = performance.now()
  const { board, encoded, exported } = yield* Effect.scoped(Effect.gen(function*() {
    const store = yield* Store
    // A new store that cannot be written is told before anything is computed. One that is there may have it all.
    if (!fs.existsSync(store.root)) yield* store.checkWritable
    const display = yield* shown
    const value = yield* Tables.recorded(Pipeline.run(session.node)).pipe(
      Effect.provideService(Progress, (event) => Effect.sync(() => display.onEvent(event))),
      Effect.onExit((exit) =>
        Effect.sync(() => {
          display.close()
          if (exit._tag === "Failure") sayWhatIsKept(display.board)
        })
      )
    )
    const encoded = yield* Codec.encode(session.node.output, value).pipe(Effect.orDie)
    const exported = flags.exportTo === undefined ? [] : yield* Export.toFolder(encoded, flags.exportTo)
    return { board: display.board, encoded, exported }
  })).pipe(
    Effect.provide(session.layer),
    Effect.onInterrupt(() => Effect.sync(() => Output.say(`Stopped. ${toResume()}`)))
  )
  if (flags.format === undefined) {
    Output.print(Result.toText(encoded))
    const hint = flags.exportTo === undefined ? Result.hint(encoded) : undefined
    if (hint !== undefined) Output.say(hint)
  } else if (flags.format === "json") Output.print(JSON.stringify(encoded, null, 2))
  else Data.print(flags.format, Data.ofValue(encoded))
  for (const file of exported) Output.say(`Exported ${file}`)
  conclude(board, performance.now() - started, session.root)
})

/** The display of progress, closed with the scope; meanwhile it shows what stages write to the console. */
const shown = Effect.acquireRelease(
  Effect.sync(() => {
    const display = Display.make(Output.stderr, () => performance.now())
    const restore = Output.divert((line) => display.log([Text.visible(stripVTControlCharacters(line))]))
    return { display, restore }
  }),
  ({ display, restore }) =>
    Effect.sync(() => {
      restore()
      display.close()
    })
).pipe(Effect.map(({ display }) => display))

const sayWhatIsKept = (board: Board.Board): void => {
  if (board.ran + board.cached.size > 0) Output.say(`${Wording.stages(board)}; what has finished is kept.`)
}

const conclude = (board: Board.Board, millis: number, root: string): void => {
  const { faint, good } = Output.style(Output.stderr)
  const time = Text.duration(millis)
  Output.say(good(
    board.ran > 0
      ? `Done in ${time}: ${Wording.stages(board)}.`
      : board.cached.size > 0
      ? `Everything was cached: none of ${Text.count(board.cached.size, "stage")} had to run (${time}).`
      : `Done in ${time}: the pipeline has no stages.`
  ))
  const where = StoreLocation.resolve({ store: undefined }) === root ? "" : ` --store ${quote(root)}`
  Output.say(`Tables (Parquet): ${path.join(root, "tables")}`)
  const study = [...board.studies.values()].at(-1)
  const commands = [
    ...(study === undefined ? [] : [`attune trials${where}`]),
    `attune query "select stage, count(*) as runs, sum(duration_seconds) as seconds from runs group by 1"${where}`
  ]
  for (const command of commands) Output.say(faint(`Next: npx ${command}`))
}

const quote = (word: string): string => /^[\w./:=@%+,-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`

/** How to start this again, as far as it can be told: a script of npm hides what was typed. */
const toResume = (): string => {
  const script = process.env["npm_lifecycle_event"]
  const again = "To resume, run the same command again"
  if (script !== undefined && script !== "npx") return `${again}.`
  const words = [...(script === "npx" ? ["npx"] : []), "attune", ...process.argv.slice(2)]
  return `${again}: ${words.map((word) => Text.visible(quote(word))).join(" ")}`
}

/**
 * Runs the command line: parses, dispatches, turns signals into interruption and whatever happened into an exit code.
 */
import * as NodeServices from "@effect/platform-node/NodeServices"
import * as Cause from "effect/Cause"
import * as CliOutput from "effect/cli/CliOutput"
import * as Command from "effect/cli/Command"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Logger from "effect/Logger"
import { versions } from "../pipeline/Host.ts"
import { attune } from "./commands/Attune.ts"
import * as ExitCode from "./ExitCode.ts"
import * as Failure from "./Failure.ts"
import * as Output from "./Output.ts"
import * as Text from "./Text.ts"

/** Help and versions as usual; a call that is not understood gets its errors and not a page of help over them. */
const presenter: CliOutput.Presenter = {
  present: (event) => {
    if (event._tag !== "InvalidInvocation") {
      if (event._tag === "Version") return Effect.sync(() => Output.print(event.version))
      return CliOutput.defaultPresenter.present(event)
    }
    return Effect.sync(() => {
      for (const error of event.errors) report(Text.visibleLines(error.message))
      Output.say(`Try \`${event.commandPath.join(" ")} --help\`.`)
    })
  }
}

const report = (lines: ReadonlyArray<string>): void => {
  const { bad } = Output.style(Output.stderr)
  lines.forEach((line, index) => Output.say(index === 0 ? `${bad("error:")} ${line}` : line))
}

const wantsDebug = (args: ReadonlyArray<string>): boolean =>
  /(^|\s)--log-level[\s=](all|trace|debug)(\s|$)/i.test(args.join(" "))

/** The exit code of what a command ended with, after saying what went wrong. */
const conclude = (exit: Exit.Exit<void, unknown>, signalled: number | undefined, debug: boolean): number => {
  if (Exit.isSuccess(exit)) return signalled ?? ExitCode.ok
  if (signalled !== undefined) return signalled
  if (Cause.hasInterruptsOnly(exit.cause)) return ExitCode.interrupted
  const error = Cause.squash(exit.cause)
  if (isShowHelp(error)) return error.errors.length === 0 ? ExitCode.ok : ExitCode.usage
  const { exitCode, lines } = Failure.of(exit.cause, debug)
  report(lines)
  return exitCode
}

const isShowHelp = (error: unknown): error is { readonly errors: ReadonlyArray<unknown> } =>
  typeof error === "object" && error !== null && "_tag" in error && error._tag === "ShowHelp"

/** Waits until what was written has left this process, then ends it whatever is still open. */
const leave = (exitCode: number): void => {
  process.stdout.write("", () => process.stderr.write("", () => process.exit(exitCode)))
}

/** Milliseconds in which signals count as one: a Ctrl-C reaches us from the terminal and once more from npm. */
const oneKeystroke = 500

export const main = (args: ReadonlyArray<string>): void => {
  // Whoever reads our output may stop reading, as `head` does.
  process.stdout.on("error", () => process.exit(ExitCode.ok))
  process.stderr.on("error", () => {})

  const fiber = Effect.runFork(
    Command.runWith(attune, { version: versions["attune"]! })(args).pipe(
      Effect.provideService(CliOutput.Presenter, presenter),
      Effect.provideService(Logger.LogToStderr, true),
      Effect.provide(NodeServices.layer),
      Effect.scoped
    )
  )

  let signalled: number | undefined
  let signalledAt = -Infinity
  const onSignal = (exitCode: number) => () => {
    // Asked a second time: no more waiting for an orderly end.
    if (signalled !== undefined && performance.now() - signalledAt > oneKeystroke) process.exit(exitCode)
    if (signalled !== undefined) return
    signalled = exitCode
    signalledAt = performance.now()
    Effect.runFork(Fiber.interrupt(fiber))
  }
  process.on("SIGINT", onSignal(ExitCode.interrupted))
  process.on("SIGTERM", onSignal(ExitCode.terminated))

  // Keeps the process alive while all that it waits for is other processes.
  const alive = setInterval(() => {}, 2 ** 30)
  fiber.addObserver((exit) => {
    clearInterval(alive)
    leave(conclude(exit, signalled, wantsDebug(args)))
  })
}

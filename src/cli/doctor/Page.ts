/**
 * What `attune doctor` shows a person: a check a line, the backends in a table of their own, and everything that is too
 * long for its line continued below its beginning.
 */
import * as Backend from "../../tensor/Backend.ts"
import { type Output, style } from "../Output.ts"
import * as Text from "../Text.ts"
import * as Throughput from "../Throughput.ts"
import type { BackendCheck } from "./Backends.ts"
import type { Check } from "./Check.ts"

/** The lines of each part, in the order in which they are shown. */
export interface Page {
  readonly machine: (checks: ReadonlyArray<Check>, packages: ReadonlyArray<Check>) => ReadonlyArray<string>
  readonly heading: ReadonlyArray<string>
  readonly backend: (check: BackendCheck) => ReadonlyArray<string>
  readonly conclusion: (automatic: Check) => ReadonlyArray<string>
}

const gap = "  "
const statusWidth = "missing".length
const rateTitle = "tokens/s"

/** Text is broken to the width of a terminal, and left whole where there is none. */
export const make = (output: Pick<Output, "colours" | "columns" | "repaints">): Page => {
  const { bad, bold, faint, good } = style(output)
  const tone = { ok: good, missing: faint, broken: bad }
  const columns = output.repaints ? output.columns() : Infinity
  const statusOf = (status: Check["status"]) => tone[status](Text.pad(status, statusWidth))

  /** Texts to the right of cells, each beginning a line; all but the first faint. */
  const row = (cells: string, width: number, texts: ReadonlyArray<string>): ReadonlyArray<string> => {
    const lines = texts.filter((text) => text !== "").flatMap((text, index) =>
      Text.wrap(Text.visible(text), Math.max(24, columns - width)).map((line) => index === 0 ? line : faint(line))
    )
    return lines.map((line, index) => `${index === 0 ? cells : " ".repeat(width)}${line}`)
  }

  const nameWidth = Math.max(...Backend.names.map((name) => name.length))

  return {
    machine: (checks, packages) => {
      const installed = packages.filter(({ status }) => status === "ok")
      const optional: Check = {
        check: "optional packages",
        status: installed.length === 0 ? "missing" : "ok",
        detail: installed.length === 0
          ? "none of those that other backends need"
          : installed.map(({ check, detail }) => `${check.replace("package ", "")} ${detail}`).join(", ")
      }
      const all = [...checks, optional]
      const widest = Math.max(...all.map(({ check }) => Text.width(check)))
      return all.flatMap(({ check, detail, remedy = "", status }) =>
        row(`${statusOf(status)}${gap}${Text.pad(check, widest)}${gap}`, statusWidth + widest + 4, [detail, remedy])
      )
    },
    heading: [
      "",
      `${" ".repeat(statusWidth)}${gap}${bold(Text.pad("backend", nameWidth))}${gap}${bold(rateTitle)}`
    ],
    backend: ({ backend, detail, remedy = "", running, status }) => {
      const throughput = running?.throughput
      const rate = typeof throughput === "object" ? Text.rate(throughput.tokensPerSecond) : "–"
      const cells = [statusOf(status), Text.pad(backend, nameWidth), Text.padLeft(rate, rateTitle.length), ""].join(gap)
      const width = statusWidth + nameWidth + rateTitle.length + 3 * gap.length
      if (running === undefined) return row(cells, width, [detail, remedy])
      const { devices, runtime } = running
      const [device, ...others] = devices.map(({ kind, name }, number) =>
        `${devices.length > 1 ? `${number}: ` : ""}${name}${kind === "software" ? " (software, no GPU)" : ""}`
      )
      return row(cells, width, [
        typeof throughput === "string" ? `${device}: ${throughput}` : `${device}, ${runtime.determinism}`,
        ...others,
        runtime.version
      ])
    },
    conclusion: ({ detail }) => [
      "",
      ...row(
        "",
        0,
        [`--backend auto would take ${detail}.`]
      ),
      ...row("", 0, ["", `tokens/s: training ${Throughput.subject}, for a second.`]).map(faint),
      ""
    ]
  }
}

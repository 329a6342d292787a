/**
 * Data on standard output, in the format that was asked for.
 */
import type * as Schema from "effect/Schema"
import * as Format from "../results/Format.ts"
import type * as Flags from "./Flags.ts"
import * as Output from "./Output.ts"

export type Rows = Format.Rows
export type Row = Rows["rows"][number]

export const table = (columns: ReadonlyArray<string>, rows: ReadonlyArray<Row>): Rows => ({
  columns: columns.map((name) => ({ name })),
  rows
})

/** A table is cut to the width of the terminal, and left whole where there is none. */
export const width = (): { readonly width?: number } => Output.stdout.repaints ? { width: Output.stdout.columns() } : {}

/** Prints rows. */
export const print = (format: Flags.Format, data: Rows): void => Output.print(render(format, data))

const render = (format: Flags.Format, data: Rows): string => {
  switch (format) {
    case "table":
      return Format.table(data, width())
    case "csv":
      return Format.csv(data)
    case "json":
      return Format.json(data)
  }
}

const isRecord = (value: Schema.Json | undefined): value is { readonly [name: string]: Schema.Json } =>
  typeof value === "object" && value !== null && !Array.isArray(value)

/** Any value as rows: a list of records has a row for each, a record a row for each field, anything else is one cell. */
export const ofValue = (value: Schema.Json): Rows => {
  if (Array.isArray(value) && value.length > 0 && value.every(isRecord)) {
    return table([...new Set(value.flatMap((row) => Object.keys(row)))], value)
  }
  if (Array.isArray(value)) return table(["value"], value.map((item) => ({ value: item })))
  return isRecord(value)
    ? table(["name", "value"], Object.entries(value).map(([name, item]) => ({ name, value: item })))
    : table(["value"], [{ value }])
}

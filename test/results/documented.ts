/** The description of a result table as `docs/tables.md` has it. */
import type * as ResultTable from "../../src/results/ResultTable.ts"
import { nameOf } from "../../src/store/ArrowType.ts"

/** One line a column. */
export const linesOf = (table: ResultTable.ResultTable): ReadonlyArray<string> => [
  "| column | type | unit | meaning |",
  "| --- | --- | --- | --- |",
  ...table.schema.fields.map(({ metadata, name, nullable, type }) => {
    const varies = table.varying.includes(name) ? " *Varies.*" : ""
    const shown = `\`${nameOf(type).replaceAll("\"", "")}\``
    const text = metadata.get("description")!.replaceAll("|", "\\|")
    return `| \`${name}\` | ${shown}${nullable ? ", nullable" : ""} | ${
      metadata.get("units") ?? ""
    } | ${text}${varies} |`
  })
]

/**
 * The guide as the test sees it: code blocks in the order in which a reader meets them.
 *
 * - `ts`: a module. A first line like `// pipelines/tickets.ts` names its file.
 * - `csv`, `jsonl`, `json` followed by a path: a file with this content.
 * - `diff` followed by a path: lines with `-` in that file become the lines with `+`.
 * - `sh`: commands, one a line; `# exit code 1` behind one says that it fails.
 * - `sql`: a query for `attune query`.
 * - `text`, `mermaid` or `json` without a path, right after `sh` or `sql`: what these print. Numbers may differ, and
 *   `…` stands for anything.
 * - `python`: checked for its syntax where there is a Python.
 */
import * as fs from "node:fs"

export interface Block {
  readonly page: string
  /** The line of its fence, counted from 1. */
  readonly line: number
  readonly language: string
  /** The file it is the content of, relative to the project. */
  readonly path: string | undefined
  readonly code: string
}

/** The code blocks of a page. Throws where a fence is never closed or names no language. */
export const blocks = (page: string, file: string): ReadonlyArray<Block> => {
  const found: Array<Block> = []
  const lines = fs.readFileSync(file, "utf8").split("\n")
  for (let start = 0; start < lines.length; start++) {
    const opening = /^```(.*)$/.exec(lines[start]!)
    if (opening === null) continue
    const end = lines.indexOf("```", start + 1)
    if (end < 0) throw new Error(`${page}:${start + 1}: this code block is never closed`)
    const [language = "", named] = opening[1]!.trim().split(/\s+/)
    if (language === "") throw new Error(`${page}:${start + 1}: this code block names no language`)
    const content = lines.slice(start + 1, end)
    const path = named ?? (language === "ts" ? /^\/\/ (\S+\.ts)$/.exec(content[0] ?? "")?.[1] : undefined)
    found.push({ page, line: start + 1, language, path, code: `${content.join("\n")}\n` })
    start = end
  }
  return found
}

export interface Command {
  readonly text: string
  readonly exitCode: number
}

/** The commands of an `sh` block. A backslash at the end of a line joins it to the next. */
export const commands = (code: string): ReadonlyArray<Command> =>
  code.replaceAll(/\\\n\s*/g, "").split("\n").flatMap((line) => {
    const text = line.replace(/\s+#.*$/, "").trim()
    const exitCode = Number(/#.*\bexit code (\d+)/.exec(line)?.[1] ?? 0)
    return text === "" || text.startsWith("#") ? [] : [{ text, exitCode }]
  })

/** Applies a `diff` block: the lines it removes must stand in the file once. */
export const edit = (content: string, diff: string): string => {
  const side = (mark: string) =>
    diff.split("\n").filter((line) => line !== "" && line[0] !== mark).map((line) => line.slice(1)).join("\n")
  const before = side("+")
  const at = content.indexOf(before)
  if (at < 0 || content.includes(before, at + 1)) throw new Error(`these lines do not stand there once:\n${before}`)
  return content.slice(0, at) + side("-") + content.slice(at + before.length)
}

/** A line without what may differ between two runs: numbers, digests, times, widths. */
const normal = (line: string): string =>
  line
    .replaceAll(/\b[0-9a-f]{64}\b/g, "<digest>")
    .replaceAll(/[─-]{2,}/g, "-")
    .replaceAll(/[-+−]?\d+(?:\.\d+)?(?:e[-+]?\d+)?/g, "#")
    .replaceAll(/(?:# min )?# (?:ms|s)\b/g, "<time>")
    .replaceAll(/\s+/g, " ")
    .trim()

/** Whether a printed line is the one that a page shows. */
const shows = (shown: ReadonlyArray<string>, printed: string): boolean => {
  const [start = "", ...rest] = shown
  if (rest.length === 0) return printed === start
  let at = printed.startsWith(start) ? start.length : -1
  for (const part of rest) {
    if (at >= 0) at = printed.indexOf(part, at) < 0 ? -1 : printed.indexOf(part, at) + part.length
  }
  return at >= 0
}

/** The lines that a page shows and that are not in what was printed. */
export const missing = (shown: string, printed: string): ReadonlyArray<string> => {
  const output = printed.split("\n").map(normal)
  return shown.split("\n").filter((line) => {
    const parts = line.split("…").map(normal)
    return parts.some((part) => part !== "") && !output.some((found) => shows(parts, found))
  })
}

export interface Link {
  readonly page: string
  readonly target: string
}

/** The links of a page to other files and headings, those in code left out. */
export const links = (page: string, text: string): ReadonlyArray<Link> => {
  const prose = text.replaceAll(/^```[\s\S]*?^```$/gm, "").replaceAll(/`[^`\n]*`/g, "")
  return [...prose.matchAll(/\]\(([^)\s]+)\)/g)]
    .map(([, target]) => ({ page, target: target! }))
    .filter(({ target }) => !/^[a-z]+:/.test(target))
}

/** The anchors that GitHub gives to the headings of a page. */
export const anchors = (text: string): ReadonlyArray<string> =>
  [...text.replaceAll(/^```[\s\S]*?^```$/gm, "").matchAll(/^#+ (.+)$/gm)].map(([, heading]) =>
    heading!.toLowerCase().replaceAll(/[^\p{L}\p{N}\s_-]/gu, "").trim().replaceAll(/\s/g, "-")
  )

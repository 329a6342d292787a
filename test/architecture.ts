/**
 * Checks that imports point one way and that each outside library stays behind
 * the folder that is its seam. Run by `npm test`; prints what is wrong and where.
 */
import * as fs from "node:fs"
import * as path from "node:path"
import { fileURLToPath } from "node:url"
import { parseSync } from "oxc-parser"

const root = fileURLToPath(new URL("../src/", import.meta.url))

/** What the files of a folder may import besides their own folder. */
const allowed: Readonly<Record<string, ReadonlyArray<string>>> = {
  random: [],
  statistics: ["random"],
  tensor: ["random"],
  store: ["random"],
  fingerprint: ["store"],
  pipeline: ["fingerprint", "store", "random", "tensor"],
  dataset: ["pipeline", "store", "random"],
  model: ["dataset", "tensor", "pipeline", "store", "random"],
  finetune: ["model", "dataset", "tensor", "pipeline", "store", "random"],
  evaluate: ["model", "dataset", "tensor", "statistics", "pipeline", "store", "random"],
  publish: ["evaluate", "finetune", "model", "dataset", "tensor", "statistics", "pipeline", "store", "random"],
  search: ["statistics", "pipeline", "store", "random"],
  results: ["search", "pipeline", "store"],
  report: ["results", "pipeline", "store"],
  executor: ["pipeline", "store", "tensor"],
  cli: [
    "report",
    "results",
    "search",
    "executor",
    "finetune",
    "evaluate",
    "publish",
    "pipeline",
    "store",
    "tensor",
    "dataset",
    "model"
  ]
}

/** Who may import a library, or a module of Node that writes files. */
const seams: ReadonlyArray<{ readonly library: RegExp; readonly folder: string }> = [
  { library: /^@tensorflow\//, folder: "tensor" },
  { library: /^@duckdb\//, folder: "results" },
  { library: /^effect\/cli/, folder: "cli" },
  { library: /^hyparquet/, folder: "store" },
  { library: /^oxc-parser$/, folder: "fingerprint" },
  { library: /^csv-parse/, folder: "dataset" },
  { library: /^@huggingface\//, folder: "model" }
]

const writes = /\bfs\.(write|append|mkdir|rm|rename|unlink|copy|truncate|createWriteStream|link|symlink|open)\w*\(/
const barrel = /^(effect|@effect\/platform-node)$/

/** Every module a file names: imported, re-exported, or imported while it runs. */
const importsOf = (
  file: string,
  text: string
): ReadonlyArray<{ readonly specifier: string; readonly offset: number }> => {
  const { errors, module } = parseSync(file, text)
  if (errors.length > 0) throw new Error(`src/${file}: ${errors[0]!.message}`)
  const computed = module.dynamicImports.flatMap(({ moduleRequest: { end, start } }) => {
    const literal = /^"([^"]+)"$/.exec(text.slice(start, end))
    return literal === null ? [] : [{ specifier: literal[1]!, offset: start }]
  })
  const named = module.staticImports.map(({ moduleRequest }) => moduleRequest)
  const exported = module.staticExports.flatMap(({ entries }) =>
    entries.flatMap(({ moduleRequest }) => moduleRequest ?? [])
  )
  return [...named, ...exported].map(({ start, value }) => ({ specifier: value, offset: start })).concat(computed)
}

const problems: Array<string> = []
const edges = new Map<string, Set<string>>()

const files = fs.readdirSync(root, { recursive: true, encoding: "utf8" }).filter((file) => file.endsWith(".ts"))
  .toSorted()
for (const file of files) {
  const text = fs.readFileSync(path.join(root, file), "utf8")
  const folder = file.includes("/") ? file.slice(0, file.indexOf("/")) : ""
  const imported = new Set<string>()
  edges.set(file, imported)
  for (const { offset, specifier } of importsOf(file, text)) {
    const line = text.slice(0, offset).split("\n").length
    const report = (what: string) => problems.push(`src/${file}:${line}: ${what}`)
    if (!specifier.startsWith(".")) {
      if (barrel.test(specifier)) {
        report(`imports the barrel "${specifier}"; import the module, as in "${specifier}/Effect"`)
      }
      for (const { folder: owner, library } of seams) {
        if (library.test(specifier) && folder !== owner) report(`imports ${specifier}, which only src/${owner} may`)
      }
      continue
    }
    const target = path.posix.normalize(path.posix.join(path.posix.dirname(file), specifier))
    if (target.startsWith("..") || !files.includes(target)) continue
    imported.add(target)
    if (folder === "") continue
    const targetFolder = target.includes("/") ? target.slice(0, target.indexOf("/")) : "index"
    if (targetFolder === folder) continue
    if (!(folder in allowed)) report(`the folder ${folder} has no rule in test/architecture.ts`)
    else if (!allowed[folder]!.includes(targetFolder)) report(`src/${folder} may not import from src/${targetFolder}`)
  }
  if (folder !== "store" && folder !== "") {
    for (const [index, line] of text.split("\n").entries()) {
      // Opening for reading only is no writing.
      if (writes.test(line) && !/openSync\([^)]*"r"\)/.test(line)) {
        problems.push(`src/${file}:${index + 1}: writes a file, which only src/store may`)
      }
    }
  }
}

/** Cycles between files, by depth-first search. */
const state = new Map<string, "open" | "closed">()
const visit = (file: string, trail: ReadonlyArray<string>) => {
  if (state.get(file) === "closed") return
  if (state.get(file) === "open") {
    problems.push(
      `import cycle: ${[...trail.slice(trail.indexOf(file)), file].map((name) => `src/${name}`).join(" → ")}`
    )
    return
  }
  state.set(file, "open")
  for (const target of edges.get(file) ?? []) visit(target, [...trail, file])
  state.set(file, "closed")
}
for (const file of files) visit(file, [])

for (const problem of problems) process.stderr.write(`${problem}\n`)
process.stdout.write(`architecture: ${files.length} files, ${problems.length} problems\n`)
if (problems.length > 0) process.exitCode = 1

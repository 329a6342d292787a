/**
 * Follows the guide from its first page to its last, in one project, as a reader would: writes the files it shows,
 * type-checks them, runs the commands and looks whether they print what the page says.
 */
import { afterAll, assert, describe, it } from "@effect/vitest"
import { spawn } from "node:child_process"
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import { fileURLToPath, pathToFileURL } from "node:url"
import * as Guide from "./Guide.ts"

const root = fileURLToPath(new URL("../../", import.meta.url))

/** In the order in which they are followed: the README shows the pipeline of the quickstart. */
const pages = [
  "docs/quickstart.md",
  "docs/stages.md",
  "docs/data.md",
  "docs/fine-tuning.md",
  "docs/studies.md",
  "docs/search.md",
  "docs/results.md",
  "docs/publishing.md",
  "docs/backends.md",
  "docs/gpu.md",
  "docs/tensorflow.md",
  "README.md",
  "docs/README.md",
  "data/README.md"
]

/**
 * What a reader does once and this test does not: it stands in an installed checkout, and the main job, a build of
 * TensorFlow and measurements take minutes.
 */
const notRun = [
  /^git clone /,
  /^cd attune$/,
  /^npm ci$/,
  /^npm start$/,
  /^npm test$/,
  /^npm install webgpu /,
  /^npm run bench/,
  /^npx vitest run /,
  /^([A-Z_a-z]+=\S+ )*(TENSORFLOW_FOLDER=.* )?sh build\.sh/,
  /^TF_NUM_INTRAOP_THREADS=\d+ npx attune run /,
  /^npx attune run pipelines\/[a-z-]+\.ts --export data/,
  /^npx attune run pipelines\/date-instructions\.ts$/
]

/** What may stand in an `sh` block besides. */
const runnable = /^npx attune [a-z]+/

const node = path.join(root, "node_modules/.bin/node")

const makeProject = (name: string): string => {
  const project = fs.mkdtempSync(path.join(os.tmpdir(), `attune-docs-${name}-`))
  fs.writeFileSync(path.join(project, "package.json"), JSON.stringify({ private: true, type: "module" }))
  fs.symlinkSync(path.join(root, "node_modules"), path.join(project, "node_modules"))
  fs.mkdirSync(path.join(project, "data"))
  fs.cpSync(path.join(root, "data/base"), path.join(project, "data/base"), { recursive: true })
  return project
}

const project = makeProject("guide")
const typed = makeProject("types")

// `npx attune` is the command of this checkout, as it is for a reader.
const bin = path.join(project, "bin")
fs.mkdirSync(bin)
fs.writeFileSync(
  path.join(bin, "npx"),
  `#!/bin/sh\nshift\nexec "${node}" "${path.join(root, "src/cli/attune.js")}" "$@"\n`,
  { mode: 0o755 }
)

afterAll(() => {
  for (const folder of [project, typed]) fs.rmSync(folder, { recursive: true, force: true })
})

interface Ended {
  readonly exitCode: number | null
  readonly output: string
}

const run = (command: string, args: ReadonlyArray<string>, cwd: string, input = ""): Promise<Ended> =>
  new Promise((resolve, reject) => {
    const { ATTUNE_STORE: _, ...environment } = process.env
    const child = spawn(command, args, {
      cwd,
      env: { ...environment, NO_COLOR: "1", PATH: `${bin}${path.delimiter}${process.env["PATH"]}` }
    })
    let stdout = "", stderr = ""
    child.stdout.on("data", (chunk) => stdout += chunk)
    child.stderr.on("data", (chunk) => stderr += chunk)
    child.on("error", reject)
    child.on("close", (exitCode) => resolve({ exitCode, output: `${stdout}\n${stderr}` }))
    child.stdin.end(input)
  })

const write = (folder: string, file: string, content: string) => {
  fs.mkdirSync(path.join(folder, path.dirname(file)), { recursive: true })
  fs.writeFileSync(path.join(folder, file), content)
}

const blocks = pages.flatMap((page) => Guide.blocks(page, path.join(root, page)))

/** The file that a block puts into the project, as it then is there. */
const contents = new Map<string, string>()
const written = new Map<Guide.Block, { readonly file: string; readonly content: string }>()
for (const block of blocks) {
  const { code, language, line, page } = block
  const file = block.path ?? (language === "ts" ? `pipelines/${page.replaceAll(/\W/g, "-")}-${line}.ts` : undefined)
  if (file === undefined || language === "sh") continue
  const content = language === "diff" ? Guide.edit(contents.get(file) ?? "", code) : code
  contents.set(file, content)
  written.set(block, { file, content })
}

const title = ({ language, line, page, path }: Guide.Block) =>
  `${page}:${line} ${language}${path === undefined ? "" : ` ${path}`}`

describe("the guide type-checks", () => {
  // A file that a later block changes is checked in every version, the earlier ones under names of their own.
  const versions = new Map<string, string>()
  for (const { content, file } of written.values()) {
    if (!file.endsWith(".ts")) continue
    const current = versions.get(file)
    if (current !== undefined && current !== content) {
      versions.set(file.replace(/\.ts$/, `.before-${versions.size}.ts`), current)
    }
    versions.set(file, content)
  }

  it("with the settings of this repository", async () => {
    for (const [file, content] of versions) write(typed, file, content)
    const configuration = {
      extends: path.join(root, "tsconfig.json"),
      compilerOptions: { paths: { attune: [path.join(root, "src/index.ts")] }, plugins: [] },
      include: ["pipelines"]
    }
    write(typed, "tsconfig.json", JSON.stringify(configuration))
    const { exitCode, output } = await run(path.join(root, "node_modules/.bin/tsc"), ["--noEmit"], typed)
    assert.strictEqual(exitCode, 0, output)
  }, 120_000)

  it("and its modules load", async () => {
    for (const [file, content] of versions) write(typed, file, content)
    // Wiring mistakes may throw, and what a page shows to be refused does not load.
    const refused = blocks.filter(({ language }) => language === "sh").flatMap(({ code }) =>
      Guide.commands(code).filter(({ exitCode }) => exitCode === 2).map(({ text }) => text)
    )
    const loadable = [...versions.keys()].filter((file) =>
      !versions.get(file)!.includes("@ts-expect-error")
      && !refused.some((command) => command.includes(` plan ${file}`))
    )
    const load = `
      import * as Effect from "effect/Effect"
      import * as PipelineFile from ${JSON.stringify(pathToFileURL(path.join(root, "src/executor/PipelineFile.ts")))}
      for (const file of ${JSON.stringify(loadable)}) {
        const message = await Effect.runPromise(Effect.match(PipelineFile.load(file), {
          onFailure: ({ message }) => message,
          onSuccess: () => ""
        }))
        if (message !== "" && !message.includes("no default export")) console.log(message)
      }`
    write(typed, "load.ts", load)
    const { exitCode, output } = await run(node, ["load.ts"], typed)
    assert.strictEqual(exitCode, 0, output)
    assert.strictEqual(output.trim(), "")
  }, 60_000)
})

describe.each(pages)("%s", (page) => {
  /** What the last command printed; empty when it was not run here, undefined when other code came after it. */
  let printed: string | undefined
  const onPage = blocks.filter((block) => block.page === page)

  if (onPage.length === 0) it("has no code", () => assert.isNotEmpty(fs.readFileSync(path.join(root, page), "utf8")))

  for (const block of onPage) {
    it(title(block), { timeout: 240_000 }, async ({ skip }) => {
      const { code, language } = block
      const file = written.get(block)
      if (file !== undefined) {
        printed = undefined
        return write(project, file.file, file.content)
      }
      switch (language) {
        case "sh": {
          printed = ""
          for (const { exitCode, text } of Guide.commands(code)) {
            if (notRun.some((pattern) => pattern.test(text))) continue
            assert.match(text, runnable, "a command that this test neither runs nor skips")
            const ended = await run("sh", ["-c", text], project)
            assert.strictEqual(ended.exitCode, exitCode, `${text}\n${ended.output}`)
            printed += `${ended.output}\n`
          }
          return printed === "" ? skip("nothing of it is run here") : undefined
        }
        case "sql": {
          const ended = await run("npx", ["attune", "query", code], project)
          assert.strictEqual(ended.exitCode, 0, ended.output)
          printed = ended.output
          return
        }
        case "text":
        case "json":
        case "mermaid": {
          assert(printed !== undefined, "it shows what no command before it printed")
          if (printed === "") return skip("what it shows was not run here")
          const lines = Guide.missing(code, printed)
          assert.deepStrictEqual(lines, [], `not printed, or otherwise. Printed was:\n${printed}`)
          return
        }
        case "python": {
          const parse = "import ast, sys; ast.parse(sys.stdin.read())"
          const ended = await run("python3", ["-c", parse], project, code).catch(() => undefined)
          if (ended === undefined) return skip("there is no Python here")
          assert.strictEqual(ended.exitCode, 0, ended.output)
          return
        }
        default:
          assert.fail(`a code block in "${language}": say in this test what to do with it`)
      }
    })
  }
})

it("the README shows the pipeline of the quickstart", () => {
  const shown = (page: string) => blocks.find((block) => block.page === page && block.path === "pipelines/tickets.ts")
  assert.strictEqual(shown("README.md")?.code, shown("docs/quickstart.md")?.code)
})

describe("links", () => {
  const read = (file: string) => fs.readFileSync(path.join(root, file), "utf8")
  const all = [...pages, "docs/cli.md", "docs/hyperparameters.md", "docs/tables.md"].filter((page) =>
    fs.existsSync(path.join(root, page))
  )
  const links = all.flatMap((page) => Guide.links(page, read(page)))
  it.each(links)("$page → $target", ({ page, target }) => {
    const [file = "", anchor] = target.split("#")
    const pointed = file === "" ? page : path.join(path.dirname(page), file)
    assert.isTrue(fs.existsSync(path.join(root, pointed)), `${pointed} is not there`)
    if (anchor !== undefined) assert.include(Guide.anchors(read(pointed)), anchor)
  })
})

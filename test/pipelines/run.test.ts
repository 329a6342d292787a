/** The pipelines that ship beside the main job, run as a reader would, on what is small. */
import { afterAll, assert, describe, it } from "@effect/vitest"
import * as fs from "node:fs"
import * as path from "node:path"
import { fileURLToPath } from "node:url"
import * as Cli from "../cli/process.ts"

const at = (file: string) => fileURLToPath(new URL(`../../${file}`, import.meta.url))

const folder = Cli.temporaryFolder()
afterAll(() => fs.rmSync(folder, { recursive: true, force: true }))

const run = (pipeline: string, settings: Readonly<Record<string, string | number>>, ...more: ReadonlyArray<string>) =>
  Cli.start([
    "run",
    at(`pipelines/${pipeline}.ts`),
    "--store",
    path.join(folder, "store"),
    ...Object.entries(settings).flatMap(([name, value]) => ["--set", `${name}=${value}`]),
    ...more
  ], { cwd: folder }).ended

describe("the pipelines that ship", () => {
  it("the template tunes a chat model of a folder, and its export is a model with a card", async () => {
    const model = path.join(folder, "model")
    fs.mkdirSync(model)
    for (const file of ["config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"]) {
      fs.copyFileSync(at(`test/fixtures/hf/llama/${file}`), path.join(model, file))
    }
    const template = "{% for m in messages %}{{ m.role }}: {{ m.content }}{{ eos_token }}{% endfor %}"
      + "{% if add_generation_prompt %}assistant: {% endif %}"
    fs.writeFileSync(path.join(model, "chat_template.jinja"), template)
    const out = path.join(folder, "out")
    const settings = { model, trials: 2, maximumLength: 96, maximumNewTokens: 4 }
    const ended = await run("own-model", settings, "--export", out)
    assert.strictEqual(ended.code, 0, ended.stderr)
    assert.include(fs.readFileSync(path.join(out, "README.md"), "utf8"), "fine-tuned with LoRA")
    assert.includeMembers(fs.readdirSync(out), ["model.safetensors", "tokenizer.json", "chat_template.jinja"])
  }, 120_000)

  it("the template says what to do where the model cannot be had", async () => {
    const ended = await run("own-model", { model: path.join(folder, "nowhere") })
    assert.strictEqual(ended.code, 1)
    assert.include(ended.stderr, "nowhere: there is no such file")
  }, 60_000)

  it("an adapter learns to write dates", async () => {
    const ended = await run("date-instructions", { trials: 1 })
    assert.strictEqual(ended.code, 0, ended.stderr)
    const exact = (name: string) => Number(new RegExp(`^  ${name} +([\\d.]+) %`, "m").exec(ended.stdout)![1])
    assert.strictEqual(exact("before"), 0)
    assert.isAbove(exact("selected hyperparameters"), 50)
  }, 240_000)
})

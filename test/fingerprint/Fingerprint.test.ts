import { assert, describe, it } from "@effect/vitest"
import * as FileSystem from "node:fs"
import * as Path from "node:path"
import { pathToFileURL } from "node:url"
import * as Fingerprint from "../../src/fingerprint/Fingerprint.ts"
import { digest, type Files, fingerprint, write } from "./Project.ts"

const base: Files = {
  "package.json": `{ "name": "project", "type": "module" }`,
  "node_modules/effect/package.json": `{ "name": "effect", "version": "4.1.0" }`,
  "node_modules/other/package.json": `{ "name": "other", "version": "1.0.0" }`,
  "node_modules/@scope/tokens/package.json": `{ "name": "@scope/tokens", "version": "2.0.0" }`,
  "stage.ts": `
    import * as Effect from "effect/Effect"
    import { unrelated } from "other"
    import { encode } from "@scope/tokens/encode"
    import { normalise } from "./text.ts"
    import * as Config from "./config.ts"
    import type { Row } from "./types.ts"
    import * as Stage from "./Stage.ts"

    export const A = Stage.make("a", {
      run: (rows: ReadonlyArray<Row>) => Effect.succeed(rows.map((row) => encode(normalise(row.text)).slice(0, Config.limit)))
    })
    export const B = Stage.make("b", { run: () => unrelated(3) })
    export default [A, B, "pipeline"]
  `,
  "Stage.ts": `export const make = (name: string, options: object) => ({ name, options })`,
  "types.ts": `export interface Row { readonly text: string }`,
  "config.ts": `
    export const limit = 128
    export const untouched = 1
    export const Languages = { en: 0, de: 1 } as const
  `,
  "text.ts": `
    import { strip } from "./strip.ts"
    /** Lower case, no accents. */
    export const normalise = (text: string, form: "NFC" | "NFD" = "NFC"): string => strip(text.normalize(form)).toLowerCase()
    export const shout = (text: string) => text.toUpperCase()
  `,
  "strip.ts": `
    const accents = /[\\u0300-\\u036f]/g
    export function strip(text: string): string { return text.replace(accents, "") }
  `
}

const edited = (file: string, from: string | RegExp, to: string): Files => {
  const text = base[file]!.replace(from, to)
  assert.notStrictEqual(text, base[file], "the edit must change the text")
  return { ...base, [file]: text }
}
const same = (files: Files, name = "a"): void => assert.strictEqual(digest(files, name), digest(base, name))
const differs = (files: Files, name = "a"): void => assert.notStrictEqual(digest(files, name), digest(base, name))

describe("what leaves a fingerprint alone", () => {
  it("where the project stands", () => {
    assert.match(digest(base), /^[0-9a-f]{64}$/)
    same(base)
  })

  it("comments", () => {
    same(edited("text.ts", "Lower case, no accents.", "Something else."))
    same(edited("strip.ts", "return text", "return /* here */ text // there\n"))
  })

  it("formatting, quotes, parentheses, semicolons, trailing commas, braces around one statement", () => {
    same({
      ...base,
      "text.ts": `import { strip } from './strip.ts';
export const normalise = (
  text: string,
  form: "NFC" | "NFD" = ('NFC'),
): string => (strip((text.normalize(form,)))
  .toLowerCase());;`
    })
    const branch = (body: string): string =>
      digest({ "stage.ts": `export const A = Stage.make("a", { run: (x) => { if (x) ${body} return 0x10 } })` })
    assert.strictEqual(branch("return 1;"), branch("{ return 1 }"))
  })

  it("types", () => {
    same({
      ...base,
      "strip.ts": `
        type Text = string
        interface Options { readonly form: Text }
        declare const ambient: Options
        const accents: RegExp = (<RegExp>/[\\u0300-\\u036f]/g)!
        export function strip(text: Text): Text
        export function strip(text: number): Text
        export function strip<T extends Text>(this: void, text?: T | any): Text { return text!.replace(accents as RegExp, "" satisfies Text) }
        export type { Options }
      `
    })
    same(edited("types.ts", "string", "number"))
    same(edited("stage.ts", `import type { Row } from "./types.ts"`, "interface Row { readonly text: any }"))
  })

  it("the order of imports and of declarations", () => {
    const lines = base["stage.ts"]!.split("\n").filter((line) => line.includes("import"))
    const rest = base["stage.ts"]!.split("\n").filter((line) => !line.includes("import"))
    same({ ...base, "stage.ts": [...lines.toReversed(), ...rest].join("\n") })
    const strip = base["strip.ts"]!.trim().split("\n")
    same({ ...base, "strip.ts": strip.toReversed().join("\n") })
  })

  it("names of locals, of helpers, of imports", () => {
    same(edited("strip.ts", /\btext\b/g, "input"))
    same(edited("stage.ts", /\brows?\b/g, "$&_"))
    same(edited("strip.ts", /accents/g, "marks"))
    same({
      ...base,
      "stage.ts": base["stage.ts"]!.replace("{ normalise }", "{ normalise as clean }").replace(
        "normalise(row",
        "clean(row"
      )
    })
    same({
      ...edited("strip.ts", /strip/g, "removeAccents"),
      "text.ts": base["text.ts"]!.replace("{ strip }", "{ removeAccents }").replace("strip(text", "removeAccents(text")
    })
    same(edited("stage.ts", /\bA\b/g, "FirstStage"))
  })

  it("the file a helper stands in, and the way to it", () => {
    // Into the same file.
    same({
      ...base,
      "text.ts": base["text.ts"]!.replace(/import .*/, base["strip.ts"]!.replace("export ", ""))
    })
    // To another file, through a re-export, a rename, a star, a namespace, a default.
    const moved = base["strip.ts"]!
    same({ ...base, "strip.ts": `export { strip } from "./deep/accents.ts"`, "deep/accents.ts": moved })
    same({
      ...base,
      "strip.ts": `export { remove as strip } from "./deep/accents.ts"`,
      "deep/accents.ts": moved.replace("function strip", "function remove")
    })
    same({ ...base, "strip.ts": `export * from "./deep/accents.ts"`, "deep/accents.ts": moved })
    same({
      ...base,
      "strip.ts":
        `import * as Accents from "./deep/accents.ts"\nexport { Accents }\nexport * as Again from "./deep/accents.ts"`,
      "deep/accents.ts": moved,
      "text.ts": base["text.ts"]!.replace("{ strip }", "{ Accents }").replace("strip(text", "Accents.strip(text")
    })
    same({
      ...base,
      "strip.ts":
        `import * as Accents from "./deep/accents.ts"\nexport { Accents }\nexport * as Again from "./deep/accents.ts"`,
      "deep/accents.ts": moved,
      "text.ts": base["text.ts"]!.replace("{ strip }", "* as All").replace("strip(text", `All.Again["strip"](text`)
    })
    same({
      ...base,
      "strip.ts": moved.replace("export function", "export default function"),
      "text.ts": base["text.ts"]!.replace("{ strip }", "strip")
    })
    same({
      ...base,
      "strip.ts": `${moved.replace("export ", "")}\nexport default strip`,
      "text.ts": base["text.ts"]!.replace("{ strip }", "anything").replace("strip(text", "anything(text")
    })
    // As compiled and bundled projects write it.
    same(edited("text.ts", "./strip.ts", "./strip.js"))
    same(edited("text.ts", "./strip.ts", "./strip"))
  })

  it("code of the same files that the stage does not reach", () => {
    same(edited("stage.ts", `[A, B, "pipeline"]`, `[A, "another pipeline", B].map(String)`))
    same(edited("stage.ts", "unrelated(3)", "unrelated(4)"))
    same(edited("config.ts", "untouched = 1", "untouched = 2"))
    same(edited("config.ts", "de: 1", "de: 2"))
    same(edited("text.ts", "toUpperCase", "toLocaleUpperCase"))
    same({ ...base, "node_modules/other/package.json": `{ "name": "other", "version": "1.0.1" }` })
    differs(edited("stage.ts", "unrelated(3)", "unrelated(4)"), "b")
    differs({ ...base, "node_modules/other/package.json": `{ "name": "other", "version": "1.0.1" }` }, "b")
  })
})

describe("what changes a fingerprint", () => {
  it("the stage's own code", () => {
    differs(edited("stage.ts", "slice(0,", "slice(1,"))
    differs(edited("stage.ts", "Config.limit", "Config.untouched"))
    differs(edited("stage.ts", "Effect.succeed", "Effect.fail"))
  })

  it("a helper two files away: its code, constant, default, operator, regular expression", () => {
    differs(edited("strip.ts", `""`, `" "`))
    differs(edited("strip.ts", "u036f]/g", "u036f]/gu"))
    differs(edited("strip.ts", "u036f]/g", "u0370]/g"))
    differs(edited("text.ts", `= "NFC"`, `= "NFD"`))
    differs(edited("text.ts", "(text.normalize", "(form + text.normalize"))
    differs(edited("text.ts", "toLowerCase", "toUpperCase"))
    differs(edited("config.ts", "128", "129"))
    differs(edited("config.ts", "128", "-128"))
    differs(edited("Stage.ts", "({ name, options })", "({ options, name })"))
  })

  it("async, generators, optional chaining", () => {
    differs(edited("stage.ts", "run: (rows", "run: async (rows"))
    differs(edited("text.ts", ").toLowerCase", ")?.toLowerCase"))
    differs(edited("strip.ts", "export function strip", "export function* strip"))
  })

  it("the version of a package, in a scope too, and the name taken from it", () => {
    differs({ ...base, "node_modules/effect/package.json": `{ "name": "effect", "version": "4.1.1" }` })
    differs({ ...base, "node_modules/@scope/tokens/package.json": `{ "name": "@scope/tokens", "version": "2.0.1" }` })
    differs(edited("stage.ts", "{ encode }", "{ decode as encode }"))
    differs(edited("stage.ts", "effect/Effect", "effect/Result"))
    // The nearest installation is the one that counts.
    differs({
      ...base,
      "sub/node_modules/effect/package.json": `{ "name": "effect", "version": "5.0.0" }`,
      "sub/text.ts": `import { succeed } from "effect/Effect"\nexport const normalise = succeed`,
      "text.ts": `export * from "./sub/text.ts"`
    })
  })

  it("which of two equal declarations is meant", () => {
    const files = (returned: string): Files => ({
      "stage.ts": `
        let first = 0, second = 0
        export const A = Stage.make("a", { run: () => { first++; return ${returned} } })
      `
    })
    assert.notStrictEqual(digest(files("first")), digest(files("second")))
    assert.strictEqual(
      digest(files("first")),
      digest({ "stage.ts": files("first")["stage.ts"]!.replaceAll("first", "x") })
    )
  })

  it("an object that is reached, enums, classes with decorators and fields", () => {
    const files = (text: string): Files => ({
      "stage.ts":
        `import { Kind, Model } from "./model.ts"\nexport const A = Stage.make("a", { run: () => new Model(Kind.B) })`,
      "model.ts": text
    })
    const text = `
      export const Kind = { A: 1, B: 2 } as const
      const mark = (value: unknown) => value
      @mark export class Model { static #count = 0; private kind: number; rate = 0.1
        constructor(kind: number) { this.kind = kind; Model.#count++ }
        get double() { return this.kind * 2 } }
      export enum Unused { A = 1 }`
    const original = digest(files(text))
    for (
      const [from, to] of [
        ["B: 2", "B: 3"],
        ["A: 1", "A: 0"],
        ["rate = 0.1", "rate = 0.2"],
        ["kind * 2", "kind * 3"],
        ["=> value", "=> [value]"],
        ["get double", "double"],
        ["@mark ", ""],
        ["static #count", "#count"]
      ] as const
    ) assert.notStrictEqual(digest(files(text.replace(from, to))), original, `${from} to ${to}`)
    assert.strictEqual(digest(files(text.replace("private kind", "public kind"))), original)
    assert.strictEqual(digest(files(text.replace("Unused { A = 1", "Unused { A = 2"))), original)
    const enumeration = (members: string) => digest(files(text.replace(/const Kind = .*/, `enum Kind { ${members} }`)))
    assert.strictEqual(enumeration("A = 1, B = A + 1"), enumeration("'A' = 1, B = (A + 1),"))
    assert.notStrictEqual(enumeration("A = 1, B = A + 1"), enumeration("A = 1, B = A + 2"))
    assert.notStrictEqual(enumeration("A = 1, B = 2"), enumeration("A = 1, C = 2, B = 2"))
  })

  it("functions that call each other, near and far", () => {
    const files = (odd: string, even = "n === 0 || odd(n - 1)"): Files => ({
      "stage.ts": `import { even } from "./even.ts"\nexport const A = Stage.make("a", { run: even })`,
      "even.ts": `import { odd } from "./odd.ts"\nexport const even = (n: number): boolean => ${even}`,
      "odd.ts": `import { even } from "./even.ts"\nexport const odd = (n: number): boolean => ${odd}`
    })
    const original = digest(files("n !== 0 && even(n - 1)"))
    assert.strictEqual(digest(files("(n !== 0) && even((n - 1))")), original)
    assert.notStrictEqual(digest(files("n !== 1 && even(n - 1)")), original)
    assert.notStrictEqual(digest(files("n !== 0 && odd(n - 1)")), original)
    const together = {
      "stage.ts": `
        function odd(n) { return 1 }
        const isOdd = (n: number): boolean => n !== 0 && isEven(n - 1)
        const isEven = (n: number): boolean => n === 0 || isOdd(n - 1)
        export const A = Stage.make("a", { run: isEven })`
    }
    assert.strictEqual(digest(together), original)
  })

  it("JSON by its content, other files by their bytes", () => {
    const files = (json: string, text = "one"): Files => ({
      "stage.ts": `
        import table from "./table.json" with { type: "json" }
        const words = new URL("./words.txt", import.meta.url)
        export const A = Stage.make("a", { run: () => [table.rows, words] })`,
      "table.json": json,
      "words.txt": text
    })
    const original = digest(files(`{ "rows": [1, 2] }`))
    assert.strictEqual(digest(files(`{\n  "rows": [1,2]\n}\n`)), original)
    assert.notStrictEqual(digest(files(`{ "rows": [2, 1] }`)), original)
    assert.notStrictEqual(digest(files(`{ "rows": [1, 2] }`, "two")), original)
  })
})

describe("effects of loading", () => {
  const files = (statement: string, elsewhere = ""): Files => ({
    "package.json": `{ "name": "project" }`,
    "node_modules/polyfill/package.json": `{ "name": "polyfill", "version": "1.0.0" }`,
    "stage.ts": `
      import { registry } from "./registry.ts"
      import { other } from "./other.ts"
      ${statement}
      export const A = Stage.make("a", { run: () => registry.size })
      export const B = Stage.make("b", { run: () => other })`,
    "registry.ts": `export const registry = new Map<string, number>()\nexport let rate = 1`,
    "other.ts": `import { registry } from "./registry.ts"\nexport const other = 1\n${elsewhere}`
  })
  const original = digest(files(""))

  it("statements of every file that is loaded count, in their order", () => {
    assert.notStrictEqual(digest(files("", `registry.set("a", 1)`)), original)
    assert.notStrictEqual(digest(files(`Object.defineProperty(globalThis, "x", { value: 1 })`)), original)
    assert.notStrictEqual(digest(files(`if (registry.size > 0) { var late = 1 }`)), original)
    assert.notStrictEqual(
      digest(files("", `registry.set("a", 1); registry.set("a", 2)`)),
      digest(files("", `registry.set("a", 2); registry.set("a", 1)`))
    )
  })

  it("what a statement mentions counts", () => {
    const through = (value: number) => digest(files("", `const fill = () => registry.set("a", ${value})\nfill()`))
    assert.notStrictEqual(through(1), through(2))
  })

  it("declarations that change something reached count, others do not", () => {
    assert.strictEqual(digest(files(`const size = [1].length`)), original)
    assert.notStrictEqual(digest(files(`export const filled = registry.set("a", 1)`)), original)
    assert.notStrictEqual(digest(files("", `export function fill() { Object.assign(registry, { x: 1 }) }`)), original)
    assert.notStrictEqual(digest(files("", `export class Filler { static { registry.clear() } }`)), original)
  })

  it("a module or package imported for its effects counts", () => {
    const polyfilled = files(`import "polyfill"`)
    assert.notStrictEqual(digest(polyfilled), original)
    assert.notStrictEqual(
      digest({ ...polyfilled, "node_modules/polyfill/package.json": `{ "name": "polyfill", "version": "1.0.1" }` }),
      digest(polyfilled)
    )
    assert.deepStrictEqual(fingerprint(polyfilled).packages, [{ name: "polyfill", version: "1.0.0" }])
    const local = { ...files(`import "./setup.ts"`), "setup.ts": "globalThis.x = 1" }
    assert.notStrictEqual(digest(local), original)
    assert.notStrictEqual(digest({ ...local, "setup.ts": "globalThis.x = 2" }), digest(local))
  })
})

describe("what cannot be followed", () => {
  const files = (run: string, around = ""): Files => ({
    "stage.ts": `
      ${around}
      const unreached = 1
      export const A = Stage.make("a", { run: ${run} })`
  })

  for (
    const [what, run, reason] of [
      ["eval", `() => eval("1")`, "eval"],
      ["indirect eval", `() => (0, eval)("1")`, "eval"],
      ["globalThis.eval", `() => globalThis.eval("1")`, "eval"],
      ["new Function", `() => new Function("return 1")`, "Function"],
      ["computed import()", `(name) => import(name)`, "import()"],
      ["require of a variable", `(name) => require(name)`, "require"],
      ["require as a value", `() => [require]`, "require"],
      ["a worker at a computed place", `(name) => new Worker(name)`, "worker"],
      ["syntax that is not analysed", `() => <p>{unreached}</p>`, "JSX"]
    ] as const
  ) {
    it(`${what} makes the whole file count, and is listed`, () => {
      const name = what.startsWith("syntax") ? "stage.tsx" : "stage.ts"
      const of = (text: string) =>
        Fingerprint.make().ofStage({ file: Path.join(write({ [name]: text }), name), name: "a" })
      const text = files(run)["stage.ts"]!
      const original = of(text)
      assert.strictEqual(original.opaque[0]!.line, 4)
      assert.include(original.opaque[0]!.reason, reason)
      assert.notStrictEqual(of(text.replace("unreached = 1", "unreached = 2")).digest, original.digest)
      assert.notStrictEqual(of(`${text}// comment`).digest, original.digest)
    })
  }

  it("a local that happens to be called eval, require or Function is no reason", () => {
    const found = fingerprint(files(`(eval_, require, Function) => [require(eval_), new Function(eval_)]`))
    assert.deepStrictEqual(found.opaque, [])
  })

  it("only code that the stage reaches makes its file opaque", () => {
    const text = `export const hidden = () => eval("1")`
    assert.deepStrictEqual(fingerprint(files("() => 1", text)).opaque, [])
    assert.strictEqual(fingerprint(files("() => hidden()", text)).opaque.length, 1)
  })

  it("a namespace with code in it", () => {
    const found = fingerprint(
      files("() => N.a", "namespace N { export const a = 1 }\nnamespace T { export type X = 1 }")
    )
    assert.strictEqual(found.opaque.length, 1)
    assert.notStrictEqual(found.digest, digest(files("() => N.a", "namespace N { export const a = 2 }")))
  })

  it("a module that is not there", () => {
    const found = fingerprint(files("() => gone()", `import { gone } from "./gone.ts"`))
    assert.include(found.opaque[0]!.reason, "./gone.ts")
    assert.strictEqual(found.opaque[0]!.line, 2)
    const aliased = fingerprint(files("() => gone()", `import { gone } from "@/gone"`))
    assert.strictEqual(aliased.opaque.length, 1)
    const uninstalled = fingerprint(files("() => gone()", `import { gone } from "gone"`))
    assert.include(uninstalled.opaque[0]!.reason, "not installed")
  })

  it("an optional package that is not installed is a fact, not a riddle", () => {
    const optional = files(`() => import("optional")`)
    const without = fingerprint(optional)
    assert.deepStrictEqual(without.opaque, [])
    const found = fingerprint({
      ...optional,
      "node_modules/optional/package.json": `{ "name": "optional", "version": "1.0.0" }`
    })
    assert.deepStrictEqual(found.packages, [{ name: "optional", version: "1.0.0" }])
    assert.notStrictEqual(found.digest, without.digest)
  })

  it("a file that is not code, or is not there, is an error that names the place", () => {
    const broken = {
      ...files("helper", `import { helper } from "./helper.ts"`),
      "helper.ts": "const a = 1\nconst b = ;"
    }
    const attempt = (run: () => unknown): unknown => {
      try {
        return run()
      } catch (error) {
        return error
      }
    }
    const error = attempt(() => digest(broken))
    assert.instanceOf(error, Fingerprint.SourceError)
    assert.match(error.file, /helper\.ts$/)
    assert.strictEqual(error.line, 2)
    assert.match(error.message, /Cannot parse .*helper\.ts:2: Unexpected token/)
    const absent = attempt(() => Fingerprint.make().ofStage({ file: "/nowhere/stage.ts", name: "a" }))
    assert.instanceOf(absent, Fingerprint.SourceError)
    assert.match(absent.message, /Cannot read \/nowhere\/stage\.ts: no such file/)
  })
})

describe("where the stage is made", () => {
  const two = `const rate = 1
const size = 2
export const A = Stage.make("same", { run: () => rate })
export const B = Stage.make("same", { run: () => size })
export default Stage.make(\`named\`, {})
`
  const of = (text: string, name: string, line?: number) =>
    Fingerprint.make().ofStage({ file: Path.join(write({ "stage.ts": text }), "stage.ts"), name, line })
  const names = (found: Fingerprint.Fingerprint) => found.reached.map((one) => one.declaration)

  it("the literal decides, then the line", () => {
    assert.deepStrictEqual(names(of(two, "same", 3)), ["A", "rate"])
    assert.deepStrictEqual(names(of(two, "same", 4)), ["B", "size"])
    assert.deepStrictEqual(names(of(two, "same")), ["A", "B", "rate", "size"])
    assert.deepStrictEqual(names(of(two, "named")), ["default"])
    assert.deepStrictEqual(names(of(`const name = "x"\nexport const A = Stage.make(name, {})`, "x", 2)), ["A", "name"])
  })

  it("failing both, the whole file counts", () => {
    const found = of(two, "elsewhere")
    assert.deepStrictEqual(found.opaque.map((one) => one.reason), [
      `no top-level declaration calls make("elsewhere", …)`
    ])
    assert.strictEqual(names(found)[0], "(whole file)")
    assert.notStrictEqual(of(two.replace("size = 2", "size = 3"), "elsewhere").digest, found.digest)
  })

  it("a stage made inside a function counts with its whole file", () => {
    const factory = (argument: number) => `
const make = (rate: number) => Stage.make("a", { run: () => rate })
export const A = make(${argument})`
    const found = of(factory(1), "a", 2)
    assert.include(found.opaque[0]!.reason, "inside a function")
    assert.notStrictEqual(of(factory(2), "a", 2).digest, found.digest)
  })

  it("a URL is as good as a path", () => {
    const folder = write({ "stage.ts": two })
    const analyser = Fingerprint.make()
    const file = Path.join(folder, "stage.ts")
    assert.strictEqual(
      analyser.ofStage({ file: `${pathToFileURL(file).href}?t=1`, name: "same", line: 3 }).digest,
      analyser.ofStage({ file, name: "same", line: 3 }).digest
    )
  })
})

describe("packages and the project itself", () => {
  it("the project's own name is followed to its source", () => {
    const files = (rate: number): Files => ({
      "package.json": `{ "name": "project", "exports": { ".": "./dist/index.js" } }`,
      "src/index.ts": `export * as Stage from "./Stage.ts"`,
      "src/Stage.ts": `export const make = () => ${rate}\nexport const other = 1`,
      "pipelines/stage.ts": `import { Stage } from "project"\nexport const A = Stage.make("a", {})`
    })
    const of = (rate: number, change: Files = {}) => {
      const folder = write({ ...files(rate), ...change })
      return Fingerprint.make({
        self: { name: "project", entry: pathToFileURL(Path.join(folder, "src/index.ts")).href }
      })
        .ofStage({ file: Path.join(folder, "pipelines/stage.ts"), name: "a" })
    }
    assert.notStrictEqual(of(1).digest, of(2).digest)
    assert.deepStrictEqual(of(1).opaque, [])
    assert.strictEqual(
      of(1).digest,
      of(1, { "src/Stage.ts": `export const make = () => 1\nexport const other = 2` }).digest
    )
    assert.deepStrictEqual(of(1).reached.map((one) => [one.declaration, one.line, one.from]), [
      ["A", 2, undefined],
      ["make", 1, 0]
    ])
  })

  it("a workspace package is followed, as its version does not change with its code", () => {
    const of = (rate: number) => {
      const folder = write({
        "app/stage.ts": `import { rate } from "lib/rates"\nexport const A = Stage.make("a", { rate })`,
        "app/node_modules/.keep": "",
        "lib/package.json":
          `{ "name": "lib", "version": "1.0.0", "exports": { "./*": { "types": "./no.d.ts", "import": "./src/*.ts" } } }`,
        "lib/src/rates.ts": `export const rate = ${rate}`
      })
      FileSystem.symlinkSync(Path.join(folder, "lib"), Path.join(folder, "app/node_modules/lib"))
      return Fingerprint.make().ofStage({ file: Path.join(folder, "app/stage.ts"), name: "a" })
    }
    assert.deepStrictEqual(of(1).opaque, [])
    assert.notStrictEqual(of(1).digest, of(2).digest)
  })

  it("imports mapped by package.json, CommonJS, dynamic imports, workers", () => {
    const files: Files = {
      "package.json": `{ "name": "project", "type": "module", "imports": { "#lib/*": "./lib/*.ts" } }`,
      "lib/rates.ts": "export const rate = 1",
      "old.cjs": "const base = 2\nmodule.exports = { value: base }",
      "lazy.ts": "export const lazy = 3",
      "worker.ts": "import { step } from './step.ts'\nstep()",
      "step.ts": "export const step = () => 4",
      "stage.ts": `
        import { createRequire } from "node:module"
        import { rate } from "#lib/rates"
        import old from "./old.cjs"
        const require = createRequire(import.meta.url)
        export const A = Stage.make("a", { run: async () => [rate, old.value, (await import("./lazy.ts")).lazy,
          new Worker(new URL("./worker.ts", import.meta.url)), require("./older.cjs")] })`,
      "older.cjs": "exports.five = 5"
    }
    const original = fingerprint(files)
    assert.deepStrictEqual(original.opaque, [])
    for (const file of ["lib/rates.ts", "old.cjs", "lazy.ts", "step.ts", "older.cjs"]) {
      const text = files[file]!.replace(/\d/, "9")
      assert.notStrictEqual(digest({ ...files, [file]: text }), original.digest, file)
      assert.strictEqual(digest({ ...files, [file]: `// comment\n${files[file]}` }), original.digest, file)
    }
  })
})

describe("an analyser over time", () => {
  it("sees a file that changed within the same moment and size, and comes back to the old digest", () => {
    const folder = write(base)
    const analyser = Fingerprint.make()
    const of = () => analyser.ofStage({ file: Path.join(folder, "stage.ts"), name: "a" }).digest
    const original = of()
    write({ "config.ts": base["config.ts"]!.replace("128", "129") }, folder)
    assert.notStrictEqual(of(), original)
    write({ "config.ts": base["config.ts"]! }, folder)
    assert.strictEqual(of(), original)
    write({ "node_modules/effect/package.json": `{ "name": "effect", "version": "4.1.1" }` }, folder)
    assert.notStrictEqual(of(), original)
  })

  it("tells which pieces count, where they are, and what mentions them", () => {
    const folder = write(base)
    const { opaque, packages, reached } = Fingerprint.make().ofStage({
      file: pathToFileURL(Path.join(folder, "stage.ts")).href,
      name: "a"
    })
    assert.deepStrictEqual(
      reached.map((one) => [Path.relative(folder, one.file), one.declaration, one.line, one.from]),
      [
        ["stage.ts", "A", 10, undefined],
        ["Stage.ts", "make", 1, 0],
        ["text.ts", "normalise", 4, 0],
        ["config.ts", "limit", 2, 0],
        ["strip.ts", "strip", 3, 2],
        ["strip.ts", "accents", 2, 4]
      ]
    )
    assert.deepStrictEqual(packages, [{ name: "@scope/tokens", version: "2.0.0" }, {
      name: "effect",
      version: "4.1.0"
    }])
    assert.deepStrictEqual(opaque, [])
  })
})

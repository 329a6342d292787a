/**
 * Compiles the AssemblyScript files of this folder to WebAssembly and writes the bytes into `../Binary.ts`:
 *
 *     node src/tensor/wasm/assembly/compile.ts
 *
 * The result is checked in, so that only who changes a kernel needs the compiler (the package `assemblyscript`). A test
 * compiles again and compares.
 */
import { createHash } from "node:crypto"
import { readdirSync, readFileSync, writeFileSync } from "node:fs"

/** The part of the compiler's programming interface that is used here. */
interface Compiler {
  readonly main: (options: ReadonlyArray<string>, host: {
    readonly readFile: (name: string) => string | null
    readonly writeFile: (name: string, contents: string | Uint8Array) => void
    readonly listFiles: () => ReadonlyArray<string>
  }) => Promise<{ readonly error: Error | null; readonly stderr: { readonly toString: () => string } }>
}

const options = [
  "Module.ts",
  "--outFile",
  "Module.wasm",
  "-O3",
  "--noAssert",
  "--runtime",
  "stub",
  // The memory is TensorFlow.js' own, and nothing of ours may be laid into it.
  "--importMemory",
  "--enable",
  "simd,relaxed-simd"
]

/** A digest over the sources, kept beside the bytes: without a compiler it still tells whether they belong together. */
export const sourceDigest = (): string => {
  const hash = createHash("sha256")
  for (const name of readdirSync(new URL(".", import.meta.url)).toSorted()) {
    if (name.endsWith(".as")) hash.update(`${name}\0${readFileSync(new URL(name, import.meta.url), "utf8")}\0`)
  }
  return hash.digest("hex")
}

/** The module's bytes. */
export const compile = async (compiler: Compiler): Promise<Uint8Array> => {
  let bytes: Uint8Array | undefined
  const { error, stderr } = await compiler.main(options, {
    // The compiler knows its sources as .ts; here they are .as, which no TypeScript tool takes for its own.
    readFile: (name) => {
      try {
        return readFileSync(new URL(name.replace(/\.ts$/, ".as"), import.meta.url), "utf8")
      } catch {
        return null
      }
    },
    writeFile: (_, contents) => {
      if (typeof contents !== "string") bytes = contents
    },
    listFiles: () => []
  })
  if (error !== null || bytes === undefined) throw new Error(stderr.toString(), { cause: error })
  return bytes
}

/** The text of `../Binary.ts`. */
export const render = (bytes: Uint8Array): string =>
  `/** The kernels of \`assembly/\`, written by \`assembly/compile.ts\`. */
export const binary =
  "${Buffer.from(bytes).toString("base64")}"

/** Of the sources that it was compiled from. */
export const sourceDigest = "${sourceDigest()}"
`

if (import.meta.main) {
  const specifier: string = "assemblyscript/asc"
  const bytes = await compile(await import(specifier) as Compiler)
  writeFileSync(new URL("../Binary.ts", import.meta.url), render(bytes))
}

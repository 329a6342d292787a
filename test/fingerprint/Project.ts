/** Small projects in a temporary folder, for the tests of fingerprints. */
import * as FileSystem from "node:fs"
import * as Os from "node:os"
import * as Path from "node:path"
import { afterAll } from "vitest"
import * as Fingerprint from "../../src/fingerprint/Fingerprint.ts"

export type Files = Readonly<Record<string, string>>

const folders: Array<string> = []
afterAll(() => {
  for (const folder of folders) FileSystem.rmSync(folder, { recursive: true, force: true })
})

/** Writes the files into a new folder, or over those of `folder`, and returns the folder. */
export const write = (files: Files, folder?: string): string => {
  const root = folder ?? FileSystem.realpathSync(FileSystem.mkdtempSync(Path.join(Os.tmpdir(), "fingerprint-")))
  if (folder === undefined) folders.push(root)
  for (const [name, text] of Object.entries(files)) {
    const path = Path.join(root, name)
    FileSystem.mkdirSync(Path.dirname(path), { recursive: true })
    FileSystem.writeFileSync(path, text)
  }
  return root
}

/** The fingerprint of the stage `name` made in `stage.ts` of a project with these files. */
export const fingerprint = (files: Files, name = "a", options?: Fingerprint.Options): Fingerprint.Fingerprint =>
  Fingerprint.make(options).ofStage({ file: Path.join(write(files), "stage.ts"), name })

export const digest = (files: Files, name = "a"): string => fingerprint(files, name).digest

/** The digest of a stage whose `run` has this body; the rest of the file is given by `around`. */
export const ofBody = (body: string, around = ""): string =>
  digest({ "stage.ts": `${around}\nexport const A = Stage.make("a", { run: ${body} })\n` })

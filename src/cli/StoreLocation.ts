/**
 * Which store a command uses: the one that `--store` or `ATTUNE_STORE` names, otherwise `.attune` in the project
 * folder.
 */
import * as fs from "node:fs"
import * as path from "node:path"

export interface Options {
  /** The flag, as given. */
  readonly store: string | undefined
  /** The pipeline file, as given; `undefined` for commands that take none. */
  readonly pipeline?: string
  /** The environment variable. */
  readonly environment?: string | undefined
  readonly workingDirectory?: string
}

const folderName = ".attune"

/** The nearest folder, from `folder` upwards, that has a package.json. */
const projectOf = (folder: string): string | undefined => {
  for (let current = folder;; current = path.dirname(current)) {
    if (fs.existsSync(path.join(current, "package.json"))) return current
    if (current === path.dirname(current)) return undefined
  }
}

/**
 * The absolute folder of the store. The project is the one that holds the pipeline file, or the working directory for
 * commands without one; outside any project the store lies beside the file.
 */
export const resolve = (options: Options): string => {
  const { environment = process.env["ATTUNE_STORE"], pipeline, store, workingDirectory = process.cwd() } = options
  const chosen = store ?? (environment === "" ? undefined : environment)
  if (chosen !== undefined) return path.resolve(workingDirectory, chosen)
  const start = pipeline === undefined ? workingDirectory : path.dirname(path.resolve(workingDirectory, pipeline))
  return path.join(projectOf(start) ?? start, folderName)
}

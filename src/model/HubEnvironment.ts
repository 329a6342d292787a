/**
 * Where the hub is, where its cache is and who asks: environment variables, by
 * the names and the rules of the Python library huggingface_hub
 * ("Environment variables" in its reference).
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"

/** The environment variables of this process, unless others are given. */
export const Variables = Context.Reference<Readonly<Record<string, string | undefined>>>("attune/model/HubVariables", {
  defaultValue: () => process.env
})

export interface Settings {
  /** Without a slash at its end. */
  readonly endpoint: string
  /** The folder of the cache. */
  readonly cache: string
  readonly token: Redacted.Redacted | undefined
  /** Nothing is to be asked of the hub. */
  readonly offline: boolean
}

const isTrue = (value: string | undefined): boolean => /^(1|on|yes|true)$/i.test(value ?? "")

export const settings: Effect.Effect<Settings> = Effect.gen(function*() {
  const variables = yield* Variables
  /** An empty variable counts as none. */
  const get = (name: string): string | undefined => variables[name] === "" ? undefined : variables[name]
  const home = get("HOME") ?? os.homedir()
  const expand = (folder: string): string =>
    path.resolve(
      folder.replace(/^~(?=$|[\\/])/, home)
        .replace(/\$(?:\{(\w+)\}|(\w+))/g, (whole, braced, bare) => variables[braced ?? bare] ?? whole)
    )
  const base = expand(get("HF_HOME") ?? path.join(get("XDG_CACHE_HOME") ?? path.join(home, ".cache"), "huggingface"))
  const tokenFile = expand(get("HF_TOKEN_PATH") ?? path.join(base, "token"))
  const token = isTrue(get("HF_HUB_DISABLE_IMPLICIT_TOKEN"))
    ? undefined
    : (get("HF_TOKEN") ?? get("HUGGING_FACE_HUB_TOKEN") ?? readText(tokenFile))?.trim()
  return {
    endpoint: (get("HF_ENDPOINT") ?? "https://huggingface.co").replace(/\/+$/, ""),
    cache: expand(get("HF_HUB_CACHE") ?? get("HUGGINGFACE_HUB_CACHE") ?? path.join(base, "hub")),
    token: token === undefined || token === "" ? undefined : Redacted.make(token, { label: "token of the hub" }),
    offline: isTrue(get("HF_HUB_OFFLINE") ?? get("TRANSFORMERS_OFFLINE"))
  }
})

const readText = (file: string): string | undefined => {
  try {
    return fs.readFileSync(file, "utf8")
  } catch {
    return undefined
  }
}

/**
 * What machine and which versions a stage ran on, as its record keeps it.
 */
import { createRequire } from "node:module"
import * as os from "node:os"
import type { Host } from "../store/RunRecord.ts"

export const host: Host = {
  name: os.hostname(),
  platform: `${os.platform()} ${os.arch()}`,
  cpu: os.cpus()[0]?.model.trim() ?? "unknown",
  cores: os.availableParallelism(),
  memory: os.totalmem()
}

const require = createRequire(import.meta.url)
const versionOf = (file: string): string => (require(file) as { readonly version: string }).version

export const versions: Readonly<Record<string, string>> = {
  attune: versionOf("../../package.json"),
  effect: versionOf("effect/package.json"),
  node: process.versions.node
}

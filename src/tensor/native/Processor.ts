/** What of this machine's processor decides in which order TensorFlow adds up. */
import * as fs from "node:fs"
import { processor } from "../Driver.ts"

/** Newest first: oneDNN has kernels for each, and takes the first that the processor knows. */
const instructionSets: ReadonlyArray<readonly [name: string, flag: string]> = [
  ["avx512", "avx512bw"],
  ["avx2", "avx2"],
  ["avx", "avx"],
  ["sve", "sve"]
]

/** The widest vectors among the flags that Linux lists in `/proc/cpuinfo`. */
export const instructionSet = (cpuinfo: string, architecture: string): string => {
  const flags = new Set(/^(?:flags|Features)\s*:(.*)$/m.exec(cpuinfo)?.[1]?.trim().split(/\s+/))
  return instructionSets.find(([, flag]) => flags.has(flag))?.[0] ?? architecture
}

const cpuinfo = (): string => {
  try {
    return fs.readFileSync("/proc/cpuinfo", "utf8")
  } catch {
    return ""
  }
}

/**
 * The instruction set, and the model in parentheses: the sizes of its caches decide into which blocks Eigen cuts a
 * matrix product.
 */
export const identity = (): string => `${instructionSet(cpuinfo(), process.arch)} (${processor.name})`

/**
 * The environment variables that TensorFlow and CUDA read while they load. What the user has set stays as it is, but
 * for what was asked for explicitly.
 */
import * as os from "node:os"
import type { Determinism } from "../Driver.ts"

const defaults: Readonly<Record<string, string>> = {
  // Errors reach us as exceptions. Anything less would be printed into a progress display.
  TF_CPP_MIN_LOG_LEVEL: "3",
  // The number of threads changes the order of sums, so it must depend on nothing that may differ between two runs of
  // one study, such as how many trials run at a time. One a process is also the fastest where each core has a process.
  TF_NUM_INTRAOP_THREADS: "1",
  // Otherwise the first process takes all the memory of the GPU.
  TF_FORCE_GPU_ALLOW_GROWTH: "true",
  // CUDA numbers GPUs by speed unless told to number them as nvidia-smi does.
  CUDA_DEVICE_ORDER: "PCI_BUS_ID",
  // TensorFlow multiplies float32 in TF32 where a GPU can, which keeps three decimal digits.
  NVIDIA_TF32_OVERRIDE: "0"
}

export type Variables = Readonly<Record<string, string | undefined>>

/** The variables to set before TensorFlow is loaded, given those that are set. */
export const wanted = (determinism: Determinism, given: Variables): Readonly<Record<string, string>> => ({
  ...Object.fromEntries(Object.entries(defaults).filter(([name]) => given[name] === undefined)),
  // Read once in the life of a process.
  ...(determinism === "exact" ? { TF_DETERMINISTIC_OPS: "1" } : {})
})

/** Whether TensorFlow's kernels are asked to repeat their results, in its own reading of the variable. */
export const isDeterministic = ({ TF_DETERMINISTIC_OPS: value = "0" }: Variables): boolean =>
  value === "1" || value.toLowerCase() === "true"

/** How many threads one operation may use; TensorFlow takes 0 and what is no number for all cores. */
export const threads = ({ TF_NUM_INTRAOP_THREADS: value }: Variables): number => {
  const count = Number(value)
  return Number.isInteger(count) && count > 0 ? count : os.availableParallelism()
}

/** The variables that change bits on a processor and have no default of ours, as words for a version. */
export const arithmetic = (given: Variables): ReadonlyArray<string> => [
  `onednn-${given["TF_ENABLE_ONEDNN_OPTS"] ?? "default"}`,
  ...(given["ONEDNN_MAX_CPU_ISA"] === undefined ? [] : [`onednn-isa-${given["ONEDNN_MAX_CPU_ISA"]}`])
]

/** Whether NVIDIA's libraries may multiply `float32` in TF32, as a word for a version. */
export const tensorFloat32 = ({ NVIDIA_TF32_OVERRIDE: value }: Variables): string =>
  value === "0" ? "tf32-off" : "tf32-on"

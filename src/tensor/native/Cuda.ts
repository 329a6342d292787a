/** The NVIDIA GPUs of this machine, as `nvidia-smi` lists them, and which of them CUDA shows to this process. */
import { execFileSync } from "node:child_process"

export interface Gpu {
  /** Its number in the order of the PCI bus, which is `nvidia-smi`'s. */
  readonly index: number
  /** Starts with `GPU-`. */
  readonly uuid: string
  readonly name: string
  /** MiB. */
  readonly memory: number
  readonly driver: string
}

/** Reads `nvidia-smi --query-gpu=index,uuid,name,memory.total,driver_version --format=csv,noheader,nounits`. */
export const parse = (csv: string): ReadonlyArray<Gpu> =>
  csv.split("\n").flatMap((line) => {
    const [index, uuid, name, memory, driver] = line.split(",").map((field) => field.trim())
    return uuid === undefined || name === undefined
      ? []
      : [{ index: Number(index), uuid, name, memory: Number(memory), driver: driver ?? "unknown" }]
  })

/** The GPUs of the machine; none where there is no `nvidia-smi` or it finds no driver. */
export const list = (): ReadonlyArray<Gpu> => {
  const query = ["--query-gpu=index,uuid,name,memory.total,driver_version", "--format=csv,noheader,nounits"]
  try {
    return parse(execFileSync("nvidia-smi", query, {
      encoding: "utf8",
      stdio: ["ignore", "pipe", "ignore"],
      timeout: 20_000
    }))
  } catch {
    return []
  }
}

/** A GPU that CUDA shows to this process. */
export interface Visible {
  /** What `CUDA_VISIBLE_DEVICES` calls it. */
  readonly id: string
  /** `undefined` for a part of a GPU (MIG), which `nvidia-smi` does not list. */
  readonly gpu: Gpu | undefined
}

/**
 * The GPUs that `CUDA_VISIBLE_DEVICES` leaves, in its order: numbers, or (beginnings of) UUIDs. As in CUDA, the list
 * ends at the first entry that names none.
 */
export const visible = (gpus: ReadonlyArray<Gpu>, variable: string | undefined): ReadonlyArray<Visible> => {
  if (variable === undefined) return gpus.map((gpu) => ({ id: String(gpu.index), gpu }))
  const found: Array<Visible> = []
  for (const id of variable.split(",").map((entry) => entry.trim())) {
    const gpu = /^\d+$/.test(id)
      ? gpus.find(({ index }) => index === Number(id))
      : gpus.find(({ uuid }) => id.startsWith("GPU-") && uuid.startsWith(id))
    if (gpu === undefined && !id.startsWith("MIG-")) break
    found.push({ id, gpu })
  }
  return found
}

/** What a person knows a GPU by. */
export const nameOf = ({ gpu, id }: Visible): string => gpu === undefined ? id : `${gpu.name} (${gpu.memory} MiB)`

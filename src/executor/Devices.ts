/**
 * Which devices the workers of a run are bound to, and how a process is bound to one.
 */
import type * as Backend from "../tensor/Backend.ts"

/** A device and its number, by which a person chooses it and a process is bound to it. */
export interface Numbered {
  readonly number: number
  readonly device: Backend.Device
}

export interface Pool {
  /** The numbers of the devices that stages are given; none where the backend computes on the CPU. */
  readonly devices: ReadonlyArray<number>
  /** Devices that could compute and are not used, and why. */
  readonly leftOut: ReadonlyArray<Numbered>
  readonly why: string
}

/**
 * The variables that bind a process to devices, by backend: from their numbers, which count what the inherited
 * environment lets a process see. A backend that is not here computes on its first device, whatever is asked.
 */
const bindings: {
  readonly [K in Backend.Name]?: (numbers: ReadonlyArray<number>, inherited: NodeJS.ProcessEnv) => NodeJS.ProcessEnv
} = {
  tensorflow: (numbers, inherited) => {
    // A cluster's scheduler has often confined us already; then our numbers count the devices on its list.
    const visible = inherited["CUDA_VISIBLE_DEVICES"]?.split(",").map((name) => name.trim())
    return { CUDA_VISIBLE_DEVICES: numbers.map((number) => visible === undefined ? number : visible[number]).join(",") }
  }
}

/** Whether a process can be bound to any device of a backend, or only to its first. */
export const canBind = (backend: Backend.Name): boolean => backend in bindings

/** The environment of a process that sees only the devices of these numbers; all of them where none are given. */
export const environment = (
  backend: Backend.Name,
  numbers: ReadonlyArray<number> | undefined,
  inherited: NodeJS.ProcessEnv
): NodeJS.ProcessEnv => ({
  ...inherited,
  ...(numbers === undefined || numbers.length === 0 ? {} : bindings[backend]?.(numbers, inherited))
})

/**
 * The devices among which stages are shared out: those that are the same as the first. Devices of another name round
 * otherwise, and the key of a result names one.
 */
export const pool = (backend: Backend.Name, devices: ReadonlyArray<Backend.Device>): Pool => {
  const numbered = devices.map((device, number) => ({ number, device })).filter(({ device }) => device.kind !== "cpu")
  const [first] = numbered
  if (first === undefined || devices[0]!.kind === "cpu") return { devices: [], leftOut: [], why: "" }
  const fits = ({ device, number }: Numbered) =>
    number === first.number ||
    (canBind(backend) && device.name === first.device.name && device.kind === first.device.kind)
  return {
    devices: numbered.filter(fits).map(({ number }) => number),
    leftOut: numbered.filter((other) => !fits(other)),
    why: canBind(backend)
      ? "its results would not be the same to the bit as the first one's"
      : `${backend} computes on the first`
  }
}

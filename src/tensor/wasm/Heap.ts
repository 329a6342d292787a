/**
 * The memory and the C++ functions behind the stock wasm backend, as our kernels reach them.
 *
 * All of it is public at run time: the backend's `wasm` field is the Emscripten module, `cwrap` finds an exported
 * function by name, and `dataIdMap` says where a tensor's bytes lie.
 */
import type { DataType, TensorInfo } from "../TensorFlow.ts"

/** The Emscripten module, as far as it is used here. Views are replaced when the heap grows: read them afresh. */
export interface WasmModule {
  readonly HEAP32: Int32Array
  readonly HEAPF32: Float32Array
  readonly HEAPU8: Uint8Array
  /** The exports of the C++ side: the memory among them, an opaque `WebAssembly.Memory`. */
  readonly asm: { readonly memory: object }
  readonly _malloc: (bytes: number) => number
  readonly _free: (address: number) => void
  readonly cwrap: (
    name: string,
    returns: null,
    parameters: ReadonlyArray<"number">
  ) => (...values: Array<number>) => void
  readonly tfjs: {
    readonly registerTensor: (id: number, size: number, address: number) => void
    readonly disposeData: (id: number) => void
  }
}

interface TensorData {
  /** Where its first byte lies. */
  readonly memoryOffset: number
}

export interface WasmBackend {
  readonly wasm: WasmModule
  readonly dataIdMap: { readonly get: (dataId: object) => TensorData; readonly has: (dataId: object) => boolean }
  readonly makeOutput: (
    shape: ReadonlyArray<number>,
    dtype: DataType,
    memoryOffset?: number,
    values?: unknown
  ) => TensorInfo
  readonly numDataIds: () => number
  readonly incRef: (dataId: object) => void
  readonly disposeData: (dataId: object, force?: boolean) => boolean
}

/** What a kernel is called with: TensorFlow.js hands all of them the same untyped records. */
export interface KernelCall<Inputs, Attributes> {
  readonly inputs: Inputs
  readonly attrs: Attributes
  readonly backend: WasmBackend
}

export const sizeOf = (shape: ReadonlyArray<number>): number => shape.reduce((size, extent) => size * extent, 1)

/** The address of a tensor's first byte. */
export const addressOf = (backend: WasmBackend, tensor: TensorInfo): number =>
  backend.dataIdMap.get(tensor.dataId).memoryOffset

/** The same data under another shape. */
export const view = (backend: WasmBackend, tensor: TensorInfo, shape: ReadonlyArray<number>): TensorInfo => {
  backend.incRef(tensor.dataId)
  return { dataId: tensor.dataId, shape: [...shape], dtype: tensor.dtype }
}

const functions = new WeakMap<WasmModule, Map<string, (...values: Array<number>) => void>>()

/** An exported C++ function that takes `arity` numbers. */
export const nativeFunction = (module: WasmModule, name: string, arity: number) => {
  let known = functions.get(module)
  if (known === undefined) functions.set(module, known = new Map())
  let found = known.get(name)
  if (found === undefined) {
    found = module.cwrap(name, null, Array.from({ length: arity }, () => "number" as const))
    known.set(name, found)
  }
  return found
}

const scratches = new WeakMap<WasmModule, number>()

/** 64 bytes that stay allocated, for shapes handed to a C++ function. */
export const scratch = (module: WasmModule): number => {
  let address = scratches.get(module)
  if (address === undefined) scratches.set(module, address = allocate(module, 64))
  return address
}

/** Where the heap ends: 65,535 pages of 64 KiB, the stock backend's own limit (`getHeapMax` of its Emscripten build). */
const maximumSize = 65_535 * 65_536

/**
 * How many bytes of tensors the heap holds. The rest is lost between them: in training runs of many shapes the heap had to
 * reach to 1.19 times what was live at once, at most.
 */
export const capacity = Math.floor(maximumSize / 1.2)

/** How large the heap has become. It grows when it must and never shrinks. */
export const sizeOfHeap = (module: WasmModule): number => module.HEAPU8.byteLength

/** A heap has no room for what was to be allocated. */
export class HeapFull extends RangeError {
  override readonly name = "HeapFull"
}

/** Allocates on the wasm heap; throws {@link HeapFull} when it has no room. */
export const allocate = (module: WasmModule, bytes: number): number => {
  // A size of 4 GiB or more would reach the C++ side as what is left of it in 32 bits.
  const address = bytes < maximumSize ? stockAllocation(module)(Math.max(bytes, 4)) : 0
  if (address === 0) {
    givingUp.get(module)?.()
    throw new HeapFull(`The wasm heap has no room for ${bytes} more bytes: it ends at 4 GiB. Use a smaller batch.`)
  }
  // malloc returns a signed number; addresses above 2 GiB come out negative.
  meters.get(module)?.allocated(address >>> 0, bytes)
  return address >>> 0
}

const stockAllocations = new WeakMap<WasmModule, (bytes: number) => number>()

const stockAllocation = (module: WasmModule): (bytes: number) => number =>
  stockAllocations.get(module) ?? module._malloc

type Writable<A> = { -readonly [Key in keyof A]: A[Key] }

/** What to do before an allocation fails. */
const givingUp = new WeakMap<WasmModule, () => void>()

/** More outputs than a kernel makes, but for splits into many parts. */
const recentOutputs = 64

/**
 * Makes the stock backend allocate as {@link allocate} does. By itself it does not look at what malloc returned, and
 * goes on with address 0 when the heap is full: tensors are then written over the C++ side's own data.
 *
 * When an allocation fails in the middle of a kernel, the outputs that it has made so far are disposed of: `isTracked`
 * says which data the engine knows, and what it does not know nobody else would free.
 */
export const guardAllocation = (backend: WasmBackend, isTracked: (dataId: object) => boolean): void => {
  const module = backend.wasm
  if (stockAllocations.has(module)) return
  // The first call replaces the property with the bare export: it is made here, so that it does not undo the guard.
  module._free(module._malloc(4))
  stockAllocations.set(module, module._malloc)
  const writable: Writable<WasmModule> = module
  writable._malloc = (bytes) => allocate(module, bytes)

  const makeOutput = backend.makeOutput.bind(backend)
  let made: Array<object> = []
  const isOrphan = (dataId: object) => backend.dataIdMap.has(dataId) && !isTracked(dataId)
  const guarded: Writable<WasmBackend> = backend
  guarded.makeOutput = (...of) => {
    const output = makeOutput(...of)
    if (made.length >= recentOutputs) made = made.filter(isOrphan)
    made.push(output.dataId)
    return output
  }
  givingUp.set(module, () => {
    for (const dataId of made.filter(isOrphan)) backend.disposeData(dataId, true)
    made = []
  })
}

/** Counts the bytes that are allocated on a heap: tensors and our own working memory, not what the C++ side keeps. */
export interface Meter {
  /** Allocated since the meter was set up, and not freed. */
  readonly live: () => number
  /** The most that were live at once since the last reset. */
  readonly peak: () => number
  /** Lets the peak begin anew, from what is live. */
  readonly reset: () => void
  readonly stop: () => void
}

const meters = new WeakMap<WasmModule, { readonly allocated: (address: number, bytes: number) => void }>()

/** Sets a meter up on a heap whose allocation is guarded, for measurements. One at a time. */
export const meter = (module: WasmModule): Meter => {
  const sizes = new Map<number, number>()
  const { _free: free } = module
  const writable: Writable<WasmModule> = module
  let live = 0, peak = 0
  meters.set(module, {
    allocated: (address, bytes) => {
      sizes.set(address, bytes)
      live += bytes
      peak = Math.max(peak, live)
    }
  })
  writable._free = (address) => {
    live -= sizes.get(address >>> 0) ?? 0
    sizes.delete(address >>> 0)
    free(address)
  }
  return {
    live: () => live,
    peak: () => peak,
    reset: () => {
      peak = live
    },
    stop: () => {
      meters.delete(module)
      writable._free = free
    }
  }
}

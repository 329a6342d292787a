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
  /** The number under which the C++ side knows the tensor. */
  readonly id: number
  /** Where its first byte lies. */
  readonly memoryOffset: number
}

export interface WasmBackend {
  readonly wasm: WasmModule
  readonly dataIdMap: { readonly get: (dataId: object) => TensorData }
  readonly makeOutput: (shape: ReadonlyArray<number>, dtype: DataType) => TensorInfo
  readonly incRef: (dataId: object) => void
  readonly disposeData: (dataId: object) => boolean
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

/** The number of a tensor on the C++ side. */
export const idOf = (backend: WasmBackend, tensor: TensorInfo): number => backend.dataIdMap.get(tensor.dataId).id

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

/** Where the heap ends, at the latest: addresses have 32 bits. */
const heapLimit = 2 ** 32

/** Allocates on the wasm heap; throws a `RangeError` when it has no room. */
export const allocate = (module: WasmModule, bytes: number): number => {
  // A size of 4 GiB or more would reach the C++ side as what is left of it in 32 bits.
  const address = bytes < heapLimit ? stockAllocation(module)(Math.max(bytes, 4)) : 0
  if (address === 0) {
    throw new RangeError(`The wasm heap has no room for ${bytes} more bytes: it ends at 4 GiB. Use a smaller batch.`)
  }
  // malloc returns a signed number; addresses above 2 GiB come out negative.
  return address >>> 0
}

const stockAllocations = new WeakMap<WasmModule, (bytes: number) => number>()

const stockAllocation = (module: WasmModule): (bytes: number) => number =>
  stockAllocations.get(module) ?? module._malloc

/**
 * Makes the stock backend allocate as {@link allocate} does. By itself it does not look at what malloc returned, and
 * goes on with address 0 when the heap is full: tensors are then written over the C++ side's own data.
 */
export const guardAllocation = (module: WasmModule): void => {
  if (stockAllocations.has(module)) return
  // The first call replaces the property with the bare export: it is made here, so that it does not undo the guard.
  module._free(module._malloc(4))
  stockAllocations.set(module, module._malloc)
  const writable: { _malloc: (bytes: number) => number } = module as {
    -readonly [Key in keyof WasmModule]: WasmModule[Key]
  }
  writable._malloc = (bytes) => allocate(module, bytes)
}

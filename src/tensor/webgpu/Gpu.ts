/**
 * WebGPU and the stock webgpu backend behind it, as far as our code reaches them.
 *
 * All of it is public at run time: the backend's fields hold the device, the buffers of its tensors, and the commands
 * that it has recorded and not yet submitted.
 */
import type { DataType, TensorInfo } from "../TensorFlow.ts"

export interface GpuBuffer {
  readonly size: number
  readonly usage: number
  readonly destroy: () => void
}

interface BufferDescriptor {
  readonly size: number
  readonly usage: number
  readonly mappedAtCreation?: boolean
}

/** An opaque object of the device. */
type Handle = object

export interface Pipeline {
  readonly getBindGroupLayout: (group: number) => Handle
}

interface ComputePass {
  readonly setPipeline: (pipeline: Pipeline) => void
  readonly setBindGroup: (group: number, bindings: Handle) => void
  readonly dispatchWorkgroups: (x: number, y: number, z: number) => void
}

/** What an error scope caught: which of the three kinds its class says. */
interface GpuError {
  readonly constructor: { readonly name: string }
  readonly message: string
}

export type ErrorFilter = "validation" | "out-of-memory" | "internal"

export interface GpuDevice {
  readonly limits: Readonly<Record<string, number>>
  readonly lost: Promise<{ readonly reason: string; readonly message: string }>
  readonly queue: {
    readonly writeBuffer: (buffer: GpuBuffer, offset: number, data: ArrayBuffer) => void
  }
  readonly createBuffer: (descriptor: BufferDescriptor) => GpuBuffer
  readonly createShaderModule: (descriptor: { readonly code: string; readonly label: string }) => Handle
  readonly createComputePipeline: (descriptor: {
    readonly label: string
    readonly layout: "auto"
    readonly compute: { readonly module: Handle; readonly entryPoint: string }
  }) => Pipeline
  readonly createBindGroup: (descriptor: {
    readonly layout: Handle
    readonly entries: ReadonlyArray<{ readonly binding: number; readonly resource: { readonly buffer: GpuBuffer } }>
  }) => Handle
  readonly pushErrorScope: (filter: ErrorFilter) => void
  readonly popErrorScope: () => Promise<GpuError | null | undefined>
  readonly destroy: () => void
}

/** What an adapter says of itself. */
export interface AdapterInfo {
  readonly vendor: string
  readonly architecture: string
  readonly device: string
  readonly description: string
  readonly isFallbackAdapter?: boolean
}

export interface Adapter {
  readonly info: AdapterInfo
  readonly features: ReadonlySet<string>
  readonly limits: Readonly<Record<string, number>>
  readonly requestDevice: (descriptor: {
    readonly requiredFeatures: ReadonlyArray<string>
    readonly requiredLimits: Readonly<Record<string, number>>
  }) => Promise<GpuDevice>
}

/** Where the stock backend gets its buffers, and gives them back to. */
export interface BufferManager {
  readonly acquireBuffer: (size: number, usage: number, mappedAtCreation?: boolean, reuse?: boolean) => GpuBuffer
  readonly releaseBuffer: (buffer: GpuBuffer, reuse?: boolean) => void
  readonly numBytesUsed: number
  readonly numBytesAllocated: number
  readonly dispose: () => void
}

interface TensorData {
  /** The type of the buffer's elements, which a cast that loses nothing does not change. */
  readonly dtype: DataType
  /** The numbers, as long as they are not on the GPU, and again once they were read. */
  readonly values: object | null | undefined
  readonly resource?: GpuBuffer
}

/** What the stock backend makes of TensorFlow.js' opaque data ids. */
interface DataId {
  readonly id: number
}

type Values = Float32Array | Int32Array | Uint8Array

export interface WebgpuBackend {
  readonly device: GpuDevice
  bufferManager: BufferManager
  readonly tensorMap: { readonly get: (dataId: object) => TensorData }
  /** Below so many workgroups it prefers products with smaller tiles. */
  readonly thresholdToIncreaseWorkgroups: number
  readonly makeTensorInfo: (shape: ReadonlyArray<number>, dtype: DataType, values?: Values) => TensorInfo
  readonly disposeData: (dataId: object) => boolean
  readonly incRef: (dataId: object) => void
  /** Gives a tensor a buffer, with its numbers if it has any. */
  readonly uploadToGPU: (dataId: object) => void
  /** Tensors that commands still to be submitted refer to: their buffers outlive them. */
  readonly commandQueueOwnedIds: WeakSet<object>
  readonly uniformPendingDisposal: Array<GpuBuffer>
  readonly commandEncoder: {
    readonly beginComputePass: () => ComputePass
    readonly clearBuffer: (buffer: GpuBuffer) => void
  }
  computePassEncoder: ComputePass | null
  dispatchCountInPass: number
  readonly ensureCommandEncoderReady: () => void
  readonly endComputePassEncoder: () => void
  readonly submitQueue: () => void
  /** A number greater than that of any data so far. */
  readonly nextDataId: () => number
  read: (dataId: DataId) => Promise<Values>
  readSync: (dataId: DataId) => Values
}

/** What a kernel is called with: TensorFlow.js hands all of them the same untyped records. */
export interface KernelCall<Inputs, Attributes = unknown> {
  readonly inputs: Inputs
  readonly attrs: Attributes
  readonly backend: WebgpuBackend
}

/** `GPUBufferUsage` of the specification, which is not a global before Dawn is loaded. */
export const usage = { copyDestination: 0x8, uniform: 0x40 } as const

export const sizeOf = (shape: ReadonlyArray<number>): number => shape.reduce((size, extent) => size * extent, 1)

/** The same data under another shape. */
export const view = (backend: WebgpuBackend, tensor: TensorInfo, shape: ReadonlyArray<number>): TensorInfo => {
  backend.incRef(tensor.dataId)
  return { dataId: tensor.dataId, shape: [...shape], dtype: tensor.dtype }
}

/** Zeros, from the CPU: of a tensor without elements, or for the few that kernels start from. */
export const zeros = (backend: WebgpuBackend, shape: ReadonlyArray<number>, dtype: DataType): TensorInfo =>
  backend.makeTensorInfo(
    shape,
    dtype,
    dtype === "float32" ? new Float32Array(sizeOf(shape)) : new Int32Array(sizeOf(shape))
  )

/**
 * Runs a compute shader of ours on tensors of the stock backend, among the commands that it records itself.
 *
 * The stock backend's own `runWebGPUProgram` gives one output a shader and reads integers as floats, so that indices
 * beyond 2^24 lose their last digits; here a shader may have several outputs, and elements have their own types.
 */
import type { DataType, TensorInfo } from "../TensorFlow.ts"
import { type GpuBuffer, type Pipeline, usage, type WebgpuBackend } from "./Gpu.ts"

type Scalar = "i32" | "u32" | "f32"

export interface Program {
  /** Unlike that of any other program. */
  readonly name: string
  /** The arrays it reads, all of them. Their elements are `f32` or `i32` as the tensors have them: convert as you read. */
  readonly inputs: ReadonlyArray<string>
  /** The arrays it writes, with the types of their elements. */
  readonly outputs: Readonly<Record<string, "f32" | "i32">>
  /** The numbers it is given, read as `given.name`. */
  readonly given: Readonly<Record<string, Scalar>>
  /** Threads a workgroup. */
  readonly threads: number
  /**
   * WGSL that defines `fn run(group: u32, thread: u32)`, for a thread of a workgroup. It is called for whole workgroups,
   * so that it may use barriers.
   */
  readonly code: string
}

interface Output {
  readonly shape: ReadonlyArray<number>
  readonly dtype: DataType
  /** Set to zeros first: otherwise it holds what lay there, and the program writes every element. */
  readonly cleared?: boolean
}

interface Call {
  readonly inputs: ReadonlyArray<TensorInfo>
  readonly outputs: ReadonlyArray<Output>
  /** In the program's order. */
  readonly given: ReadonlyArray<number>
  /** How many workgroups. */
  readonly groups: number
}

const elementType = (dtype: DataType): "f32" | "i32" => dtype === "float32" ? "f32" : "i32"

const source = (program: Program, inputTypes: ReadonlyArray<"f32" | "i32">): string => {
  const outputs = Object.entries(program.outputs)
  const given = Object.entries({ groups: "u32", ...program.given })
  return `
struct Given { ${given.map(([name, type]) => `${name}: ${type}`).join(", ")} };
${
    program.inputs.map((name, at) => `@group(0) @binding(${at}) var<storage, read> ${name}: array<${inputTypes[at]}>;`)
      .join("\n")
  }
${
    outputs.map(([name, type], at) =>
      `@group(0) @binding(${program.inputs.length + at}) var<storage, read_write> ${name}: array<${type}>;`
    ).join("\n")
  }
@group(0) @binding(${program.inputs.length + outputs.length}) var<uniform> given: Given;
${program.code}
@compute @workgroup_size(${program.threads})
fn start(
  @builtin(workgroup_id) id: vec3<u32>,
  @builtin(num_workgroups) extent: vec3<u32>,
  @builtin(local_invocation_index) thread: u32
) {
  // More workgroups than one dimension takes lie in two, and the last row may not be full.
  let group = id.y * extent.x + id.x;
  if (group < given.groups) {
    run(group, thread);
  }
}
`
}

interface Compiled {
  readonly pipeline: Pipeline
  readonly layout: object
}

const compiled = new WeakMap<WebgpuBackend, Map<string, Compiled>>()

const compile = (backend: WebgpuBackend, program: Program, inputTypes: ReadonlyArray<"f32" | "i32">): Compiled => {
  let known = compiled.get(backend)
  if (known === undefined) compiled.set(backend, known = new Map())
  const key = `${program.name} ${inputTypes.join(" ")}`
  let found = known.get(key)
  if (found === undefined) {
    const { device } = backend
    const label = `Attune ${program.name}`
    const module = device.createShaderModule({ code: source(program, inputTypes), label })
    const pipeline = device.createComputePipeline({ label, layout: "auto", compute: { module, entryPoint: "start" } })
    known.set(key, found = { pipeline, layout: pipeline.getBindGroupLayout(0) })
  }
  return found
}

/** The numbers for a shader as it reads them: four bytes each, the whole a multiple of sixteen. */
const pack = (program: Program, groups: number, values: ReadonlyArray<number>): ArrayBuffer => {
  const types = Object.values(program.given)
  const bytes = new DataView(new ArrayBuffer(Math.ceil((types.length + 1) / 4) * 16))
  bytes.setUint32(0, groups, true)
  for (const [at, type] of types.entries()) {
    const offset = 4 * (at + 1), value = values[at]!
    if (type === "f32") bytes.setFloat32(offset, value, true)
    else bytes.setUint32(offset, value >>> 0, true)
  }
  return bytes.buffer
}

/** Records the program's run, and gives its outputs. None of the tensors may be empty. */
export const run = (backend: WebgpuBackend, program: Program, call: Call): Array<TensorInfo> => {
  const { device } = backend
  const outputs = call.outputs.map(({ dtype, shape }) => backend.makeTensorInfo(shape, dtype))
  const tensors = [...call.inputs, ...outputs]
  for (const { dataId } of tensors) backend.uploadToGPU(dataId)
  const inputTypes = call.inputs.map(({ dataId }) => elementType(backend.tensorMap.get(dataId).dtype))
  const { layout, pipeline } = compile(backend, program, inputTypes)

  const given = pack(program, call.groups, call.given)
  const uniform = backend.bufferManager.acquireBuffer(given.byteLength, usage.uniform | usage.copyDestination)
  device.queue.writeBuffer(uniform, 0, given)
  backend.uniformPendingDisposal.push(uniform)
  const buffers: ReadonlyArray<GpuBuffer> = [
    ...tensors.map(({ dataId }) => backend.tensorMap.get(dataId).resource!),
    uniform
  ]
  const bindings = device.createBindGroup({
    layout,
    entries: buffers.map((buffer, binding) => ({ binding, resource: { buffer } }))
  })
  for (const { dataId } of tensors) backend.commandQueueOwnedIds.add(dataId)

  backend.ensureCommandEncoderReady()
  for (const [at, { cleared }] of call.outputs.entries()) {
    if (cleared !== true) continue
    backend.endComputePassEncoder()
    backend.commandEncoder.clearBuffer(backend.tensorMap.get(outputs[at]!.dataId).resource!)
  }
  const pass = backend.computePassEncoder ??= backend.commandEncoder.beginComputePass()
  pass.setPipeline(pipeline)
  pass.setBindGroup(0, bindings)
  const across = Math.min(call.groups, device.limits["maxComputeWorkgroupsPerDimension"]!)
  pass.dispatchWorkgroups(across, Math.ceil(call.groups / across), 1)
  if (++backend.dispatchCountInPass >= submitAfter) {
    backend.endComputePassEncoder()
    backend.submitQueue()
  }
  return outputs
}

/** How many dispatches are submitted together. The buffers of tensors that died meanwhile are free only after that. */
export const submitAfter = 15

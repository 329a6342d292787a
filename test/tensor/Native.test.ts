import { afterAll, assert, describe, it } from "@effect/vitest"
import { spawnSync } from "node:child_process"
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import { fileURLToPath } from "node:url"
import * as Addon from "../../src/tensor/native/Addon.ts"
import * as Cuda from "../../src/tensor/native/Cuda.ts"
import * as Environment from "../../src/tensor/native/Environment.ts"
import * as Processor from "../../src/tensor/native/Processor.ts"
import { resolveOptionalPackage } from "../../src/tensor/TensorFlow.ts"

const repository = fileURLToPath(new URL("../../", import.meta.url))
const folders: Array<string> = []
afterAll(() => {
  for (const folder of folders) fs.rmSync(folder, { recursive: true, force: true })
})

const packages = ["@tensorflow/tfjs-node-gpu", "@tensorflow/tfjs-node"] as const
const installed = packages.find((name) => resolveOptionalPackage(`${name}/package.json`) !== undefined)
const besideUs = packages.some((name) => fs.existsSync(path.join(repository, "node_modules", name)))

/**
 * A project with a package of the shape of tfjs-node: kernels and a backend on whatever TensorFlow.js it is given. The
 * one beside it, which is another copy than ours, breaks when it is loaded.
 */
const project = (version = "4.22.0"): string => {
  const root = fs.realpathSync(fs.mkdtempSync(path.join(os.tmpdir(), "attune-native-")))
  folders.push(root)
  const write = (file: string, content: string) => {
    const target = path.join(root, "node_modules/@tensorflow", file)
    fs.mkdirSync(path.dirname(target), { recursive: true })
    fs.writeFileSync(target, content)
  }
  write("tfjs/package.json", JSON.stringify({ name: "@tensorflow/tfjs", main: "index.js" }))
  write("tfjs/index.js", "throw new Error('a second TensorFlow.js was loaded')")
  write(
    "tfjs-node/package.json",
    JSON.stringify({
      name: "@tensorflow/tfjs-node",
      version,
      main: "dist/index.js",
      binary: { module_name: "binding", module_path: "./lib/napi-v{napi_build_version}", napi_versions: [3, 8, 9999] }
    })
  )
  write("tfjs-node/dist/index.js", "exports.core = require('@tensorflow/tfjs')")
  write(
    "tfjs-node/dist/register_all_kernels.js",
    `const tf = require("@tensorflow/tfjs")
     tf.registerKernel({
       kernelName: "Square",
       backendName: "tensorflow",
       kernelFunc: ({ inputs: { x }, backend }) =>
         backend.make(backend.readSync(x.dataId).map((value) => value * value), x.shape, x.dtype)
     })
     // Kernels call methods that the core alone does not have.
     tf.registerKernel({
       kernelName: "Exp",
       backendName: "tensorflow",
       kernelFunc: ({ inputs: { x } }) => typeof x.toFloat === "function" ? x : undefined
     })`
  )
  write(
    "tfjs-node/dist/nodejs_kernel_backend.js",
    `const tf = require("@tensorflow/tfjs")
     const util = require("util")
     if (!util.isNullOrUndefined(null) || !util.isArray([])) throw new Error("util lacks what it had before Node 23")
     exports.NodeJSKernelBackend = class extends tf.KernelBackend {
       constructor(binding, name) {
         super()
         this.isUsingGpuDevice = binding.gpu
         this.data = new tf.DataStorage(this, tf.engine())
       }
       write(values) {
         const dataId = {}
         this.data.set(dataId, values)
         return dataId
       }
       make(values, shape, dtype) {
         return tf.engine().makeTensorFromTensorInfo({ dataId: this.write(values), shape, dtype })
       }
       readSync(dataId) { return this.data.get(dataId) }
       disposeData(dataId) { return this.data.delete(dataId) }
       numDataIds() { return this.data.numDataIds() }
       floatPrecision() { return 32 }
       epsilon() { return 1e-7 }
     }`
  )
  write("tfjs-node/lib/napi-v8/binding.node", "no library at all")
  return root
}

const inPackage = (root: string, file: string) => path.join(root, "node_modules/@tensorflow/tfjs-node", file)

/** What a module of this repository or one of its packages is imported under, from anywhere. */
const from = (specifier: string) =>
  JSON.stringify(specifier.startsWith("src/") ? path.join(repository, specifier) : import.meta.resolve(specifier))

/** Runs a module in a process of its own, with the working directory in a project. */
const inProcess = (cwd: string, code: string, env: Record<string, string> = {}) => {
  const { ATTUNE_STORE: _, ...inherited } = process.env
  const ended = spawnSync(process.execPath, [
    "--disable-warning=ExperimentalWarning",
    "--input-type=module",
    "--eval",
    code
  ], {
    cwd,
    encoding: "utf8",
    env: { ...inherited, ...env }
  })
  return { printed: ended.stdout + ended.stderr, ...(ended.status === 0 ? {} : { failed: ended.status }) }
}

/** Puts an addon in the place of the file that is none. */
const standIn = (root: string, gpu: boolean) => `
  import { createRequire, Module } from "node:module"
  const file = ${JSON.stringify(inPackage(root, "lib/napi-v8/binding.node"))}
  const require = createRequire(file)
  require.cache[file] = Object.assign(new Module(file), {
    loaded: true,
    exports: { TF_Version: "9.9.9", gpu: ${gpu} }
  })
`

/** Starts the backend and prints what it says of itself, or the error. */
const start = (determinism: "exact" | "fast") => `
  const { Effect } = await import(${from("effect")})
  const { Backend } = await import(${from("src/tensor/Backend.ts")})
  const report = (determinism) => Effect.runPromise(
    Backend.use(({ tf, name, ...started }) => Effect.sync(() => {
      const value = tf.tidy(() => Array.from(tf.square(tf.tensor1d([1, 2, 3])).dataSync()))
      return { ...started, value }
    })).pipe(
      Effect.provide(Backend.layer("tensorflow", { determinism })),
      Effect.catchTag("BackendUnavailable", ({ reason, remedy }) => Effect.succeed({ reason, remedy }))
    )
  )
  console.log(JSON.stringify(await report("${determinism}")))
`

const parsed = ({ printed }: { readonly printed: string }): any => {
  try {
    return JSON.parse(printed.trim().split("\n").at(-1)!)
  } catch {
    return printed
  }
}

describe("the package of the native backend", () => {
  it("computes on our TensorFlow.js, whatever copy lies beside it, and leaves the cache of modules as it was", () => {
    const root = project()
    const { printed } = inProcess(
      root,
      `${standIn(root, false)}
      const Addon = await import(${from("src/tensor/native/Addon.ts")})
      const tf = (await import(${from("src/tensor/TensorFlow.ts")})).load()
      const before = Object.keys(require.cache).length
      const addon = Addon.load(${JSON.stringify(inPackage(root, ""))}, tf)
      console.log(Object.keys(require.cache).length - before, addon.tensorflowVersion)
      tf.registerBackend("tensorflow", addon.makeBackend)
      await tf.setBackend("tensorflow")
      const x = tf.tensor1d([1, 2, 3])
      const square = tf.square(x)
      console.log(square instanceof tf.Tensor, Array.from(square.dataSync()).join(), tf.exp(x) === undefined)
      try {
        require("@tensorflow/tfjs-node")
      } catch (error) {
        console.log(error.message)
      }`
    )
    assert.strictEqual(printed, "0 9.9.9\ntrue 1,4,9 false\na second TensorFlow.js was loaded\n")
  })

  it("is refused in another version than our TensorFlow.js, and where it was not built", () => {
    const load = (root: string) =>
      inProcess(
        root,
        `const Addon = await import(${from("src/tensor/native/Addon.ts")})
        const tf = (await import(${from("src/tensor/TensorFlow.ts")})).load()
        try {
          Addon.load(${JSON.stringify(inPackage(root, ""))}, tf)
        } catch (error) {
          console.log(error.message, tf.getKernelsForBackend("tensorflow").length)
        }`
      ).printed
    assert.strictEqual(
      load(project("4.17.0")),
      "@tensorflow/tfjs-node is of version 4.17.0 and has to be of 4.22.0 0\n"
    )
    const root = project()
    fs.rmSync(inPackage(root, "lib"), { recursive: true })
    const expected = inPackage(root, "lib/napi-v8/binding.node")
    assert.strictEqual(load(root), `@tensorflow/tfjs-node is installed and not built: there is no ${expected} 0\n`)
  })

  it("has its addon in the folder of the newest Node-API that both know", () => {
    const manifest = (napi_versions: ReadonlyArray<number>) => ({
      name: "p",
      version: "1",
      binary: { module_name: "b", module_path: "./lib/napi-v{napi_build_version}", napi_versions }
    })
    assert.strictEqual(Addon.addonPath("/p", manifest([3, 8]), 10), "/p/lib/napi-v8/b.node")
    assert.strictEqual(Addon.addonPath("/p", manifest([8, 3]), 7), "/p/lib/napi-v3/b.node")
  })
})

describe.skipIf(besideUs)("the native backend", () => {
  it("says where nothing is installed how to build it", () => {
    const root = project()
    fs.rmSync(path.join(root, "node_modules"), { recursive: true })
    const { reason, remedy } = parsed(inProcess(root, start("exact")))
    assert.strictEqual(reason, `neither ${packages[0]} nor ${packages[1]} is installed`)
    assert.match(remedy, /attune doctor --explain tensorflow/)
  })

  it("passes on why the addon does not load, in the words of the library", () => {
    const root = project()
    const { reason, remedy } = parsed(inProcess(root, start("exact")))
    assert.match(reason, /^the native addon did not load: .*binding\.node/)
    assert.match(reason, process.platform === "linux" ? /file too short|invalid ELF header/ : /./)
    assert.match(remedy, /attune doctor --explain tensorflow/)
  })

  it("passes on what the package throws while it loads", () => {
    const root = project()
    fs.writeFileSync(
      inPackage(root, "dist/nodejs_kernel_backend.js"),
      "throw new Error('libcudart.so.11.0 is missing')"
    )
    const { reason } = parsed(inProcess(root, standIn(root, false) + start("exact")))
    assert.strictEqual(reason, "the native addon did not load: libcudart.so.11.0 is missing")
  })

  it("on a processor names in its version what decides the order of sums", () => {
    const root = project()
    const version = (env: Record<string, string>) => {
      const report = parsed(inProcess(root, standIn(root, false) + start("exact"), env))
      assert.deepStrictEqual(report.value, [1, 4, 9])
      assert.strictEqual(report.determinism, "exact")
      assert.strictEqual(report.devices.length, 1)
      assert.strictEqual(report.devices[0].kind, "cpu")
      return report.version as string
    }
    const one = version({})
    assert.match(one, /^tfjs-4\.22\.0 tensorflow-9\.9\.9 cpu threads-1 onednn-default \S+ \(.+\)$/)
    const other = version({ TF_NUM_INTRAOP_THREADS: "3", TF_ENABLE_ONEDNN_OPTS: "0", ONEDNN_MAX_CPU_ISA: "AVX2" })
    assert.include(other, "cpu threads-3 onednn-0 onednn-isa-AVX2 ")
  })

  it("on GPUs lists those that it may see and computes on the first", () => {
    const root = project()
    const bin = path.join(root, "bin")
    fs.mkdirSync(bin)
    const gpus = "echo '0, GPU-a, NVIDIA A, 40960, 550.1'\necho '1, GPU-b, NVIDIA B, 81920, 550.1'\n"
    fs.writeFileSync(path.join(bin, "nvidia-smi"), `#!/bin/sh\n${gpus}`, { mode: 0o755 })
    fs.mkdirSync(inPackage(root, "deps"))
    fs.writeFileSync(inPackage(root, "deps/libraries.txt"), "nvidia_cublas_cu12-12.9\n")
    const environment = (env: Record<string, string>) => ({ PATH: `${bin}:${process.env["PATH"]}`, ...env })
    const both = parsed(inProcess(root, standIn(root, true) + start("exact"), environment({})))
    assert.deepStrictEqual(both.devices, [
      { kind: "gpu", name: "NVIDIA A (40960 MiB)" },
      { kind: "gpu", name: "NVIDIA B (81920 MiB)" }
    ])
    assert.strictEqual(both.determinism, "exact")
    assert.match(both.version, / gpu tf32-off driver-550\.1 libraries-[0-9a-f]{8} \(NVIDIA A \(40960 MiB\)\)$/)
    const second = parsed(
      inProcess(root, standIn(root, true) + start("fast"), environment({ CUDA_VISIBLE_DEVICES: "1" }))
    )
    assert.deepStrictEqual(second.devices, [{ kind: "gpu", name: "NVIDIA B (81920 MiB)" }])
    assert.strictEqual(second.determinism, "fast")
  })

  it("does not promise on a GPU what TensorFlow was not loaded for", () => {
    const root = project()
    const again = `console.log(JSON.stringify(await report("exact")))`
    const { reason } = parsed(inProcess(root, standIn(root, true) + start("fast") + again, { PATH: "" }))
    assert.match(reason, /loaded in this process for results that need not repeat/)
  })

  it("leaves the GPUs in sight of the processes that it starts", () => {
    const root = project()
    const bin = path.join(root, "bin")
    fs.mkdirSync(bin)
    fs.writeFileSync(path.join(bin, "nvidia-smi"), "#!/bin/sh\necho '0, GPU-a, A, 1, 1'\necho '1, GPU-b, B, 1, 1'\n", {
      mode: 0o755
    })
    fs.appendFileSync(
      inPackage(root, "dist/register_all_kernels.js"),
      "\nconsole.log('loaded seeing ' + process.env.CUDA_VISIBLE_DEVICES)"
    )
    const after = `console.log("then " + process.env.CUDA_VISIBLE_DEVICES, process.env.CUDA_DEVICE_ORDER)`
    const { printed } = inProcess(root, standIn(root, true) + start("exact") + after, {
      PATH: `${bin}:${process.env["PATH"]}`
    })
    assert.match(printed, /^loaded seeing 0\n[^]*\nthen undefined PCI_BUS_ID\n$/)
  })
})

describe("GPUs", () => {
  const gpus = Cuda.parse("0, GPU-aa1, NVIDIA H100, 81559, 550.54\n1, GPU-ab2, NVIDIA H100, 81559, 550.54\n")

  it("are read as nvidia-smi prints them", () => {
    assert.deepStrictEqual(gpus, [
      { index: 0, uuid: "GPU-aa1", name: "NVIDIA H100", memory: 81559, driver: "550.54" },
      { index: 1, uuid: "GPU-ab2", name: "NVIDIA H100", memory: 81559, driver: "550.54" }
    ])
    assert.deepStrictEqual(Cuda.parse("No devices were found\n"), [])
  })

  it.each(
    [
      [undefined, ["0", "1"]],
      ["1,0", ["1", "0"]],
      ["1", ["1"]],
      ["GPU-ab", ["GPU-ab"]],
      ["", []],
      ["-1", []],
      // As CUDA has it: what stands behind one that there is not is not seen.
      ["0,7,1", ["0"]],
      ["MIG-x", ["MIG-x"]]
    ] as const
  )("are seen as CUDA_VISIBLE_DEVICES=%s says", (variable, expected) => {
    assert.deepStrictEqual(Cuda.visible(gpus, variable).map(({ id }) => id), [...expected])
  })
})

describe("the environment of TensorFlow", () => {
  it("is left as the user has set it", () => {
    const set = { TF_NUM_INTRAOP_THREADS: "8", TF_CPP_MIN_LOG_LEVEL: "0", NVIDIA_TF32_OVERRIDE: "1" }
    const wanted = Environment.wanted("fast", set)
    for (const name of Object.keys(set)) assert.notProperty(wanted, name)
    assert.strictEqual(wanted["TF_FORCE_GPU_ALLOW_GROWTH"], "true")
    assert.notProperty(wanted, "TF_DETERMINISTIC_OPS")
  })

  it("asks for results that repeat where these were asked for, whatever was set", () => {
    assert.strictEqual(Environment.wanted("exact", { TF_DETERMINISTIC_OPS: "0" })["TF_DETERMINISTIC_OPS"], "1")
  })

  it("gives one thread, and all cores for what TensorFlow takes for no number", () => {
    assert.strictEqual(Environment.threads(Environment.wanted("exact", {})), 1)
    assert.strictEqual(Environment.threads({ TF_NUM_INTRAOP_THREADS: "6" }), 6)
    for (const value of ["0", "many", undefined]) {
      assert.strictEqual(Environment.threads({ TF_NUM_INTRAOP_THREADS: value }), os.availableParallelism())
    }
  })
})

describe("the instruction set", () => {
  it.each(
    [
      ["flags\t\t: fpu avx f16c avx2 avx512f avx512bw\n", "avx512"],
      ["flags\t\t: fpu avx avx2\nflags\t\t: fpu avx avx2\n", "avx2"],
      ["Features\t: fp asimd sve\n", "sve"],
      ["", "x64"]
    ] as const
  )("is the widest of the flags %j", (cpuinfo, expected) => {
    assert.strictEqual(Processor.instructionSet(cpuinfo, "x64"), expected)
  })
})

describe.skipIf(installed === undefined)(
  `the installed native backend${installed === undefined ? " (not run: neither package is installed)" : ""}`,
  () => {
    it("prints nothing, loses no tensor, and repeats its results to the bit", () => {
      const code = `
        const { Effect } = await import(${from("effect")})
        const { Backend } = await import(${from("src/tensor/Backend.ts")})
        await Effect.runPromise(Backend.use(({ tf, version }) => Effect.sync(() => {
          const compute = () => tf.tidy(() => {
            const x = tf.reshape(tf.sin(tf.range(0, 4096)), [16, 256])
            return tf.matMul(x, x, false, true).dataSync().join()
          })
          const first = compute(), tensors = tf.memory().numTensors, data = tf.backend().numDataIds()
          for (let i = 0; i < 20; i++) if (compute() !== first) throw new Error("another result")
          if (tf.memory().numTensors !== tensors || tf.backend().numDataIds() !== data) throw new Error("tensors leak")
          process.stdout.write(version)
        })).pipe(Effect.provide(Backend.layer("tensorflow"))))
        process.exit(0)`
      const { printed } = inProcess(process.cwd(), code)
      assert.match(printed, /^tfjs-4\.22\.0 tensorflow-\d+\.\d+\.\d+\S* (cpu|gpu) [^\n]+$/)
    })

    it("takes the threads that it is given", () => {
      const versionWith = (threads: string) => {
        const code = `
          const { Effect } = await import(${from("effect")})
          const { Backend } = await import(${from("src/tensor/Backend.ts")})
          console.log(JSON.stringify(await Effect.runPromise(
            Backend.use(({ version }) => Effect.succeed(version)).pipe(Effect.provide(Backend.layer("tensorflow")))
          )))
          process.exit(0)`
        return parsed(inProcess(process.cwd(), code, { TF_NUM_INTRAOP_THREADS: threads })) as string
      }
      assert.match(versionWith("2"), / threads-2 | gpu /)
    })
  }
)

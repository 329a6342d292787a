import { afterAll, assert, describe, it } from "@effect/vitest"
import { execFileSync } from "node:child_process"
import * as fs from "node:fs"
import { createRequire } from "node:module"
import * as path from "node:path"
import { explanation } from "../../../src/cli/explain/TensorFlow.ts"
import { type Conditions, make, missing, type Surroundings } from "./Surroundings.ts"

const manifest = JSON.parse(fs.readFileSync(new URL("../../../package.json", import.meta.url), "utf8"))

describe("the explanation of the backend tensorflow", () => {
  it("is a shell script", () => {
    execFileSync("/bin/sh", ["-n"], { input: explanation })
  })

  it("installs the version that goes with our TensorFlow.js", () => {
    const version = /^VERSION=(\S+)/m.exec(explanation)?.[1]
    assert.strictEqual(version, manifest.dependencies["@tensorflow/tfjs-core"])
    assert.strictEqual(version, manifest.peerDependencies["@tensorflow/tfjs-node"])
    assert.strictEqual(version, manifest.peerDependencies["@tensorflow/tfjs-node-gpu"])
  })

  it("says in its comments which variables it reads", () => {
    const [head = "", code = ""] = explanation.split("\nset -eu\n")
    const read = new Set([...code.matchAll(/\$\{([A-Z_]+):?[-=]/g)].map(([, name]) => name!))
    for (const name of ["VARIANT", "WANTED", "WORDS", "GLIBC"]) read.delete(name)
    assert.isAbove(read.size, 5)
    for (const name of read) assert.match(head, new RegExp(`\\b${name}\\b`))
  })
})

describe.skipIf(missing !== undefined)(
  `the build of the native backend${missing ? ` (not run: ${missing})` : ""}`,
  () => {
    const machine = missing === undefined ? make(explanation) : (undefined as unknown as Surroundings)
    afterAll(() => machine.remove())

    const inPackage = (project: string, ...parts: ReadonlyArray<string>) =>
      path.join(project, "node_modules/@tensorflow/tfjs-node", ...parts)

    /** What is in `node_modules`, or that there is none. */
    const modulesOf = (project: string): ReadonlyArray<string> =>
      fs.existsSync(path.join(project, "node_modules")) ? fs.readdirSync(path.join(project, "node_modules")) : ["none"]

    it("lays out TensorFlow, compiles the addon against it and tries it", async () => {
      const project = machine.project()
      machine.asked()
      const { code, output } = await machine.build(project)
      assert.strictEqual(code, 0, output)
      assert.include(output, "Built: TensorFlow 9.9.9 computes on the processor.")
      assert.sameMembers(fs.readdirSync(inPackage(project, "deps/lib")), [
        "libtensorflow.so",
        "libtensorflow_cc.so.2",
        "libtensorflow_framework.so",
        "libtensorflow_framework.so.2"
      ])
      assert.isTrue(fs.existsSync(inPackage(project, "deps/include/tensorflow/c/c_api.h")))
      // Of the wheel nothing but what is needed.
      assert.isFalse(fs.existsSync(inPackage(project, "deps/python")))
      assert.deepStrictEqual(modulesOf(project), ["@tensorflow"])
      const addon = createRequire(import.meta.url)(inPackage(project, "lib/napi-v8/tfjs_binding.node"))
      assert.strictEqual(addon.TF_Version, "9.9.9")
      const asked = machine.asked()
      assert.include(asked.join("\n"), "pip tensorflow-cpu==2.21.0")
      const install = asked.find((line) => line.startsWith("npm install"))!
      // Its own install script would download another TensorFlow.
      assert.match(install, /--ignore-scripts/)
      assert.match(install, / @tensorflow\/tfjs-node@4\.22\.0$/)
    })

    it("does nothing the second time, and all again when told to", async () => {
      const project = machine.project()
      await machine.build(project)
      machine.asked()
      const second = await machine.build(project)
      assert.strictEqual(second.code, 0, second.output)
      assert.include(second.output, "Already built: TensorFlow 9.9.9")
      assert.deepStrictEqual(machine.asked(), [])
      const forced = await machine.build(project, { env: { FORCE: "1" } })
      assert.include(forced.output, "Built: TensorFlow 9.9.9")
      // The package is there already.
      assert.isFalse(machine.asked().some((line) => line.startsWith("npm install")))
    })

    it("can be piped into a shell", async () => {
      const { code, output } = await machine.build(machine.project(), { piped: true })
      assert.strictEqual(code, 0, output)
      assert.match(output, /Built: TensorFlow 9\.9\.9 computes on the processor\.\n$/)
    })

    it("builds again what no longer computes", async () => {
      const project = machine.project()
      await machine.build(project)
      fs.rmSync(inPackage(project, "deps/lib/libtensorflow_cc.so.2"))
      const { code, output } = await machine.build(project)
      assert.strictEqual(code, 0, output)
      assert.include(output, "Built: TensorFlow 9.9.9")
    })

    it("links to a TensorFlow that is there already", async () => {
      const project = machine.project()
      const folder = path.join(machine.packages, "tensorflow-cpu/tensorflow")
      machine.asked()
      const { code, output } = await machine.build(project, {
        env: { TENSORFLOW_FOLDER: folder },
        without: ["python3"]
      })
      assert.strictEqual(code, 0, output)
      assert.strictEqual(
        fs.realpathSync(inPackage(project, "deps/lib/libtensorflow_cc.so.2")),
        fs.realpathSync(path.join(folder, "libtensorflow_cc.so.2"))
      )
      assert.isFalse(machine.asked().some((line) => line.startsWith("pip")))
    })

    it("for GPUs, brings the libraries that TensorFlow asks for and links the addon with them", async () => {
      const project = machine.project()
      machine.asked()
      const { code, output } = await machine.build(project, { args: ["gpu"] })
      assert.strictEqual(code, 0, output)
      assert.match(output, /found no GPU on this machine/)
      assert.includeMembers([...machine.asked()], [
        "pip nvidia-cuda-runtime-cu12(>=12.5)",
        "pip nvidia-cudnn-cu12<10.0,>=9.3"
      ])
      const inGpu = (...parts: ReadonlyArray<string>) => inPackage(project, "../tfjs-node-gpu", ...parts)
      for (const [name, folder] of [["libcudart.so.12", "cuda_runtime"], ["libcudnn.so.9", "cudnn"]] as const) {
        // As in a Python installation, and beside TensorFlow.
        assert.isTrue(fs.existsSync(inGpu("deps/nvidia", folder, "lib", name)))
        assert.isTrue(fs.existsSync(inGpu("deps/lib", name)))
        assert.include(fs.readFileSync(inGpu("lib/napi-v8/tfjs_binding.node"), "latin1"), `${name}\0`)
      }
      assert.strictEqual(
        fs.readFileSync(inGpu("deps/libraries.txt"), "utf8"),
        "nvidia_cuda_runtime_cu12-1.2\nnvidia_cudnn_cu12-1.2\n"
      )
    })

    it("keeps what was built before where the new one does not compute", async () => {
      const project = machine.project()
      await machine.build(project)
      const wrong = "exports.matMul = () => ({ dataSync: () => [1, 2, 3, 4] })\n"
      const correct = fs.readFileSync(inPackage(project, "main.js"), "utf8")
      fs.appendFileSync(inPackage(project, "main.js"), wrong)
      const before = fs.statSync(inPackage(project, "lib/napi-v8/tfjs_binding.node")).ino
      const { code, output } = await machine.build(project, { env: { FORCE: "1" } })
      assert.strictEqual(code, 1)
      assert.match(
        output,
        /computes a product wrongly: 1,2,3,4[\s\S]*Not built: TensorFlow was built and does not compute/
      )
      assert.strictEqual(fs.statSync(inPackage(project, "lib/napi-v8/tfjs_binding.node")).ino, before)
      fs.writeFileSync(inPackage(project, "main.js"), correct)
      assert.include((await machine.build(project)).output, "Already built")
      assert.deepStrictEqual(modulesOf(project), ["@tensorflow"])
    })

    const refusing = "#!/bin/sh\nexit 1\n"
    const failures: ReadonlyArray<
      readonly [what: string, says: RegExp, options: Conditions, manifest?: object]
    > = [
      ["without a compiler", /there is no C\+\+ compiler\.\n.*apt-get install g\+\+/, { without: ["c++"] }],
      ["without Python", /there is no Python \(python3\).*\n.*apt-get install python3/, { without: ["python3"] }],
      ["without pip", /python3 has no pip.*\n.*python3-pip/, { instead: { python3: refusing } }],
      ["without npm", /node or npm is not on the PATH/, { without: ["npm"] }],
      ["on musl", /no glibc.*\n.*Debian/, { instead: { getconf: refusing } }],
      ["on an old glibc", /glibc is 2\.17, and TensorFlow needs 2\.27/, {
        instead: { getconf: "#!/bin/sh\necho glibc 2.17\n" }
      }],
      ["on macOS", /this is Darwin/, { instead: { uname: "#!/bin/sh\necho Darwin\n" } }],
      ["on a processor without a wheel", /no TensorFlow for riscv64/, {
        instead: { uname: "#!/bin/sh\nif [ $1 = -m ]; then echo riscv64; else echo Linux; fi\n" }
      }],
      ["on a full disk", /there are 100 MB free.*takes 1500 MB/, {
        instead: { df: "#!/bin/sh\necho head\necho disk 200000 100000 102400 50% /\n" }
      }],
      ["for a variant that it does not know", /no variant 'tpu'/, { args: ["tpu"] }],
      ["where the packages are not installed", /packages of this project are not installed.*\n.*npm install/, {}, {
        devDependencies: { node: "24" }
      }],
      [
        "where pip finds no such version",
        /No matching distribution[\s\S]*pip did not get tensorflow-rocm.*\n.*TENSORFLOW_VERSION.*PIP_INDEX_URL/,
        { env: { TENSORFLOW_WHEEL: "tensorflow-rocm" } }
      ],
      ["for a GPU with a wheel that has no CUDA", /asks for no libraries of NVIDIA\.\n.*TENSORFLOW_WHEEL/, {
        args: ["gpu"],
        env: { TENSORFLOW_WHEEL: "tensorflow-cpu" }
      }],
      ["where the folder named holds no TensorFlow", /holds no libtensorflow_cc/, { env: { TENSORFLOW_FOLDER: "/" } }],
      ["where the compiler refuses", /too old for C\+\+17[\s\S]*the compiler \(c\+\+\) refused the addon/, {
        instead: { "c++": "#!/bin/sh\necho too old for C++17 >&2\nexit 1\n" }
      }],
      ["where the addon does not load", /does not load, see above\.\n.*GLIBC/, {
        instead: { "c++": "#!/bin/sh\nwhile [ $# -gt 0 ]; do [ $1 != -o ] || echo broken > \"$2\"; shift; done\n" }
      }],
      ["where npm does not reach its registry", /ECONNREFUSED[\s\S]*npm did not get @tensorflow\/tfjs-node/, {
        instead: { npm: "#!/bin/sh\necho ECONNREFUSED >&2\nexit 1\n" }
      }]
    ]

    for (const [what, says, options, manifest] of failures) {
      it(`${what} says what to do and leaves nothing`, async () => {
        const project = machine.project(manifest)
        const { code, output } = await machine.build(project, options)
        assert.strictEqual(code, 1, output)
        assert.match(output, /\nNot built: .*\.\n/)
        assert.match(output, says)
        assert.deepStrictEqual(modulesOf(project), ["none"])
      })
    }

    it("outside of a project says so", async () => {
      const project = machine.project()
      fs.rmSync(path.join(project, "package.json"))
      const { code, output } = await machine.build(project)
      assert.strictEqual(code, 1)
      assert.match(output, /there is no package\.json in .*\n.*npm init/)
    })

    it("ends without a trace when it is interrupted", async () => {
      const project = machine.project()
      const { code } = await machine.build(project, { instead: { "c++": "#!/bin/sh\nkill -TERM $PPID\nsleep 1\n" } })
      assert.strictEqual(code, 143)
      assert.deepStrictEqual(modulesOf(project), ["none"])
    })
  }
)

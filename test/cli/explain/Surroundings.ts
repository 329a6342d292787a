/**
 * A machine for the build script to run on: a PATH with nothing on it but what is put there, an `npm` and a `pip` that
 * take their packages from a folder, and small packages of the shape of the real ones. The compiler, Python and Node
 * are the real ones.
 */
import { execFileSync, spawn } from "node:child_process"
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"

/** Where a command of this machine is. */
const find = (command: string): string | undefined => {
  try {
    return execFileSync("/bin/sh", ["-c", `command -v ${command}`], {
      encoding: "utf8",
      stdio: ["ignore", "pipe", "ignore"]
    })
      .trim()
  } catch {
    return undefined
  }
}

const compiler = ["c++", "g++", "clang++"].map(find).find((found) => found !== undefined)

/** Python itself, and not a script that looks for it on a PATH. */
const python = (() => {
  try {
    return execFileSync("python3", ["-c", "import sys; print(sys.executable)"], {
      encoding: "utf8",
      stdio: ["ignore", "pipe", "ignore"]
    }).trim()
  } catch {
    return undefined
  }
})()

/** Why the script cannot be run here; `undefined` if it can. */
export const missing: string | undefined = process.platform !== "linux"
  ? "the script is for Linux"
  : compiler === undefined
  ? "there is no C++ compiler"
  : python === undefined
  ? "there is no Python"
  : undefined

/** The commands that the script may take for granted on any Linux, besides those that it looks for. */
const basic =
  "sh uname getconf sed grep df awk mktemp mkdir rmdir ln rm mv cp cat tar gzip head tail dirname basename env ld as cc1plus"

const nodeApi = `
#pragma once
#include <stddef.h>
typedef struct napi_env__* napi_env;
typedef struct napi_value__* napi_value;
extern "C" int napi_create_string_utf8(napi_env, const char*, size_t, napi_value*);
extern "C" int napi_set_named_property(napi_env, napi_value, const char*, napi_value);
`

const binding = `
#include <node_api.h>
#include "tensorflow/c/c_api.h"
extern "C" napi_value napi_register_module_v1(napi_env env, napi_value exports) {
  napi_value version;
  napi_create_string_utf8(env, TF_Version(), 5, &version);
  napi_set_named_property(env, exports, "TF_Version", version);
  return exports;
}
`

/** The main module of the package, with a product that comes out as it says. */
const main = (product: string) => `
exports.enableProdMode = () => {}
exports.tensor2d = () => {}
exports.matMul = () => ({ dataSync: () => ${product} })
exports.backend = () => ({ isUsingGpuDevice: false, binding: require("./lib/napi-v8/tfjs_binding.node") })
`

const write = (file: string, content: string, mode = 0o644): void => {
  fs.mkdirSync(path.dirname(file), { recursive: true })
  fs.writeFileSync(file, content, { mode })
}

const library = (file: string, source: string): void => {
  fs.mkdirSync(path.dirname(file), { recursive: true })
  write(`${file}.cc`, source)
  execFileSync(compiler!, ["-shared", "-fPIC", "-o", file, `${file}.cc`, `-Wl,-soname,${path.basename(file)}`])
  fs.rmSync(`${file}.cc`)
}

export interface Conditions {
  readonly args?: ReadonlyArray<string>
  readonly env?: Readonly<Record<string, string>>
  /** Commands that are not on the PATH. */
  readonly without?: ReadonlyArray<string>
  /** The script comes from the standard input. */
  readonly piped?: boolean
  /** Commands that are something else: the text of a shell script. */
  readonly instead?: Readonly<Record<string, string>>
}

export interface Surroundings {
  /** Where `npm` and `pip` find what they are asked for, by the names of the packages. */
  readonly packages: string
  /** Runs the script in a project. */
  readonly build: (
    project: string,
    conditions?: Conditions
  ) => Promise<{ readonly code: number | null; readonly output: string }>
  /** A new folder with a package.json. */
  readonly project: (manifest?: object) => string
  /** What `npm` and `pip` were asked for since the last call, a line a call. */
  readonly asked: () => ReadonlyArray<string>
  readonly remove: () => void
}

export const make = (script: string): Surroundings => {
  const root = fs.mkdtempSync(path.join(os.tmpdir(), "attune-explain-"))
  const packages = path.join(root, "packages")
  const log = path.join(root, "asked")
  write(log, "")

  for (const name of ["@tensorflow/tfjs-node", "@tensorflow/tfjs-node-gpu"]) {
    const folder = path.join(packages, name)
    write(path.join(folder, "package/package.json"), JSON.stringify({ name, version: "4.22.0", main: "main.js" }))
    write(path.join(folder, "package/main.js"), main("[19, 22, 43, 50]"))
    write(path.join(folder, "package/binding/binding.cc"), binding)
  }
  write(path.join(packages, "node-api-headers/package/include/node_api.h"), nodeApi)

  const wheel = path.join(packages, "tensorflow-cpu")
  library(
    path.join(wheel, "tensorflow/libtensorflow_cc.so.2"),
    "extern \"C\" const char* TF_Version() { return \"9.9.9\"; }"
  )
  library(path.join(wheel, "tensorflow/libtensorflow_framework.so.2"), "extern \"C\" int framework() { return 1; }")
  write(path.join(wheel, "tensorflow/include/tensorflow/c/c_api.h"), "extern \"C\" const char* TF_Version();\n")
  write(path.join(wheel, "tensorflow/python/ops.py"), "raise SystemError\n")
  write(path.join(wheel, "tensorflow_cpu-2.dist-info/METADATA"), "Requires-Dist: numpy\n")
  fs.cpSync(wheel, path.join(packages, "tensorflow"), { recursive: true })
  write(
    path.join(packages, "tensorflow/tensorflow_cpu-2.dist-info/METADATA"),
    "Requires-Dist: numpy\nRequires-Dist: nvidia-cuda-runtime-cu12 (>=12.5) ; extra == 'and-cuda'\n" +
      "Requires-Dist: nvidia-cudnn-cu12<10.0,>=9.3; extra == \"and-cuda\"\n"
  )
  library(path.join(packages, "nvidia-cuda-runtime-cu12/nvidia/cuda_runtime/lib/libcudart.so.12"), "int cudart;")
  library(path.join(packages, "nvidia-cudnn-cu12/nvidia/cudnn/lib/libcudnn.so.9"), "int cudnn;")

  const npm = `#!/bin/sh
echo "npm $*" >> "${log}"
case $1 in
  pack) for ASKED; do
    case $ASKED in
      *@*.*.*) NAME=\${ASKED%@*}; FILE=$(echo "$NAME" | sed 's|@||; s|/|-|')
        tar -czf "$FILE-1.tgz" -C "${packages}/$NAME" package || exit 1 ;;
    esac
  done ;;
  install) cat > /dev/null # as an npm that reads answers would
    for ASKED; do :; done
    NAME=\${ASKED%@*}; mkdir -p "node_modules/$NAME"; cp -R "${packages}/$NAME/package/." "node_modules/$NAME" ;;
esac
`
  const pip = `#!/bin/sh
if [ "$1 $2" != "-m pip" ]; then exec "${python}" "$@"; fi
[ "$3" = download ] || exit 0
while [ $# -gt 1 ]; do if [ "$1" = --dest ]; then TO=$2; fi; shift; done
echo "pip $1" >> "${log}"
NAME=$(echo "$1" | sed 's/[=<>(].*//')
[ -d "${packages}/$NAME" ] || { echo "ERROR: No matching distribution found for $1" >&2; exit 1; }
cd "${packages}/$NAME" && "${python}" -m zipfile -c "$TO/$(echo "$NAME" | sed 's/-/_/g')-1.2-py3-none-any.whl" *
`
  const bin = (without: ReadonlyArray<string>, instead: Readonly<Record<string, string>>): string => {
    const folder = fs.mkdtempSync(path.join(root, "bin-"))
    const scripts: Record<string, string> = { npm, python3: pip, ...instead }
    for (const command of [...basic.split(" "), ...Object.keys(scripts), "c++", "node"]) {
      if (without.includes(command)) continue
      const text = scripts[command]
      const found = command === "node" ? process.execPath : command === "c++" ? compiler : find(command)
      if (text !== undefined) write(path.join(folder, command), text, 0o755)
      else if (found !== undefined) fs.symlinkSync(fs.realpathSync(found), path.join(folder, command))
    }
    return folder
  }

  const file = path.join(root, "build.sh")
  write(file, script)

  return {
    packages,
    build: (project, { args = [], env = {}, instead = {}, piped = false, without = [] } = {}) =>
      new Promise((resolve, reject) => {
        const child = spawn("/bin/sh", piped ? ["-s", ...args] : [file, ...args], {
          cwd: project,
          env: { PATH: bin(without, instead), ...env }
        })
        // A script that stops early leaves what it was not yet sent: its exit code and words are the answer.
        child.stdin.on("error", (error: NodeJS.ErrnoException) => error.code === "EPIPE" ? undefined : reject(error))
        child.stdin.end(piped ? script : "")
        let output = ""
        for (const stream of [child.stdout, child.stderr]) stream.on("data", (chunk) => output += chunk)
        child.on("error", reject)
        child.on("close", (code) => resolve({ code, output }))
      }),
    project: (manifest = { private: true }) => {
      const folder = fs.mkdtempSync(path.join(root, "a project "))
      write(path.join(folder, "package.json"), JSON.stringify(manifest))
      return folder
    },
    asked: () => {
      const lines = fs.readFileSync(log, "utf8").split("\n").filter((line) => line !== "")
      write(log, "")
      return lines
    },
    remove: () => fs.rmSync(root, { recursive: true, force: true })
  }
}

/**
 * What `attune doctor --explain tensorflow` prints: how the native backend is built, as a shell script that builds it.
 *
 * One text and not two, so that the explanation cannot differ from what is done. It is a string and no file beside this
 * one, since only compiled modules are published.
 */

/** A POSIX shell script, the explanation in its comments. */
export const explanation: string = `#!/bin/sh
# The backend "tensorflow": native TensorFlow for Attune, on the processor or on NVIDIA GPUs.
#
# This text is a shell script. Run it in the folder of your project, where its package.json is:
#
#     npx attune doctor --explain tensorflow > build.sh
#     sh build.sh            # for the processor: 1.5 GB of disk while it builds, 0.9 GB after
#     sh build.sh gpu        # for NVIDIA GPUs, CUDA 12: 12 GB while it builds, some 7 GB after
#
# Why a script: @tensorflow/tfjs-node, the package that joins TensorFlow to Node, downloads a TensorFlow of 2022 when it
# is installed (2.9.1; for GPUs with CUDA 11.2, which is older than NVIDIA's Hopper). The package itself works with newer
# ones: it is JavaScript, and an addon of two C++ files. So this takes the libtensorflow out of the current Python wheel
# of TensorFlow and compiles the addon against it.
#
# It needs Linux with glibc 2.27 or later, a C++ compiler, Python 3 with pip (to download the wheel: no Python runs
# afterwards), Node and npm. It asks for no rights and writes into node_modules alone, besides the line that
# "npm install" adds to package.json. It can be run again: what is built and works stays as it is. If it fails it says
# what is missing, and leaves the project as it was.
#
# After "npm ci", which empties node_modules, run it again; pip keeps the download.
#
# What it can be told, by environment variables:
#
#   TENSORFLOW_VERSION   the version of the wheel (2.21.0)
#   TENSORFLOW_WHEEL     its name (tensorflow-cpu; for GPUs, and on 64-bit Arm, tensorflow)
#   TENSORFLOW_FOLDER    an unpacked TensorFlow to use in place of a download: the folder with libtensorflow_cc.so.2 and
#                        include, such as site-packages/tensorflow. It is linked to, not copied, so it has to stay.
#   CUDA_PACKAGES        the packages with NVIDIA's libraries (those that the wheel itself asks for)
#   NPM_OPTIONS          options of "npm install", such as --no-save
#   PYTHON, CXX          the Python with pip (python3), the compiler (c++, g++ or clang++)
#   FORCE=1              to build again what is built
#   PIP_INDEX_URL and all other variables of pip; npm_config_registry and all other variables of npm

set -eu
{ # Read to the end before any of it runs, so that it can be piped into sh.

VARIANT=\${1:-cpu}
VERSION=4.22.0                      # of tfjs-node: the one that goes with Attune's TensorFlow.js
NODE_API_HEADERS=1.9.0              # the C interface of Node that the addon is compiled against
: "\${TENSORFLOW_VERSION:=2.21.0}"
: "\${TENSORFLOW_FOLDER:=}"
: "\${CUDA_PACKAGES:=}"
: "\${NPM_OPTIONS:=}"
: "\${PYTHON:=python3}"
: "\${FORCE:=}"

say() { printf '%s\\n' "==> $*"; }
fail() { # what is wrong, what to do
  printf '\\n%s\\n%s\\n' "Not built: $1." "$2" >&2
  exit 1
}
has() { command -v "$1" > /dev/null 2>&1; }

case $VARIANT in
  cpu) PACKAGE=@tensorflow/tfjs-node SPACE=1500 WHEEL=tensorflow-cpu ;;
  gpu) PACKAGE=@tensorflow/tfjs-node-gpu SPACE=12000 WHEEL=tensorflow ;;
  *) fail "there is no variant '$VARIANT'" "Run it with cpu or with gpu." ;;
esac

# --- Is everything here? ----------------------------------------------------------------------------------------------

SYSTEM=$(uname -s) MACHINE=$(uname -m)
[ "$SYSTEM" = Linux ] || fail "this is $SYSTEM, and the script knows Linux" \\
  "On macOS and Windows 'npm install $PACKAGE@$VERSION' downloads what its makers built; or choose --backend webgpu."
case $MACHINE in
  x86_64) ;;
  aarch64 | arm64) WHEEL=tensorflow ;;
  *) fail "there is no TensorFlow for $MACHINE" "Choose --backend wasm." ;;
esac
: "\${TENSORFLOW_WHEEL:=$WHEEL}"

# Alpine and others that have musl in place of glibc have no wheel.
GLIBC=$(getconf GNU_LIBC_VERSION 2> /dev/null | sed 's/^glibc //') || GLIBC=
[ -n "$GLIBC" ] || fail "this system has no glibc, and TensorFlow is linked with it" \\
  "Use an image with glibc, such as Debian's or Ubuntu's, or choose --backend wasm."
[ "\${GLIBC%%.*}" -gt 2 ] || [ "\${GLIBC#*.}" -ge 27 ] || fail "glibc is $GLIBC, and TensorFlow needs 2.27 or later" \\
  "Use a newer system (Debian 10, Ubuntu 18.04, RHEL 8 or later), or choose --backend wasm."

[ -f package.json ] || fail "there is no package.json in $PWD" \\
  "Run this in the folder of your project, or make it one with 'npm init -y'."
{ has node && has npm; } || fail "node or npm is not on the PATH" "Install Node 22.19 or later, from https://nodejs.org."
if grep -q '"[dD]*e*v*[dD]ependencies"' package.json && [ ! -d node_modules ]; then
  # With --ignore-scripts, as below, it would install all of them without their scripts.
  fail "the packages of this project are not installed yet" "Run 'npm install' first."
fi

if [ -z "\${CXX:-}" ]; then
  for CXX in c++ g++ clang++ ''; do if [ -n "$CXX" ] && has "$CXX"; then break; fi; done
fi
{ [ -n "$CXX" ] && has "\${CXX%% *}"; } || fail "there is no C++ compiler" \\
  "Install one: 'apt-get install g++' on Debian and Ubuntu, 'dnf install gcc-c++' on Fedora and RHEL; or set CXX."

if [ -z "$TENSORFLOW_FOLDER" ]; then
  has "$PYTHON" || fail "there is no Python ($PYTHON), which downloads TensorFlow" \\
    "Install it: 'apt-get install python3 python3-pip', 'dnf install python3-pip'; or set PYTHON or TENSORFLOW_FOLDER."
  "$PYTHON" -m pip --version > /dev/null 2>&1 || fail "$PYTHON has no pip, which downloads TensorFlow" \\
    "Install it: 'apt-get install python3-pip', 'dnf install python3-pip', or 'python3 -m ensurepip'."
else
  TENSORFLOW_FOLDER=$(cd "$TENSORFLOW_FOLDER" 2> /dev/null && pwd) || fail "there is no folder TENSORFLOW_FOLDER" \\
    "Give it the folder that holds libtensorflow_cc.so.2, such as site-packages/tensorflow."
  { [ -f "$TENSORFLOW_FOLDER/libtensorflow_cc.so.2" ] && [ -d "$TENSORFLOW_FOLDER/include/tensorflow/c" ]; } ||
    fail "$TENSORFLOW_FOLDER holds no libtensorflow_cc.so.2, or no include/tensorflow/c" \\
      "Give TENSORFLOW_FOLDER the folder of a TensorFlow that pip installed, such as site-packages/tensorflow."
  SPACE=100
fi

INSTALLED=$PWD/node_modules/$PACKAGE

# Computes a product, as the backend will: the addon loads, finds its libraries, and its numbers are right.
check() {
  TF_CPP_MIN_LOG_LEVEL=\${1:-3} TF_FORCE_GPU_ALLOW_GROWTH=true node --input-type=commonjs - "$PACKAGE" << 'END'
    const util = require("node:util")
    // tfjs-node calls these, which Node dropped in version 23. Attune puts them back in the same way.
    util.isNullOrUndefined ??= (value) => value === null || value === undefined
    util.isArray ??= Array.isArray
    process.emitWarning = () => {}
    const tf = require(require.resolve(process.argv[2], { paths: [process.cwd()] }))
    tf.enableProdMode()
    const found = tf.matMul(tf.tensor2d([1, 2, 3, 4], [2, 2]), tf.tensor2d([5, 6, 7, 8], [2, 2])).dataSync().join()
    if (found !== "19,22,43,50") throw new Error("TensorFlow computes a product wrongly: " + found)
    const backend = tf.backend()
    const device = backend.isUsingGpuDevice ? "the GPU" : "the processor"
    console.log("TensorFlow " + backend.binding.TF_Version + " computes on " + device)
END
}

report() { # what was found, and where a GPU was meant and none is used, why
  say "$1"
  [ "$VARIANT" = gpu ] && [ "\${FOUND%GPU}" = "$FOUND" ] || return 0
  WORDS=$(check 0 2>&1 | grep -iE 'cuda|cudnn|gpu|nvidia|dso|driver' | grep -v 'computes on' | head -n 20) || true
  say "It found no GPU on this machine. TensorFlow says: \${WORDS:-nothing about it}"
}

# What was built, so that a second run can tell: the line is written when all has worked.
WANTED="$VARIANT $MACHINE \${TENSORFLOW_FOLDER:-$TENSORFLOW_WHEEL $TENSORFLOW_VERSION $CUDA_PACKAGES}"
if [ -z "$FORCE" ] && [ "$(cat "$INSTALLED/deps/built.txt" 2> /dev/null)" = "$WANTED" ] && FOUND=$(check 2> /dev/null)
then
  report "Already built: $FOUND. Set FORCE=1 to build it again."
  exit 0
fi

FREE=$(df -Pk . | awk 'NR == 2 { print int($4 / 1024) }')
[ "$FREE" -ge "$SPACE" ] || fail "there are $FREE MB free in $PWD, and building takes $SPACE MB" \\
  "Make room, or give TENSORFLOW_FOLDER an unpacked TensorFlow that is elsewhere."

# All is built in a folder of its own and moved into place at the end.
mkdir -p node_modules
STAGE=$(mktemp -d "$PWD/node_modules/.tensorflow-build.XXXXXX")
trap 'rm -rf "$STAGE"; rmdir node_modules 2> /dev/null || true' EXIT
trap 'exit 130' INT
trap 'exit 143' HUP TERM

# --- TensorFlow -------------------------------------------------------------------------------------------------------

# A wheel is a zip file. Of TensorFlow's its two libraries and some headers are needed, of NVIDIA's the libraries.
# TensorFlow's also says which of NVIDIA's packages it is made for: its extra "and-cuda".
LIB=$STAGE/deps/lib INCLUDE=$STAGE/deps/include NVIDIA=$STAGE/deps/nvidia
mkdir -p "$LIB" "$INCLUDE" "$STAGE/wheels"
: > "$STAGE/cuda-packages"
unpack() {
  "$PYTHON" - "$STAGE" << 'END'
import glob, os, re, shutil, sys, zipfile
stage = sys.argv[1]
wanted = [
    (r"tensorflow/(libtensorflow_(?:cc|framework)[.]so[.][0-9]+)", "lib"),
    (r"tensorflow/include/((?:tensorflow/c|tensorflow/core/platform|tsl|xla|absl)/.*[.](?:h|inc))", "include"),
    (r"nvidia/([^/]+/lib/[^/]+[.]so[.0-9]*)", "nvidia"),
]
extra = r"^Requires-Dist: ([^;\\n]+?) *; *extra == .and-cuda."
for wheel in glob.glob(os.path.join(stage, "wheels", "*.whl")):
    with zipfile.ZipFile(wheel) as archive:
        for name in archive.namelist():
            for pattern, folder in wanted:
                match = re.fullmatch(pattern, name)
                if match:
                    to = os.path.join(stage, "deps", folder, match[1])
                    os.makedirs(os.path.dirname(to), exist_ok=True)
                    with archive.open(name) as source, open(to, "wb") as target:
                        shutil.copyfileobj(source, target, 1 << 20)
            if re.fullmatch(r"tensorflow[^/]*[.]dist-info/METADATA", name):
                asked = re.findall(extra, archive.read(name).decode(), re.M)
                with open(os.path.join(stage, "cuda-packages"), "a") as file:
                    file.writelines(line.replace(" ", "") + chr(10) for line in asked)
    if os.path.basename(wheel).startswith("nvidia"):
        with open(os.path.join(stage, "deps", "libraries.txt"), "a") as file:
            file.write("-".join(os.path.basename(wheel).split("-")[:2]) + chr(10))
    os.remove(wheel)
END
}

# pip looks for a wheel of the Python that runs it. No Python will run this one, so where the wheel may not exist for
# that Python another is named.
PIP_PYTHON=
[ -n "$TENSORFLOW_FOLDER" ] || PIP_PYTHON=$("$PYTHON" -c 'import sys
print("" if (3, 10) <= sys.version_info[:2] <= (3, 13) else "--python-version=3.12")')
download() {
  # shellcheck disable=SC2086
  "$PYTHON" -m pip download --quiet --disable-pip-version-check --no-deps --only-binary=:all: $PIP_PYTHON \\
    --dest "$STAGE/wheels" "$@"
}

if [ -z "$TENSORFLOW_FOLDER" ]; then
  say "Downloading $TENSORFLOW_WHEEL $TENSORFLOW_VERSION"
  download "$TENSORFLOW_WHEEL==$TENSORFLOW_VERSION" ||
    fail "pip did not get $TENSORFLOW_WHEEL $TENSORFLOW_VERSION, see above" \\
      "If this machine has no such version, choose one with TENSORFLOW_VERSION; behind a mirror, set PIP_INDEX_URL."
  unpack || fail "the wheel could not be unpacked, see above" "Is the disk full?"
else
  say "Linking to $TENSORFLOW_FOLDER"
  ln -s "$TENSORFLOW_FOLDER"/libtensorflow_cc.so.* "$TENSORFLOW_FOLDER"/libtensorflow_framework.so.* "$LIB"
  ln -s "$TENSORFLOW_FOLDER"/include/* "$INCLUDE"
fi
{ [ -e "$LIB/libtensorflow_cc.so.2" ] && [ -e "$LIB/libtensorflow_framework.so.2" ]; } ||
  fail "$TENSORFLOW_WHEEL $TENSORFLOW_VERSION holds no libtensorflow_cc.so.2" \\
    "Choose another TENSORFLOW_VERSION; 2.21.0 has it."
# The names under which tfjs-node's own build looks for them.
ln -s libtensorflow_cc.so.2 "$LIB/libtensorflow.so"
ln -s libtensorflow_framework.so.2 "$LIB/libtensorflow_framework.so"

# --- CUDA -------------------------------------------------------------------------------------------------------------

# TensorFlow opens NVIDIA's libraries by their names when it starts. They lie in deps/nvidia, as in a Python
# installation, and the addon is linked with them, so that they are found and loaded without LD_LIBRARY_PATH. The driver
# (libcuda.so.1, nvidia-smi) is the machine's: 525.60.13 or later for CUDA 12.
CUDA=
if [ "$VARIANT" = gpu ]; then
  if [ -n "$TENSORFLOW_FOLDER" ] && [ -z "$CUDA_PACKAGES" ] && [ -d "$TENSORFLOW_FOLDER/../nvidia" ]; then
    ln -s "$(cd "$TENSORFLOW_FOLDER/../nvidia" && pwd)" "$NVIDIA"
    for FILE in "$TENSORFLOW_FOLDER"/../nvidia_*.dist-info; do
      [ ! -e "$FILE" ] || basename "$FILE" .dist-info >> "$STAGE/deps/libraries.txt"
    done
  else
    mkdir -p "$NVIDIA"
    # shellcheck disable=SC2086
    [ -z "$CUDA_PACKAGES" ] || printf '%s\\n' $CUDA_PACKAGES > "$STAGE/cuda-packages"
    [ -s "$STAGE/cuda-packages" ] || fail "this TensorFlow asks for no libraries of NVIDIA" \\
      "Leave TENSORFLOW_WHEEL at 'tensorflow' for GPUs, or name the libraries with CUDA_PACKAGES."
    while read -r REQUIREMENT; do
      say "Downloading $REQUIREMENT"
      download "$REQUIREMENT" < /dev/null || fail "pip did not get $REQUIREMENT, see above" "Is the network there?"
      unpack || fail "$REQUIREMENT could not be unpacked, see above" "Is the disk full?"
    done < "$STAGE/cuda-packages"
  fi
  for FILE in "$NVIDIA"/*/lib/*.so*; do
    [ ! -e "$FILE" ] || ln -sf "../nvidia/\${FILE#"$NVIDIA/"}" "$LIB/"
  done
  for NAME in cudart cublasLt cublas cufft curand nvJitLink cusparse cusolver cudnn nccl; do
    for FILE in "$LIB/lib$NAME".so.[0-9]*; do [ ! -e "$FILE" ] || CUDA="$CUDA -l:\${FILE##*/}"; done
  done
  [ -n "$CUDA" ] || fail "none of NVIDIA's packages holds a library" "Name those that do with CUDA_PACKAGES."
fi

# --- The addon --------------------------------------------------------------------------------------------------------

say "Compiling the addon of $PACKAGE $VERSION"
(cd "$STAGE" &&
  npm pack --silent --ignore-scripts "$PACKAGE@$VERSION" "node-api-headers@$NODE_API_HEADERS" > /dev/null) ||
  fail "npm did not get $PACKAGE $VERSION or node-api-headers $NODE_API_HEADERS, see above" \\
    "Is the network there? Behind a mirror, set npm_config_registry."
mkdir "$STAGE/source" "$STAGE/headers"
tar -xzf "$STAGE"/tensorflow-tfjs-node*.tgz -C "$STAGE/source" --strip-components=1
tar -xzf "$STAGE"/node-api-headers-*.tgz -C "$STAGE/headers" --strip-components=1

# This is all that node-gyp would do, without its download of Node's headers from nodejs.org. Node-API 8 is the newest
# that the package looks for, and every later Node has it, so the addon outlives changes of the Node.
ADDON=$STAGE/lib/napi-v8
mkdir -p "$ADDON"
compile() { # the file to make, its sources and libraries
  TO=$1 && shift
  # shellcheck disable=SC2016,SC2086
  $CXX -std=c++17 -O2 -fPIC -shared -DNAPI_VERSION=8 -I "$STAGE/headers/include" -I "$STAGE/source" -I "$INCLUDE" \\
    -o "$TO" "$@" -Wl,-rpath,'$ORIGIN/../../deps/lib' > "$STAGE/compiler.log" 2>&1
}
# shellcheck disable=SC2086
compile "$ADDON/tfjs_binding.node" "$STAGE"/source/binding/*.cc \\
  -L "$LIB" -Wl,--no-as-needed -l:libtensorflow_cc.so.2 -l:libtensorflow_framework.so.2 $CUDA || {
  tail -n 40 "$STAGE/compiler.log" >&2
  fail "the compiler ($CXX) refused the addon, see above" \\
    "It has to know C++17: GCC 8 or Clang 7 or later; choose one with CXX."
}

# TensorFlow 2.17 and later print a line or two while they are loaded, before they have read TF_CPP_MIN_LOG_LEVEL. This
# second addon is loaded first, and "initfirst" lets it set the level before anything of TensorFlow runs. TensorFlow
# computes without it, so it may fail.
cat > "$STAGE/level.cc" << 'END'
#include <cstdlib>
#include <node_api.h>
#include "absl/base/log_severity.h"
#include "absl/log/globals.h"
__attribute__((constructor)) static void setLevel() {
  const char* level = std::getenv("TF_CPP_MIN_LOG_LEVEL");
  absl::SetMinLogLevel(static_cast<absl::LogSeverityAtLeast>(level == nullptr ? 0 : std::atoi(level)));
}
extern "C" napi_value napi_register_module_v1(napi_env, napi_value exports) { return exports; }
END
compile "$ADDON/tensorflow_log_level.node" "$STAGE/level.cc" \\
  -L "$LIB" -l:libtensorflow_framework.so.2 -Wl,-z,initfirst || true

# Loaded where it was built, before anything of the project is touched.
node --input-type=commonjs - "$ADDON/tfjs_binding.node" << 'END' > "$STAGE/load.log" 2>&1 || {
  require(process.argv[2])
END
  grep -E 'Error:|cannot open|version|Illegal' "$STAGE/load.log" >&2 || cat "$STAGE/load.log" >&2
  fail "the addon was compiled and does not load, see above" \\
    "If a symbol or a version of GLIBC is missing, choose an older TENSORFLOW_VERSION. It needs a processor with AVX."
}

# --- Into the project -------------------------------------------------------------------------------------------------

# Without its install script, which is the one that downloads the TensorFlow of 2022.
if [ "$(node -p 'require(process.argv[1]).version' "$INSTALLED/package.json" 2> /dev/null)" != "$VERSION" ]; then
  say "Installing $PACKAGE $VERSION"
  # shellcheck disable=SC2086
  npm install --ignore-scripts --save-exact --no-audit --no-fund $NPM_OPTIONS "$PACKAGE@$VERSION" ||
    fail "npm did not install $PACKAGE $VERSION, see above" "Is the network there?"
fi
[ -d "$INSTALLED" ] || fail "npm put $PACKAGE somewhere else than $INSTALLED" \\
  "This folder is a workspace of a larger project: run this in the folder of that project."

mkdir "$STAGE/before"
for PART in deps lib; do
  [ ! -e "$INSTALLED/$PART" ] || mv "$INSTALLED/$PART" "$STAGE/before/"
  mv "$STAGE/$PART" "$INSTALLED/"
done
if FOUND=$(check 2> "$STAGE/check.log"); then
  printf '%s\\n' "$WANTED" > "$INSTALLED/deps/built.txt"
else
  cat "$STAGE/check.log" >&2
  for PART in deps lib; do
    rm -rf "\${INSTALLED:?}/$PART"
    [ ! -e "$STAGE/before/$PART" ] || mv "$STAGE/before/$PART" "$INSTALLED/"
  done
  fail "TensorFlow was built and does not compute, see above" "The troubleshooting in docs/tensorflow.md may know why."
fi

report "Built: $FOUND."
exit
}
`

/**
 * `npm run lock`: completes package-lock.json with the packages of other platforms.
 *
 * npm leaves an optional package out of the lock file when the registry at hand
 * does not serve it, and `npm ci` then refuses the file everywhere. What an
 * entry needs is in the name of the package and in the package that asks for it.
 */
import * as fs from "node:fs"

const file = new URL("../package-lock.json", import.meta.url)
const lock = JSON.parse(fs.readFileSync(file, "utf8"))

const systems = ["aix", "android", "darwin", "freebsd", "linux", "netbsd", "openbsd", "openharmony", "sunos", "win32"]
const processors = ["arm", "arm64", "ia32", "loong64", "mips64el", "ppc64", "riscv64", "s390x", "x64"]

let added = 0
for (const [place, entry] of Object.entries(lock.packages)) {
  for (const [name, version] of Object.entries(entry.optionalDependencies ?? {})) {
    const places = [`${place}/node_modules/${name}`, `node_modules/${name}`]
    if (places.some((known) => lock.packages[known] !== undefined)) continue
    const words = name.slice(name.lastIndexOf("/") + 1).split("-")
    const os = words.filter((word) => systems.includes(word))
    const cpu = words.filter((word) => processors.includes(word))
    if (os.length !== 1 || cpu.length !== 1) throw new Error(`${name} does not name its platform`)
    const libc = words.some((word) => word.includes("musl"))
      ? ["musl"]
      : words.some((word) => word.includes("gnu") || word === "glibc")
      ? ["glibc"]
      : undefined
    lock.packages[places[1]] = {
      version,
      cpu,
      ...(entry.dev === true ? { dev: true } : {}),
      ...(os[0] === "linux" && libc !== undefined ? { libc } : {}),
      license: entry.license,
      optional: true,
      os,
      ...(entry.engines === undefined ? {} : { engines: entry.engines })
    }
    added++
  }
}

const [root, ...rest] = Object.entries(lock.packages)
lock.packages = Object.fromEntries([root, ...rest.toSorted(([a], [b]) => (a < b ? -1 : 1))])
fs.writeFileSync(file, `${JSON.stringify(lock, null, 2)}\n`)
process.stdout.write(`package-lock.json: ${added} packages of other platforms added\n`)

#!/usr/bin/env node
// The `attune` command. Plain JavaScript, so that any Node can at least say that it is too old.
import * as fs from "node:fs"
import * as module from "node:module"
import { fileURLToPath } from "node:url"

const [major = 0, minor = 0] = process.versions.node.split(".").map(Number)

if (major < 22 || (major === 22 && minor < 19)) {
  process.stderr.write(
    `attune needs Node 22.19 or later, and this is Node ${process.versions.node} (${process.execPath}).\n`
  )
  process.exitCode = 1
} else {
  // Half of the time to start is compiling, so compiled code is kept between runs, in this installation's own folder.
  // Worker processes inherit the variable.
  process.env["NODE_COMPILE_CACHE"] ??= fileURLToPath(new URL("../../node_modules/.cache/attune", import.meta.url))
  module.enableCompileCache(process.env["NODE_COMPILE_CACHE"])
  const { emitWarning } = process
  process.emitWarning = (warning, ...rest) => {
    // Node 22 warns whenever it strips types, which is how pipelines are loaded.
    if (!/type stripping/i.test(String(warning))) Reflect.apply(emitWarning, process, [warning, ...rest])
  }
  // In a checkout the sources are run, and there a build of them may be out of date.
  const sources = new URL("./main.ts", import.meta.url)
  const { main } = await import(
    fs.existsSync(sources) ? sources.href : new URL("../../dist/cli/main.js", import.meta.url).href
  )
  main(process.argv.slice(2))
}

import { assert, describe, it } from "@effect/vitest"
import * as fs from "node:fs"

interface Entry {
  readonly optionalDependencies?: Readonly<Record<string, string>>
}

const read = (file: string): any => JSON.parse(fs.readFileSync(new URL(`../${file}`, import.meta.url), "utf8"))

describe("the package", () => {
  it("locks the packages of every platform, without which `npm ci` refuses the lock file", () => {
    const { packages } = read("package-lock.json") as { readonly packages: Readonly<Record<string, Entry>> }
    const missing = Object.entries(packages).flatMap(([place, { optionalDependencies = {} }]) =>
      Object.keys(optionalDependencies).filter((name) =>
        packages[`${place}/node_modules/${name}`] === undefined && packages[`node_modules/${name}`] === undefined
      )
    )
    assert.deepStrictEqual(missing, [], "complete the lock file with `npm run lock`")
  })

  it("pins every dependency to one version", () => {
    const { dependencies, devDependencies } = read("package.json") as Readonly<Record<string, Record<string, string>>>
    for (const version of Object.values({ ...dependencies, ...devDependencies })) {
      assert.match(version, /^\d+\.\d+\.\d+/)
    }
  })
})

/**
 * Programs are generated as a model, and written down in many ways. Two ways of
 * writing one model mean the same, so they must share a fingerprint; a model
 * with one literal, operator, default or reference changed within what the
 * stage reaches must not.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Random from "../../src/random/Random.ts"
import { digest, type Files } from "./Project.ts"

type Expression =
  | { readonly kind: "number"; readonly value: number }
  | { readonly kind: "text"; readonly value: string }
  | { readonly kind: "binary"; readonly operator: string; readonly left: Expression; readonly right: Expression }
  | { readonly kind: "conditional"; readonly of: readonly [Expression, Expression, Expression] }
  | { readonly kind: "object"; readonly members: ReadonlyArray<readonly [string, Expression]> }
  /** A parameter or local variable of the function around it, by its number there. */
  | { readonly kind: "local"; readonly index: number }
  /** A declaration of the program, by its number; called with arguments if there are any. */
  | { readonly kind: "global"; readonly index: number; readonly call: ReadonlyArray<Expression> | undefined }

interface Declaration {
  readonly form: "const" | "arrow" | "function"
  /** Defaults of the parameters. */
  readonly parameters: ReadonlyArray<Expression | undefined>
  /** Initialisers of the local variables, which are numbered after the parameters. */
  readonly locals: ReadonlyArray<Expression>
  readonly result: Expression
}

/** Declaration 0 is the stage's. */
type Program = ReadonlyArray<Declaration>

const operators = ["+", "-", "*", "/", "%", "**", "<", "<=", "===", "&&", "||", "??", "|", ">>>"]

const pick = <A>(random: Random.Random, values: ReadonlyArray<A>): A => values[random.integer(values.length)]!

const program = (random: Random.Random): Program => {
  const count = 3 + random.integer(6)
  const expression = (depth: number, locals: number): Expression => {
    const leaf = depth === 0 || random.uniform() < 0.25
    const kinds = leaf
      ? ["number", "text", "global", ...(locals > 0 ? ["local", "local"] : [])]
      : ["binary", "binary", "conditional", "object", "call"]
    const deeper = () => expression(depth - 1, locals)
    switch (pick(random, kinds)) {
      case "number":
        return { kind: "number", value: random.integer(100) }
      case "text":
        return { kind: "text", value: pick(random, ["it's", `"quoted"`, "`tick`", "line\nbreak", "é", ""]) }
      case "local":
        return { kind: "local", index: random.integer(locals) }
      case "global":
        return { kind: "global", index: random.integer(count), call: undefined }
      case "call":
        return { kind: "global", index: random.integer(count), call: [deeper(), deeper()].slice(random.integer(3)) }
      case "binary":
        return { kind: "binary", operator: pick(random, operators), left: deeper(), right: deeper() }
      case "conditional":
        return { kind: "conditional", of: [deeper(), deeper(), deeper()] }
      default:
        return { kind: "object", members: ["alpha", "beta"].map((key) => [key, deeper()]) }
    }
  }
  return Array.from({ length: count }, (_, index): Declaration => {
    const form = index === 0 ? "const" : pick(random, ["const", "arrow", "function"] as const)
    const parameters = form === "const" ? 0 : random.integer(3)
    const locals = form === "const" ? 0 : random.integer(3)
    const defaults = Array.from(
      { length: parameters },
      (_, i) => random.uniform() < 0.5 ? undefined : expression(1, i)
    )
    const initialisers = Array.from({ length: locals }, (_, i) => expression(2, parameters + i))
    return {
      form,
      parameters: defaults,
      locals: initialisers,
      // A number of its own tells every declaration from every other.
      result: {
        kind: "binary",
        operator: "+",
        left: { kind: "number", value: 1000 + index },
        right: expression(3, parameters + locals)
      }
    }
  })
}

const children = (expression: Expression): ReadonlyArray<Expression> => {
  switch (expression.kind) {
    case "binary":
      return [expression.left, expression.right]
    case "conditional":
      return expression.of
    case "object":
      return expression.members.map(([, value]) => value)
    case "global":
      return expression.call ?? []
    default:
      return []
  }
}

const roots = (declaration: Declaration): ReadonlyArray<Expression> => [
  ...declaration.parameters.flatMap((one) => one ?? []),
  ...declaration.locals,
  declaration.result
]

const everything = (declaration: Declaration): ReadonlyArray<Expression> => {
  const all: Array<Expression> = []
  const add = (expression: Expression): void => {
    all.push(expression)
    children(expression).forEach(add)
  }
  roots(declaration).forEach(add)
  return all
}

const mentions = (declaration: Declaration): ReadonlySet<number> =>
  new Set(everything(declaration).flatMap((one) => one.kind === "global" ? [one.index] : []))

const reachable = (all: Program): ReadonlySet<number> => {
  const found = new Set([0])
  for (const index of found) for (const mentioned of mentions(all[index]!)) found.add(mentioned)
  return found
}

const isPlain = (random: Random.Random): boolean => random.uniform() < 0.5

/** One way of writing the program: names, files, order, imports, formatting, comments and types are chosen at random. */
const written = (all: Program, random: Random.Random): Files => {
  const fileCount = 1 + random.integer(3)
  const files = ["stage.ts", "first.ts", "deep/second.ts"].slice(0, fileCount)
  const home = all.map((_, index) => index === 0 ? "stage.ts" : pick(random, files))
  const permuted = random.permutation(1000)
  const names = all.map((_, index) => `${pick(random, ["x", "value", "$", "_"])}${permuted[index]}`)
  const text: Record<string, Array<string>> = Object.fromEntries(files.map((file) => [file, []]))
  const space = (): string => pick(random, [" ", "  ", "\n", " /* note */ ", " // note\n "])

  for (const index of random.permutation(all.length)) {
    const declaration = all[index]!
    const file = home[index]!
    const imported = new Map<number, string>()
    const used = mentions(declaration)
    // A local may take the name of something at module level that its function does not mention.
    const free = names.filter((_, other) => !used.has(other))
    const locals: Array<string> = []
    for (let i = 0; i < declaration.parameters.length + declaration.locals.length; i++) {
      const shadowing = free.filter((name) => !locals.includes(name))
      locals.push(
        random.uniform() < 0.3 && shadowing.length > 0 ? pick(random, shadowing) : `l${permuted[500 + i]}_${i}`
      )
    }
    const path = (to: string): string =>
      file.startsWith("deep/") ? (to.startsWith("deep/") ? `./${to.slice(5)}` : `../${to}`) : `./${to}`
    const nameOf = (target: number): string => {
      if (home[target] === file) return names[target]!
      const known = imported.get(target)
      if (known !== undefined) return known
      const alias = `i${index}_${target}`
      const from = JSON.stringify(path(home[target]!))
      const [statement, name] = pick(
        random,
        [
          [`import { ${names[target]} as ${alias} } from ${from}`, alias],
          [`import * as ${alias} from ${from}`, `${alias}.${names[target]}`],
          [`import * as ${alias} from ${from}`, `(${alias} as any)[${JSON.stringify(names[target])}]`]
        ] as const
      )
      text[file]!.push(statement)
      imported.set(target, name)
      return name
    }
    const write = (one: Expression): string => {
      const inner = bare(one)
      return isPlain(random)
        ? `(${inner})`
        : `(${space()}${inner}${pick(random, ["", " as any", " satisfies unknown", "!"])})`
    }
    const bare = (one: Expression): string => {
      switch (one.kind) {
        case "number":
          return isPlain(random) ? String(one.value) : `0x${one.value.toString(16)}`
        case "text":
          return isPlain(random)
            ? JSON.stringify(one.value)
            : `'${one.value.replaceAll("'", "\\'").replaceAll("\n", "\\x0a")}'`
        case "local":
          return locals[one.index]!
        case "global":
          return one.call === undefined
            ? nameOf(one.index)
            : `${nameOf(one.index)}(${one.call.map(write).join(",")}${
              one.call.length > 0 && isPlain(random) ? "," : ""
            })`
        case "binary":
          return `${write(one.left)}${space()}${one.operator}${space()}${write(one.right)}`
        case "conditional":
          return `${write(one.of[0])}${space()}? ${write(one.of[1])} : ${write(one.of[2])}`
        case "object":
          return `{ ${
            one.members.map(([key, value]) => `${isPlain(random) ? key : `"${key}"`}: ${write(value)}`).join(", ")
          } }`
      }
    }
    const annotation = (): string => pick(random, ["", ": any", ": unknown | number"])
    const end = (): string => pick(random, ["\n", ";\n", "; // end\n"])
    const parameters = (): string =>
      declaration.parameters.map((one, i) =>
        `${locals[i]}${annotation()}${one === undefined ? "" : ` = ${write(one)}`}`
      )
        .join(", ")
    const body = (): string =>
      `{${space()}${
        declaration.locals.map((one, i) =>
          `const ${locals[declaration.parameters.length + i]}${annotation()} = ${write(one)}${end()}`
        ).join("")
      }return ${bare(declaration.result).replace(/^\s+/, "")}${end()}}`
    const generics = pick(random, ["", "<T>", "<const T extends object>"])
    const shown = isPlain(random) ? "export " : `/** Notes. */ export${space().includes("//") ? " " : " "}`
    const name = names[index]!
    text[file]!.push(
      index === 0
        ? `${shown}const ${name}${annotation()} = Stage.make("a", { run: () => ${write(declaration.result)} })`
        : declaration.form === "const"
        ? `${shown}const ${name}${annotation()} = ${write(declaration.result)}`
        : declaration.form === "arrow"
        ? `${shown}const ${name} = ${generics}(${parameters()})${annotation()} => ${body()}`
        : `${shown}function ${name}${generics}(${parameters()})${annotation()} ${body()}`
    )
    if (!isPlain(random)) text[file]!.push(`interface T${index} { readonly x: number }`)
  }
  return Object.fromEntries(
    Object.entries(text).map(([file, lines]) => [file, lines.join(pick(random, ["\n", ";\n\n"]))])
  )
}

/** The program with the expression `from` replaced. */
const replaced = (all: Program, from: Expression, to: Expression): Program => {
  const map = (one: Expression): Expression => {
    if (one === from) return to
    switch (one.kind) {
      case "binary":
        return { ...one, left: map(one.left), right: map(one.right) }
      case "conditional":
        return { ...one, of: [map(one.of[0]), map(one.of[1]), map(one.of[2])] }
      case "object":
        return { ...one, members: one.members.map(([key, value]) => [key, map(value)]) }
      case "global":
        return { ...one, call: one.call?.map(map) }
      default:
        return one
    }
  }
  return all.map((one) => ({
    ...one,
    parameters: one.parameters.map((value) => value === undefined ? undefined : map(value)),
    locals: one.locals.map(map),
    result: map(one.result)
  }))
}

/** Something else in the place of an expression, that means something else. */
const changed = (one: Expression, all: Program, random: Random.Random): Expression => {
  switch (one.kind) {
    case "number":
      return { ...one, value: one.value + 1 + random.integer(5000) }
    case "text":
      return { ...one, value: `${one.value}!` }
    case "binary":
      return { ...one, operator: pick(random, operators.filter((operator) => operator !== one.operator)) }
    case "conditional":
      return { ...one, of: [{ kind: "number", value: 9000 + random.integer(9) }, one.of[1], one.of[2]] }
    case "object":
      return { ...one, members: one.members.map(([key, value], i) => [i === 0 ? "gamma" : key, value]) }
    case "local":
      return { kind: "text", value: "no local" }
    case "global":
      return { ...one, index: (one.index + 1 + random.integer(all.length - 1)) % all.length }
  }
}

const cases = Array.from({ length: 60 }, (_, index) => index)

describe("generated programs", () => {
  it("every way of writing a program has one fingerprint", () => {
    for (const index of cases) {
      const all = program(Random.make(1, "program", index))
      const first = written(all, Random.make(1, "style", 3 * index))
      for (const other of [1, 2]) {
        const second = written(all, Random.make(1, "style", 3 * index + other))
        assert.strictEqual(
          digest(second),
          digest(first),
          `program ${index}\n${JSON.stringify(first, null, 1)}\n${JSON.stringify(second, null, 1)}`
        )
      }
    }
  })

  it("an edit of meaning changes the fingerprint exactly when the stage reaches it", () => {
    let inside = 0, outside = 0
    for (const index of cases) {
      const random = Random.make(2, "edit", index)
      const all = program(Random.make(2, "program", index))
      const reached = reachable(all)
      const original = digest(written(all, Random.make(2, "style", index)))
      for (let edit = 0; edit < 4; edit++) {
        const target = random.integer(all.length)
        const from = pick(random, everything(all[target]!))
        const edited = replaced(all, from, changed(from, all, random))
        const files = written(edited, Random.make(2, "style", 100 + 4 * index + edit))
        if (reached.has(target)) {
          inside++
          assert.notStrictEqual(digest(files), original, `program ${index}, edit ${edit}`)
        } else {
          outside++
          assert.strictEqual(digest(files), original, `program ${index}, edit ${edit}`)
        }
      }
    }
    // Both kinds of edit must really occur, or the test shows nothing.
    assert.isAbove(inside, 50)
    assert.isAbove(outside, 20)
  })
})

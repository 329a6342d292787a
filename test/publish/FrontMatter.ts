/**
 * A reader of the YAML at the head of a model card: block mappings and sequences, and scalars on one line, as YAML 1.1 and
 * 1.2 both define them. What it does not know it refuses.
 */

type Value = string | number | boolean | ReadonlyArray<Value> | { readonly [key: string]: Value }

interface Line {
  readonly indent: number
  readonly text: string
}

const scalar = (text: string): Value => {
  if (text === "[]") return []
  if (text === "{}") return {}
  if (text === "true" || text === "false") return text === "true"
  if (text === ".nan") return NaN
  if (text === ".inf" || text === "-.inf") return text === ".inf" ? Infinity : -Infinity
  // YAML 1.1 wants a point before an exponent.
  if (/^-?(?:\d+|\d+\.\d+(?:e[-+]\d+)?)$/.test(text)) return Number(text)
  if (!/^"(?:[^"\\]|\\["\\]|\\u[0-9a-f]{4}|\\U[0-9a-f]{8})*"$/u.test(text)) throw new Error(`not a scalar: ${text}`)
  return text.slice(1, -1).replaceAll(
    /\\(?:(["\\])|u(.{4})|U(.{8}))/g,
    (_, plain, short, long) => plain ?? String.fromCodePoint(Number.parseInt(short ?? long, 16))
  )
}

const entry = /^([A-Za-z_][\w-]*|"(?:[^"\\]|\\.)*"):(?: (.+))?$/

const parseLines = (lines: Array<Line>, indent: number): Value => {
  const first = lines[0]
  if (first === undefined || first.indent !== indent) throw new Error(`nothing at column ${indent}`)
  if (first.text.startsWith("- ")) {
    const items: Array<Value> = []
    while (lines[0]?.indent === indent && lines[0].text.startsWith("- ")) {
      const item = lines[0].text.slice(2)
      if (entry.test(item) || item.startsWith("- ")) {
        lines[0] = { indent: indent + 2, text: item }
        items.push(parseLines(lines, indent + 2))
      } else {
        lines.shift()
        items.push(scalar(item))
      }
    }
    return items
  }
  if (!entry.test(first.text)) {
    lines.shift()
    return scalar(first.text)
  }
  const found = new Map<string, Value>()
  while (lines[0]?.indent === indent) {
    const [, name, value] = entry.exec(lines.shift()!.text)!
    const key = name!.startsWith("\"") ? String(scalar(name!)) : name!
    if (found.has(key)) throw new Error(`${key} is there twice`)
    found.set(key, value === undefined ? parseLines(lines, lines[0]!.indent) : scalar(value))
  }
  return Object.fromEntries(found)
}

export const parse = (text: string): Value => {
  const lines = text.split("\n").map((line) => ({ indent: /^ */.exec(line)![0].length, text: line.trimStart() }))
  const value = parseLines(lines, 0)
  if (lines.length > 0) throw new Error(`left over: ${lines[0]!.text}`)
  return value
}

/** The metadata of a card, and its text. */
export const split = (card: string): { readonly metadata: any; readonly body: string } => {
  const [, metadata, body] = /^---\n([\s\S]*?)\n---\n\n([\s\S]*)$/.exec(card)!
  return { metadata: parse(metadata!), body: body! }
}

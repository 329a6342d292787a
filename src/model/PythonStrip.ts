/**
 * Python's ways to take characters off the ends of a text, for templates.
 *
 * The library's own leave the characters that they are given out of account, by which templates such as Qwen 3's would
 * lose the spaces in front of an answer, and take off other white space than Python.
 */

// What Python's `str.strip` takes off unless it is told; JavaScript's `trim` differs by a few characters.
const whiteSpace =
  "\t\n\v\f\r\x1c\x1d\x1e\x1f \x85\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a" +
  "\u2028\u2029\u202f\u205f\u3000"

const stripping = (left: boolean, right: boolean) => (text: unknown, characters?: unknown): string => {
  if (typeof text !== "string") throw new Error("it strips something that is no text")
  const from = typeof characters === "string" ? characters : whiteSpace
  const takes = (index: number) => from.includes(text[index]!)
  let start = 0, end = text.length
  if (left) { while (start < end && takes(start)) start++ }
  if (right) { while (end > start && takes(end - 1)) end-- }
  return text.slice(start, end)
}

/** What a corrected template calls. */
export const functions = {
  attune_strip: stripping(true, true),
  attune_lstrip: stripping(true, false),
  attune_rstrip: stripping(false, true)
}

/** A node of the library's syntax tree, as far as it is read here. */
interface Syntax {
  readonly type?: unknown
  readonly property?: { value?: unknown }
  readonly computed?: unknown
  readonly object?: unknown
  readonly operand?: unknown
  readonly filter?: { readonly type?: unknown; readonly value?: unknown }
  callee?: Syntax
  args?: Array<unknown>
}

/** Makes the calls of `strip`, `lstrip`, `rstrip` and the filter `trim` in a parsed template calls of {@link functions}. */
export const correct = (root: unknown): void => {
  const pending: Array<unknown> = [root]
  for (let node = pending.pop(); node !== undefined; node = pending.pop()) {
    if (typeof node !== "object" || node === null) continue
    const syntax = node as Syntax
    const callee = syntax.callee
    if (
      syntax.type === "CallExpression" && callee?.type === "MemberExpression" && callee.computed !== true
      && /^[lr]?strip$/.test(String(callee.property?.value))
    ) {
      syntax.args = [callee.object, ...syntax.args ?? []]
      callee.property!.value = `attune_${String(callee.property!.value)}`
      syntax.callee = callee.property as Syntax
    } else if (
      syntax.type === "FilterExpression" && syntax.filter?.type === "Identifier" && syntax.filter.value === "trim"
    ) {
      const { filter, operand } = syntax
      Object.assign(filter, { value: "attune_strip" })
      Object.assign(node, { type: "CallExpression", callee: filter, args: [operand] })
    }
    for (const inner of node instanceof Map ? [...node.keys(), ...node.values()] : Object.values(node)) {
      if (typeof inner === "object" && inner !== null) pending.push(inner)
    }
  }
}

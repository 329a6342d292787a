import { assert, describe, it } from "@effect/vitest"
import * as Painter from "../../../src/cli/progress/Painter.ts"
import * as Terminal from "./Terminal.ts"

describe("Painter", () => {
  it("replaces the block in place, however many lines it has", () => {
    const terminal = Terminal.make(20)
    terminal.write("$ attune run\n")
    const painter = Painter.make(terminal)
    painter.paint(["one", "two", "three"])
    assert.deepStrictEqual(terminal.lines(), ["$ attune run", "one", "two", "three", ""])
    painter.paint(["only"])
    assert.deepStrictEqual(terminal.lines(), ["$ attune run", "only", ""])
    painter.paint(["a", "b"])
    assert.deepStrictEqual(terminal.lines(), ["$ attune run", "a", "b", ""])
    painter.clear()
    assert.deepStrictEqual(terminal.lines(), ["$ attune run", ""])
    assert.isFalse(terminal.cursorHidden())
  })

  it("writes lines that stay above the block", () => {
    const terminal = Terminal.make(20)
    const painter = Painter.make(terminal)
    painter.log(["before"])
    painter.paint(["a", "b"])
    painter.log(["a line that is longer than the terminal"])
    painter.paint(["c"])
    assert.deepStrictEqual(terminal.lines(), ["before", "a line that is longe", "r than the terminal", "c", ""])
  })

  it("paints each change with one write, and nothing where nothing changed", () => {
    const terminal = Terminal.make(20)
    const painter = Painter.make(terminal)
    painter.paint(["a"])
    painter.paint(["a"])
    painter.paint(["b"])
    assert.strictEqual(terminal.writes.length, 2)
  })

  it("finds the top of its block after the terminal became narrower", () => {
    const terminal = Terminal.make(20)
    terminal.write("$ attune run\n")
    const painter = Painter.make(terminal)
    painter.paint(["0123456789abcdef", "\u001b[2m0123456789abcdef\u001b[22m"])
    terminal.resize(12)
    assert.deepStrictEqual(terminal.lines(), ["$ attune run", "0123456789ab", "cdef", "0123456789ab", "cdef", ""])
    painter.paint(["0123", "4567"])
    assert.deepStrictEqual(terminal.lines(), ["$ attune run", "0123", "4567", ""])
  })
})

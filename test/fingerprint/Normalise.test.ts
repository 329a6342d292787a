import { assert, describe, it } from "@effect/vitest"
import { ofBody } from "./Project.ts"

/** Each pair is one piece of code with other names, or another spelling of the same. */
const equal: Record<string, readonly [string, string]> = {
  "parameters": ["(a, b) => a - b", "(x, y) => x - y"],
  "parameters named like each other's old names": ["(a, b) => a - b", "(b, a) => b - a"],
  "destructured parameters with defaults and rest": [
    "({ a, b: [c = a, ...d], ...e }) => [a, c, d, e]",
    "({ a: x, b: [y = x, ...z], ...w }) => [x, y, z, w]"
  ],
  "shorthand properties": ["(a) => ({ a })", "(b) => ({ a: b })"],
  "destructuring assignment": [
    "(o) => { let a; ({ a = 1 } = o); return a }",
    "(o) => { let b; ({ a: b = 1 } = o); return b }"
  ],
  "hoisted var and function": [
    "() => { f(); { var v = 1 } function f() { v = 2 } return v }",
    "() => { g(); { var w = 1 } function g() { w = 2 } return w }"
  ],
  "use before let": [
    "() => { const f = () => late; let late = 1; return f() }",
    "() => { const g = () => z; let z = 1; return g() }"
  ],
  "blocks that shadow": ["(a) => { { let a = 1; use(a) } return a }", "(a) => { { let b = 1; use(b) } return a }"],
  "caught errors": [
    "() => { try { f() } catch (e) { throw e } }",
    "() => { try { f() } catch (error) { throw error } }"
  ],
  "loop variables": [
    "(xs) => { for (const x of xs) for (let i = 0; i < x; i++) use(() => i) }",
    "(ys) => { for (const y of ys) for (let k = 0; k < y; k++) use(() => k) }"
  ],
  "switch scopes": [
    "(a) => { switch (a) { case 1: let b = a; default: return b } }",
    "(a) => { switch (a) { case 1: let c = a; default: return c } }"
  ],
  "labels": [
    "() => { outer: for (;;) { inner: for (;;) { continue outer } } }",
    "() => { a: for (;;) { b: for (;;) { continue a } } }"
  ],
  "named function expressions": ["function f(n) { return n && f(n - 1) }", "function g(n) { return n && g(n - 1) }"],
  "class expressions": ["class A { static make() { return new A() } }", "class B { static make() { return new B() } }"],
  "local classes and functions": [
    "() => { class A { m() { return f(A) } } function f(x) { return x } return A }",
    "() => { class B { m() { return g(B) } } function g(y) { return y } return B }"
  ],
  "a local renamed to the name of something at module level that it hides nothing of": [
    "(a) => a + 1",
    "(unused) => unused + 1"
  ],
  "a variable of the body named like what a default means at module level": [
    "(f = () => used) => { var used = 1; return f() }",
    "(f = () => used) => { var local = 1; return f() }"
  ],
  "numbers, strings, keys": [
    `() => ({ a: 255, "b": 'x', 1: 1e3, c: 1_000n })`,
    "() => ({ 'a': 0xff, b: \"\\x78\", '1': 1000, c: 1000n })"
  ],
  "member access by a constant text": ["(a) => a.b", `(a) => a["b"]`],
  "a template without a tag": ["() => `a\\n`", "() => `a\n`"],
  "parentheses": ["(a, b, c) => a + b * c", "((a, b, c) => ((a) + ((b * (c)))))"],
  "braces and empty statements": [
    "(a) => { if (a) f(); else g(); while (a) a--; ; }",
    "(a) => { if (a) { f() } else { g() } while (a) { a-- } }"
  ],
  "types in every place": [
    "function (a, b = 1, ...c) { class D extends E { f = a; m() {} } const d = a; for (const x of c) f(x); return b }",
    `function <T>(this: void, a?: T, b: number = 1 as const, ...c: Array<T>): asserts a is T {
      abstract class D<U> extends E<U> implements F { declare x: U; private readonly f?: T = a!; [k: string]: any; abstract q(): void; m(): void; override m() {} }
      type Z = T; interface Y {} declare const w: Z
      const d: Z = <Z> a; for (const x of c as Z[]) f<Z>(x satisfies Z); return b }`
  ]
}

/** Each pair differs in what it does. */
const unequal: Record<string, readonly [string, string]> = {
  "which parameter": ["(a, b) => a", "(a, b) => b"],
  "order of parameters": ["(a, b) => a - b", "(b, a) => a - b"],
  "a parameter or something at module level": ["(used) => used", "(other) => used"],
  "a default": ["(a = 1) => a", "(a = 2) => a"],
  "a default or none": ["(a = undefined) => a", "(a) => a"],
  "the key that is destructured": ["({ a }) => a", "({ b: a }) => a"],
  "rest or element": ["([a]) => a", "([...a]) => a"],
  "which of two shadowed": ["(a) => { { let a = 1; use(a) } return a }", "(a) => { { let b = 1; use(a) } return a }"],
  "a parameter or a variable of the body, in a default": [
    "(a, f = () => a) => { var a; a = 1; return f() }",
    "(a, f = () => a) => { var b; b = 1; return f() }"
  ],
  "a var that is the parameter, or not": ["(a) => { var a; return a }", "(a) => { var b; return b }"],
  "the label": [
    "() => { a: for (;;) { b: for (;;) { break a } } }",
    "() => { a: for (;;) { b: for (;;) { break b } } }"
  ],
  "let and var in a loop": ["() => { for (let i of x) use(() => i) }", "() => { for (var i of x) use(() => i) }"],
  "of and in": ["() => { for (const i of x) use(i) }", "() => { for (const i in x) use(i) }"],
  "await in a loop": ["async () => { for (const i of x) use(i) }", "async () => { for await (const i of x) use(i) }"],
  "await": ["async () => f()", "async () => await f()"],
  "async": ["() => f()", "async () => f()"],
  "generator": ["function () { f() }", "function* () { f() }"],
  "yield": ["function* () { yield x }", "function* () { yield* x }"],
  "optional": ["(a) => a.b.c", "(a) => a?.b.c"],
  "the end of an optional chain": ["(a) => a?.b.c", "(a) => (a?.b).c"],
  "optional call": ["(a) => a.b()", "(a) => a.b?.()"],
  "operators": ["(a, b) => a || b", "(a, b) => a ?? b"],
  "assignment operators": ["(a) => { a += 1 }", "(a) => { a -= 1 }"],
  "prefix and postfix": ["(a) => a++", "(a) => ++a"],
  "unary": ["(a) => -a", "(a) => +a"],
  "grouping": ["(a, b, c) => (a + b) * c", "(a, b, c) => a + b * c"],
  "number and text": ["() => 1", `() => "1"`],
  "number and bigint": ["() => 1", "() => 1n"],
  "null and undefined": ["() => null", "() => undefined"],
  "a lone surrogate": [`() => "\\ud800"`, `() => "\\ufffd"`],
  "a hole": ["() => [1, , 2]", "() => [1, 2]"],
  "spread": ["(a) => f(a)", "(a) => f(...a)"],
  "keys and their order": ["() => ({ a: 1, b: 2 })", "() => ({ b: 2, a: 1 })"],
  "a computed key": ["(a) => ({ a: 1 })", "(a) => ({ [a]: 1 })"],
  "getter and method": ["() => ({ get a() { return 1 } })", "() => ({ a() { return 1 } })"],
  "the prototype": ["(__proto__) => ({ __proto__ })", "(__proto__) => ({ __proto__: __proto__ })"],
  "static": ["class { a = 1 }", "class { static a = 1 }"],
  "private": ["class { a = 1 }", "class { #a = 1 }"],
  "a parameter property": ["class { constructor(a) {} }", "class { constructor(private a) {} }"],
  "a field without a value": ["class { a }", "class {}"],
  "super class": ["class extends A {}", "class extends B {}"],
  "new": ["() => f()", "() => new f()"],
  "regular expression": ["() => /a/g", "() => /a/i"],
  "text of a template": ["(a) => `${a} b`", "(a) => `${a}b`"],
  "raw text under a tag": ["() => tag`a\\n`", "() => tag`a\n`"],
  "else": ["(a) => { if (a) f(); g() }", "(a) => { if (a) f(); else g() }"],
  "dangling else": ["(a, b) => { if (a) { if (b) f(); else g() } }", "(a, b) => { if (a) { if (b) f() } else g() }"],
  "finally": ["() => { try { f() } catch { g() } }", "() => { try { f() } finally { g() } }"],
  "order of statements": ["() => { f(); g() }", "() => { g(); f() }"],
  "a directive": ["function () { return this }", `function () { "use strict"; return this }`],
  "sequence": ["(a, b) => f(a, b)", "(a, b) => f((a, b))"],
  "globals": ["() => Math.max", "() => Math.min"],
  "delete": ["(a) => delete a.b", "(a) => void a.b"],
  "new.target and import.meta": ["function () { return new.target }", "function () { return import.meta }"]
}

const around = "const used = 1\nconst unused = 2\nconst other = 3"

describe("the normalised form of code", () => {
  for (const [what, [one, other]] of Object.entries(equal)) {
    it(`is the same: ${what}`, () => assert.strictEqual(ofBody(one, around), ofBody(other, around)))
  }
  for (const [what, [one, other]] of Object.entries(unequal)) {
    it(`differs: ${what}`, () => assert.notStrictEqual(ofBody(one, around), ofBody(other, around)))
  }
})

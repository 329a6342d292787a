import { assert, describe, it } from "@effect/vitest"
import * as Watchdog from "../../src/finetune/Watchdog.ts"

const healthy = { loss: 1, gradientNorm: 2 }

describe("Watchdog", () => {
  it("sees numbers that are none, and a loss far beyond that of guessing", () => {
    const sign = (step: { readonly loss: number; readonly gradientNorm: number }) => Watchdog.make(2).sign(step)
    assert.strictEqual(sign(healthy), undefined)
    assert.strictEqual(sign({ ...healthy, loss: NaN }), "loss is not finite")
    assert.strictEqual(sign({ ...healthy, loss: Infinity }), "loss is not finite")
    assert.strictEqual(sign({ ...healthy, gradientNorm: Infinity }), "gradient is not finite")
    assert.strictEqual(sign({ ...healthy, loss: 19 }), undefined)
    assert.strictEqual(sign({ ...healthy, loss: 21 }), "loss exploded")
  })

  it("says where, counting steps from 1 as the table of metrics does, in numbers that can be read", () => {
    const diverged = new Watchdog.Diverged({
      step: 6,
      sign: "gradient is not finite",
      loss: 4.747123456,
      gradientNorm: NaN,
      learningRate: 972.92
    })
    assert.match(
      diverged.message,
      /at step 7 \(gradient is not finite\): loss 4\.747, gradient norm NaN, .* rate 972\.9\./
    )
  })

  it("sees gradients that explode and stay so, and forgives a spike", () => {
    const watchdog = Watchdog.make(2)
    for (let step = 0; step < 20; step++) assert.strictEqual(watchdog.sign(healthy), undefined)
    const spike = { ...healthy, gradientNorm: 1e4 }
    for (const step of [spike, spike, healthy, spike, spike]) assert.strictEqual(watchdog.sign(step), undefined)
    assert.strictEqual(watchdog.sign(spike), "gradient exploded")
  })

  it("waits until it knows what is usual", () => {
    const watchdog = Watchdog.make(2)
    for (let step = 0; step < 10; step++) watchdog.sign({ ...healthy, gradientNorm: 1e-3 })
    for (let step = 0; step < 5; step++) assert.strictEqual(watchdog.sign(healthy), undefined)
  })

  it("goes on from what another remembered", () => {
    const whole = Watchdog.make(2), first = Watchdog.make(2)
    const steps = Array.from({ length: 60 }, (_, i) => ({ loss: 1, gradientNorm: 1 + i % 7 }))
    for (const step of steps) whole.sign(step)
    for (const step of steps.slice(0, 41)) first.sign(step)
    const second = Watchdog.make(2, first.memory())
    for (const step of steps.slice(41)) second.sign(step)
    assert.deepStrictEqual(second.memory(), whole.memory())
    assert.isAtMost(whole.memory().length, 32)
  })
})

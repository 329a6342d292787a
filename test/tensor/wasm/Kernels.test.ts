import { assert, describe, it } from "@effect/vitest"
import { Effect, Schema } from "effect"
import { Backend, type Tensor, type Tf } from "../../../src/tensor/Backend.ts"
import * as Operations from "../../../src/tensor/Operations.ts"
import * as Kernels from "../../../src/tensor/wasm/Kernels.ts"
import { simplify } from "../../../src/tensor/wasm/Transpose.ts"
import { assertClose, numbers, on, parity, sizeOf, tensor } from "../Parity.ts"

const extent = (maximum: number, minimum = 0) => Schema.Int.check(Schema.isBetween({ minimum, maximum }))
const shape = (rank: number, maximum: number) =>
  Schema.Array(extent(maximum)).check(Schema.isMinLength(rank), Schema.isMaxLength(rank))
const runs = (numRuns: number) => ({ arbitrary: { runs: numRuns } })

describe("BatchMatMul", () => {
  const flags = [[false, false], [false, true], [true, false], [true, true]] as const

  const product = (m: number, k: number, n: number, batchA: Array<number>, batchB: Array<number>) => (tf: Tf) =>
    flags.map(([transposeA, transposeB]) =>
      tf.matMul(
        tensor(tf, [...batchA, ...(transposeA ? [k, m] : [m, k])], 1),
        tensor(tf, [...batchB, ...(transposeB ? [n, k] : [k, n])], 2),
        transposeA,
        transposeB
      )
    )

  it.effect.prop(
    "equals the reference whatever the extents and the transposes",
    [extent(19), extent(19), extent(19), extent(3)],
    ([m, k, n, batch]) => parity(product(m, k, n, batch === 0 ? [] : [batch], batch === 0 ? [] : [batch])),
    runs(40)
  )

  it.effect("equals the reference at the sizes of a model", () =>
    Effect.all([
      parity(product(128, 96, 288, [], [])),
      parity(product(20, 24, 20, [4, 4], [4, 4])),
      parity(product(33, 65, 17, [3], [1])),
      parity(product(7, 9, 11, [], [5])),
      // Across the borders of the blocks that products are done in.
      parity(product(13, 300, 530, [], [])),
      parity(product(7, 600, 9, [], [])),
      // Few rows are multiplied in another way.
      parity(product(1, 700, 150, [], [])),
      parity(product(3, 259, 131, [], [])),
      parity(product(4, 513, 129, [2], [2]))
    ]))

  it.effect.prop(
    "gives a row the same bits by itself, among a few and among many",
    [extent(14, 1), extent(256, 1), extent(300, 1)],
    ([m, k, n]) =>
      Effect.gen(function*() {
        // Products that are no deeper than a block, of whole tiles where there are many rows and columns.
        const [all, ...found] = yield* on("wasm", (tf) => {
          const a = tensor(tf, [24, k], 1), b = tensor(tf, [k, 8 * Math.ceil(n / 8)], 2)
          const columns = tf.slice(b, [0, 0], [k, n])
          const some = [m, 1, 2, 3].flatMap((count) => {
            const few = tf.slice(a, [0, 0], [Math.min(count, m), k])
            return [tf.matMul(few, columns), tf.matMul(few, tf.transpose(columns), false, true)]
          })
          return [tf.slice(tf.matMul(a, b), [0, 0], [24, n]), ...some]
        })
        for (const { values } of found) assert.deepStrictEqual(values, all!.values.slice(0, values.length))
      }),
    runs(30)
  )

  it.effect.prop(
    "broadcasts batches as if they were written out",
    [shape(3, 3), shape(3, 3), extent(2), extent(4, 1)],
    ([extents, ones, dropped, m]) =>
      Effect.gen(function*() {
        // Where `ones` is 0 the left batch has extent 1, where it is 1 the right one; the right one may lack axes.
        const left = extents.map((size, axis) => ones[axis] === 0 ? 1 : size)
        const right = extents.map((size, axis) => ones[axis] === 1 ? 1 : size).slice(dropped)
        const batch = extents.map((_, axis) => {
          const a = left[axis]!, b = axis < dropped ? 1 : right[axis - dropped]!
          return a === 1 ? b : a
        })
        const compute = (written: boolean) => (tf: Tf) =>
          flags.map(([transposeA, transposeB]) => {
            const a = tensor(tf, [...left, ...(transposeA ? [3, m] : [m, 3])], 1)
            const b = tensor(tf, [...right, ...(transposeB ? [2, 3] : [3, 2])], 2)
            return written
              ? tf.matMul(
                tf.broadcastTo(a, [...batch, ...a.shape.slice(-2)]),
                tf.broadcastTo(b, [...batch, ...b.shape.slice(-2)]),
                transposeA,
                transposeB
              )
              : tf.matMul(a, b, transposeA, transposeB)
          })
        if (sizeOf(batch) === 0) return
        assertClose(yield* on("wasm", compute(false)), yield* on("cpu", compute(true)))
      }),
    runs(40)
  )

  it.effect("refuses matrices and batches that do not fit", () =>
    Effect.gen(function*() {
      for (
        const [a, b, transposed] of [
          [[2, 3], [4, 5], false],
          [[2, 3], [3, 5], true],
          [[2, 2, 3], [3, 3, 4], false]
        ] as const
      ) {
        yield* on("wasm", (tf) => {
          const left = tf.ones([...a]), right = tf.ones([...b])
          assert.throws(() => tf.matMul(left, right, false, transposed), RangeError, `matMul: [${a.join(", ")}] and`)
          return []
        })
      }
    }))

  it.effect("takes the same weights under two shapes", () =>
    parity((tf) => {
      const weights = tensor(tf, [6, 4], 3)
      return [
        tf.matMul(tensor(tf, [5, 6], 1), weights),
        tf.matMul(tensor(tf, [5, 4], 2), tf.reshape(weights, [4, 6])),
        tf.matMul(tensor(tf, [5, 3], 2), tf.reshape(weights, [3, 8]))
      ]
    }))

  it.effect("gives zeros for an empty inner extent", () =>
    parity((tf) => {
      // Memory with something in it, freed, so that an output left as it was would show.
      tf.tidy(() => tf.add(tf.ones([40, 50]), 6))
      return product(40, 0, 50, [], [])(tf)
    }))

  it.effect("does not grow the heap", () =>
    Effect.gen(function*() {
      const { tf } = yield* Backend
      const heap = () => (tf.backend() as unknown as { wasm: { HEAPU8: Uint8Array } }).wasm.HEAPU8.byteLength
      const a = tensor(tf, [2, 512, 64]), b = tensor(tf, [2, 128, 512])
      const round = () => tf.tidy(() => void tf.matMul(a, b, true, true))
      for (let i = 0; i < 3; i++) round()
      const before = heap()
      // Each round would leave a third of a megabyte if its scratch matrices stayed.
      for (let i = 0; i < 100; i++) round()
      tf.dispose([a, b])
      assert.strictEqual(heap(), before)
    }).pipe(Effect.provide(Backend.layer("wasm"))))
})

describe("Transpose", () => {
  const permutations = (rank: number): Array<Array<number>> =>
    rank === 0
      ? [[]]
      : permutations(rank - 1).flatMap((rest) =>
        Array.from({ length: rank }, (_, at) => [...rest.slice(0, at), rank - 1, ...rest.slice(at)])
      )

  it.effect.each([1, 2, 3, 4, 5])("equals the reference for every permutation of rank %i", (rank) =>
    parity((tf) => {
      const extents = [3, 1, 9, 2, 5].slice(0, rank)
      return permutations(rank).flatMap((permutation) => [
        tf.transpose(tensor(tf, extents), permutation),
        tf.transpose(tf.cast(tf.mul(tensor(tf, extents), 100), "int32"), permutation)
      ])
    }))

  it.effect.prop(
    "equals the reference whatever the extents",
    [shape(4, 17), Schema.Int],
    ([extents, pick]) => {
      const all = permutations(4)
      return parity((tf) => [tf.transpose(tensor(tf, extents), all[Math.abs(pick) % all.length]!)])
    },
    runs(30)
  )

  it.effect("handles booleans and rank 6", () =>
    parity((tf) => [
      tf.transpose(tf.greater(tensor(tf, [4, 3]), 0)),
      tf.transpose(tensor(tf, [2, 3, 2, 3, 2, 2]), [5, 3, 1, 4, 2, 0])
    ]))

  it("joins axes that stay neighbours and drops those of extent 1", () => {
    assert.deepStrictEqual(simplify([2, 3, 4], [0, 1, 2]), { shape: [24], permutation: [0] })
    assert.deepStrictEqual(simplify([2, 3, 4, 5], [2, 3, 0, 1]), { shape: [6, 20], permutation: [1, 0] })
    assert.deepStrictEqual(simplify([8, 20, 4, 24], [0, 2, 1, 3]), {
      shape: [8, 20, 4, 24],
      permutation: [0, 2, 1, 3]
    })
    assert.deepStrictEqual(simplify([2, 1, 3], [2, 1, 0]), { shape: [2, 3], permutation: [1, 0] })
    assert.deepStrictEqual(simplify([2, 1, 3], [0, 2, 1]), { shape: [6], permutation: [0] })
  })
})

describe("Sum", () => {
  const axes: ReadonlyArray<Array<number> | undefined> = [
    undefined,
    [0],
    [0, 1],
    [0, 1, 2],
    [1],
    [2],
    [-1],
    [0, 2],
    [-3],
    []
  ]

  it.effect.prop(
    "equals the reference along any axes",
    [shape(3, 20)],
    ([extents]) =>
      parity((tf) =>
        axes.flatMap((axis) => [
          tf.sum(tensor(tf, extents), axis),
          tf.sum(tensor(tf, extents), axis, true),
          tf.sum(tf.cast(tf.mul(tensor(tf, extents), 100), "int32"), axis)
        ])
      ),
    runs(20)
  )

  it.effect("keeps seven digits of a million numbers", () =>
    Effect.gen(function*() {
      const values = numbers(2 ** 20, 5).map((value) => value + 1)
      const exact = values.reduce((total, value) => total + value, 0)
      const [all, columns] = yield* on("wasm", (tf) => [
        tf.sum(tf.tensor1d(values)),
        tf.sum(tf.tensor2d(values, [2 ** 18, 4]), 0)
      ])
      assert.closeTo(all!.values[0]! / exact, 1, 1e-7)
      assert.closeTo(columns!.values.reduce((total, value) => total + value, 0) / exact, 1, 1e-7)
    }))
})

describe("UnsortedSegmentSum", () => {
  it.effect.prop(
    "equals the reference, segments outside the range left out",
    [Schema.Array(extent(7, -2)).check(Schema.isMinLength(1), Schema.isMaxLength(12)), extent(5, 1), extent(6, 1)],
    ([segments, width, count]) =>
      parity((tf) => {
        const ids = tf.tensor1d([...segments], "int32")
        return [
          tf.unsortedSegmentSum(tensor(tf, [segments.length, width]), ids, count),
          tf.unsortedSegmentSum(tensor(tf, [segments.length]), ids, count),
          // The reference turns integers into floats here; ours, like TensorFlow, does not.
          tf.cast(
            tf.unsortedSegmentSum(tf.cast(tf.mul(tensor(tf, [segments.length, width]), 100), "int32"), ids, count),
            "float32"
          )
        ]
      }),
    runs(30)
  )
})

describe("GatherV2", () => {
  it.effect.prop(
    "equals the reference along any axis",
    [Schema.Array(extent(1000)).check(Schema.isMaxLength(6)), extent(6, 1), extent(80, 1)],
    ([picks, rows, width]) =>
      parity((tf) => {
        const indices = (limit: number) => tf.tensor1d(picks.map((pick) => pick % limit), "int32")
        return [
          tf.gather(tensor(tf, [rows, width]), indices(rows)),
          tf.gather(tensor(tf, [rows, width]), indices(width), 1),
          tf.gather(tensor(tf, [rows]), indices(rows)),
          tf.gather(tf.cast(tf.mul(tensor(tf, [rows, 2, width]), 100), "int32"), indices(rows)),
          tf.gather(tf.greater(tensor(tf, [rows, width]), 0), indices(rows))
        ]
      }),
    runs(20)
  )

  it.effect("refuses an index outside the table, and keeps nothing", () =>
    Effect.gen(function*() {
      for (const index of [-1, 3]) {
        yield* on("wasm", (tf) => {
          const table = tf.ones([3, 2]), indices = tf.tensor2d([[0, index]], [1, 2], "int32")
          assert.throws(() => tf.gather(table, indices), `gather: the index ${index} at position 1 is not in 0 .. 2`)
          return []
        })
      }
    }))
})

describe("Slice and SplitV", () => {
  it.effect.prop(
    "equal the reference for any box",
    [shape(4, 5), shape(4, 1000), shape(4, 1000)],
    ([extents, starts, lengths]) => {
      const begin = extents.map((size, axis) => starts[axis]! % (size + 1))
      const size = extents.map((whole, axis) => lengths[axis]! % (whole - begin[axis]! + 1))
      return parity((tf) => [
        tf.slice(tensor(tf, extents), begin, size),
        tf.slice(tf.cast(tf.mul(tensor(tf, extents), 100), "int32"), begin, size),
        ...[0, 1, 2, 3].flatMap((axis) => {
          const first = begin[axis]!
          return tf.split(tensor(tf, extents), [first, extents[axis]! - first], axis)
        })
      ])
    },
    runs(40)
  )

  it.effect("copy long rows and whole tensors, and take -1 as the rest", () =>
    parity((tf) => {
      const x = tensor(tf, [6, 200])
      return [
        tf.slice(x, [1, 3], [4, 150]),
        tf.slice(x, [2, 0], [-1, 200]),
        tf.slice(x, [0, 0], [6, 200]),
        tf.slice(tf.greater(x, 0), [1, 3], [2, 5]),
        ...tf.split(x, 2, -1)
      ]
    }))

  it.effect("refuse a box that does not fit", () =>
    Effect.gen(function*() {
      const { tf } = yield* Backend
      tf.tidy(() => assert.throws(() => tf.slice(tf.ones([2, 3]), [1, 1], [1, 3])))
    }).pipe(Effect.provide(Backend.layer("wasm"))))
})

describe("Identity", () => {
  it.effect("shares the data, which lives as long as any of its tensors", () =>
    Effect.gen(function*() {
      const { tf } = yield* Backend
      const before = tf.memory()
      const x = tf.tensor1d([1, 2, 3])
      const copy = tf.clone(x)
      assert.strictEqual(tf.memory().numTensors - before.numTensors, 2)
      assert.strictEqual(tf.memory().numDataBuffers - before.numDataBuffers, 1)
      x.dispose()
      assert.deepStrictEqual(Array.from(copy.dataSync()), [1, 2, 3])
      copy.dispose()
      assert.strictEqual(tf.memory().numTensors, before.numTensors)
    }).pipe(Effect.provide(Backend.layer("wasm"))))
})

describe("Kernels", () => {
  it.effect("go in and out of the registry without a trace", () =>
    Effect.gen(function*() {
      const { tf } = yield* Backend
      const names = () => tf.getKernelsForBackend("wasm").map(({ kernelName }) => kernelName).toSorted()
      const ours = names()
      const x = tensor(tf, [3, 5])
      const product = (): Array<number> =>
        tf.tidy(() => Array.from((tf.matMul(x, x, true, false) as Tensor).dataSync()))
      const expected = product()
      Kernels.uninstall(tf)
      Kernels.uninstall(tf)
      assert.deepStrictEqual(
        names(),
        ours.filter((name) => name !== "UnsortedSegmentSum" && !name.startsWith("Attune"))
      )
      for (const [at, value] of product().entries()) assert.closeTo(value, expected[at]!, 1e-5)
      Kernels.install(tf)
      Kernels.install(tf)
      assert.deepStrictEqual(names(), ours)
      assert.deepStrictEqual(product(), expected)
      x.dispose()
    }).pipe(Effect.provide(Backend.layer("wasm"))))

  it.effect("do without our own functions where the engine cannot run them", () =>
    Effect.gen(function*() {
      const compute = (tf: Tf): Array<Tensor> => {
        const a = tensor(tf, [2, 3, 9, 7], 1), b = tensor(tf, [3, 9, 5], 2), c = tensor(tf, [2, 1, 5, 7], 3)
        const d = tensor(tf, [2, 1, 4, 9], 4)
        return [
          tf.matMul(a, b, true, false),
          tf.matMul(c, a, false, true),
          tf.matMul(b, d, true, true),
          tf.matMul(a, tensor(tf, [7, 4], 4)),
          tf.matMul(tensor(tf, [4, 0]), tensor(tf, [0, 3])),
          tf.sum(a, [0, 1, 2]),
          Operations.gelu(tf, a),
          Operations.selfAttention(tf, tensor(tf, [2, 5, 18]), 3)
        ]
      }
      const expected = yield* on("wasm", compute)
      const found = yield* on("wasm", (tf) => {
        Kernels.uninstall(tf)
        Kernels.install(tf, { relaxedSimd: false })
        try {
          assert.isUndefined(tf.getKernel("AttuneGelu", "wasm"))
          return compute(tf)
        } finally {
          Kernels.uninstall(tf)
          Kernels.install(tf)
        }
      })
      assertClose(found, expected)
      assert.notDeepEqual(found, expected, "both ways gave the same bits: was anything replaced?")
    }))
})

/**
 * Optimizers: what turns gradients into other parameters.
 *
 * Each has a file in `optimizers/` with what it computes and where that is from. This one chooses among them, keeps
 * parameters and what is kept of them on the backend, and gives both out again, so that a run can continue to the bit.
 */
import * as Schema from "effect/Schema"
import type { Parameter, Parameters } from "../model/Architecture.ts"
import type { Tensor, Tensor1D, Tf } from "../tensor/Backend.ts"
import * as InPlace from "../tensor/InPlace.ts"
import * as Adafactor from "./optimizers/Adafactor.ts"
import * as Adam from "./optimizers/Adam.ts"
import * as Layout from "./optimizers/Layout.ts"
import * as Lion from "./optimizers/Lion.ts"
import * as Muon from "./optimizers/Muon.ts"
import type * as Rule from "./optimizers/Rule.ts"
import * as Sgd from "./optimizers/Sgd.ts"

export type { Target } from "./optimizers/Layout.ts"

/** An optimizer by its name, and what can be set of it. Everything but the name may be left out. */
export const Settings = Schema.Union([
  Adam.AdamW,
  Adam.Adam,
  Sgd.Sgd,
  Lion.Lion,
  Adafactor.Adafactor,
  Muon.Muon
])
export type Settings = typeof Settings.Type
export type Name = Settings["name"]

/** The names of all optimizers. */
export const names = ["adamw", "adam", "sgd", "lion", "adafactor", "muon"] as const satisfies ReadonlyArray<Name>

export const Name: Schema.Literals<typeof names> = Schema.Literals(names)

/** An optimizer with everything left at its default. */
export const defaultsOf = (name: Name): Settings => Schema.decodeUnknownSync(Settings)({ name })

/** A parameter as is usual: it decays if it has two dimensions or more, and learns at the run's rate. */
export const target = ({ name, shape }: { readonly name: string; readonly shape: Rule.Shape }): Layout.Target => ({
  name,
  shape,
  decays: shape.length > 1,
  learningRateScale: 1,
  matrix: false
})

/** What an optimizer keeps from update to update: by the name of a slot, for each parameter that has it. */
export type State = ReadonlyMap<string, Parameters>

export interface Update {
  /** Counted from 0: the first update corrects its moments for one step. */
  readonly step: number
  readonly learningRate: number
  /** What the gradients are multiplied with before anything else, for clipping. */
  readonly scale: number
}

/** Gradients joined as the optimizer keeps its parameters. The caller disposes of them. */
export type Gradients = ReadonlyArray<Tensor1D>

export interface Optimizer {
  /** The parameters as they are now: other tensors after each update. */
  readonly parameters: () => ReadonlyMap<string, Tensor>
  /** How they are laid in tensors. */
  readonly groups: ReadonlyArray<Layout.Group>
  /** The tensor of each group: another after each update. */
  readonly values: () => ReadonlyArray<Tensor>
  /** Joins gradients, given in the order of the parameters, and disposes of them. */
  readonly join: (gradients: ReadonlyArray<Tensor>) => Gradients
  /** The squared norm over all gradients, a scalar. */
  readonly squaredNorm: (gradients: Gradients) => Tensor
  readonly update: (gradients: Gradients, update: Update) => void
  /** Copies of the parameters and, unless it is not wanted, of the state. */
  readonly read: (
    options?: { readonly state?: boolean }
  ) => Promise<{ readonly parameters: Parameters; readonly state: State }>
  readonly dispose: () => void
}

/** How each parameter is updated. */
const choices = (settings: Settings): (target: Layout.Target) => Layout.Choice => {
  const always = (rule: Rule.Rule) => () => ({ rule, learningRateScale: 1 })
  switch (settings.name) {
    case "adamw":
    case "adam":
      return always(Adam.rule(settings))
    case "sgd":
      return always(Sgd.rule(settings))
    case "lion":
      return always(Lion.rule(settings))
    case "adafactor":
      return always(Adafactor.rule(settings))
    case "muon": {
      const { beta1, beta2, epsilon, rateOfOthers, weightDecay } = settings
      const hidden = Muon.rule(settings)
      const others = Adam.rule({ name: "adamw", beta1, beta2, epsilon, weightDecay, amsgrad: false })
      return ({ matrix, shape }) =>
        matrix && shape.length === 2
          ? { rule: hidden, learningRateScale: 1 }
          : { rule: others, learningRateScale: rateOfOthers }
    }
  }
}

/** How an optimizer of these settings lays these parameters in tensors. */
export const layOut = (targets: Iterable<Layout.Target>, settings: Settings): ReadonlyArray<Layout.Group> =>
  Layout.layOut(targets, choices(settings))

/** What an optimizer takes of a backend's memory, in numbers (of 4 bytes). */
export interface Footprint {
  /** All the time: parameters and state. */
  readonly held: number
  /** Of that the state. */
  readonly state: number
  /** Beside them and the gradients, the most while the gradients are joined or the parameters updated. */
  readonly updating: number
}

const sizeOf = (shape: Rule.Shape): number => shape.reduce((size, extent) => size * extent, 1)

const stateSize = ({ rule, shape }: Layout.Group): number =>
  Array.from(rule.slots(shape).values(), sizeOf).reduce((sum, size) => sum + size, 0)

/** The footprint of an optimizer of these parameters; `inPlace` where the backend updates them where they lie. */
export const footprint = (
  targets: Iterable<Layout.Target>,
  settings: Settings,
  inPlace: boolean
): Footprint => {
  const groups = layOut(targets, settings)
  const state = groups.reduce((sum, group) => sum + stateSize(group), 0)
  return {
    state,
    held: groups.reduce((sum, group) => sum + group.length * (Layout.hasCopies(group) ? 2 : 1), state),
    updating: groups.reduce(
      (most, group) => Math.max(most, Layout.joiningSize(group), group.rule.temporaries(group.shape, inPlace)),
      0
    ) + Layout.padding(groups)
  }
}

/** The shape of everything that an optimizer keeps of these parameters, by slot and parameter. */
export const stateShapes = (
  targets: Iterable<Layout.Target>,
  settings: Settings
): ReadonlyMap<string, ReadonlyMap<string, Rule.Shape>> => {
  const found = new Map<string, Map<string, Rule.Shape>>()
  const choose = choices(settings)
  for (const target of targets) {
    for (const [slot, shape] of choose(target).rule.slots(target.shape)) {
      let shapes = found.get(slot)
      if (shapes === undefined) found.set(slot, shapes = new Map())
      shapes.set(target.name, shape)
    }
  }
  return found
}

interface Bucket extends Rule.Held {
  readonly group: Layout.Group
  views: ReadonlyArray<Tensor>
}

/** An optimizer of these parameters, from the state given, which must be whole, or from the beginning. */
export const make = (
  tf: Tf,
  parameters: ReadonlyArray<Layout.Target & Pick<Parameter, "data">>,
  settings: Settings,
  state?: State
): Optimizer => {
  const groups = layOut(parameters, settings)
  const initial = new Map(parameters.map((parameter) => [parameter.name, parameter]))

  const uploadSlot = (group: Layout.Group, slot: string, shape: Rule.Shape): Tensor => {
    const saved = state?.get(slot)
    if (group.rule.elementwise) return Layout.upload(tf, group, saved)
    const alone = saved?.get(group.places[0]!.name)
    return alone === undefined ? tf.zeros([...shape]) : tf.tensor(alone.data, [...shape], "float32")
  }

  // In a tidy, so that nothing stays behind when there is no room for all of it.
  const stored = tf.tidy(() =>
    groups.map((group) => {
      const values = Layout.upload(tf, group, initial)
      const slots = Array.from(group.rule.slots(group.shape), ([slot, shape]) => uploadSlot(group, slot, shape))
      return { values, slots, views: Layout.viewsOf(tf, group, values) }
    })
  )
  const buckets = groups.map((group, i): Bucket => {
    const { slots, ...tensors } = stored[i]!
    const slotNames = Array.from(group.rule.slots(group.shape).keys())
    return { group, shape: group.shape, ...tensors, slots: new Map(slotNames.map((slot, at) => [slot, slots[at]!])) }
  })

  const update = (gradients: Gradients, { learningRate, scale, step }: Update): void => {
    for (const [i, bucket] of buckets.entries()) {
      const { decays, learningRateScale, rule } = bucket.group
      tf.tidy(() => {
        rule.update(tf, bucket, gradients[i]!, { step, scale, decays, learningRate: learningRate * learningRateScale })
      })
      const views = tf.tidy(() => Layout.viewsOf(tf, bucket.group, bucket.values))
      bucket.views = bucket.views.map((view, index) => InPlace.assign(tf, view, views[index]!))
    }
  }

  /** In the order of the parameters, as far as they are there. */
  const ordered = (found: ReadonlyMap<string, Parameter>): Parameters =>
    new Map(parameters.flatMap(({ name }) => found.has(name) ? [[name, found.get(name)!]] : []))

  const read = async ({ state = true }: { readonly state?: boolean } = {}) => {
    const values = new Map<string, Parameter>()
    const slots = new Map<string, Map<string, Parameter>>()
    for (const { group, slots: kept, values: current } of buckets) {
      await Layout.read(group, current, values)
      for (const [slot, tensor] of state ? kept : []) {
        let found = slots.get(slot)
        if (found === undefined) slots.set(slot, found = new Map())
        if (group.rule.elementwise) await Layout.read(group, tensor, found)
        else {
          const data = await tensor.data<"float32">()
          found.set(group.places[0]!.name, { shape: [...tensor.shape], data: data.slice() })
        }
      }
    }
    return {
      parameters: ordered(values),
      state: new Map(Array.from(slots, ([slot, found]) => [slot, ordered(found)]))
    }
  }

  return {
    parameters: () => {
      const found = new Map<string, Tensor>()
      for (const { group, views } of buckets) {
        for (const [i, { name }] of group.places.entries()) found.set(name, views[i]!)
      }
      return found
    },
    groups,
    values: () => buckets.map(({ values }) => values),
    join: (gradients) => Layout.join(tf, groups, gradients),
    squaredNorm: (gradients) => Layout.squaredNorm(tf, groups, gradients),
    update,
    read,
    dispose: () => {
      for (const { slots, values, views } of buckets) tf.dispose([values, ...slots.values(), ...views])
    }
  }
}

/**
 * The factor that brings gradients of this norm to `maximum` at most, as PyTorch's `clip_grad_norm_` computes it: the
 * small constant keeps it below 1 even at the bound.
 */
export const clipScale = (norm: number, maximum: number): number => Math.min(1, maximum / (norm + 1e-6))

/**
 * Random search (Bergstra and Bengio, "Random search for hyper-parameter
 * optimization", JMLR 13, 2012).
 *
 * Each hyperparameter draws from a stream of its own, so adding one to a space
 * leaves the values of the others as they were. A point that a trial already
 * has is drawn again.
 */
import * as Random from "../../random/Random.ts"
import * as Sampler from "../Sampler.ts"
import * as Space from "../space/Space.ts"

export const make = (): Sampler.Sampler => ({
  name: "random",
  description: "independent random points",
  size: (space) => space.size,
  propose: (context) => {
    const streams = context.space.axes.map(({ name }) =>
      Random.make(context.seed, `random-sampler/${name}`, context.index)
    )
    return Sampler.proposeDistinct(
      context,
      () => context.space.fromUnit(Space.spread(context.space, streams.map((stream) => stream.uniform())))
    )
  }
})

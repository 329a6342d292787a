/** The samplers that are compared, by the names of the command line. */
import * as RandomSampler from "../../src/search/RandomSampler.ts"
import type * as Sampler from "../../src/search/Sampler.ts"
import * as Sobol from "../../src/search/Sobol.ts"

export const all: Readonly<Record<string, () => Sampler.Sampler>> = {
  random: RandomSampler.make,
  sobol: Sobol.make
}

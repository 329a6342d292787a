/** The samplers that are compared, by the names of the command line. */
import type * as Sampler from "../../src/search/Sampler.ts"
import * as Auto from "../../src/search/samplers/Auto.ts"
import * as CmaEs from "../../src/search/samplers/CmaEs.ts"
import * as GaussianProcessSampler from "../../src/search/samplers/GaussianProcessSampler.ts"
import * as RandomSampler from "../../src/search/samplers/RandomSampler.ts"
import * as Sobol from "../../src/search/samplers/Sobol.ts"
import * as TreeParzen from "../../src/search/samplers/TreeParzen.ts"

export const all: Readonly<Record<string, () => Sampler.Sampler>> = {
  random: RandomSampler.make,
  sobol: Sobol.make,
  "cma-es": CmaEs.make,
  tpe: TreeParzen.make,
  gp: GaussianProcessSampler.make,
  auto: Auto.make
}

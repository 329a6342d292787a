/** The samplers that are compared, by the names of the command line. */
import * as Auto from "../../src/search/Auto.ts"
import * as CmaEs from "../../src/search/CmaEs.ts"
import * as GaussianProcessSampler from "../../src/search/GaussianProcessSampler.ts"
import * as RandomSampler from "../../src/search/RandomSampler.ts"
import type * as Sampler from "../../src/search/Sampler.ts"
import * as Sobol from "../../src/search/Sobol.ts"
import * as TreeParzen from "../../src/search/TreeParzen.ts"

export const all: Readonly<Record<string, () => Sampler.Sampler>> = {
  random: RandomSampler.make,
  sobol: Sobol.make,
  "cma-es": CmaEs.make,
  tpe: TreeParzen.make,
  gp: GaussianProcessSampler.make,
  auto: Auto.make
}

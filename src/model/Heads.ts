/**
 * What the heads of all families have in common.
 */
import type { Config, Linear, ParameterSpecification } from "./Architecture.ts"

/** The parameters of a head's linear maps, drawn as transformers draws them. */
export const parametersOf = (
  linears: ReadonlyArray<Linear>,
  initializerRange: number
): ReadonlyArray<ParameterSpecification> =>
  linears.flatMap(({ bias, head, inputs, layer, layout, name, outputs }): Array<ParameterSpecification> => [
    {
      name: `${name}.weight`,
      shape: layout === "in-out" ? [inputs, outputs] : [outputs, inputs],
      initializer: { normal: initializerRange },
      head,
      layer
    },
    ...(bias ? [{ name: `${name}.bias`, shape: [outputs], initializer: "zeros" as const, head, layer }] : [])
  ])

/** How many outputs a classifier's config asks for; two, as in transformers, when it does not say. */
export const outputsOf = (config: Config): number => {
  const labels = config["id2label"], count = config["num_labels"]
  if (typeof labels === "object" && labels !== null) return Object.keys(labels).length
  return typeof count === "number" ? count : 2
}

/** Whether a sequence classifier's config is that of a regression, by its problem type or else by its single output. */
export const isRegression = (config: Config): boolean => {
  const problem = config["problem_type"]
  return typeof problem === "string" ? problem === "regression" : outputsOf(config) === 1
}

/**
 * Where a decoder's classifier of sequences reads a text: at the last token that is not padding, found by its id as
 * transformers finds it; at the last of all when the model has no padding token, at the first when there is nothing but
 * padding.
 */
export const lastTokenPosition = (tokens: ArrayLike<number>, paddingId: number | undefined): number => {
  let position = tokens.length - 1
  while (position > 0 && tokens[position] === paddingId) position--
  return Math.max(0, position)
}

/**
 * `npm run bench -- <name> [--format json]`: benchmarks, each a ratio in one run
 * against what a user would pick instead. Nothing here is part of the tests.
 */
const benchmarks = {
  leakage: "the check of a split for texts on two sides, against comparing all with all",
  tensor: "a training step on our wasm kernels and on stock ones",
  curves: "schedulers on learning curves, by what the best of a budget is worth",
  search: "samplers on problems whose answer is known, and how long a proposal takes",
  finetune: "fine-tuning and generation on wasm, against transformers and PEFT on torch",
  memory: "whether memory stays where it is over 2,000 steps and over forty runs",
  pipeline: "stages run and read from the cache, against calling their effects"
} as const

const name = process.argv[2]
if (name === undefined || !(name in benchmarks)) {
  process.stderr.write("Usage: npm run bench -- <name> [--format json]\n\n")
  for (const [known, about] of Object.entries(benchmarks)) process.stderr.write(`  ${known.padEnd(10)}${about}\n`)
  process.exitCode = name === undefined ? 0 : 2
} else {
  const { run } = await import(`./${name}.ts`) as { readonly run: () => Promise<unknown> }
  await run()
}

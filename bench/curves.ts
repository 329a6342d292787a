/** Schedulers on learning curves: see `search/Curves.ts`. */
export { run } from "./search/Curves.ts"

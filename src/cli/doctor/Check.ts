/** One thing that `attune doctor` looks at. */
export interface Check {
  readonly check: string
  /** `missing` is no fault: what is optional need not be there. */
  readonly status: "ok" | "missing" | "broken"
  readonly detail: string
  /** What to do about it. */
  readonly remedy?: string
}

/** The subjects that `attune doctor --explain` has a page on. A page is a file in this folder and a line in this list. */
export const topics = ["webgpu", "tensorflow"] as const

export type Topic = (typeof topics)[number]

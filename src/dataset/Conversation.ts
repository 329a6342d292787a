import * as Schema from "effect/Schema"
import * as Artifact from "../store/Artifact.ts"
import * as Digest from "../store/Digest.ts"

/** One part of a conversation, and who wrote it. */
export const Message = Schema.Struct({ role: Schema.String, content: Schema.String })
export type Message = typeof Message.Type

/**
 * What a language model is fine-tuned on, whatever it is. The roles say which it is:
 *
 * - `text`, once: running text.
 * - `prompt` and `completion`, once each: joined as they stand, without anything between.
 * - `system`, `user`, `assistant`, `tool`: a chat, rendered with the model's own chat template.
 */
export const Conversation = Schema.Struct({ messages: Schema.Array(Message) })
export type Conversation = typeof Conversation.Type

/** A stored table of conversations. */
export const Table = Artifact.table(Conversation)
export type Table = typeof Table.Type

/** The digest of a conversation's content: the same wherever it stands. */
export const identity = ({ messages }: Conversation): string =>
  Digest.ofJson({ messages: messages.map(({ content, role }) => ({ role, content })) })

export type Kind = "text" | "completion" | "chat"

/** The roles of a chat. */
export const chatRoles: ReadonlyArray<string> = ["system", "user", "assistant", "tool"]

/** Running text. */
export const text = (content: string): Conversation => ({ messages: [{ role: "text", content }] })

/** A prompt and what is to follow it. */
export const completion = (prompt: string, content: string): Conversation => ({
  messages: [{ role: "prompt", content: prompt }, { role: "completion", content }]
})

/** What kind of conversation it is; `undefined` where the roles are those of no kind, see {@link flaw}. */
export const kindOf = ({ messages }: Conversation): Kind | undefined => {
  const [first, second] = messages
  if (messages.length === 1 && first!.role === "text") return "text"
  if (messages.length === 2 && first!.role === "prompt" && second!.role === "completion") return "completion"
  return messages.length > 0 && messages.every(({ role }) => chatRoles.includes(role)) ? "chat" : undefined
}

/** What is wrong with a conversation, and where. */
export interface Flaw {
  readonly path: ReadonlyArray<string | number>
  readonly expected: string
}

/**
 * What keeps a model from learning from a chat: no message, a role that no chat has, an empty message of the user or the
 * assistant, or no assistant's message at all.
 */
export const flaw = (messages: ReadonlyArray<Message>): Flaw | undefined => {
  if (messages.length === 0) return { path: [], expected: "at least one message" }
  let answers = 0
  for (const [index, { content, role }] of messages.entries()) {
    if (!chatRoles.includes(role)) {
      return { path: [index, "role"], expected: `one of the roles ${chatRoles.join(", ")}` }
    }
    if (content === "" && (role === "user" || role === "assistant")) {
      return { path: [index, "content"], expected: `a message of the ${role} that is not empty` }
    }
    if (role === "assistant") answers++
  }
  return answers === 0 ? { path: [], expected: "at least one message of the assistant" } : undefined
}

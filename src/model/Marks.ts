import type { Message } from "../dataset/Conversation.ts"

/**
 * Characters to mark places in a text with: Unicode gives them no meaning and keeps them so (U+FDD0 to U+FDEF), and
 * none of the messages has them.
 */
export const free = (messages: ReadonlyArray<Message>): ReadonlyArray<string> => {
  const used = new Set<string>()
  for (const { content } of messages) for (const [mark] of content.matchAll(/[\ufdd0-\ufdef]/g)) used.add(mark)
  return Array.from({ length: 32 }, (_, index) => String.fromCharCode(0xfdd0 + index)).filter((mark) => !used.has(mark))
}

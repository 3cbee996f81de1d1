import type { Agent } from '../agents/agent.ts';
import { andThen, type Awaitable } from '../base/awaitable.ts';
import type { ConversationManager } from '../conversations/manager.ts';

/**
 * Cuts a reply that was sent whole, because the caller has spoken over it. The platform does not
 * say what was heard.
 */
export function cutReply(
  conversationId: string,
  conversations: ConversationManager,
  agent: Agent,
): Awaitable<void> {
  return andThen(
    conversations.cutTurn(conversationId, { textHeard: undefined, turnId: undefined }),
    (cut) => (cut === undefined ? undefined : agent.onInterrupted?.({ conversationId, ...cut })),
  );
}

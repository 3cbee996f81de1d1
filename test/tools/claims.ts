// What a process remembers of calls that act once.

import { andThen, type Awaitable } from '../../src/base/awaitable.ts';
import { emptyConversation, type Conversation } from '../../src/conversations/conversation.ts';
import { ConversationManager } from '../../src/conversations/manager.ts';
import { MemoryStore } from '../../src/conversations/memory-store.ts';
import type { OnceCall } from '../../src/conversations/once-call.ts';

/** A call of process `a` that runs. */
export const claim: OnceCall = {
  state: 'running', content: '{}', tool: 'pay', claimedAt: 0, turnId: 't', runId: 1,
  toolCallId: 'x', process: 'a',
};

/** A store whose process remembers one conversation. */
class RememberingStore extends MemoryStore {
  readonly #conversation: Conversation;
  readonly #putBack: (() => Promise<unknown>) | undefined;

  constructor(conversation: Conversation, putBack?: () => Promise<unknown>) {
    super({ ttlMs: 60_000, maxConversations: 1 });
    this.close(); // it needs no timer
    this.#conversation = conversation;
    this.#putBack = putBack;
  }

  remembered(): Conversation {
    return this.#conversation;
  }

  recall(): Awaitable<Conversation> {
    return andThen(this.#putBack?.(), () => this.#conversation);
  }

  unstored(): Conversation {
    return this.#conversation;
  }
}

/**
 * The conversations of a process that remembers one. `putBack`: waits until the store has back
 * what it has lost. Default: it has lost nothing.
 */
export function remembering(
  fields: Partial<Conversation>,
  putBack?: () => Promise<unknown>,
): ConversationManager {
  const conversation = { ...emptyConversation('c'), ...fields };
  return new ConversationManager(new RememberingStore(conversation, putBack));
}

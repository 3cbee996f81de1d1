import { BoundedMap } from '../../base/bounded-map.ts';

/**
 * What an agent keeps of each conversation beside its history: the state of one is never seen by
 * another. Bounded: beyond `maxConversations` the one used longest ago is forgotten.
 */
export class ConversationState<T> {
  readonly #create: () => T;
  readonly #states: BoundedMap<string, T>;

  constructor(create: () => T, maxConversations = 10_000) {
    this.#create = create;
    this.#states = new BoundedMap(maxConversations);
  }

  of(conversationId: string): T {
    const state = this.#states.get(conversationId) ?? this.#create();
    this.#states.set(conversationId, state); // use
    return state;
  }
}

/**
 * What an agent keeps of each conversation beside its history: the state of one is never seen by another. Bounded: beyond
 * `maxConversations` the one used longest ago is forgotten.
 */
export class ConversationState<T> {
  readonly #create: () => T;
  readonly #maxConversations: number;
  readonly #states = new Map<string, T>();

  constructor(create: () => T, maxConversations = 10_000) {
    this.#create = create;
    this.#maxConversations = maxConversations;
  }

  of(conversationId: string): T {
    const state = this.#states.get(conversationId) ?? this.#create();
    this.#states.delete(conversationId); // and in again at the end: the Map's order is the order of use
    this.#states.set(conversationId, state);
    if (this.#states.size > this.#maxConversations) {
      for (const oldest of this.#states.keys()) {
        this.#states.delete(oldest);
        break;
      }
    }
    return state;
  }
}

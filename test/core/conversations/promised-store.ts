import { once, EventEmitter } from 'node:events';

import {
  emptyConversation, type Conversation,
} from '../../../src/core/conversations/conversation.ts';
import type { ConversationStore } from '../../../src/core/conversations/store.ts';

/**
 * A store like a database: every answer is a promise, what is kept is text, and calls run one after
 * another. The test may hold it up and make it fail.
 */
export class PromisedStore implements ConversationStore {
  /** Calls reject with it while it is set. */
  failWith: Error | undefined;
  /** The names of the calls so far, in order. */
  readonly calls: string[] = [];
  readonly #inner: ConversationStore;
  readonly #gate = new EventEmitter();
  #isHeld = false;
  #isClosed = false;
  #last: Promise<unknown> = Promise.resolve();

  constructor(inner: ConversationStore) {
    this.#inner = inner;
  }

  /** Calls wait from now on. */
  hold(): void {
    this.#isHeld = true;
  }

  /** Resolves once `count` calls have begun since the store was made. */
  async called(count: number): Promise<void> {
    while (this.calls.length < count) await once(this.#gate, 'call');
  }

  release(): void {
    this.#isHeld = false;
    this.#gate.emit('release');
  }

  /** The conversation as stored now, whatever waits. For inner stores that answer at once. */
  now(id: string): Conversation | undefined {
    return this.#inner.read(id) as Conversation | undefined;
  }

  read(id: string): Promise<Conversation | undefined> {
    return this.#queue('read', async () => copy(await this.#inner.read(id)));
  }

  update<T>(id: string, change: (conversation: Conversation) => T): Promise<T> {
    return this.#queue('update', async () => {
      const draft = copy(await this.#inner.read(id)) ?? emptyConversation(id);
      const result = change(draft);
      await this.#inner.update(id, (conversation) => Object.assign(conversation, copy(draft)));
      return result;
    });
  }

  count(): Promise<number> {
    return this.#queue('count', async () => this.#inner.count());
  }

  close(): Promise<void> {
    return this.#queue('close', async () => {
      this.#isClosed = true;
      await this.#inner.close();
    });
  }

  #queue<T>(name: string, call: () => Promise<T>): Promise<T> {
    this.calls.push(name);
    this.#gate.emit('call');
    const done = this.#last.then(async () => {
      while (this.#isHeld) await once(this.#gate, 'release');
      // a round trip takes at least one turn of the event loop
      await new Promise((resolve) => setImmediate(resolve));
      if (this.failWith !== undefined && name !== 'close') throw this.failWith;
      if (this.#isClosed && name !== 'close') throw new Error(`${name} after close`);
      return call();
    });
    this.#last = done.catch(() => undefined);
    return done;
  }
}

function copy<T>(value: T): T {
  return value === undefined ? value : (JSON.parse(JSON.stringify(value)) as T);
}

import { randomUUID } from 'node:crypto';

import type { Awaitable } from '../../../base/awaitable.ts';
import type { StoreAside } from '../store.ts';
import { FAILED, type Outage } from './outage.ts';
import { ERASED, type PartStore } from './part-store.ts';
import { StoreError } from './store-error.ts';

/** No id of a conversation begins with a control character. */
const PREFIX = '\tvalue\t';
const TEXT = 'text';
const MAX_CONFLICTS = 5;

/** Texts in a store of parts, each as a conversation that has a single part and is not counted. */
export class KeptAside implements StoreAside {
  readonly #parts: PartStore;
  readonly #outage: Outage;

  constructor(parts: PartStore, outage: Outage) {
    this.#parts = parts;
    this.#outage = outage;
  }

  async keep(id: string, text: string, ttlMs: number): Promise<void> {
    const to = ERASED + randomUUID(); // a new version, so that it is kept for longer
    const change = { to, set: new Map([[TEXT, text]]), remove: [], ttlMs };
    let from: string | undefined;
    for (let tries = 0; tries <= MAX_CONFLICTS; tries += 1) {
      const found = await this.#ask(() => this.#parts.write(PREFIX + id, { ...change, from }));
      if (found === true) return;
      from = found?.version;
    }
    throw new StoreError('other processes keep writing the same text');
  }

  async read(id: string): Promise<string | undefined> {
    const found = await this.#ask(() => this.#parts.read(PREFIX + id));
    return typeof found === 'object' ? found.parts.get(TEXT) : undefined;
  }

  /** A failure does not make the store count as away: calls go on without these texts. */
  async #ask<T>(command: () => Awaitable<T>): Promise<T> {
    let cause: unknown;
    const answer = this.#outage.isDegraded
      ? FAILED
      : await this.#outage.askAside(command, (error) => (cause = error));
    if (answer !== FAILED) return answer;
    throw new StoreError('the store does not answer', { cause });
  }
}

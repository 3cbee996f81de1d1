import { createHash } from 'node:crypto';

import type { Awaitable } from '../base/awaitable.ts';
import { eachStored } from '../conversations/stores/each-stored.ts';
import type { PartStore, StoredConversation } from '../conversations/stores/part-store.ts';
import { isOf, type CallArchive, type CallKey } from './call-archive.ts';
import { parseCallRecord, type CallRecord } from './call-record.ts';

/** Prefix of record ids. Conversation ids contain no control characters. */
const PREFIX = 'call\t';
const RECORD = 'record';
/** If the end of a session is delivered twice, at most two processes record it. */
const MAX_CONFLICTS = 5;
const DAY_MS = 86_400_000;

export interface CallStoreOptions {
  /** Not shared: closing the archive closes it. */
  readonly parts: PartStore;
  /** Records are removed this many days after they were written. */
  readonly days: number;
}

/** Keeps records in a store of parts, each as a conversation with a single part. */
export class CallStore implements CallArchive {
  readonly name: string;
  readonly #parts: PartStore;
  readonly #ttlMs: number;

  constructor({ parts, days }: CallStoreOptions) {
    this.name = parts.name;
    this.#parts = parts;
    this.#ttlMs = days * DAY_MS;
  }

  /** Nothing to do: opening the store has tested it. */
  begin(): Promise<void> {
    return Promise.resolve();
  }

  async keep(key: CallKey, record: CallRecord): Promise<void> {
    const id = idOf(key);
    const text = JSON.stringify(record);
    const to = createHash('sha1').update(text).digest('base64url');
    const set = new Map([[RECORD, text]]);
    let from: string | undefined;
    for (let tries = 0; tries <= MAX_CONFLICTS; tries += 1) {
      const change = { from, to, set, remove: [], ttlMs: this.#ttlMs };
      const found = await this.#parts.write(id, change);
      if (found === true || hasMoreThan(record, found)) return;
      from = found?.version;
    }
    throw new Error(`other processes changed the record ${MAX_CONFLICTS} times`);
  }

  async has(key: CallKey): Promise<boolean> {
    return typeof (await this.#parts.read(idOf(key))) === 'object';
  }

  async *all(): AsyncGenerator<CallRecord, void, undefined> {
    for await (const [, stored] of this.#stored()) {
      const record = recordIn(stored);
      if (record !== undefined) yield record;
    }
  }

  async *erase(
    id: string,
    isMeant = (record: CallRecord): boolean => isOf(record, id),
  ): AsyncGenerator<CallRecord, void, undefined> {
    for await (const [recordId, stored] of this.#stored()) {
      const record = recordIn(stored);
      if (record === undefined || !isMeant(record)) continue;
      await remove(this.#parts, recordId);
      yield record;
    }
  }

  overwrite(): Awaitable<boolean> {
    return this.#parts.overwrite?.() ?? true;
  }

  async close(): Promise<void> {
    await this.#parts.close();
  }

  #stored(): AsyncGenerator<[id: string, stored: StoredConversation], void, undefined> {
    return eachStored(this.#parts, PREFIX, () => true);
  }
}

/** Removes what is stored under the id, whatever its version. False if there is nothing. */
async function remove(parts: PartStore, id: string): Promise<boolean> {
  for (let stored = await parts.read(id); typeof stored === 'object';) {
    const { version: from } = stored;
    const change = { from, to: undefined, set: new Map<string, string>(), remove: [], ttlMs: 1 };
    const found = await parts.write(id, change);
    if (found === true) return true;
    stored = found;
  }
  return false;
}

function idOf({ conversationKey, sessionId }: CallKey): string {
  return `${PREFIX}${conversationKey}\t${sessionId}`;
}

/** A repeated end may arrive when the conversation has been forgotten. */
function hasMoreThan(record: CallRecord, stored: StoredConversation | undefined): boolean {
  const other = stored === undefined ? undefined : recordIn(stored);
  return other !== undefined && other.turns.length > record.turns.length;
}

function recordIn({ parts }: StoredConversation): CallRecord | undefined {
  return parseCallRecord(parts.get(RECORD) ?? '');
}

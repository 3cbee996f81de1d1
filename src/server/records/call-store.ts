import { createHash } from 'node:crypto';

import { eachStored } from '../../core/conversations/stores/each-stored.ts';
import type { PartStore, StoredConversation } from '../../core/conversations/stores/part-store.ts';
import { isOf, type CallArchive, type CallKey } from './call-archive.ts';
import { isOfEnd, parseCallRecord, saysMore, type CallRecord } from './call-record.ts';

/** Prefix of record ids. Conversation ids contain no control characters. */
const PREFIX = 'call\t';
const RECORD = 'record';
/** If the end of a session is delivered twice, at most two processes record it. */
const MAX_CONFLICTS = 5;
const DAY_MS = 86_400_000;

interface CallStoreOptions {
  /** Not shared: closing the archive closes it. */
  readonly parts: PartStore;
  /** Records are removed this many days after they were written. */
  readonly days: number;
}

/** Keeps records in a store of parts, each as a conversation with a single part. */
export function callStore({ parts, days }: CallStoreOptions): CallArchive {
  const ttlMs = days * DAY_MS;

  async function* stored(): AsyncGenerator<[id: string, record: CallRecord], void, undefined> {
    for await (const [id, one] of eachStored(parts, PREFIX, () => true)) {
      const record = recordIn(one);
      if (record !== undefined) yield [id, record];
    }
  }

  return {
    name: parts.name,
    begin: () => Promise.resolve(), // opening the store has tested it
    async keep(key, record) {
      const id = idOf(key);
      const text = JSON.stringify(record);
      const to = createHash('sha1').update(text).digest('base64url');
      const set = new Map([[RECORD, text]]);
      let from: string | undefined;
      for (let tries = 0; tries <= MAX_CONFLICTS; tries += 1) {
        const found = await parts.write(id, { from, to, set, remove: [], ttlMs });
        if (found === true) return;
        const other = found === undefined ? undefined : recordIn(found);
        if (other !== undefined && saysMore(other, record)) return;
        from = found?.version;
      }
      throw new Error(`other processes changed the record ${MAX_CONFLICTS} times`);
    },
    async hasEnd(key) {
      const stored = await parts.read(idOf(key));
      return typeof stored === 'object' && isOfEnd(recordIn(stored));
    },
    async *all() {
      for await (const [, record] of stored()) yield record;
    },
    async *erase(id, isMeant = (record) => isOf(record, id)) {
      for await (const [recordId, record] of stored()) {
        if (!isMeant(record)) continue;
        await remove(parts, recordId);
        yield record;
      }
    },
    overwrite: () => parts.overwrite?.() ?? true,
    close: async () => parts.close(),
  };
}

/** Removes what is stored under the id, whatever its version. */
async function remove(parts: PartStore, id: string): Promise<void> {
  for (let stored = await parts.read(id); typeof stored === 'object';) {
    const { version: from } = stored;
    const change = { from, to: undefined, set: new Map<string, string>(), remove: [], ttlMs: 1 };
    const found = await parts.write(id, change);
    if (found === true) return;
    stored = found;
  }
}

function idOf({ conversationKey, sessionId }: CallKey): string {
  return `${PREFIX}${conversationKey}\t${sessionId}`;
}

function recordIn({ parts }: StoredConversation): CallRecord | undefined {
  return parseCallRecord(parts.get(RECORD) ?? '');
}

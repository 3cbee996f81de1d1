// What a caller's card numbers leave in a real Redis. Needs `npm ci` in this folder.

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { assertNowhere, CALLS } from '../core/redaction/said-cards.ts';
import { PEERS } from '../fixtures/pages.ts';
import { isMissing, REDIS_PROGRAMS, RedisServer } from '../fixtures/redis-server.ts';
import { createClient } from './redis-clients.ts';

/** Everything that the server holds. */
async function contentsOf(url: string): Promise<string> {
  const client = createClient({ url });
  await client.connect();
  try {
    const keys = await client.keys('*');
    const stored = await Promise.all(keys.map((key) => client.hGetAll(key)));
    const conversations = stored.filter(({ head }) => head !== undefined);
    assert.equal(conversations.length, CALLS, 'one for each conversation');
    const text = JSON.stringify([keys, stored]);
    assert.match(text, /\[card 50\]/);
    return text;
  } finally {
    client.destroy();
  }
}

describe('a hundred card numbers', () => {
  for (const program of REDIS_PROGRAMS)
    it(`occur only in what the caller says and hears: ${program}`, { skip: isMissing(program) },
      async (t) => {
        const { url } = await RedisServer.startFor(t, program);
        await assertNowhere(t, {
          store: () => url, directory: PEERS, contents: () => contentsOf(url),
        });
      });
});

// Calls to a restaurant on several processes: each caller adds dishes, hears the total after each,
// and pays. What the store does meanwhile is up to the test.

import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

import { createTestClient } from '../../../src/kit/test-client.ts';
import { SECRET } from '../../fixtures/spawned-server.ts';

const LIBRARY = pathToFileURL(join(import.meta.dirname, '../../../dist/index.js')).href;

/** Charges are lines in the file `bank`. A tool takes a moment, as any real one does. */
export const RESTAURANT = `
import { appendFileSync } from 'node:fs';
import { setTimeout } from 'node:timers/promises';
import { defineAgent, defineState } from '${LIBRARY}';

const order = defineState(() => ({ prices: [] }));
const totalOf = ({ prices }) => prices.reduce((sum, price) => sum + price, 0);

export default defineAgent({
  name: 'restaurant',
  state: order,
  async onMessage({ text, state, journal, conversationId }) {
    const [name, price] = text.split(' ');
    const add = {
      async run() {
        await setTimeout(20);
        state.prices.push(Number(price));
        return JSON.stringify({ total: totalOf(state) });
      },
    };
    const pay = {
      once: () => 'the bill',
      async run() {
        appendFileSync('bank', conversationId + ' ' + totalOf(state) + '\\n');
        return JSON.stringify({ paid: totalOf(state) });
      },
    };
    const call = { id: 'call', name, args: JSON.stringify({ price }) };
    const [{ content }] = await journal.runTools([call], () => (name === 'add' ? add : pay));
    return content;
  },
});
`;

export interface Bill {
  readonly conversationId: string;
  /** What the caller heard last before paying. */
  readonly heard: number;
  /** What the caller heard about paying, in order. */
  readonly paying: readonly string[];
  /** Turns whose total was not that of the dishes so far. */
  readonly wrong: readonly string[];
}

/** Says something and hears the reply. Each turn goes to the next server. */
export function caller(
  urls: readonly string[], conversationId: string = randomUUID(),
): (text: string) => Promise<string> {
  let turns = 0;
  return async (text) => {
    const url = urls[turns++ % urls.length] ?? '';
    const client = createTestClient(url, { secret: SECRET });
    const ids = { session_id: 's', conversation_id: conversationId, turn_id: randomUUID() };
    // A connection that is kept alive leads to the same worker again.
    const headers = { connection: 'close' };
    return (await client.post({ type: 'message', ...ids, text }, { headers })).text();
  };
}

/** Five dishes, then the bill, asked for until it is paid. */
export async function order(
  urls: readonly string[], dishes: readonly number[] = [7, 8, 9, 10, 11],
): Promise<Bill> {
  const conversationId = randomUUID();
  const say = caller(urls, conversationId);
  const wrong: string[] = [];
  let [total, heard] = [0, 0];
  for (const price of dishes) {
    total += price;
    const reply = await say(`add ${price}`);
    if (reply !== JSON.stringify({ total })) wrong.push(`${reply} instead of ${total}`);
    heard = (JSON.parse(reply) as { readonly total?: number }).total ?? heard;
  }
  const paying: string[] = [];
  while (paying.length < 20 && paying.at(-1)?.includes('paid') !== true)
    paying.push(await say('pay'));
  return { conversationId, heard, paying, wrong };
}

/** Everybody has paid once, and paid the total that they had heard. */
export function assertPaid(directory: string, bills: readonly Bill[]): void {
  const charges = readFileSync(join(directory, 'bank'), 'utf8').trim().split('\n').toSorted();
  const heard = bills.map(({ conversationId, heard }) => `${conversationId} ${heard}`).toSorted();
  assert.deepEqual(charges, heard);
}

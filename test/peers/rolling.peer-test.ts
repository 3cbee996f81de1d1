// A rolling deploy of this version over the last one that wrote records of format 1: a server of
// each, on one Redis. Needs `npm ci` in this folder, Debian's package redis-server, and the history
// of this repository.

import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { existsSync, readFileSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { pathToFileURL } from 'node:url';

import type { Message } from '../../src/conversations/message.ts';
import { createTestClient, type TestClient } from '../../src/kit/test-client.ts';
import { HeldReply, spoken } from '../conversations/asking-back.ts';
import { PEERS } from '../fixtures/pages.ts';
import { isMissing, RedisServer } from '../fixtures/redis-server.ts';
import { ROOT } from '../fixtures/source-files.ts';
import { SECRET, SERVER, Workplace, type SpawnedServer } from '../fixtures/spawned-server.ts';
import { buildEarlier, isOutOfReach, type EarlierVersion } from './earlier-version.ts';

const PACKAGES = join(PEERS, 'node_modules');
assert.ok(existsSync(join(PACKAGES, 'redis')), 'npm ci in test/peers first');

const LAST_OF_FORMAT_1 = 'd302b29';

/**
 * Asks back. Words that begin with `hold` or `pay` are then held until the process gets SIGUSR2. A
 * payment adds a line to the file. `history` is what the agent knows of the call. For `ask` a model
 * uses ten tokens.
 */
const agentModule = (library: string, payments: string): string => `
import { appendFileSync } from 'node:fs';
import { once } from 'node:events';
import { defineAgent } from ${JSON.stringify(pathToFileURL(library).href)};

const model = {
  name: 'own:model',
  async *stream() {
    const [inputTokens, outputTokens] = [6, 4];
    yield { type: 'usage', model: 'own:model', inputTokens, outputTokens, firstDeltaMs: 1 };
  },
  warm: async () => undefined, problems: () => [], isUsable: () => true,
};
let opened = model;

const agent = defineAgent({
  name: 'rolling',
  welcome: 'Welcome.',
  async *onMessage({ text, signal, journal, history }) {
    if (text === 'ask') for await (const _delta of opened.stream([], { signal })) continue;
    if (text === 'history') return void (yield JSON.stringify(history.slice(0, -1)));
    const held = text.startsWith('hold') ? once(process, 'SIGUSR2', { signal }) : undefined;
    yield text + '?';
    await held;
    if (text.startsWith('pay')) {
      const call = { id: 'call', name: 'pay', args: JSON.stringify({ text }) };
      const [paid] = await journal.runTools([call], () => ({
        whenInterrupted: 'finish',
        ...(text === 'pay once' ? { once: () => 'the order' } : {}),
        async run() {
          const released = once(process, 'SIGUSR2');
          appendFileSync(${JSON.stringify(payments)}, text + '\\n');
          console.error(text);
          await released;
          return '{"paid":true}';
        },
      }));
      yield ' ' + paid.content;
    }
    yield ' Done.';
  },
});

export default {
  ...agent,
  bind({ openModel }) {
    opened = openModel(model);
    return agent;
  },
};`;

/** The result of a payment in history. */
const PAID = 'completed: {"paid":true}';

interface Machine {
  readonly server: SpawnedServer;
  readonly client: TestClient;
}

const skip = isMissing('redis-server') || isOutOfReach(LAST_OF_FORMAT_1);

describe('a server beside one that writes records of format 1', { timeout: 120_000, skip }, () => {
  let earlier: EarlierVersion;
  let redis: RedisServer;
  let workplace: Workplace;
  let payments: string;
  let old: SpawnedServer;
  let young: SpawnedServer;

  before(async () => {
    earlier = buildEarlier(LAST_OF_FORMAT_1);
    redis = await RedisServer.start('redis-server');
    workplace = new Workplace();
    symlinkSync(PACKAGES, join(workplace.directory, 'node_modules'));
    workplace.write('package.json', '{}');
    payments = workplace.write('payments', '');
    await redis.hasRunForLong();
    old = serve('old.mjs', earlier.library, earlier.server);
    young = serve('young.mjs', join(ROOT, 'dist/index.js'), SERVER);
    await Promise.all([old.url(), young.url()]);
  });

  after(async () => {
    await workplace.clear();
    await redis.remove();
    earlier.remove();
  });

  function serve(agent: string, library: string, server: string): SpawnedServer {
    workplace.write(agent, agentModule(library, payments));
    return workplace.spawn({
      server,
      env: {
        NODE_ENV: 'production',
        AGENT: `./${agent}`,
        LAYERCODE_WEBHOOK_SECRET: SECRET,
        CONVERSATION_STORE: redis.url,
        DRAIN_DELAY_SECONDS: '0',
        MAX_TOKENS_PER_CALL: '20', // the old one does not know it
        MODEL_PRICES: '{"own:model":{"input":1,"output":1}}',
        STORE_TIMEOUT_MS: '5000', // a busy machine must not pass for a store that fails
      },
    });
  }

  async function machine(server: SpawnedServer, conversationId: string): Promise<Machine> {
    const client = createTestClient(await server.url(), { secret: SECRET, conversationId });
    return { server, client };
  }

  /** Resolves when the turn is held. */
  async function held({ client, server }: Machine, words: string): Promise<HeldReply> {
    const reply = new HeldReply(await client.say(words, { turn_id: words }));
    assert.equal(await reply.next(), `${words}?`);
    if (words.startsWith('pay')) await server.complains(new RegExp(`^${words}$`, 'm'));
    return reply;
  }

  /** What an agent there knows, without what it was asked by this function. */
  async function history({ client }: Machine): Promise<string[]> {
    const question = { turn_id: `history ${randomUUID()}` };
    const known = JSON.parse(await spoken(client.say('history', question))) as readonly Message[];
    return known
      .filter(({ turnId }) => !turnId.startsWith('history'))
      .map((message) =>
        message.role === 'user' ? message.content : `${message.state}: ${message.content}`);
  }

  /** What both know, once the result of the payment is stored. */
  async function historyWithResult(a: Machine, b: Machine): Promise<string[]> {
    let known = await history(a);
    while (!known.includes(PAID)) known = await history(a);
    assert.deepEqual(await history(b), known);
    return known;
  }

  function paid(words: string): number {
    return readFileSync(payments, 'utf8').split('\n').filter((line) => line === words).length;
  }

  it('counts what a call has used though the old one has turns in between', async () => {
    const [a, b] = [await machine(young, 'limited'), await machine(old, 'limited')];
    const ask = ({ client }: Machine): Promise<string> =>
      spoken(client.say('ask', { session_id: 's' }));
    for (const one of [a, b, a, b]) assert.equal(await ask(one), 'ask? Done.');
    assert.match(await ask(a), /end our call/);
    assert.equal(await ask(b), 'ask? Done.');
  });

  for (const from of ['the old', 'the new'] as const) {
    const to = from === 'the old' ? 'the new' : 'the old';
    const isOldFirst = from === 'the old';

    /** The machine where a call begins, and the one that it reaches next. */
    const both = async (conversationId: string): Promise<readonly [Machine, Machine]> => {
      const first = await machine(isOldFirst ? old : young, `${conversationId} ${from}`);
      const second = await machine(isOldFirst ? young : old, `${conversationId} ${from}`);
      return [first, second];
    };

    it(`goes on with a call of ${from} one on ${to} one while a tool runs`, async () => {
      const words = `pay on ${from}`;
      const [a, b] = await both('goes on');
      await spoken(a.client.start({ turn_id: 'start' }));
      const paying = await held(a, words);
      assert.equal(await spoken(b.client.say('And?')), 'And?? Done.');
      assert.deepEqual(await paying.rest(), ['response.end'], 'it was interrupted');
      a.server.kill('SIGUSR2');
      assert.deepEqual(await historyWithResult(b, a), [
        'completed: Welcome.',
        words, `interrupted: ${words}?`, PAID,
        'And?', 'completed: And?? Done.',
      ]);
      assert.equal(paid(words), 1);
    });

    it(`runs a turn of ${from} one that is delivered again to ${to} one`, async () => {
      const words = `hold on ${from}`;
      const [a, b] = await both('delivered again');
      const first = await held(a, words);
      const again = await held(b, words);
      assert.deepEqual(await first.rest(), ['response.end']);
      b.server.kill('SIGUSR2');
      assert.deepEqual(await again.rest(), [' Done.', 'response.end']);
      const known = [words, `completed: ${words}? Done.`];
      for (const one of [a, b]) assert.deepEqual(await history(one), known);
      const turn = { turn_id: words };
      assert.equal(await spoken(a.client.say(words, turn)), `${words}? Done.`, 'it is replayed');
      for (const one of [b, a]) assert.deepEqual(await history(one), known);
    });

    it(`pays once if a payment of ${from} one is delivered again to ${to} one`, async () => {
      const words = `pay again on ${from}`;
      const [a, b] = await both('paid once');
      const first = await held(a, words);
      const again = new HeldReply(await b.client.say(words, { turn_id: words }));
      assert.equal(await again.next(), `${words}?`);
      assert.deepEqual(await first.rest(), ['response.end']);
      // The old version does not wait for calls of other processes. It takes them for lost, until
      // their results come.
      const result = isOldFirst ? '{"paid":true}' : '{"error":"outcome unknown"}';
      if (isOldFirst) a.server.kill('SIGUSR2');
      assert.deepEqual(await again.rest(), [` ${result}`, ' Done.', 'response.end']);
      if (!isOldFirst) a.server.kill('SIGUSR2');
      const known = await historyWithResult(b, a);
      assert.deepEqual(known.slice(0, 3), [words, `interrupted: ${words}?`, PAID]);
      assert.equal(known.at(-1), 'completed:  ' + result + ' Done.');
      assert.equal(paid(words), 1);
    });
  }

  it('keeps what acts once through the turns of the old one', async () => {
    const [a, b] = [await machine(young, 'once'), await machine(old, 'once')];
    const first = new HeldReply(await a.client.say('pay once'));
    assert.equal(await first.next(), 'pay once?');
    await young.complains(/^pay once$/m);
    assert.equal(await spoken(b.client.say('Hm.')), 'Hm.? Done.');
    assert.deepEqual(await first.rest(), ['response.end']);
    young.kill('SIGUSR2');
    await historyWithResult(b, a);
    const again = spoken(a.client.say('pay once'));
    assert.match(await again, /done before.*"paid":true/);
    assert.equal(paid('pay once'), 1);
  });

  it('takes over when the old one ends in the middle of calls', async () => {
    const [a, b] = [await machine(old, 'ends'), await machine(young, 'ends')];
    const paying = await held(a, 'pay at the end');
    const other = await machine(old, 'ends, too');
    const interrupted = await held(other, 'pay another');
    old.kill('SIGTERM');
    await old.line('closing');
    const next = await machine(young, 'ends, too');
    assert.equal(await spoken(next.client.say('And?')), 'And?? Done.');
    assert.deepEqual(await interrupted.rest(), ['response.end']);
    old.kill('SIGUSR2');
    assert.deepEqual(await paying.rest(), [' {"paid":true}', ' Done.', 'response.end']);
    assert.deepEqual(await old.exit, { code: 0, signal: null });
    assert.deepEqual(await history(b), [
      'pay at the end', 'completed: pay at the end?', PAID,
      'completed:  {"paid":true} Done.',
    ]);
    assert.deepEqual(await history(next), [
      'pay another', 'interrupted: pay another?', PAID,
      'And?', 'completed: And?? Done.',
    ]);
  });

  it('warned of the limit alone, and the old one only of the hints it does not know', () => {
    const complaints = ({ log }: SpawnedServer): string[] =>
      log.filter(({ level }) => level === 'warn' || level === 'error').map(({ msg }) => msg);
    assert.deepEqual(complaints(young), ['a call has reached its limit']);
    // That a call has ended which it had asked about: three of the tests above.
    const hint = 'a message from another process was not understood';
    assert.deepEqual(complaints(old), [hint, hint, hint]);
  });
});

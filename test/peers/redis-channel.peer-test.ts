// Apps that share a real Redis or Valkey server, and what they tell each other through it. Needs
// `npm ci` in this folder, and Debian's packages of the servers, which `.ci/run` installs.

import assert from 'node:assert/strict';
import { EventEmitter, once } from 'node:events';
import { describe, it, type TestContext } from 'node:test';

import { createLogger } from '../../src/base/log.ts';
import { openStore } from '../../src/core/conversations/stores/open-store.ts';
import type { RedisChannel } from '../../src/core/conversations/stores/redis-channel.ts';
import {
  fromIoredis, type RedisClient, type RedisSubscriber,
} from '../../src/core/conversations/stores/redis-client.ts';
import {
  openRedisChannel, openRedisStore,
} from '../../src/core/conversations/stores/redis-open.ts';
import { parseSettings } from '../../src/server/settings/parse-settings.ts';
import {
  askingBack, hold, HeldReply, spoken, type AskingBack,
} from '../core/conversations/asking-back.ts';
import { SECRET, until, within, type TestAgent } from '../fixtures/app.ts';
import { CuttingProxy } from '../fixtures/cutting-proxy.ts';
import { PEERS } from '../fixtures/pages.ts';
import { freePort, isMissing, REDIS_PROGRAMS, RedisServer } from '../fixtures/redis-server.ts';
import { createClient, Redis } from './redis-clients.ts';

const ID = { conversation_id: 'c' } as const;
const log = createLogger({ level: 'silent', write: () => undefined });

/** A program's own clients, connected. */
interface Clients {
  readonly redis: RedisClient;
  readonly redisSubscriber: RedisSubscriber;
}

async function nodeRedis(t: TestContext, url: string): Promise<Clients> {
  const redis = createClient({ url });
  const redisSubscriber = redis.duplicate();
  for (const client of [redis, redisSubscriber]) {
    client.on('error', () => undefined);
    await client.connect();
    t.after(() => client.destroy());
  }
  return { redis, redisSubscriber };
}

async function ioredis(t: TestContext, url: string): Promise<Clients> {
  const redis = new Redis(url);
  const subscriber = redis.duplicate();
  t.after(() => {
    redis.disconnect();
    subscriber.disconnect();
  });
  return { redis: fromIoredis(redis), redisSubscriber: fromIoredis(subscriber) };
}

const CLIENTS = { 'the package redis': nodeRedis, ioredis } as const;

/** An app on the store at this URL. Each machine has one. */
async function machine(
  t: TestContext,
  url: string,
  clients?: Clients,
  agent?: TestAgent,
): Promise<AskingBack> {
  const settings = parseSettings(
    { LAYERCODE_WEBHOOK_SECRET: SECRET, CONVERSATION_STORE: url, STORE_TIMEOUT_MS: '1000' },
    [],
  );
  return askingBack(t, await openStore(settings, { directory: PEERS, log, ...clients }), agent);
}

function says({ client }: AskingBack, words: string): Promise<string> {
  return spoken(client.say(words, { turn_id: words, ...ID }));
}

async function again({ client }: AskingBack): Promise<HeldReply> {
  return new HeldReply(await client.say('hold', { turn_id: 'hold', ...ID }));
}

async function endsOther(a: AskingBack, b: AskingBack): Promise<void> {
  const held = await hold(a, 'hold', 'hold', ID);
  const reply = b.client.say('Stop', { turn_id: 'Stop', ...ID });
  await within(until(() => a.aborted.length === 1, 'the abort'), 'the abort in time', 250);
  assert.equal(await spoken(reply), 'Stop?');
  assert.deepEqual(await held.rest(), ['response.end']);
}

/** Messages that arrived, and a way to wait for the next one. */
class Inbox {
  readonly messages: string[] = [];
  readonly #came = new EventEmitter();

  constructor(channel: RedisChannel) {
    channel.listen((message) => {
      this.messages.push(message);
      this.#came.emit('message');
    });
  }

  /** Resends the message until it arrives: before there is a connection, messages are lost. */
  async getsFrom(channel: RedisChannel, to: RedisChannel, message: string): Promise<void> {
    const resend = setInterval(() => channel.send(to.address, message), 20);
    try {
      while (!this.messages.includes(message)) await once(this.#came, 'message');
    } finally {
      clearInterval(resend);
    }
  }
}

for (const program of REDIS_PROGRAMS) {
  const start = (t: TestContext, ...args: string[]): Promise<RedisServer> =>
    RedisServer.startFor(t, program, args);
  const urlOf = ({ port }: { readonly port: number }): string => `redis://127.0.0.1:${port}`;
  const channel = async (t: TestContext, url: string): Promise<RedisChannel> => {
    const opened = await openRedisChannel(url, { directory: PEERS, log });
    t.after(() => opened.close());
    return opened;
  };

  describe(`apps that share ${program}`, { skip: isMissing(program), timeout: 60_000 }, () => {
    it("end each other's turns within 250 ms", async (t) => {
      const { url } = await start(t);
      const [a, b] = [await machine(t, url), await machine(t, url)];
      await endsOther(a, b);
      await until(() => a.outcomes()['interrupted'] === 1, 'the interruption');
      await a.history('c'); // waits for what its turn writes
      assert.deepEqual(await b.history('c'), [
        ['user', 'hold'], ['assistant', 'hold?', 'interrupted'],
        ['user', 'Stop'], ['assistant', 'Stop?', 'completed'],
      ]);
    });

    for (const [name, connect] of Object.entries(CLIENTS)) {
      it(`end each other's turns through passed-in clients of ${name}`, async (t) => {
        const { url } = await start(t);
        const open = async (): Promise<AskingBack> => machine(t, url, await connect(t, url));
        await endsOther(await open(), await open());
      });
    }

    it('run a turn again if its process does not answer', async (t) => {
      const server = await start(t);
      const proxy = await CuttingProxy.open(server.port, t);
      const [a, b] = [await machine(t, urlOf(proxy)), await machine(t, server.url)];
      await hold(a, 'hold', 'hold', ID);
      proxy.close(); // as if its process were dead
      const moved = await again(b);
      assert.equal(await moved.next(), 'hold?');
      b.go('hold');
      assert.deepEqual(await moved.rest(), [' Done.', 'response.end']);
      assert.deepEqual(b.runs, ['hold']);
    });

    /** An agent that says what came of its payment. */
    function cashier(): TestAgent {
      let payments = 0;
      return {
        async onMessage({ text, journal }, reply) {
          if (text === 'Hello') return void reply.say('Yes.');
          const call = { id: 'x', name: 'pay', args: '{}' };
          const run = (): string => JSON.stringify({ payment: ++payments });
          const pay = { name: 'pay', once: () => 'all of it', run };
          const [outcome] = await journal.runTools([call], () => pay);
          reply.say(outcome?.content ?? '');
        },
      };
    }

    for (const [how, loses] of [
      ['forgotten everything', (server: RedisServer) => server.command('FLUSHALL')],
      ['died and lost everything', async (server: RedisServer) => {
        await server.kill();
        await server.start();
      }],
    ] as const)
      it(`pay only once even if the server has ${how}`, async (t) => {
        const server = await start(t);
        const agent = cashier();
        const [a, b] = [
          await machine(t, server.url, undefined, agent),
          await machine(t, server.url, undefined, agent),
        ];
        assert.equal(await says(b, 'Hello'), 'Yes.');
        assert.equal(await says(a, 'Pay'), '{"payment":1}'); // once the server is 10 s old
        await loses(server);
        let reply = '{"error":"not started"}';
        for (let tries = 1; reply === '{"error":"not started"}'; tries++) // it is not back yet
          reply = await spoken(b.client.say('Pay', { turn_id: `Try ${tries}`, ...ID }));
        assert.match(reply, /"done before","result":\{"payment":1\}/);
      });

    it('have one subscription each, which ends when they close', async (t) => {
      const server = await start(t);
      const subscriptions = async (): Promise<string[]> =>
        (await server.command('PUBSUB', 'CHANNELS', 'layercode:*')).split('\n').filter(Boolean);
      const apps = [await machine(t, server.url), await machine(t, server.url)];
      for (const app of apps) await says(app, 'Hello');
      assert.equal((await subscriptions()).length, 2);
      for (const { app } of apps) await app.close();
      while ((await subscriptions()).length > 0);
    });

    it('answer even if none of their messages arrives', async (t) => {
      const { url } = await start(t);
      const clients = await nodeRedis(t, url);
      const redis = failingToPublish(clients.redis);
      const [a, b] = [await machine(t, url, { ...clients, redis }), await machine(t, url)];
      await hold(b, 'hold', 'hold', ID);
      assert.equal(await says(a, 'Stop'), 'Stop?');
      assert.deepEqual(b.aborted, []);
    });
  });

  describe(`a channel over ${program}`, { skip: isMissing(program), timeout: 60_000 }, () => {
    it('carries messages again after its connection is cut', async (t) => {
      const server = await start(t);
      const proxy = await CuttingProxy.open(server.port, t);
      const [a, b] = [await channel(t, server.url), await channel(t, urlOf(proxy))];
      const inbox = new Inbox(b);
      await inbox.getsFrom(a, b, 'one');
      proxy.cut();
      await inbox.getsFrom(a, b, 'two');
    });

    it('notices that its server has silently gone', async (t) => {
      const [frozen, other] = [await start(t), await start(t)];
      const proxy = await CuttingProxy.open(frozen.port, t);
      const [a, b] = [await channel(t, other.url), await channel(t, urlOf(proxy))];
      frozen.freeze();
      proxy.target = other.port;
      await new Inbox(b).getsFrom(a, b, 'one');
    });

    it('loses what is sent while there is no server', async (t) => {
      const server = await start(t);
      const [a, b] = [await channel(t, server.url), await channel(t, server.url)];
      const inbox = new Inbox(b);
      await server.kill();
      for (let n = 0; n < 100_000; n++) a.send(b.address, 'lost');
      await server.start();
      await inbox.getsFrom(a, b, 'one');
      assert.equal(inbox.messages.includes('lost'), false);
    });

    it('opens once its server starts', async (t) => {
      const port = await freePort();
      const [a, b] = [await channel(t, urlOf({ port })), await channel(t, urlOf({ port }))];
      await start(t, '--port', String(port));
      await new Inbox(b).getsFrom(a, b, 'one');
    });

    it('warns that no tool acts once yet, but only if its server has just started', async (t) => {
      const server = await start(t);
      const said = async (): Promise<string[]> => {
        const lines: string[] = [];
        const told = createLogger({ level: 'info', write: (line) => lines.push(line) });
        const opened = await openRedisStore(server.url, { directory: PEERS, log: told });
        await opened.close();
        return lines.map((line) => String((JSON.parse(line) as { msg: unknown }).msg));
      };
      assert.deepEqual(await said(),
        ['Redis has just started: tools that act once must wait']);
      await server.hasRunForLong();
      assert.deepEqual(await said(), []);
    });

    it('needs only a few permissions, and is refused to a user without them', async (t) => {
      const open = async (...more: string[]): Promise<void> => {
        const { port } = await start(t, '--user', 'bot', 'on', '>pw', 'resetchannels', ...more);
        const url = `redis://bot:pw@127.0.0.1:${port}`;
        const [a, b] = [await channel(t, url), await channel(t, url)];
        await new Inbox(b).getsFrom(a, b, 'one');
      };
      const commands = ['+publish', '+subscribe', '+ping'];
      await open('&layercode:*', ...commands);
      const refused = { name: 'StoreError', message: /refuses commands: NOPERM / };
      await assert.rejects(open(...commands), refused);
      await assert.rejects(open('&layercode:*', '+subscribe', '+ping'), refused);
    });
  });
}

function failingToPublish(client: RedisClient): RedisClient {
  return {
    eval: (script, call) => client.eval(script, call),
    evalSha: (sha1, call) => client.evalSha(sha1, call),
    dbSize: () => client.dbSize(),
    publish: () => Promise.reject(new Error('lost')),
  };
}

// What a channel over Redis holds in memory while the server does not answer. What it does on a
// real server is tested by the peers.

import assert from 'node:assert/strict';
import { EventEmitter, once } from 'node:events';
import { describe, it } from 'node:test';

import { EVERYONE } from '../../../src/base/channel.ts';
import { RedisChannel } from '../../../src/conversations/stores/redis-channel.ts';
import {
  fromIoredis, scopeOf, type IoredisClient,
} from '../../../src/conversations/stores/redis-client.ts';

const MIB = 1_048_576;

describe('RedisChannel', () => {
  for (const [what, sent, most] of [
    ['characters', 'x'.repeat(MIB), 8], ['messages', 'x', 1_000],
  ] as const)
    it(`loses messages when too many ${what} wait for a server that does not answer`, () => {
      let published = 0;
      const publish = (): Promise<unknown> => {
        published += 1;
        return new Promise(() => undefined);
      };
      const channel = new RedisChannel({ publish }, '');
      for (let n = 0; n < 1_100; n++) channel.send('b', sent);
      assert.equal(published, most);
    });

  it('takes only texts for messages, from clients that also give bytes', async () => {
    const heard: string[] = [];
    const channel = new RedisChannel({ publish: async () => undefined }, '');
    channel.listen((message) => heard.push(message));
    const subscribe = async (_to: string, listener: unknown): Promise<void> => {
      for (const message of [Buffer.from('bytes'), 'text'])
        (listener as (message: unknown) => void)(message);
    };
    await channel.subscribe({ subscribe });
    assert.deepEqual(heard, ['text', 'text']); // on its own address, and on that of everyone
  });

  it('tells nobody of a connection that comes back once it is closed', async () => {
    const client = new EventEmitter();
    const channel = new RedisChannel({ publish: async () => undefined }, '');
    let reopened = 0;
    channel.listen(() => undefined, () => (reopened += 1));
    const { on } = client;
    await channel.subscribe({ subscribe: async () => undefined, on: on.bind(client) });
    client.emit('ready');
    await channel.close(); // of a client without `off`
    client.emit('ready');
    assert.equal(reopened, 1);
  });

  it('says that messages may be lost if the server has just begun, once all listen', async () => {
    const told: string[] = [];
    for (const mayLackOthers of [true, false]) {
      const channel = new RedisChannel({ publish: async () => undefined }, '');
      channel.mayLackOthers = mayLackOthers;
      let listener = 'the first';
      channel.listen(() => undefined, () => told.push(`${listener}, ${mayLackOthers}`));
      listener = 'the last';
      await Promise.resolve();
    }
    assert.deepEqual(told, ['the last, true']);
  });

  it('says so too where the connection came back before anybody listened', async () => {
    const client = new EventEmitter();
    const channel = new RedisChannel({ publish: async () => undefined }, '');
    await channel.subscribe({ subscribe: async () => undefined, on: client.on.bind(client) });
    client.emit('ready');
    const reopened = new Promise<void>((resolve) => channel.listen(() => undefined, resolve));
    await reopened;
  });

  it('waits for messages that are being published before it is closed', async () => {
    const done: string[] = [];
    const published = new EventEmitter();
    const channel = new RedisChannel(
      {
        publish: async () => {
          await once(published, 'go');
          done.push('published');
        },
      },
      '',
      () => void done.push('closed'),
    );
    channel.send('b', 'x');
    const closed = channel.close();
    published.emit('go');
    await closed;
    assert.deepEqual(done, ['published', 'closed']);
  });

  it('takes messages again once those have left', async () => {
    const published: string[] = [];
    const publish = async (_address: string, message: string): Promise<void> =>
      void published.push(message.slice(0, 1));
    const channel = new RedisChannel({ publish }, '');
    for (let n = 0; n < 3; n++) {
      channel.send('b', 'x'.repeat(8 * MIB));
      await new Promise((resolve) => setImmediate(resolve));
    }
    assert.deepEqual(published, ['x', 'x', 'x']);
  });

  for (const [name, client, everyone] of [
    ['the first database', { options: { database: 0 } }, '*'],
    ['another database', { options: { database: 1 } }, '*/1'],
    ['another database of ioredis', { options: { db: 1, keyPrefix: '' } }, '*/1'],
    ['a prefix', { options: { db: 0, keyPrefix: 'staging:' } }, '*:staging:'],
    ['a client that tells nothing', {}, '*'],
  ] as const) {
    it(`reaches everyone of one deployment only: ${name}`, async () => {
      const published: string[] = [];
      const publish = async (channel: string): Promise<void> => void published.push(channel);
      const channel = new RedisChannel({ publish }, scopeOf(client));
      channel.send(EVERYONE, 'x');
      channel.send('b', 'x');
      const names = [`layercode:process:${everyone}`, 'layercode:process:b'];
      assert.deepEqual(published, names);
      const subscribed: string[] = [];
      await channel.subscribe({ subscribe: async (to) => void subscribed.push(to) });
      assert.equal(subscribed[1], names[0]);
    });
  }

  it('is open as long as its subscriber is ready, and for one that does not say', async () => {
    const channel = new RedisChannel({ publish: async () => undefined }, '');
    const subscribe = async (): Promise<void> => undefined;
    const subscriber = { subscribe, isReady: false };
    await channel.subscribe(subscriber);
    assert.equal(channel.isOpen, false);
    subscriber.isReady = true;
    assert.equal(channel.isOpen, true);
    await channel.subscribe({ subscribe });
    assert.equal(channel.isOpen, true);
  });

  it('leaves nothing behind on a client that lives on', async () => {
    const client = new EventEmitter();
    const subscriptions = new Map<string, unknown>();
    const subscriber = Object.assign(client, {
      subscribe: async (to: string, listener: unknown) => void subscriptions.set(to, listener),
      unsubscribe: async (from: string, listener: unknown) => {
        if (subscriptions.get(from) === listener) subscriptions.delete(from);
      },
    });
    const channel = new RedisChannel({ publish: async () => undefined }, '');
    await channel.subscribe(subscriber);
    assert.deepEqual([subscriptions.size, client.listenerCount('ready')], [2, 1]);
    await channel.close();
    assert.deepEqual([subscriptions.size, client.listenerCount('ready')], [0, 0]);
  });

  it('is closed though its subscriber has been closed before', async () => {
    const channel = new RedisChannel({ publish: async () => undefined }, '');
    await channel.subscribe({
      subscribe: async () => undefined,
      unsubscribe: () => Promise.reject(new Error('The client is closed')),
    });
    await channel.close();
  });

  it('leaves nothing behind on a client of ioredis that another channel uses', async () => {
    const client = new EventEmitter() as EventEmitter & IoredisClient;
    client.subscribe = async () => undefined;
    const subscriber = fromIoredis(client);
    const [first, second] = [0, 1].map(() => new RedisChannel({ publish: async () => 0 }, ''));
    assert.ok(first !== undefined && second !== undefined);
    for (const channel of [first, second]) await channel.subscribe(subscriber);
    const received: string[] = [];
    second.listen((message) => received.push(message));
    await first.close();
    client.emit('message', 'layercode:process:*', 'x');
    assert.deepEqual(received, ['x']);
    await second.close();
    assert.deepEqual(['message', 'ready'].map((name) => client.listenerCount(name)), [0, 0]);
  });

  it('is open again on a client of ioredis once that has subscribed again', async () => {
    const confirmed = new EventEmitter();
    const client = new EventEmitter() as EventEmitter & IoredisClient;
    client.subscribe = async () => undefined;
    const channel = new RedisChannel({ publish: async () => 0 }, '');
    await channel.subscribe(fromIoredis(client));
    let reopened = 0;
    channel.listen(() => undefined, () => (reopened += 1));
    client.subscribe = () => Promise.reject(new Error('the connection is lost'));
    client.emit('ready');
    await new Promise((resolve) => setImmediate(resolve));
    client.subscribe = () => once(confirmed, 'go');
    client.emit('ready');
    await new Promise((resolve) => setImmediate(resolve));
    assert.deepEqual([channel.isOpen, reopened], [false, 0]);
    confirmed.emit('go');
    await new Promise((resolve) => setImmediate(resolve));
    assert.deepEqual([channel.isOpen, reopened], [true, 1]);
  });

  it('learns of the prefix of an ioredis client through its adapter', () => {
    const client = { options: { db: 2, keyPrefix: Buffer.from('a:') } } as unknown as IoredisClient;
    assert.equal(scopeOf(fromIoredis(client)), '/2:a:');
  });
});

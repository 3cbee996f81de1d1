// What a channel over Redis holds in memory while the server does not answer. What it does on a
// real server is tested by the peers.

import assert from 'node:assert/strict';
import { EventEmitter, once } from 'node:events';
import { describe, it } from 'node:test';

import { RedisChannel } from '../../../../src/core/conversations/stores/redis-channel.ts';
import {
  fromIoredis, type IoredisClient,
} from '../../../../src/core/conversations/stores/redis-client.ts';

describe('RedisChannel', () => {
  it('loses messages when too many wait for a server that does not answer', (t) => {
    const publish = t.mock.fn(() => new Promise(() => undefined));
    const channel = new RedisChannel({ publish });
    for (let n = 0; n < 1_100; n++) channel.send('b', 'x');
    assert.equal(publish.mock.callCount(), 1_000);
  });

  it('accepts only strings as messages, even from clients that also give bytes', async () => {
    const heard: string[] = [];
    const channel = new RedisChannel({ publish: async () => undefined });
    channel.listen((message) => heard.push(message));
    const subscribe = async (_to: string, listener: unknown): Promise<void> => {
      for (const message of [Buffer.from('bytes'), 'text'])
        (listener as (message: unknown) => void)(message);
    };
    await channel.subscribe({ subscribe });
    assert.deepEqual(heard, ['text']);
  });

  it('waits for messages that are being published before it closes', async () => {
    const done: string[] = [];
    const published = new EventEmitter();
    const publish = async (): Promise<void> => {
      await once(published, 'go');
      done.push('published');
    };
    const channel = new RedisChannel({ publish }, () => void done.push('closed'));
    channel.send('b', 'x');
    const closed = channel.close();
    published.emit('go');
    await closed;
    assert.deepEqual(done, ['published', 'closed']);
  });

  it('can be closed even if its subscriber was closed before', async () => {
    const channel = new RedisChannel({ publish: async () => undefined });
    await channel.subscribe({
      subscribe: async () => undefined,
      unsubscribe: () => Promise.reject(new Error('The client is closed')),
    });
    await channel.close();
  });

  it('leaves nothing behind on an ioredis client that another channel uses', async () => {
    const client = new EventEmitter() as EventEmitter & IoredisClient;
    client.subscribe = async () => undefined;
    const subscriber = fromIoredis(client);
    const [first, second] = [0, 1].map(() => new RedisChannel({ publish: async () => 0 }));
    assert.ok(first !== undefined && second !== undefined);
    for (const channel of [first, second]) await channel.subscribe(subscriber);
    const received: string[] = [];
    second.listen((message) => received.push(message));
    await first.close();
    client.emit('message', `layercode:process:${second.address}`, 'x');
    client.emit('message', 'another channel', 'y');
    assert.deepEqual(received, ['x']);
    await second.close();
    assert.equal(client.listenerCount('message'), 0);
  });
});

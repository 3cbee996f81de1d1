// What a channel over Redis holds in memory while the server does not answer. What it does on a
// real server is tested by the peers.

import assert from 'node:assert/strict';
import { EventEmitter, once } from 'node:events';
import { describe, it } from 'node:test';

import { RedisChannel } from '../../../src/conversations/stores/redis-channel.ts';

const MIB = 1_048_576;

describe('RedisChannel', () => {
  it('loses messages when too many characters wait for a server that does not answer', () => {
    let published = 0;
    const channel = new RedisChannel({
      publish: () => {
        published += 1;
        return new Promise(() => undefined);
      },
    });
    for (let n = 0; n < 100; n++) channel.send('b', 'x'.repeat(MIB));
    assert.equal(published, 8);
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
    const channel = new RedisChannel({
      publish: async (_address, message) => void published.push(message.slice(0, 1)),
    });
    for (let n = 0; n < 3; n++) {
      channel.send('b', 'x'.repeat(8 * MIB));
      await new Promise((resolve) => setImmediate(resolve));
    }
    assert.deepEqual(published, ['x', 'x', 'x']);
  });
});

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { RedisCluster } from '../../../src/conversations/stores/redis-cluster.ts';

describe('a Redis cluster', () => {
  it('says of an error whether it is that of one key, like a single server', () => {
    const asked = { slots: () => Promise.resolve([]), close: () => undefined };
    const cluster = new RedisCluster([], [], asked);
    const ofScript = 'ERR Error running script: @user_script:2: WRONGTYPE Operation against a key';
    for (const [message, isOfOne] of [
      ['WRONGTYPE Operation against a key holding the wrong kind of value', true],
      [ofScript, true],
      ['OOM command not allowed when used memory > maxmemory', false],
    ] as const) assert.equal(cluster.isOfOne(new Error(message)), isOfOne);
  });
});

// How a connection is opened again. What it does on a real server is tested by the peers.

import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';

import { soon } from '../../../../src/base/awaitable.ts';
import {
  RedisConnection, type RedisPackage,
} from '../../../../src/core/conversations/stores/redis-connection.ts';
import { parseRedisUrl } from '../../../../src/core/conversations/stores/redis-url.ts';
import { mockTimers } from '../../../fixtures/clock.ts';

function connecting(t: TestContext, url: string, redis: RedisPackage): RedisConnection {
  const connection = new RedisConnection(parseRedisUrl(url), undefined, redis);
  t.after(() => connection.close());
  return connection;
}

describe('RedisConnection', () => {
  it('pauses between attempts for at least 25 ms, doubling up to at least 1 s', async (t) => {
    const timers = mockTimers(t, ['setTimeout']);
    t.mock.method(Math, 'random', () => 0);
    let attempts = 0;
    const refuse = (): Promise<never> => Promise.reject(new Error('ECONNREFUSED'));
    const connection = connecting(t, 'redis://cache', {
      createClient() {
        attempts += 1;
        return {
          connect: refuse, subscribe: refuse, sendCommand: refuse,
          destroy: () => undefined, on: () => undefined,
        };
      },
    });
    await assert.rejects(connection.connect(), {
      message: 'there is no connection to Redis: ECONNREFUSED',
    });
    for (const pauseMs of [25, 50, 100, 200, 400, 800, 1_000, 1_000]) {
      const before = attempts;
      timers.tick(pauseMs - 1);
      await soon();
      assert.equal(attempts, before, `before ${pauseMs} ms`);
      timers.tick(1);
      await soon();
      assert.equal(attempts, before + 1, `after ${pauseMs} ms`);
    }
  });

  it('gives up on a silent server if it is watched, even if a command is waiting', async (t) => {
    const timers = mockTimers(t, ['setInterval']);
    let nowMs = 0;
    t.mock.method(performance, 'now', () => nowMs);
    const gone = new Error('gone');
    const waiting: (() => void)[] = [];
    const sendCommand = (): Promise<never> =>
      new Promise((_resolve, reject) => waiting.push(() => reject(gone)));
    const redis: RedisPackage = {
      createClient: () => ({
        connect: soon, subscribe: sendCommand, sendCommand, on: () => undefined,
        destroy: () => waiting.forEach((reject) => reject()),
      }),
    };
    const connection = connecting(t, 'redis://cache', redis);
    connection.watch();
    await connection.connect();
    const claim = assert.rejects(connection.command(['WAIT', '1', '400']), gone);
    for (; nowMs < 8_000; nowMs += 2_000) timers.tick(2_000);
    await claim;
  });

  it('asks the next sentinel if one does not answer', async (t) => {
    const timers = mockTimers(t, ['setTimeout']);
    const asked: string[] = [];
    const redis: RedisPackage = {
      createClient(options) {
        const { socket: { host } } = options as { socket: { host: string } };
        let lose = (): void => undefined;
        const never = (): Promise<never> => new Promise((_resolve, reject) => {
          lose = () => reject(new Error('destroyed'));
        });
        return {
          connect: soon, subscribe: never, on: () => undefined, destroy: () => lose(),
          async sendCommand() {
            asked.push(host);
            return host === 'silent' ? never() : ['server', '6379'];
          },
        };
      },
    };
    const connection = connecting(t, 'redis+sentinel://silent,other/main', redis);
    const connected = connection.connect();
    while (asked.length === 0) await soon();
    timers.tick(5_000);
    await connected;
    assert.deepEqual(asked, ['silent', 'other']);
  });
});

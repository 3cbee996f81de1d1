import assert from 'node:assert/strict';
import { EventEmitter } from 'node:events';
import { describe, it } from 'node:test';

import { RedisClaims } from '../../../../src/core/conversations/stores/redis-claims.ts';
import {
  fromIoredis, type RedisClient, type RedisScriptCall,
} from '../../../../src/core/conversations/stores/redis-client.ts';
import { RedisStore } from '../../../../src/core/conversations/stores/redis-store.ts';

// The script itself is tested on real servers: test/peers/redis.peer-test.ts.

interface SentCall extends RedisScriptCall {
  readonly command: 'eval' | 'evalSha';
  readonly script: string;
}

/** A client that gives these answers, one after the other. Errors are thrown. */
function answering(...answers: unknown[]): RedisClient & { readonly asked: readonly SentCall[] } {
  const asked: SentCall[] = [];
  const answer = async (): Promise<unknown> => {
    const next = answers.shift();
    if (next instanceof Error) throw next;
    return next;
  };
  return {
    asked,
    eval: (script, call) => (asked.push({ command: 'eval', script, ...call }), answer()),
    evalSha: (script, call) => (asked.push({ command: 'evalSha', script, ...call }), answer()),
    dbSize: answer,
    publish: answer,
  };
}

const change = { from: 'v1', to: 'v2', set: new Map([['head', '{}']]), remove: ['3'], ttlMs: 5 };

describe('RedisStore', () => {
  it('takes one round trip to read and one to write', async () => {
    const client = answering(1, ['@version', 'v1', 'head', '{}'], 1);
    const store = new RedisStore(client);
    assert.equal(await store.read('a', 'v1'), 'unchanged');
    assert.deepEqual(await store.read('a'), { version: 'v1', parts: new Map([['head', '{}']]) });
    assert.equal(await store.write('a', change), true);
    assert.deepEqual(client.asked.map(({ command }) => command), ['evalSha', 'evalSha', 'evalSha']);
  });

  it('sends the script to a server that does not know it, with the same arguments', async () => {
    const client = answering(new Error('NOSCRIPT No matching script.'), 1);
    assert.equal(await new RedisStore(client).write('a', change), true);
    const [first, second] = client.asked;
    assert.deepEqual([first?.command, second?.command], ['evalSha', 'eval']);
    assert.deepEqual(second?.arguments, first?.arguments);
    assert.deepEqual(second?.keys, first?.keys);
  });

  it('assumes an append-only file unless the server says that it has none', async () => {
    for (const [answer, keepsWriteLog] of [
      ['# Persistence\r\naof_enabled:0\r\naof_rewrites:1\r\n', false],
      ['# Persistence\r\naof_enabled:1\r\n', true],
      ['# Persistence\r\n', true],
      [new Error('NOPERM this user has no permissions to run the info command'), true],
    ] as const)
      assert.equal(await new RedisStore(answering(answer)).keepsWriteLog(), keepsWriteLog);
  });

  for (const [replicas, confirmed, isGone] of [
    [0, 0, false], [2, 2, true], [2, 1, false], [1, new Error('NOPERM'), false],
  ] as const)
    it(`says ${isGone} for an erasure if WAIT ${replicas} answers ${confirmed}`, async () => {
      const send = async (command: string[]): Promise<number> => {
        assert.deepEqual(command, ['WAIT', String(replicas), '2000']);
        if (confirmed instanceof Error) throw confirmed;
        return confirmed;
      };
      const client = answering(`role:master\r\nconnected_slaves:${replicas}\r\n`);
      const store = new RedisStore(client, undefined, undefined, send);
      assert.equal(await store.overwrite(), isGone);
    });

  it('does not try again after any other error', async () => {
    const failure = new Error('OOM command not allowed');
    const client = answering(failure);
    await assert.rejects(new RedisStore(client).write('a', change), failure);
    assert.equal(client.asked.length, 1);
  });

  for (const [id, key] of [
    ['3f2a-9.B_c', '3f2a-9.B_c'], ['', ''], ['a:b', 'a%003ab'], ['{a}', '%007ba%007d'],
    ['%003a', '%0025003a'], ['é\u0000👋', '%00e9%0000%d83d%dc4b'], ['\ud83d', '%d83d'],
    ['a*?[b]\r\n', 'a%002a%003f%005bb%005d%000d%000a'],
  ] as const)
    it(`keeps ${JSON.stringify(id)} under layercode:${key}`, async () => {
      const client = answering([]);
      await new RedisStore(client).read(id);
      assert.deepEqual(client.asked[0]?.keys, [`layercode:${key}`]);
    });

  const wrong = [null, 'OK', 2, [Buffer.from('head'), '1'], ['head', 1], ['head'], { a: 1 }];
  for (const reply of wrong)
    it(`says what is wrong with the answer ${JSON.stringify(reply)}`, async () => {
      const message = /^the Redis client must return lists of strings, got a /;
      const reading = new RedisStore(answering(reply)).read('a');
      await assert.rejects(reading, { name: 'TypeError', message });
    });

  it('asks for the epoch after a claim, on the connection of the claim', async () => {
    const sent: string[][] = [];
    const answers: unknown[] = [1, ['run 1', 0], 1];
    const connection = {
      command: async (command: string[]) => (sent.push(command), answers.shift()),
    };
    const claims = new RedisClaims(connection, { replicas: 1, isOnDisk: false });
    const store = new RedisStore(answering(), undefined, claims);
    const [isMade, epoch] = await Promise.all([
      store.write('a', { ...change, isClaim: true }), store.epoch(true),
    ]);
    assert.deepEqual([isMade, epoch], [true, { id: 'run 1', restMs: 0 }]);
    const names = sent.map(([name, , , key = '']) => `${name} ${key}`);
    assert.deepEqual(names, ['EVAL layercode:a', 'EVAL layercode:%0009epoch', 'WAIT ']);
  });

  it('counts what the database holds', async () => {
    assert.equal(await new RedisStore(answering(12)).count(), 12);
  });

  it('closes its client if it is told how, and otherwise leaves it open', async () => {
    let closed = 0;
    const close = (): void => void (closed += 1);
    for (const store of [new RedisStore(answering(), close), new RedisStore(answering())])
      await store.close();
    assert.equal(closed, 1);
  });
});

describe('fromIoredis', () => {
  it('passes on keys and arguments one by one', async () => {
    const calls: unknown[] = [];
    const messages = new EventEmitter();
    const client = fromIoredis({
      eval: async (...args) => calls.push(['eval', ...args]),
      evalsha: async (...args) => calls.push(['evalsha', ...args]),
      dbsize: async () => 3,
      publish: async (...args) => calls.push(['publish', ...args]),
      subscribe: async (channel) => calls.push(['subscribe', channel]),
      on: (event, listener) => messages.on(event, listener),
    });
    await client.eval('return 1', { keys: ['k'], arguments: ['a', 'b'] });
    await client.evalSha('ff', { keys: ['k'], arguments: ['a', 'b'] });
    await client.publish('c', 'm');
    await client.subscribe('c', () => undefined);
    assert.deepEqual(calls, [
      ['eval', 'return 1', 1, 'k', 'a', 'b'], ['evalsha', 'ff', 1, 'k', 'a', 'b'],
      ['publish', 'c', 'm'], ['subscribe', 'c'],
    ]);
    assert.equal(await client.dbSize(), 3);
  });
});

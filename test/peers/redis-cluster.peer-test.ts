// `layercode-microserver calls` over all nodes of real clusters. Needs `npm ci` in this folder, and
// Debian's packages of the servers, which `.ci/run` installs.

import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { describe, it, type TestContext } from 'node:test';

import { openStore } from '../../src/conversations/stores/open-store.ts';
import type { RedisClient } from '../../src/conversations/stores/redis-client.ts';
import { openRedisChannel } from '../../src/conversations/stores/redis-open.ts';
import { slotOf } from '../../src/conversations/stores/redis-slots.ts';
import { calls } from '../../src/kit/commands/calls.ts';
import { createLogger } from '../../src/log.ts';
import type { CallRecord } from '../../src/records/call-record.ts';
import { openCallArchive } from '../../src/records/open-call-records.ts';
import { parseSettings } from '../../src/settings/parse-settings.ts';
import { until } from '../fixtures/app.ts';
import { PEERS } from '../fixtures/pages.ts';
import { isMissing, REDIS_PROGRAMS, RedisServer } from '../fixtures/redis-server.ts';
import { RecordedTerminal } from '../kit/terminal/recorded-terminal.ts';

interface ClusterClient extends RedisClient {
  connect(): Promise<unknown>;
  destroy(): void;
  on(event: 'error', listener: (error: Error) => void): this;
}

const require = createRequire(join(PEERS, 'package.json'));
const { createCluster } = require('redis') as {
  createCluster: (options: { rootNodes: { url: string }[] }) => ClusterClient;
};
const log = createLogger({ level: 'silent', write: () => undefined });

const ALICE = '+15550100';
const BOB = '+15550199';
/** Enough that each node has some of each kind. */
const COUNT = 24;

function recordOf(n: number, from: string): CallRecord {
  const startedAt = `2026-11-25T12:00:${String(n).padStart(2, '0')}.000Z`;
  return {
    format: 1, conversationId: `c-${n}`, sessionId: `s-${n}`, agent: 'echo', from, startedAt,
    endedAt: startedAt, durationMs: 1_000, outcome: 'ended', tokens: { input: 1, output: 1 },
    turns: [],
  };
}

interface Filled {
  readonly nodes: readonly [RedisServer, RedisServer];
  run(url: string, ...argv: string[]): Promise<{ readonly out: string; readonly error: string }>;
}

/**
 * A cluster of two with Alice's calls, of which every second one has lost its record, and one call
 * of Bob's; kept by a server through a client of its own.
 */
async function filled(t: TestContext, program: (typeof REDIS_PROGRAMS)[number]): Promise<Filled> {
  const nodes = await RedisServer.startCluster(program);
  t.after(() => Promise.all(nodes.map((node) => node.remove())));
  for (const node of nodes)
    await node.command('CONFIG', 'SET', 'cluster-require-full-coverage', 'no');
  const redis = createCluster({ rootNodes: [{ url: nodes[0].url }] });
  redis.on('error', () => undefined);
  await redis.connect();
  const settings = parseSettings({ CALL_RECORDS: 'store', CONVERSATION_STORE: nodes[0].url }, []);
  const store = await openStore(settings, { log, redis });
  const archive = await openCallArchive(settings, { log, redis });
  assert.ok(archive !== undefined);
  for (let n = 0; n <= COUNT; n += 1) {
    const from = n < COUNT ? ALICE : BOB;
    await store.update(`c-${n}`, (conversation) => {
      conversation.turns.push({
        id: 't', state: 'completed', runId: 1, words: 'Hello', reply: 'Hi',
      });
      conversation.caller = { sessionId: `s-${n}`, from, to: '+2' };
    });
    if (n % 2 === 1) continue;
    const key = { conversationKey: `c-${n}`, sessionId: `s-${n}` };
    await archive.keep(key, recordOf(n, from));
  }
  await store.close();
  await archive.close();
  redis.destroy();
  return {
    nodes,
    async run(url, ...argv) {
      const environment = { CALL_RECORDS: 'store', CONVERSATION_STORE: url };
      const terminal = new RecordedTerminal(environment, PEERS);
      const error = await calls.run(argv, terminal).then(() => '', ({ message }: Error) => message);
      return { out: terminal.out, error };
    },
  };
}

for (const program of REDIS_PROGRAMS) {
  const options = { skip: isMissing(program), timeout: 60_000 };
  describe(`calls in a cluster of ${program}`, options, () => {
    it('are all listed, whichever node is named', async (t) => {
      const { nodes, run } = await filled(t, program);
      for (const { url } of nodes) {
        const { out, error } = await run(url, 'list');
        assert.equal(error, '');
        assert.equal(out.match(/ s-\d+ /g)?.length, COUNT / 2 + 1);
      }
    });

    it('are erased by number on every node, without a record too, and marked', async (t) => {
      const { nodes, run } = await filled(t, program);
      const server = await openRedisChannel(nodes[0].url, { directory: PEERS, log });
      t.after(() => server.close());
      const told = new Set<string>();
      server.listen((text) => told.add(text));
      const { out, error } = await run(nodes[1].url, 'erase', '--from', ALICE);
      assert.equal(error, '');
      assert.equal(out.match(/^erased the record of session /gm)?.length, COUNT / 2);
      assert.equal(out.match(/^erased the conversation c-\d+$/gm)?.length, COUNT);
      assert.doesNotMatch(out, /c-24|s-24/);
      const own = nodes.map(async (node) => {
        const [keys, versions] = [await node.command('KEYS', '*'), new Map<string, string>()];
        for (const key of keys.split('\n').filter((one) => /:c-\d+$/.test(one)))
          versions.set(key, await node.command('HGET', key, '@version'));
        return versions;
      });
      const [lower = new Map<string, string>(), upper = new Map<string, string>()] =
        await Promise.all(own);
      assert.ok(lower.size > 1 && upper.size > 1, 'one node has it all');
      const unmarked = [...lower, ...upper].filter(([, version]) => !version.startsWith('~'));
      assert.deepEqual(unmarked.map(([key]) => key), ['layercode:c-24']);
      assert.equal(lower.size + upper.size, COUNT + 1);
      const { out: left } = await run(nodes[0].url, 'list');
      assert.deepEqual(left.match(/ s-\d+ /g), [' s-24 ']);
      await until(() => told.size === COUNT, 'a message for each');
      assert.ok(told.has('{"type":"erased","conversationId":"c-0"}'));
    });

    it('are said to be in the append-only file, if a node keeps one', async (t) => {
      const { nodes, run } = await filled(t, program);
      assert.doesNotMatch((await run(nodes[0].url, 'erase', 'c-0')).out, /append-only/);
      await nodes[1].command('CONFIG', 'SET', 'appendonly', 'yes');
      const { out, error } = await run(nodes[0].url, 'erase', 'c-2');
      assert.equal(error, '');
      assert.match(out, /^ {2}Redis' append-only file, .*BGREWRITEAOF/m);
    });

    it('are erased though two keys hold something else, which are named', async (t) => {
      const { nodes, run } = await filled(t, program);
      for (const key of ['layercode:x', 'layercode:call%0009x']) {
        const node = nodes[slotOf(key) < 8_192 ? 0 : 1];
        await node.command('SET', key, 'not a hash');
      }
      const { out, error } = await run(nodes[0].url, 'erase', '--from', ALICE);
      assert.match(error, /^not everything is erased/);
      assert.equal(out.match(/^erased the conversation c-\d+$/gm)?.length, COUNT);
      assert.equal(out.match(/^erased the record of session /gm)?.length, COUNT / 2);
      assert.match(out, /^ {2}what is stored as "x" cannot be used: .*WRONGTYPE/m);
      assert.match(out, /^ {2}what is stored as "call\\tx" cannot be used: .*WRONGTYPE/m);
    });

    it('of a node that is down are named as not reached, and the others are erased', async (t) => {
      const { nodes, run } = await filled(t, program);
      await nodes[1].kill();
      const lost = new RegExp(
        `the node 127\\.0\\.0\\.1:${nodes[1].port} of the cluster failed: .*ECONNREFUSED`,
      );
      const listed = await run(nodes[0].url, 'list');
      assert.match(listed.error, lost);
      const here = listed.out.match(/ s-\d+ /g) ?? [];
      assert.ok(here.length > 1 && here.length < COUNT / 2);
      const { out, error } = await run(nodes[0].url, 'erase', '--from', ALICE);
      assert.equal(error, 'not everything is erased: run this again when the store works');
      const [done = '', rest = ''] = out.split('not reached:\n');
      assert.ok((done.match(/^erased the conversation /gm)?.length ?? 0) > 1);
      assert.match(rest, lost);
      const { out: left } = await run(nodes[0].url, 'list');
      const kept = (left.match(/ c-\d+ /g) ?? []).map((id) => id.trim());
      assert.ok(kept.length > 1, 'no record names a conversation of the other node');
      for (const id of kept) assert.ok(id === 'c-24' || slotOf(`layercode:${id}`) >= 8_192, id);
    });

    it('of a cluster that moves slots meanwhile are not taken for all', async (t) => {
      const { nodes, run } = await filled(t, program);
      const slot = String(slotOf('layercode:c-0'));
      const [source, target] = Number(slot) < 8_192 ? nodes : [nodes[1], nodes[0]];
      const moving = async (to: RedisServer, state: string, from: RedisServer): Promise<string> =>
        to.command('CLUSTER', 'SETSLOT', slot, state, await from.command('CLUSTER', 'MYID'));
      await moving(target, 'IMPORTING', source);
      await moving(source, 'MIGRATING', target);
      const port = String(target.port);
      await source.command('MIGRATE', '127.0.0.1', port, 'layercode:c-0', '0', '1000');
      const { out, error } = await run(nodes[0].url, 'erase', 'c-0');
      assert.match(error, /^not everything is erased/);
      assert.match(out, /^ {2}the cluster moves slots to other nodes; run this again when/m);
    });
  });
}

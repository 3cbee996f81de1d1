// What happens when Redis or Valkey fails, on real servers through the real client. Needs `npm ci`
// in this folder, and Debian's packages of the servers, which `.ci/run` installs.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { describe, it, type TestContext } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';

import { noLog } from '../../src/base/log.ts';
import { setState } from '../../src/core/conversations/agent-state.ts';
import { openRedisStore } from '../../src/core/conversations/stores/redis-open.ts';
import type { RedisStore } from '../../src/core/conversations/stores/redis-store.ts';
import { SharedStore } from '../../src/core/conversations/stores/shared-store.ts';
import { openTurn } from '../../src/core/conversations/turn-opening.ts';
import { settleTurn } from '../../src/core/conversations/turn-settlement.ts';
import { CuttingProxy } from '../fixtures/cutting-proxy.ts';
import { newFolder } from '../fixtures/folder.ts';
import { recordLog, type RecordedLog } from '../fixtures/kernel.ts';
import { PEERS } from '../fixtures/pages.ts';
import { freePort, isMissing, REDIS_PROGRAMS, RedisServer } from '../fixtures/redis-server.ts';

const BOUNDS = { maxMessages: 200, maxTextLength: 1_048_576 };
const SECRET = 'tipsy-parrot';
/** Longer than the default: busy machines make any server slow. */
const TIMEOUT_MS = 1_000;

const FAILED = 'the conversation store failed; calls continue from memory';
const BACK = 'the conversation store answers again';
const LATER = 'the conversation store cannot be reached yet';

interface Opened {
  readonly parts: RedisStore;
  readonly store: SharedStore;
  readonly lines: RecordedLog;
}

async function open(t: TestContext, url: string): Promise<Opened> {
  const lines = recordLog({ level: 'info' });
  const parts = await openRedisStore(url, { directory: PEERS, log: lines.log });
  const store = new SharedStore(parts, {
    ttlMs: 3_600_000,
    maxRemembered: 1_000,
    timeoutMs: TIMEOUT_MS,
    log: lines.log,
  });
  t.after(() => store.close());
  return { parts, store, lines };
}

type Act = (server: RedisServer) => unknown;

/** Takes one turn in the conversation, from its words to its reply. */
async function talk({ store }: Opened, id: string, text: string): Promise<void> {
  const runId = 1;
  await store.update(id, (conversation) =>
    openTurn(conversation, { turnId: text, runId, text }, BOUNDS));
  await store.update(id, (conversation) =>
    settleTurn(conversation, {
      turnId: text,
      runId,
      state: 'completed',
      messages: [{ role: 'assistant', content: `${text}?`, turnId: text, state: 'completed' }],
    }, BOUNDS));
}

/** What a server has received and sent so far. */
async function bytesAt(server: RedisServer): Promise<number> {
  const stats = await server.command('INFO', 'stats');
  const all = stats.matchAll(/^total_net_(?:in|out)put_bytes:(\d+)/gm);
  return [...all].reduce((sum, [, bytes]) => sum + Number(bytes), 0);
}

/** What the database itself holds of the conversation, whatever a process remembers. */
async function turnsIn({ parts }: Opened, id: string): Promise<string[]> {
  const found = await parts.read(id);
  assert.ok(found !== 'unchanged');
  return [...(found?.parts ?? [])]
    .filter(([name]) => name !== 'head')
    .sort(([a], [b]) => Number(a) - Number(b))
    .map(([, text]) => {
      const { id: turnId, state } = JSON.parse(text) as { id: string; state: string };
      return `${turnId} ${state}`;
    });
}

/** Conversations on a server whose connections can be cut. */
async function behindProxy(
  t: TestContext, { port }: RedisServer,
): Promise<{ readonly proxy: CuttingProxy; readonly opened: Opened }> {
  const proxy = await CuttingProxy.open(port, t);
  return { proxy, opened: await open(t, `redis://127.0.0.1:${proxy.port}`) };
}

for (const program of REDIS_PROGRAMS) {
  const start = (t: TestContext, ...args: string[]): Promise<RedisServer> =>
    RedisServer.startFor(t, program, args);

  describe(`conversations in ${program}`, { skip: isMissing(program), timeout: 60_000 }, () => {
    it('send hardly more bytes with a long state to which each turn adds an item', async (t) => {
      const server = await start(t);
      const both = [await open(t, server.url), await open(t, server.url)];
      const cart = (items: number): string =>
        JSON.stringify({ items: Array.from({ length: items }, (_, n) => ({ n, dish: 'pizza' })) });
      let turns = 0;
      /** The bytes of twelve turns, taken by both processes in turn. */
      const bytesOfTurns = async (id: string, items?: number): Promise<number> => {
        const before = await bytesAt(server);
        for (let n = 0; n < 12; n++) {
          const opened = both[n % 2] ?? assert.fail();
          await talk(opened, id, `turn ${(turns += 1)}`);
          if (items === undefined) continue;
          await opened.store.update(id, (conversation) =>
            setState(conversation, cart(items + n)));
        }
        return ((await bytesAt(server)) - before) / 12;
      };
      await bytesOfTurns('plain');
      await bytesOfTurns('long', 2_800);
      const [plain, long] = [await bytesOfTurns('plain'), await bytesOfTurns('long', 2_812)];
      assert.ok(cart(2_800).length > 60_000);
      assert.ok(long - plain < 1_000, `${plain} and ${long} bytes`);
    });

    for (const [what, fail, heal] of [
      ['is killed', (server) => server.kill(), (server) => server.start()], // with nothing in it
      ['is frozen', (server) => server.freeze(), (server) => server.thaw()],
      ['has no room', (server) => server.command('CONFIG', 'SET', 'maxmemory', '1'),
        (server) => server.command('CONFIG', 'SET', 'maxmemory', '0')],
    ] satisfies (readonly [what: string, fail: Act, heal: Act])[])
      it(`go on from memory if the server ${what}, and are written afterwards`, async (t) => {
        const server = await start(t, '--maxmemory-policy', 'noeviction');
        const opened = await open(t, server.url);
        await talk(opened, 'a', 'One');
        await fail(server);
        const before = performance.now();
        await talk(opened, 'a', 'Two');
        const took = performance.now() - before;
        assert.ok(took < 2 * TIMEOUT_MS, 'one timeout, not one for each command');
        const [failed] = await opened.lines.wait(FAILED);
        assert.notEqual(failed?.['error'], undefined);
        assert.equal(opened.store.health().isDegraded, true);
        await heal(server);
        await opened.lines.wait(BACK);
        assert.equal(opened.store.health().turnsWaiting, 0);
        assert.deepEqual(await turnsIn(opened, 'a'), ['One completed', 'Two completed']);
      });

    it('reach another server that has taken over the address of a frozen one', async (t) => {
      const [frozen, other] = [await start(t), await start(t)];
      const { proxy, opened } = await behindProxy(t, frozen);
      frozen.freeze();
      await talk(opened, 'a', 'One');
      proxy.target = other.port;
      await opened.lines.wait(BACK);
      assert.deepEqual(await turnsIn(opened, 'a'), ['One completed']);
    });

    it('count a write as done if only its answer was lost', async (t) => {
      const { proxy, opened } = await behindProxy(t, await start(t));
      proxy.isSwallowing = true;
      await talk(opened, 'a', 'One');
      assert.equal(opened.store.health().isDegraded, true);
      proxy.isSwallowing = false;
      proxy.cut();
      await opened.lines.wait(BACK);
      assert.deepEqual(await turnsIn(opened, 'a'), ['One completed']);
    });

    it('reconnect after a cut', async (t) => {
      const { proxy, opened } = await behindProxy(t, await start(t));
      for (const text of ['One', 'Two', 'Three']) {
        proxy.cut();
        await talk(opened, 'a', text);
      }
      const { store } = opened;
      while (store.health().isDegraded || store.health().turnsWaiting > 0) await sleep(10);
      assert.deepEqual(await turnsIn(opened, 'a'), [
        'One completed', 'Two completed', 'Three completed',
      ]);
    });

    it('follow the address to another server once theirs is a replica', async (t) => {
      const [server, other] = [await start(t), await start(t)];
      const { proxy, opened } = await behindProxy(t, server);
      await server.command('REPLICAOF', '127.0.0.1', String(other.port));
      proxy.target = other.port;
      await talk(opened, 'a', 'One');
      await opened.lines.wait(BACK);
      assert.equal(await other.command('DBSIZE'), '1');
      assert.deepEqual(await turnsIn(opened, 'a'), ['One completed']);
    });

    it('follow their sentinels to the replica when the server fails', async (t) => {
      const primary = await start(t);
      const replica = await start(t, '--replicaof', `127.0.0.1 ${primary.port}`);
      const sentinel = await RedisServer.watch(program, primary);
      t.after(() => sentinel.remove());
      const hosts = [await freePort(), sentinel.port].map((port) => `127.0.0.1:${port}`);
      const opened = await open(t, `redis+sentinel://${hosts.join(',')}/main`);
      await talk(opened, 'a', 'One');
      await primary.command('WAIT', '1', '5000');
      // A sentinel asks for the replicas only now and then.
      const known = (): Promise<string> => sentinel.command('SENTINEL', 'REPLICAS', 'main');
      while (!(await known()).includes(String(replica.port))) await sleep(50);
      await primary.kill();
      await talk(opened, 'a', 'Two');
      await opened.lines.wait(BACK);
      assert.notEqual(await replica.command('DBSIZE'), '0');
      assert.deepEqual(await turnsIn(opened, 'a'), ['One completed', 'Two completed']);
    });

    it('queue a limited number of commands while the server is down', async (t) => {
      const server = await start(t);
      const { proxy, opened: { parts } } = await behindProxy(t, server);
      server.freeze();
      const waiting = Array.from({ length: 10_000 }, () => parts.read('a'));
      for (const command of waiting) command.catch(() => undefined);
      await assert.rejects(parts.read('a'), /^Error: The queue is full$/);
      proxy.cut();
      const settled = await Promise.allSettled(waiting);
      assert.ok(settled.every(({ status }) => status === 'rejected'));
      await assert.rejects(parts.read('a'), { name: 'StoreError' });
      assert.ok(proxy.connections <= 1);
    });

    it('begin without the server, and are written once it is up', async (t) => {
      const port = await freePort();
      const opened = await open(t, `redis://:${SECRET}@127.0.0.1:${port}`);
      await opened.lines.wait(LATER);
      await talk(opened, 'a', 'One');
      const server = await start(t, '--port', String(port), '--requirepass', SECRET);
      assert.ok(server);
      await opened.lines.wait(BACK);
      assert.deepEqual(await turnsIn(opened, 'a'), ['One completed']);
      assert.equal(opened.lines.text().includes(SECRET), false);
    });

    describe('are refused at start-up', () => {
      const refused = async (url: string, problem: RegExp): Promise<void> => {
        const { log, text } = recordLog({ level: 'info' });
        await assert.rejects(openRedisStore(url, { directory: PEERS, log }), (error: Error) => {
          assert.equal(error.name, 'StoreError');
          assert.match(error.message, problem);
          assert.equal(error.message.includes('tipsy'), false);
          return true;
        });
        assert.equal(text(), '');
      };

      const acl = ['--user', 'tipsy', 'on', '>pw', '~*', '+@all', '-hset'];
      for (const [what, args, login, problem] of [
        ['a wrong password', ['--requirepass', 'another'], `:${SECRET}@`, /: WRONGPASS /],
        ['a missing password', ['--requirepass', 'another'], '', /: NOAUTH /],
        ['a password that is not set', [], `x:${SECRET}@`, /: WRONGPASS /],
        ['a user who is not allowed to write', acl, 'tipsy:pw@', /: .*permissions/],
      ] as const)
        it(`for ${what}`, async (t) => {
          const { port } = await start(t, ...args);
          const serving = new RegExp(`refuses commands${problem.source}`);
          await refused(`redis://${login}127.0.0.1:${port}`, serving);
        });

      it('for a database that does not exist, and for a replica', async (t) => {
        const primary = await start(t);
        await refused(`${primary.url}/99`, /refuses commands: ERR DB index is out of range/);
        const { url } = await start(t, '--replicaof', `127.0.0.1 ${primary.port}`);
        await refused(url, /refuses commands: READONLY /);
      });

      it('for a node of a cluster', async (t) => {
        const nodes = await RedisServer.startCluster(program);
        t.after(() => Promise.all(nodes.map((node) => node.remove())));
        await refused(nodes[1].url, /^the CONVERSATION_STORE server .*: it is a node of a cluster, which/);
      });
    });

    it('are kept over TLS, with the certificates that the URL names', async (t) => {
      const folder = newFolder();
      const [cert, key] = [join(folder, 'cert.pem'), join(folder, 'key.pem')];
      execFileSync('openssl', [
        ...'req -x509 -nodes -days 1 -newkey ec -pkeyopt ec_paramgen_curve:P-256'.split(' '),
        ...'-subj /CN=localhost -addext subjectAltName=IP:127.0.0.1'.split(' '),
        ...['-keyout', key, '-out', cert],
      ], { stdio: 'ignore' });
      const port = await freePort();
      await start(
        t,
        ...['--tls-port', String(port), '--tls-cert-file', cert, '--tls-key-file', key],
        ...['--tls-ca-cert-file', cert],
      );
      const url = `rediss://127.0.0.1:${port}/0`;
      const opened = await open(t, `${url}?ca=${cert}&cert=${cert}&key=${key}`);
      await talk(opened, 'a', 'One');
      assert.deepEqual(await turnsIn(opened, 'a'), ['One completed']);
      const distrustful = await open(t, url);
      await distrustful.lines.wait(LATER);
      assert.match(distrustful.lines.text(), /self-signed certificate/);
      await assert.rejects(open(t, `${url}?ca=${folder}/none.pem`), {
        name: 'StoreError',
        message: 'CONVERSATION_STORE: ca=… cannot be read: ENOENT',
      });
    });

    it('need only the permissions that docs/deploy.md lists', async (t) => {
      const acl = '--user bot on >pw ~layercode:* +eval +evalsha +dbsize +info +time +hget +hmget'
        + ' +hgetall +hset +hdel +del +pexpire +select +client|setinfo'; // as in docs/deploy.md
      const { port } = await start(t, ...acl.split(' '));
      const opened = await open(t, `redis://bot:pw@127.0.0.1:${port}/1`);
      await talk(opened, 'a', 'One');
      assert.deepEqual(await turnsIn(opened, 'a'), ['One completed']);
      assert.equal(await opened.store.count(), 2); // including the key of the epoch
      assert.equal(opened.store.health().failures, 0);
    });

    for (const isTold of [true, false])
      it(`are known to be lost after FLUSHALL, ${isTold ? 'with' : 'without'} INFO`, async (t) => {
        const may = `--user bot on >pw ~layercode:* +@all ${isTold ? '' : '-info'}`;
        const server = await start(t, ...may.trim().split(' '));
        const { parts, lines } = await open(t, `redis://bot:pw@127.0.0.1:${server.port}`);
        const before = await parts.epoch();
        await server.command('FLUSHALL');
        const after = await parts.epoch();
        assert.notEqual(after.id, before.id);
        assert.ok(after.restMs > 2_500, `${after.restMs} ms`);
        assert.equal(lines.text().includes('does not report its run_id'), !isTold);
      });
  });
}

describe('the package redis', () => {
  it('is reported as missing, with the command that installs it', async () => {
    const directory = newFolder();
    await assert.rejects(openRedisStore('redis://x', { directory, log: noLog() }), {
      name: 'StoreError',
      message:
        `CONVERSATION_STORE=redis://… needs the package redis in ${directory}: npm install redis@6`,
    });
  });
});

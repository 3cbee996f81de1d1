// Records of calls: the built server makes them, the built command reads and erases them.

import assert from 'node:assert/strict';
import { mkdirSync, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, it } from 'node:test';

import { createTestClient } from '../../../src/kit/test-client.ts';
import { SECRET, Workplace, type SpawnedServer } from '../../fixtures/spawned-server.ts';
import { WITHOUT_SQLITE } from '../../fixtures/sqlite.ts';
import { assertEnds, stop } from './server-end.ts';

const CLI = join(import.meta.dirname, '../../../dist/cli.js');

const workplace = new Workplace();
afterEach(() => workplace.clear());

function serve(environment: Readonly<Record<string, string>>): SpawnedServer {
  const env = { NODE_ENV: 'production', DRAIN_DELAY_SECONDS: '0', AGENT: 'echo' };
  return workplace.spawn({ env: { ...env, LAYERCODE_WEBHOOK_SECRET: SECRET, ...environment } });
}

/** A call with one turn, over connections of its own. */
async function call(url: string, id: string): Promise<void> {
  await say(url, id);
  await end(url, id);
}

/** One turn of a call. */
async function say(url: string, id: string, turn = `t-${id}`): Promise<void> {
  const message = { type: 'message', turn_id: turn, text: `Hello from ${id}` };
  await post(url, id, message);
}

function end(url: string, id: string): Promise<void> {
  return post(url, id, { type: 'session.end' });
}

async function post(url: string, id: string, event: object): Promise<void> {
  const caller = createTestClient(url, { secret: SECRET, conversationId: id });
  const ids = { session_id: `s-${id}`, conversation_id: id };
  const response = await caller.post({ ...event, ...ids });
  assert.equal(response.status, 200);
  await response.text();
}

/** What the command prints, and its exit code. */
async function calls(
  argv: readonly string[], env: Readonly<Record<string, string>>,
): Promise<{ readonly code: number | null; readonly stdout: string; readonly stderr: string }> {
  const command = workplace.spawn({ server: CLI, argv: ['calls', ...argv], env });
  const { code } = await command.exit;
  return { code, stdout: command.stdout, stderr: command.stderr };
}

/** The callers' words in all records. */
function wordsIn(stdout: string): string[] {
  return [...stdout.matchAll(/"content":"(Hello from [^"]*)"/g)].map(([, words = '']) => words);
}

const LIMIT = { timeout: 30_000 };
const FILE = { CALL_RECORDS: 'file:records/calls.jsonl' };

describe('the server with CALL_RECORDS=file:…', () => {
  beforeEach(() => mkdirSync(join(workplace.directory, 'records')));

  it('leaves records for the command even if it stops right after a call', LIMIT, async () => {
    const server = serve(FILE);
    await call(await server.url(), 'c-1');
    await stop(server);
    const [name = ''] = readdirSync(join(workplace.directory, 'records'));
    assert.match(name, /^calls-\d{4}-\d\d-\d\d\.jsonl$/);
    assert.equal(statSync(join(workplace.directory, 'records', name)).mode & 0o777, 0o600);
    const { code, stdout, stderr } = await calls(['export'], FILE);
    assert.deepEqual([code, stderr, wordsIn(stdout)], [0, '', ['Hello from c-1']]);
    assert.doesNotMatch(server.stdout, /Hello from/);
  });

  it('leaves one of a call that has not ended when the server is stopped', LIMIT, async () => {
    const server = serve(FILE);
    await say(await server.url(), 'c-1');
    await stop(server);
    const { stdout } = await calls(['export'], FILE);
    assert.match(stdout, /^[^\n]*"outcome":"not reported"[^\n]*\n$/);
  });

  it('lets a record be erased while it is running, and writes more', LIMIT, async () => {
    const server = serve(FILE);
    const url = await server.url();
    for (const id of ['c-1', 'c-2']) await call(url, id);
    // records are written a little later
    while (wordsIn((await calls(['export'], FILE)).stdout).length < 2);
    const { code, stdout } = await calls(['erase', 'c-1'], FILE);
    assert.equal(code, 1, 'the server still remembers the conversation');
    assert.match(stdout, /^erased the record of session s-c-1$/m);
    await call(url, 'c-3');
    await stop(server);
    const left = await calls(['export'], FILE);
    assert.deepEqual(wordsIn(left.stdout), ['Hello from c-2', 'Hello from c-3']);
  });
});

describe('the server with CALL_RECORDS=store', () => {
  it('refuses the memory store, and says why', LIMIT, async () => {
    const server = serve({ CALL_RECORDS: 'store' });
    await assertEnds(server, 1);
    assert.equal(
      server.stderr,
      'layercode-microserver: CALL_RECORDS must be file:<path>: conversations in memory are '
        + 'lost with the process, and records would be too; or set CONVERSATION_STORE, for example '
        + 'to sqlite:calls.db (Node 22.13 or later)\n',
    );
  });

  const STORE = { CALL_RECORDS: 'store', CONVERSATION_STORE: 'sqlite:calls.db' };
  const SQLITE = { ...LIMIT, skip: WITHOUT_SQLITE };

  it('records whole calls even if their events reach several workers', SQLITE, async () => {
    const server = serve({ ...STORE, WORKERS: '2' });
    const { url } = await server.line('listening');
    const names = Array.from({ length: 8 }, (_, n) => `c-${n}`);
    await Promise.all(names.map((id) => call(String(url), id)));
    await stop(server);
    const { stdout } = await calls(['export'], STORE);
    assert.deepEqual(wordsIn(stdout).sort(), names.map((id) => `Hello from ${id}`));
    assert.equal(stdout.match(/"firstSpeechMs":/g)?.length, names.length);
  });

  it('keeps one record of a call that goes on at the next server', SQLITE, async () => {
    const found: string[] = [];
    const steps: readonly ((url: string) => Promise<void>)[] = [
      (url) => say(url, 'c-1', 't-1'), (url) => say(url, 'c-1', 't-2'), (url) => end(url, 'c-1'),
    ];
    for (const step of steps) {
      const server = serve(STORE);
      await step(await server.url());
      await stop(server);
      const { stdout } = await calls(['export'], STORE);
      const [, outcome] = /"outcome":"([^"]*)"/.exec(stdout) ?? [];
      found.push(`${wordsIn(stdout).length} ${outcome}, ${stdout.split('\n').length - 1} record`);
    }
    assert.deepEqual(found, [
      '1 not reported, 1 record', '2 not reported, 1 record', '2 ended, 1 record',
    ]);
  });

  it('keeps a record even if it is killed, until the conversation is erased', SQLITE, async () => {
    const server = serve(STORE);
    await call(await server.url(), 'c-1');
    while (wordsIn((await calls(['export'], STORE)).stdout).length < 1);
    server.kill('SIGKILL');
    await server.exit;
    const { code, stdout } = await calls(['erase', 'c-1'], STORE);
    assert.equal(code, 0);
    assert.match(stdout, /^erased the conversation c-1\nerased the record of session s-c-1\n/);
    const again = await calls(['erase', 'c-1'], STORE);
    assert.equal(again.code, 1);
    assert.match(again.stderr, /nothing is known here about "c-1"/);
  });
});

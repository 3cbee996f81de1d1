// The servers of docs/mounting.md as processes, on the real frameworks. Needs `npm ci` in this
// folder.

import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { isBuiltin } from 'node:module';
import { join } from 'node:path';
import { describe, it, type TestContext } from 'node:test';

import { createTestClient, type TestClient } from 'layercode-microserver/testing';

import { Listener, within } from '../fixtures/app.ts';
import { codeBlocks, wholeFiles, writeProject } from '../fixtures/pages.ts';
import { SECRET, SpawnedServer } from '../fixtures/spawned-server.ts';

const PAGE = 'docs/mounting.md';
const SLOW_MS = 10_000;

/** Says a word, and the rest only when the caller has gone. */
const AGENT = `
import { defineAgent } from 'layercode-microserver';

export default defineAgent({
  name: 'half-said',
  async *onMessage({ text, signal }) {
    yield \`You said: \${text}\`;
    if (text !== 'Wait.') return;
    await new Promise((resolve) => signal.addEventListener('abort', resolve));
  },
});
`;

const pageFiles = new Map(
  [false, true].flatMap((needsPeers) => [...wholeFiles({ needsPeers })]).filter(([name]) =>
    codeBlocks.some(({ page, file }) => page === PAGE && file === name),
  ),
);
const expressServer = pageFiles.get('express-server.js') ?? '';
const [mountLine = 'none'] = /web\.use\(voice\.handle\);.*\n/.exec(expressServer) ?? [];
const parserLine = 'web.use(express.json());\n';
const [keepsBytes = ''] = codeBlocks
  .filter(({ page, text }) => page === PAGE && text.includes('verify:'))
  .map(({ text }) => text);
const [mounts = ''] = codeBlocks
  .filter(({ page, text }) => page === PAGE && text.includes("web.use('/voice'"))
  .map(({ text }) => text);

const withoutMount = expressServer.replace(mountLine, '');
const variants = new Map([
  ['half-said.js', AGENT],
  ['parses-first.js', withoutMount.replace(parserLine, parserLine + mountLine)],
  ['keeps-bytes.js', withoutMount.replace(parserLine, keepsBytes + mountLine)],
  ['below-a-path.js', expressServer.replace(mountLine, mounts)],
]);

const project = writeProject(new Map([...pageFiles, ...variants]), { withPeers: true });

interface Mounted {
  readonly server: SpawnedServer;
  readonly origin: string;
  readonly client: TestClient;
}

async function start(
  t: TestContext,
  file: string,
  environment: Readonly<Record<string, string>> = {},
): Promise<Mounted> {
  const server = new SpawnedServer({
    server: join(project, file),
    directory: project,
    execArgv: ['--import', import.meta.resolve('tsx')],
    env: {
      PATH: process.env['PATH'] ?? '',
      TSX_TSCONFIG_PATH: join(project, 'tsconfig.json'),
      LAYERCODE_WEBHOOK_SECRET: SECRET,
      AGENT: './half-said.js',
      ...environment,
    },
  });
  t.after(async () => {
    server.kill('SIGKILL');
    await server.exit;
  });
  const said = await within(server.says(/listening on.*?(?:port: |:)(\d+)/s), 'a port', SLOW_MS);
  const origin = `http://localhost:${said[1]}`;
  const agentRoute = environment['AGENT_ROUTE'] ?? '/api/agent';
  return { server, origin, client: createTestClient(origin, { secret: SECRET, agentRoute }) };
}

const SERVERS = [
  'express-server.js', 'fastify-server.js', 'koa-server.js', 'hono-server.ts',
  'hono-fetch-server.ts', 'node-server.js',
];
for (const file of SERVERS) {
  describe(file, () => {
    it('answers and interrupts turns, and keeps its own paths', async (t) => {
      const environment = { CHAT_COMPLETIONS_KEYS: 'key-0123456789' };
      const { server, origin, client } = await start(t, file, environment);
      const completions = `${origin}/api/agent/chat/completions`;
      assert.equal((await fetch(completions, { method: 'POST' })).status, 401); // not 404
      assert.match(server.stdout, /listening on .*127\.0\.0\.1/s); // HOST, which the test sets
      assert.equal((await client.post({ type: 'message' }, { signature: null })).status, 401);
      const site = await fetch(origin);
      assert.equal(await site.text(), 'A web site.');
      assert.equal(site.headers.get('x-request-id'), null);
      assert.notEqual(await (await fetch(`${origin}/nothing`)).text(), '{"error":"Not found"}');
      const reply = await client.say('Wait.');
      assert.equal((await new Listener(reply).next())?.content, 'You said: Wait.');
      reply.drop();
      await within(server.says(/"outcome":"interrupted"/), 'an interrupted turn');
    });

    it('ends on SIGTERM', async (t) => {
      const { server, client } = await start(t, file, { SHUTDOWN_TIMEOUT_SECONDS: '0' });
      assert.equal(await (await client.say('Hello.')).text(), 'You said: Hello.');
      server.kill('SIGTERM');
      const { code } = await within(server.exit, 'the end', SLOW_MS);
      assert.equal(code, 0, server.stderr);
    });
  });
}

describe('voice.js', () => {
  it('serves the agents in AGENTS, each at its own path', async (t) => {
    const environment = { AGENT: '', AGENTS: 'half=./half-said.js,other=echo' };
    const { origin } = await start(t, 'express-server.js', environment);
    for (const [path, reply] of [['half', 'You said: Hello.'], ['other', 'Hello.']]) {
      const agentRoute = `/api/agent/${path}`;
      const client = createTestClient(origin, { secret: SECRET, agentRoute });
      assert.match(await (await client.say('Hello.')).text(), new RegExp(`${reply}`));
    }
    assert.equal((await fetch(`${origin}/api/agent/unknown`, { method: 'POST' })).status, 404);
  });

  it('keeps conversations and records where the settings say', async (t) => {
    const hasSqlite = isBuiltin('node:sqlite');
    const { server, client } = await start(t, 'express-server.js', {
      CALL_RECORDS: 'file:calls.jsonl',
      ...(hasSqlite ? { CONVERSATION_STORE: 'sqlite:calls.db' } : {}),
    });
    const call = { conversation_id: 'conv-mounted', session_id: 's-mounted' };
    const message = { type: 'message', ...call, turn_id: 't-1', text: 'Hello.' };
    await (await client.post(message)).text();
    assert.equal((await client.post({ type: 'session.end', ...call })).status, 200);
    server.kill('SIGTERM');
    const { code } = await within(server.exit, 'the end', SLOW_MS);
    assert.equal(code, 0, server.stderr);
    const kept = readdirSync(project).filter((name) => /^calls/.test(name));
    const records = kept.find((name) => /^calls-.*\.jsonl$/.test(name)) ?? '';
    assert.match(readFileSync(join(project, records), 'utf8'), /"sessionId":"s-mounted"/);
    assert.equal(kept.includes('calls.db'), hasSqlite);
  });
});

describe('express-server.js with its body parser first', () => {
  it('answers with 500 at once, and logs how to fix it', async (t) => {
    const { client, server } = await start(t, 'parses-first.js');
    const { status } = await within(client.say('Hello.'), 'an answer');
    assert.equal(status, 500);
    await server.says(/"request failed".*body has already been read.*mount the app before any.*rawBody/);
  });

  it('answers a signed turn if the parser keeps the bytes', async (t) => {
    const { client } = await start(t, 'keeps-bytes.js');
    assert.equal(await (await client.say('Hello.')).text(), 'You said: Hello.');
  });
});

describe('express-server.js with the app below a path', () => {
  it('answers below that path', async (t) => {
    const { client } = await start(t, 'below-a-path.js', { AGENT_ROUTE: '/voice/agent' });
    assert.equal(await (await client.say('Hello.')).text(), 'You said: Hello.');
  });
});

// Calls that outlive the process: the built server over an SQLite file.

import assert from 'node:assert/strict';
import { afterEach, describe, it } from 'node:test';

import { createTestClient } from '../../../src/kit/test-client.ts';
import { SECRET, Workplace, type SpawnedServer } from '../../fixtures/spawned-server.ts';
import { WITHOUT_SQLITE } from '../../fixtures/sqlite.ts';
import { assertEnds, stop } from './server-end.ts';

const workplace = new Workplace();
afterEach(() => workplace.clear());

const AGENT = `export default {
  name: 'counting',
  onMessage: ({ text, history }) => \`\${history.length} \${text}\`,
};`;

function serve(store: string): SpawnedServer {
  workplace.write('agent.mjs', AGENT);
  const env = { NODE_ENV: 'production', DRAIN_DELAY_SECONDS: '0', AGENT: './agent.mjs' };
  const own = { LAYERCODE_WEBHOOK_SECRET: SECRET, CONVERSATION_STORE: store };
  return workplace.spawn({ env: { ...env, ...own } });
}

async function say(server: SpawnedServer, text: string, conversationId = 'c'): Promise<string> {
  const caller = createTestClient(await server.url(), { secret: SECRET, conversationId });
  return (await caller.say(text)).text();
}

/** Resolves when the turns so far are stored: writes are made in order, across all calls. */
async function stored(server: SpawnedServer): Promise<void> {
  await say(server, 'And?', 'another');
}

const LIMIT = { skip: WITHOUT_SQLITE, timeout: 30_000 };

describe('the server with CONVERSATION_STORE=sqlite:calls.db', () => {
  it('resumes where it was after being killed', LIMIT, async () => {
    const first = serve('sqlite:calls.db');
    assert.equal(await say(first, 'One'), '1 One');
    await stored(first);
    first.kill('SIGKILL');
    await first.exit;
    assert.equal(await say(serve('sqlite:calls.db'), 'Two'), '3 Two');
  });

  it('resumes after being stopped, and leaves one file', LIMIT, async () => {
    const first = serve('sqlite:calls.db');
    assert.equal(await say(first, 'One'), '1 One');
    await stop(first);
    assert.equal(first.stderr, ''); // not even that SQLite is experimental
    assert.deepEqual(workplace.files(), ['agent.mjs', 'calls.db']);
    assert.equal(await say(serve('sqlite:calls.db'), 'Two'), '3 Two');
  });

  it('shares calls with another server on the same file', LIMIT, async () => {
    const [one, two] = [serve('sqlite:calls.db'), serve('sqlite:calls.db')];
    assert.equal(await say(one, 'One'), '1 One');
    await stored(one);
    assert.equal(await say(two, 'Two'), '3 Two');
    await stored(two);
    assert.equal(await say(one, 'Three'), '5 Three');
  });

  it('does not start if the file cannot be used, and says why in one line', LIMIT, async () => {
    const server = serve('sqlite:missing/calls.db');
    await assertEnds(server, 1);
    const path = `${workplace.directory}/missing`;
    assert.equal(
      server.stderr,
      `layercode-microserver: the conversations in ${path}/calls.db cannot be used: `
        + `the folder ${path} does not exist; create it\n`,
    );
  });

  const TOO_OLD = { ...LIMIT, skip: WITHOUT_SQLITE === false };
  it('names the Node version that it needs', TOO_OLD, async () => {
    const server = serve('sqlite:calls.db');
    await assertEnds(server, 1);
    const needs = 'CONVERSATION_STORE=sqlite:… needs Node 22.13 or later';
    assert.equal(server.stderr, `layercode-microserver: ${needs}, this is ${process.version}\n`);
  });
});

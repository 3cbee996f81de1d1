// The files under examples/, run as a user runs them: they import the package by its name.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, readFileSync } from 'node:fs';
import { describe, it, type TestContext } from 'node:test';
import { fileURLToPath } from 'node:url';

import { createApp, parseSettings, type Agent } from 'layercode-microserver';
import { createTestClient, type TestClient } from 'layercode-microserver/testing';

import { createCustomServer } from '../examples/custom-server.ts';
import modelAgent from '../examples/model-agent.ts';
import myAgent from '../examples/my-agent.ts';
import { calls, dataOf, outline, toolNames } from './core/agents/model-app.ts';
import { says, startModelServer } from './faults/model-server.ts';
import { contentsOf, typesOf, within } from './fixtures/app.ts';
import { listen } from './fixtures/listen.ts';
import { TYPESCRIPT } from './fixtures/typescript.ts';

// Their tests are tests of this file.
import '../examples/agent.test.ts';
import '../examples/cashier.test.ts';

const SECRET = 'whsec_examples_0123456789';

function settingsOf(
  environment: Readonly<Record<string, string>> = {},
): ReturnType<typeof parseSettings> {
  return parseSettings(
    { LAYERCODE_WEBHOOK_SECRET: SECRET, SHUTDOWN_TIMEOUT_SECONDS: '0', ...environment },
    [],
  );
}

function call(
  t: TestContext,
  agent: Agent,
  environment?: Readonly<Record<string, string>>,
): TestClient {
  const client = createTestClient(createApp(settingsOf(environment), agent), { secret: SECRET });
  t.after(() => client.close());
  return client;
}

describe('examples/', () => {
  const folder = fileURLToPath(new URL('../examples', import.meta.url));
  const files = readdirSync(folder).filter((name) => name.endsWith('.ts'));

  /** They need packages that are not installed here: test/peers/ai and pizza. */
  const triedWithPeers = ['ai-model.ts', 'ai-sdk.ts', 'pizza.test.ts', 'pizza.ts'];

  it('holds only files that are tried here or by npm run test:peers', () => {
    const triedHere = [
      'agent.test.ts', 'bank.ts', 'cashier.test.ts', 'cashier.ts', 'custom-server.ts',
      'model-agent.ts', 'my-agent.ts',
    ];
    assert.deepEqual(files.toSorted(), [...triedHere, ...triedWithPeers].toSorted());
  });

  it('imports the package by its name, as a user does', () => {
    for (const name of files)
      assert.doesNotMatch(readFileSync(`${folder}/${name}`, 'utf8'), /from '\.\.\//, name);
  });
});

describe('examples/my-agent.ts', () => {
  it('has at most ten lines', () => {
    const source = readFileSync(new URL('../examples/my-agent.ts', import.meta.url), 'utf8');
    assert.ok(
      source.split('\n').filter((line) => line.trim() !== '' && !line.startsWith('//')).length <=
        10,
    );
  });

  it('speaks piece by piece', async (t) => {
    assert.deepEqual(contentsOf(await (await call(t, myAgent).say('Count to 3')).events()), [
      '1, ',
      '2, ',
      '3.',
    ]);
  });
});

describe('examples/model-agent.ts', () => {
  it('lets the model use its tool', async (t) => {
    const server = await startModelServer([
      calls([['call_1', 'opening_hours', '{"day":"Monday"}']]),
      says('From nine to six.'),
    ]);
    t.after(() => server.close());
    const client = call(t, modelAgent, {
      OPENAI_API_KEY: 'sk-example',
      OPENAI_BASE_URL: server.url,
    });
    assert.equal(await (await client.start()).text(), 'Hello, this is the corner shop.');
    const events = await (await client.say('When are you open on Monday?')).events();
    assert.deepEqual(contentsOf(events), ['From nine to six.']);
    assert.deepEqual(dataOf(events)[1], { tool: 'opening_hours', status: 'completed' });
    assert.deepEqual(
      [toolNames(server.requests[0]), outline(server.requests[1]).at(-1)],
      [
        ['opening_hours', 'hang_up'],
        ['tool', '{"opens":"09:00","closes":"18:00"}', 'call_1'],
      ],
    );
  });
});

describe('examples/custom-server.ts', () => {
  async function serve(t: TestContext): Promise<string> {
    const { app, server } = createCustomServer(settingsOf());
    const { origin, close } = await listen(server);
    t.after(async () => {
      await app.close();
      await close();
    });
    return origin;
  }

  it('answers calls in its own http.Server', async (t) => {
    const reply = await createTestClient(await serve(t), { secret: SECRET }).say('2');
    assert.deepEqual(typesOf(await reply.events()), [
      'response.tts',
      'response.tts',
      'response.end',
    ]);
  });

  it('has a route of its own', async (t) => {
    assert.deepEqual(await (await fetch(`${await serve(t)}/hello/Ada`)).json(), { hello: 'Ada' });
  });

  it('refuses a request in its middleware, and answers it in its onError', async (t) => {
    const origin = await serve(t);
    const ask = async (tenant: string): Promise<Response> =>
      fetch(`${origin}/hello/Ada`, { headers: { 'x-tenant': tenant } });
    const refused = await ask('initech');
    assert.deepEqual(
      [(await ask('acme')).status, refused.status, await refused.json()],
      [200, 404, { error: 'no tenant initech' }],
    );
  });

  it('runs as a process, and ends with code 0 on SIGTERM', async (t) => {
    const file = fileURLToPath(new URL('../examples/custom-server.ts', import.meta.url));
    const child = spawn(process.execPath, [...TYPESCRIPT, file], {
      env: {
        PATH: process.env['PATH'] ?? '',
        LAYERCODE_WEBHOOK_SECRET: SECRET,
        PORT: '0',
        HOST: '127.0.0.1',
        SHUTDOWN_TIMEOUT_SECONDS: '1',
      },
      cwd: fileURLToPath(new URL('..', import.meta.url)),
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    t.after(() => child.kill('SIGKILL'));
    let output = '';
    const listening = new Promise<number>((resolve) => {
      child.stdout.setEncoding('utf8').on('data', (text: string) => {
        output += text;
        const port = /port: (\d+)/.exec(output)?.[1];
        if (port !== undefined) resolve(Number(port));
      });
    });
    const port = await within(listening, 'the port');
    assert.equal((await fetch(`http://127.0.0.1:${port}/health`)).status, 200);
    child.kill('SIGTERM');
    const [code] = (await within(once(child, 'exit'), 'the end of the process')) as [
      number | null,
    ];
    assert.equal(code, 0);
  });
});

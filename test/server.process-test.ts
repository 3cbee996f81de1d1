// The process: `node dist/server.js` in a directory of its own.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { existsSync, readFileSync, statSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, it } from 'node:test';

import packageJson from '../package.json' with { type: 'json' };
import { createTestClient } from '../src/kit/test-client.ts';
import { listen } from './fixtures/listen.ts';
import { ROOT } from './fixtures/source-files.ts';
import {
  SECRET,
  Workplace,
  type SpawnedServer,
  type SpawnOptions,
} from './fixtures/spawned-server.ts';

let workplace: Workplace;
beforeEach(() => {
  workplace = new Workplace();
});
afterEach(() => workplace.clear());

const LIMIT = { timeout: 15_000 };

function spawn(options?: Omit<SpawnOptions, 'directory'>): SpawnedServer {
  return workplace.spawn(options);
}

/** Starts a server with a secret, so nothing is written to the directory. */
function spawnWithSecret(
  env: Readonly<Record<string, string>> = {},
  argv: readonly string[] = [],
): SpawnedServer {
  return spawn({ env: { LAYERCODE_WEBHOOK_SECRET: SECRET, ...env }, argv });
}

async function say(server: SpawnedServer, text: string, secret = SECRET): Promise<string> {
  return (await createTestClient(await server.url(), { secret }).say(text)).text();
}

/** The lines on stderr of a server that could not start. */
async function refusal(server: SpawnedServer): Promise<string[]> {
  assert.deepEqual(await server.exit, { code: 1, signal: null }, server.stdout + server.stderr);
  assert.equal(server.stdout, '');
  assert.ok(server.stderr.endsWith('\n'));
  return server.stderr.trimEnd().split('\n');
}

describe('a server without any configuration', () => {
  function storedSecret(): string {
    return readFileSync(join(workplace.directory, '.layercode/webhook-secret'), 'utf8').trim();
  }

  it(
    'answers a turn signed with the secret that it made, which it never shows',
    LIMIT,
    async () => {
      const server = spawn();
      await server.url();
      const secret = storedSecret();
      assert.equal(
        statSync(join(workplace.directory, '.layercode/webhook-secret')).mode & 0o777,
        0o600,
      );
      assert.equal(await say(server, 'Hello there', secret), 'You said: Hello there');
      server.kill('SIGTERM');
      assert.deepEqual(await server.exit, { code: 0, signal: null });
      assert.equal(server.stdout.includes(secret), false);
      assert.equal(server.stderr.includes(secret), false);
      assert.equal(server.stdout.includes(secret.slice(6)), false);
    },
  );

  it('says what it is running, how to try it, and what is missing', LIMIT, async () => {
    const server = spawn();
    const listening = await server.line('listening');
    assert.deepEqual(
      [listening['agent'], listening['version'], listening['node']],
      ['echo', packageJson.version, process.versions.node],
    );
    await say(server, 'Hello', storedSecret());
    for (const words of [
      `${await server.url()}/api/agent`,
      `${await server.url()}/health`,
      `${await server.url()}/playground`,
      `npx layercode-microserver talk --url ${await server.url()}`,
      '"echo"',
      'LAYERCODE_WEBHOOK_SECRET is not set',
      '.layercode/webhook-secret',
      'No model has a key',
    ]) {
      assert.ok(server.stderr.includes(words), `${words} is missing in:\n${server.stderr}`);
    }
  });

  it('says which platform it serves besides LayerCode, and where', LIMIT, async () => {
    const env = { CHAT_COMPLETIONS_KEYS: 'key', CHAT_COMPLETIONS_PROFILE: 'vapi' };
    const server = spawn({ env });
    const line = `custom LLM  ${await server.url()}/api/agent (vapi)`;
    assert.ok(server.stderr.includes(line), server.stderr);
  });

  it('names the platform of each agent with a key, and the URL of each agent', LIMIT, async () => {
    const env = { SALES_CHAT_COMPLETIONS_KEYS: 'key', AGENTS: 'front=echo,sales=slow' };
    const server = spawn({ env });
    const url = `${await server.url()}/api/agent`;
    const said = /webhook[^]*(?=\n  health)/.exec(server.stderr)?.[0] ?? server.stderr;
    assert.deepEqual(said.split('\n').map((line) => line.trim()), [
      `webhook     ${url}`, `${url}/front`, `${url}/sales`, `custom LLM  ${url}/sales (generic)`,
    ]);
  });

  it(
    'prints commands that work in a clone of the package, where npx finds nothing',
    LIMIT,
    async () => {
      const directory = join(import.meta.dirname, '..');
      // nothing is written here
      const elsewhere = { LAYERCODE_WEBHOOK_SECRET: SECRET, AGENT: 'echo' };
      const server = workplace.spawn({ directory, env: elsewhere });
      const url = await server.url();
      await say(server, 'Hello');
      assert.ok(server.stderr.includes(` npm run talk -- --url ${url}\n`), server.stderr);
      assert.equal(server.stderr.includes('npx'), false);
    },
  );

  it(
    'serves without the secret file if it cannot be written, and does not claim to have it',
    LIMIT,
    async () => {
      workplace.write('.layercode', 'a file where the folder should be');
      const server = spawn();
      assert.equal((await fetch(`${await server.url()}/health`)).status, 200);
      server.kill('SIGTERM');
      await server.exit;
      assert.match(server.stderr, /LAYERCODE_WEBHOOK_SECRET is not set/);
      assert.equal(
        server.stderr.includes('kept in .layercode/webhook-secret'),
        false,
        server.stderr,
      );
    },
  );
});

describe('dist/server.js', () => {
  // Node loads file by file: 17 of them took 7 ms longer.
  it('loads only one other file', () => {
    const text = readFileSync(new URL('../dist/server.js', import.meta.url), 'utf8');
    const [chunk, ...others] = [
      ...text.matchAll(/from "(\.\/chunks\/[^"]+)"|import "([^"]+)"/g),
    ].map(([, from, bare]) => from ?? bare ?? '');
    assert.deepEqual(others, []);
    assert.equal(
      /^import .*"\.\//m.test(readFileSync(new URL(`../dist/${chunk}`, import.meta.url), 'utf8')),
      false,
    );
  });
});

describe('agents that cannot be served together', () => {
  it('prevent the start, with one line that says why', LIMIT, async () => {
    const module = (name: string): string => `
      import { defineAgent, tool } from '${ROOT}dist/index.js';
      const parameters = { type: 'object' };
      const pay = tool({ name: 'pay', description: 'Pays.', parameters, once: true, run() {} });
      export default defineAgent({ name: '${name}', prompt: 'Pay.', tools: [pay] });`;
    for (const name of ['sales', 'billing']) workplace.write(`${name}.mjs`, module(name));
    const AGENTS = 'sales=./sales.mjs,billing=./billing.mjs';
    const lines = await refusal(spawnWithSecret({ AGENTS }));
    assert.deepEqual(lines, [
      'layercode-microserver: two tools are called "pay", and one acts once: share one, or give '
        + 'them different names',
    ]);
  });
});

describe('a server in production', () => {
  it('does not start without a key for its model, and says so in one line', LIMIT, async () => {
    for (const [env, variable] of [
      [{}, 'OPENAI_API_KEY'],
      [{ DEFAULT_MODEL: 'anthropic:claude-haiku-4-5', AGENT: 'bakery' }, 'ANTHROPIC_API_KEY'],
    ] as const) {
      const lines = await refusal(spawnWithSecret({ NODE_ENV: 'production', ...env }));
      assert.equal(lines.length, 1, lines.join('\n'));
      assert.ok(
        lines[0]?.startsWith('layercode-microserver: ') && lines[0].includes(variable),
        lines[0],
      );
    }
  });

  it('starts with a key, or without a model, and writes no welcome or file', LIMIT, async () => {
    const server = spawnWithSecret({
      NODE_ENV: 'production',
      OPENAI_API_KEY: 'sk-test-1234567890',
    });
    const listening = await server.line('listening');
    assert.deepEqual([listening['agent'], listening['model']], ['starter', 'openai:gpt-6-luna']);
    const keyless = { NODE_ENV: 'production', DRAIN_DELAY_SECONDS: '0', AGENT: 'echo' };
    const echo = spawnWithSecret(keyless);
    assert.equal(await say(echo, 'Hello'), 'You said: Hello');
    echo.kill('SIGTERM');
    assert.deepEqual(await echo.exit, { code: 0, signal: null });
    assert.equal(echo.stderr, '');
    assert.equal(existsSync(join(workplace.directory, '.layercode')), false);
  });
});

describe('settings of a server', () => {
  it('are all reported if wrong, one per line, like an agent that fails', LIMIT, async () => {
    // They were fixed one by one, because the agent was looked for only when all others were right.
    workplace.write(
      'my-agent.mjs',
      `throw new Error('no database at ' + process.env.MY_DATABASE);`,
    );
    workplace.write('.env', 'MY_DATABASE=mine\n');
    for (const [agent, problem] of [
      ['ehco', /: unknown agent "ehco"; available agents: /],
      ['./my-agent.mjs', /failed to load: .*: no database at mine$/],
    ] as const) {
      const env = { NODE_ENV: 'production', PORT: '80a', AGENT: agent };
      const lines = await refusal(spawn({ env, argv: ['--prot', '80'] }));
      assert.ok(lines.every((line) => line.startsWith('layercode-microserver: ')));
      const expected = [
        /: --prot is not a flag; did you mean --port\?$/,
        /: PORT must be /,
        /: LAYERCODE_WEBHOOK_SECRET must be set in production/,
        problem,
      ];
      assert.equal(lines.length, expected.length, lines.join('\n'));
      for (const one of expected) assert.ok(lines.some((line) => one.test(line)), String(one));
    }
    assert.equal(existsSync(join(workplace.directory, '.layercode')), false);
  });

  it('do not matter to --help and --version, which end with code 0', LIMIT, async () => {
    for (const [argv, printed] of [
      [['-h', '--nonsense'], /^Usage: layercode-microserver [^]*--agent-route/],
      [['--version'], new RegExp(`^${packageJson.version}\\n$`)],
    ] as const) {
      const server = spawn({ argv, env: { NODE_ENV: 'production', PORT: 'x' } });
      assert.deepEqual(await server.exit, { code: 0, signal: null });
      assert.match(server.stdout, printed);
      assert.equal(server.stderr, '');
    }
    assert.equal(existsSync(join(workplace.directory, '.layercode')), false);
  });

  it('are read from .env, overridden by the environment, and then by flags', LIMIT, async () => {
    workplace.write(
      '.env',
      `LAYERCODE_WEBHOOK_SECRET=${SECRET}\nAGENT_ROUTE=/from-file\nAUTHORIZE_ROUTE=/from-file-too\nMAX_BODY_BYTES=77\n`,
    );
    const server = spawn({
      env: { AGENT_ROUTE: '/from-environment', MAX_BODY_BYTES: '88' },
      argv: ['--max-body-bytes', '99'],
    });
    const url = await server.url();
    const client = createTestClient(url, { secret: SECRET, agentRoute: '/from-environment' });
    assert.equal((await client.post('x'.repeat(99))).status, 400);
    assert.equal((await client.post('x'.repeat(100))).status, 413);
    assert.equal((await fetch(`${url}/from-file`, { method: 'POST' })).status, 404);
    assert.notEqual((await fetch(`${url}/from-file-too`, { method: 'POST' })).status, 404);
  });
});

describe('the address of a server', () => {
  it('prevents the start if it is taken, and is named in one line', LIMIT, async () => {
    const { port, close } = await listen(createServer());
    const lines = await refusal(spawnWithSecret({ PORT: String(port) }));
    await close();
    assert.equal(lines.length, 1);
    assert.match(
      lines[0] ?? '',
      new RegExp(`^layercode-microserver: .*in use.*127\\.0\\.0\\.1:${port}`),
    );
  });

  it('is printed in a form that can be opened, for all addresses and for IPv6', LIMIT, async () => {
    for (const [host, hostname] of [
      ['0.0.0.0', 'localhost'],
      ['::', 'localhost'],
      ['::1', '[::1]'],
    ] as const) {
      const server = spawnWithSecret({ HOST: host });
      const first = await Promise.race([server.url(), server.exit]);
      // a machine without IPv6
      if (typeof first !== 'string' && /EAFNOSUPPORT|EADDRNOTAVAIL/.test(server.stderr)) continue;
      assert.equal(new URL(String(first)).hostname, hostname, server.stderr);
      assert.equal((await fetch(`${String(first)}/health`)).status, 200);
    }
  });
});

describe('the agent of a server', () => {
  it('is loaded from a module in the working directory, and sees .env', LIMIT, async () => {
    workplace.write('.env', 'MY_SHOP=from the file\nMY_CITY=from the file\n');
    workplace.write(
      'my-agent.mjs',
      `const { MY_SHOP, MY_CITY } = process.env;
       export default { name: 'mine', onMessage: () => MY_SHOP + ', ' + MY_CITY };`,
    );
    const server = spawnWithSecret({ AGENT: './my-agent.mjs', MY_CITY: 'from outside' });
    assert.equal(await say(server, 'Hello'), 'from the file, from outside');
    assert.equal((await server.line('listening'))['agent'], 'mine');
    const ready = await (await fetch(`${await server.url()}/ready`)).json();
    assert.equal((ready as { agent: string }).agent, 'mine');
  });

  it('in a TypeScript module is served if Node can load TypeScript', LIMIT, async () => {
    workplace.write(
      'my-agent.ts',
      `const name: string = 'typed';\nexport default { name, onMessage: (turn: { text: string }): string => turn.text };`,
    );
    const server = spawnWithSecret({ AGENT: './my-agent.ts' });
    if ('typescript' in process.features && process.features.typescript)
      assert.equal(await say(server, 'Hello'), 'Hello');
    else
      assert.match(
        (await refusal(server))[0] ?? '',
        /does not load TypeScript: compile it, or use Node 22\.18 or later$/,
      );
  });
});

describe('the output of a server', () => {
  it(
    'names lines of the source in a stack, and not of the build',
    LIMIT,
    async () => {
      workplace.write(
        'my-agent.mjs',
        `export default { name: 'mine', onMessage: () => { throw new Error('of the agent'); } };`,
      );
      const server = spawnWithSecret({ AGENT: './my-agent.mjs' });
      await say(server, 'Hello');
      const { stack } = (await server.line('turn failed'))['error'] as { stack: string };
      const [agents, engines] = stack.split(' | ');
      assert.match(agents ?? '', /my-agent\.mjs:1:\d+\)$/);
      const [, file = '', line] =
        /^at .* \((src\/core\/turns\/\w+\.ts):(\d+):\d+\)$/.exec(engines ?? '') ?? [];
      assert.match(
        readFileSync(new URL(`../${file}`, import.meta.url), 'utf8').split('\n')[
          Number(line) - 1
        ] ?? '',
        /onMessage/,
        stack,
      );
      assert.doesNotMatch(stack, /dist/);
    },
  );

  it('is formatted for people if LOG_FORMAT=pretty', LIMIT, async () => {
    const server = spawnWithSecret({ LOG_FORMAT: 'pretty' });
    await once(server.process.stdout ?? assert.fail(), 'data');
    assert.match(
      server.stdout,
      /^\d\d:\d\d:\d\d\.\d{3} info {2}listening url=http:\/\/127\.0\.0\.1:\d+ /,
    );
  });
});

// The command line as a process: finding the command, exit codes, and the server with a tunnel
// beside it.

import assert from 'node:assert/strict';
import { dirname, join } from 'node:path';
import { describe, it, type TestContext } from 'node:test';

import { version } from '../src/base/version.ts';
import { createTestClient } from '../src/kit/test-client.ts';
import { REST_KEY, startRestServer, type RestServer } from './faults/rest-server.ts';
import { deferred } from './fixtures/app.ts';
import { SECRET, SpawnedServer, Workplace } from './fixtures/spawned-server.ts';
import {
  BOX, CONNECTED, FakeCloudflared, URL_OF_TUNNEL, type RunningFake,
} from './kit/tunnel/fake-cloudflared.ts';

const CLI = join(import.meta.dirname, '../dist/cli.js');

/** Runs a command in a directory of its own, which is removed with the test. */
function start(
  t: TestContext,
  argv: readonly string[],
  env: Readonly<Record<string, string>> = {},
): SpawnedServer {
  const workplace = new Workplace();
  t.after(() => workplace.clear());
  return workplace.spawn({ argv, env, server: CLI });
}

interface Ended {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

async function ended(server: SpawnedServer): Promise<Ended> {
  const { code } = await server.exit;
  return { code, stdout: server.stdout, stderr: server.stderr };
}

describe('layercode-microserver', () => {
  it('lists its commands if asked to or given none, and prints its version', async (t) => {
    const [help, nothing, printed] = await Promise.all(
      [['--help'], [], ['--version']].map((argv) => ended(start(t, argv))),
    ) as [Ended, Ended, Ended];
    assert.deepEqual(printed, { code: 0, stdout: `${version}\n`, stderr: '' });
    for (const name of ['run', 'talk', 'turn', 'list-agents', 'init', 'webhook', 'calls'])
      assert.match(help.stdout, new RegExp(`^  ${name} `, 'm'));
    assert.deepEqual(
      [help.code, nothing.code, nothing.stdout, nothing.stderr],
      [0, 2, '', help.stdout],
    );
  });

  const wrong: readonly (readonly [argv: readonly string[], message: RegExp])[] = [
    [['tlak'], /^layercode-microserver: "tlak" is not a command; commands are run, talk, /],
    [['--port', '1'], /a command comes first: layercode-microserver run --port/],
    [['turn', '--colour', 'Hello'], /--colour[^]*see layercode-microserver turn --help/],
    [['run', '--update-webhook'], /--update-webhook needs --tunnel/],
  ];
  for (const [argv, message] of wrong) {
    it(`ends with code 2 for ${argv.join(' ')}`, async (t) => {
      const { code, stdout, stderr } = await ended(start(t, argv));
      assert.deepEqual([code, stdout], [2, '']);
      assert.match(stderr, message);
      assert.doesNotMatch(stderr, /\n {4}at /);
    });
  }

  it('treats everything after a -- as words', async (t) => {
    const { code, stderr } = await ended(
      start(t, ['turn', '--url', 'http://127.0.0.1:9', '--secret', SECRET, '--', '--help']),
    );
    assert.equal(code, 1);
    assert.match(stderr, /127\.0\.0\.1:9/);
  });

  it('has a help page for each command, no wider than 100 columns', async (t) => {
    const [first, ...pages] = await Promise.all([
      ended(start(t, ['help', 'run'])),
      ...['run', 'talk', 'turn', 'list-agents', 'init', 'webhook', 'calls'].map((name) =>
        ended(start(t, [name, '--help'])),
      ),
    ]);
    assert.deepEqual(first, pages[0]);
    for (const { code, stdout } of pages) {
      assert.equal(code, 0);
      assert.match(stdout, /^Usage: layercode-microserver /);
      assert.match(stdout, /Exit codes: /);
      assert.deepEqual(
        stdout.split('\n').filter((line) => line.length > 100),
        [],
      );
    }
  });
});

describe('layercode-microserver run', () => {
  const secret = { LAYERCODE_WEBHOOK_SECRET: SECRET };

  it('serves with settings given as flags, and ends with code 0 on SIGTERM', async (t) => {
    const server = start(t, ['run', '--agent', 'echo', '--agent-route', '/hook'], secret);
    const client = createTestClient(await server.url(), { secret: SECRET, agentRoute: '/hook' });
    assert.equal(await (await client.say('Hello')).text(), 'You said: Hello');
    server.kill('SIGTERM');
    assert.equal((await server.exit).code, 0);
  });

  it('serves neither the playground nor its local platform in production', async (t) => {
    const server = start(t, ['run', '--agent', 'echo'], {
      ...secret,
      NODE_ENV: 'production',
      DRAIN_DELAY_SECONDS: '0',
    });
    const statuses = await Promise.all(
      ['/playground', '/v1/agents/web/websocket'].map(
        async (path) => (await fetch(`${await server.url()}${path}`)).status,
      ),
    );
    const authorize = await fetch(`${await server.url()}/api/authorize`, {
      method: 'POST',
      body: '{"agent_id":"a"}',
    });
    assert.deepEqual([...statuses, authorize.status], [404, 404, 503]);
  });

  it('serves the playground in production if asked to', async (t) => {
    const server = start(t, ['run', '--agent', 'echo', '--playground', 'true'], {
      ...secret,
      NODE_ENV: 'production',
      DRAIN_DELAY_SECONDS: '0',
    });
    assert.equal((await fetch(`${await server.url()}/playground`)).status, 200);
  });
});

describe('layercode-microserver run --tunnel', () => {
  const secret = { LAYERCODE_WEBHOOK_SECRET: SECRET };

  interface Tunnelled {
    readonly server: SpawnedServer;
    readonly fake: RunningFake;
  }

  /** With a cloudflared in PATH that says its URL and stays. */
  async function tunnelled(
    t: TestContext,
    argv: readonly string[] = [],
    env: Readonly<Record<string, string>> = {},
  ): Promise<Tunnelled> {
    const fakes = await FakeCloudflared.open();
    t.after(() => fakes.clear());
    const server = start(
      t,
      ['run', '--agent', 'echo', '--tunnel', ...argv],
      { ...secret, PATH: dirname(fakes.program), ...env },
    );
    const fake = await fakes.running();
    await fake.say(BOX + CONNECTED);
    return { server, fake };
  }

  it("prints the webhook's public URL", async (t) => {
    const { server } = await tunnelled(t);
    await server.complains(new RegExp(`${URL_OF_TUNNEL}/api/agent`));
    server.kill('SIGTERM');
    assert.equal((await server.exit).code, 0);
  });

  it('ends with code 1 and a link if cloudflared is not installed', async (t) => {
    const { code, stderr } = await ended(
      start(t, ['run', '--agent', 'echo', '--tunnel'], { ...secret, PATH: '/nowhere' }),
    );
    assert.equal(code, 1);
    assert.match(stderr, /cloudflared[^]*https:\/\/developers\.cloudflare\.com/);
  });

  describe('with --update-webhook', () => {
    const OLD = 'https://old.example/api/agent';

    interface Stage extends Tunnelled {
      readonly rest: RestServer;
      /** The new URL has been set. */
      readonly updated: Promise<void>;
    }

    async function open(t: TestContext): Promise<Stage> {
      const rest = await startRestServer({ 'ag-1': OLD });
      t.after(() => rest.close());
      const updated = deferred();
      rest.fault = ({ method, body }) => {
        if (method === 'POST' && body.includes(`${URL_OF_TUNNEL}/api/agent`)) updated.resolve();
        return undefined;
      };
      const env = {
        LAYERCODE_API_KEY: REST_KEY, LAYERCODE_AGENT_ID: 'ag-1', LAYERCODE_API_URL: rest.url,
      };
      const opened = await tunnelled(t, ['--update-webhook'], env);
      return { ...opened, rest, updated: updated.promise };
    }

    it('sets the webhook URL of the agent, and restores the old URL at the end', async (t) => {
      const { server, rest, updated } = await open(t);
      await updated;
      await server.complains(/old\.example/);
      server.kill('SIGINT');
      assert.equal((await server.exit).code, 0);
      assert.equal(rest.webhooks.get('ag-1'), OLD);
    });

    it('also restores the old URL if the tunnel crashes, and ends with code 1', async (t) => {
      const { server, fake, rest, updated } = await open(t);
      await updated;
      process.kill(fake.pid, 'SIGKILL');
      const { code, stderr } = await ended(server);
      assert.equal(code, 1);
      assert.match(stderr, /cloudflared/);
      assert.equal(rest.webhooks.get('ag-1'), OLD);
    });
  });
});

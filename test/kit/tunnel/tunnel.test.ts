// `run --tunnel` with a program in place of cloudflared and a stand-in for LayerCode.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, it } from 'node:test';

import { RestClient } from '../../../src/core/wires/layercode/rest-client.ts';
import { openTunnel, type Tunnel, type TunnelOptions } from '../../../src/kit/tunnel/tunnel.ts';
import {
  answerJson,
  REST_KEY,
  startRestServer,
  type RestServer,
} from '../../faults/rest-server.ts';
import { mockTimers } from '../../fixtures/clock.ts';
import { TYPESCRIPT } from '../../fixtures/typescript.ts';
import { failureOf, RecordedTerminal } from '../terminal/recorded-terminal.ts';
import {
  BOX,
  CONNECTED,
  FakeCloudflared,
  REFUSED,
  URL_OF_TUNNEL,
  type RunningFake,
} from './fake-cloudflared.ts';

const ORIGIN = 'http://localhost:8000';
const OURS = `${URL_OF_TUNNEL}/api/agent`;

let fakes: FakeCloudflared;
let terminal: RecordedTerminal;

/** Call it in a `describe`: each of its tests gets the fakes. */
function useFakes(): void {
  beforeEach(async () => {
    fakes = await FakeCloudflared.open();
    terminal = new RecordedTerminal();
  });
  afterEach(() => fakes.clear());
}

function open(options: Partial<TunnelOptions> = {}): Promise<Tunnel> {
  const opening = openTunnel({
    origin: ORIGIN,
    agentRoute: '/api/agent',
    paths: ['/api/agent'],
    terminal,
    program: fakes.program,
    ...options,
  });
  opening.catch(() => undefined); // asked for later
  return opening;
}

/** A tunnel whose program is running. */
async function begun(options: Partial<TunnelOptions> = {}) {
  const opening = open(options);
  return { opening, fake: await fakes.running() };
}

interface Opened {
  readonly tunnel: Tunnel;
  readonly fake: RunningFake;
}

/** A tunnel that is open. */
async function opened(options: Partial<TunnelOptions> = {}): Promise<Opened> {
  const { opening, fake } = await begun(options);
  await fake.say(BOX + CONNECTED);
  return { tunnel: await opening, fake };
}

/** Long enough for what is in a pipe to be read. */
async function turnsOfTheEventLoop(): Promise<void> {
  for (let turn = 0; turn < 5; turn++) await new Promise((resolve) => setImmediate(resolve));
}

describe('openTunnel', () => {
  useFakes();

  it('opens a path to the agent and to nothing else', async () => {
    const { opening, fake } = await begun({ paths: ['/', '/api/agent.v1'] });
    const config = fake.argv[2] ?? '';
    assert.deepEqual(fake.argv, [
      'tunnel', '--config', config, '--no-autoupdate', '--url', ORIGIN,
    ]);
    const { ingress: [agent, rest] } = JSON.parse(readFileSync(config, 'utf8'));
    assert.equal(agent.service, ORIGIN);
    const paths = [
      '/', '/api/agent.v1', '/api/agent.v1/', '/api/agentXv1', '/x/api/agent.v1', '/metrics',
    ];
    const passing = paths.filter((path) => new RegExp(agent.path).test(path));
    assert.deepEqual(passing, paths.slice(0, 2));
    assert.deepEqual(rest, { service: 'http_status:404' });
    await fake.say(BOX + CONNECTED);
    await opening;
    assert.equal(existsSync(config), false);
  });

  it('gives cloudflared what it needs from the environment, but no keys or secrets', async () => {
    const needed = {
      PATH: dirname(process.execPath),
      HOME: terminal.directory,
      TMPDIR: terminal.directory,
      LANG: 'C.UTF-8',
      LC_ALL: 'C.UTF-8',
      TZ: 'UTC',
      https_proxy: 'http://proxy.example:3128',
      HTTP_PROXY: 'http://proxy.example:3128',
      ALL_PROXY: 'http://proxy.example:3128',
      NO_PROXY: '.example',
      SSL_CERT_FILE: '/etc/ssl/own.pem',
      SSL_CERT_DIR: '/etc/ssl/own',
      TUNNEL_TRANSPORT_PROTOCOL: 'http2',
      TUNNEL_EDGE_IP_VERSION: '4',
    };
    const secret = {
      LAYERCODE_API_KEY: 'a',
      LAYERCODE_WEBHOOK_SECRET: 'b',
      OPENAI_API_KEY: 'c',
      DATABASE_URL: 'd',
      TUNNEL_TOKEN: 'e',
      AWS_SECRET_ACCESS_KEY: 'f',
      MY_PATH: 'g',
      PATH_KEY: 'h',
      NODE_OPTIONS: '--no-deprecation',
    };
    const opening = openTunnel({
      origin: ORIGIN,
      agentRoute: '/',
      paths: [],
      program: fakes.program,
      terminal: new RecordedTerminal({ ...secret, ...needed }, terminal.directory),
    });
    const fake = await fakes.running();
    await fake.say(BOX + CONNECTED);
    await opening;
    const { __CF_USER_TEXT_ENCODING: _added, ...environment } = fake.environment; // macOS adds it
    assert.deepEqual(environment, needed);
  });

  it("returns the webhook's public URL and prints it, with the command that sets it", async () => {
    const { tunnel } = await opened();
    assert.equal(tunnel.webhookUrl, OURS);
    assert.equal(
      terminal.err,
      `  tunnel      ${OURS}\n` +
        `  To get LayerCode's calls, run: npx layercode-microserver webhook set ${OURS}\n` +
        '  Next time, --update-webhook does it for you.\n',
    );
    assert.equal(terminal.out, '');
  });

  it('waits until it is connected, and reads stdout as well', async () => {
    const { opening, fake } = await begun();
    await fake.print(BOX);
    assert.equal(
      await Promise.race([opening.then(() => 'open'), turnsOfTheEventLoop().then(() => 'waiting')]),
      'waiting',
    );
    await fake.say(CONNECTED);
    assert.equal((await opening).webhookUrl, OURS);
  });

  it('goes on after 30 s without a connection, and says so', async (t) => {
    const clock = mockTimers(t, ['setTimeout']);
    const opening = open();
    await (await fakes.running()).say(BOX);
    await turnsOfTheEventLoop();
    clock.tick(30_000);
    assert.equal((await opening).webhookUrl, OURS);
    assert.match(terminal.err, /not connected yet/);
  });

  it('says where to get cloudflared if it is missing', async () => {
    const nowhere = join(terminal.directory, 'cloudflared');
    assert.match(
      await failureOf(open({ program: nowhere })),
      /cloudflared is not installed, or not in PATH; get it from https:\/\/developers\.cloudflare\.com\/cloudflare-one\/connections\/connect-networks\/downloads\/$/,
    );
  });

  it('says why if cloudflared cannot be started', async () => {
    const program = join(terminal.directory, 'cloudflared');
    writeFileSync(program, '', { mode: 0o600 });
    assert.match(await failureOf(open({ program })), /cannot be started \(EACCES\)/);
  });

  it("looks for cloudflared in the terminal's PATH", async () => {
    const withPath = new RecordedTerminal({ PATH: dirname(fakes.program) }, terminal.directory);
    const opening = openTunnel({ origin: ORIGIN, agentRoute: '/', paths: [], terminal: withPath });
    await (await fakes.running()).say(BOX + CONNECTED);
    assert.equal((await opening).webhookUrl, `${URL_OF_TUNNEL}/`);
  });

  it("fails with cloudflared's last lines if it ends early, even with a URL", async () => {
    const { opening, fake } = await begun();
    await fake.say(BOX);
    fake.exit(1, REFUSED);
    assert.match(
      await failureOf(opening),
      /^no tunnel: .*cloudflared ended with code 1: .* \| failed to request quick Tunnel: .* no such host$/,
    );
  });

  it('fails if there is no URL in time, and ends cloudflared', async (t) => {
    const clock = mockTimers(t, ['setTimeout']);
    const { opening, fake } = await begun({ timeoutMs: 500 });
    await fake.say('INF Requesting new quick Tunnel\n');
    await turnsOfTheEventLoop();
    clock.tick(500);
    assert.match(
      await failureOf(opening),
      /showed no public URL within 500 ms: INF Requesting new quick Tunnel; check that this machine reaches api\.trycloudflare\.com$/,
    );
    await fake.gone;
  });

  it('fails if it is interrupted, and ends cloudflared', async () => {
    const { opening, fake } = await begun();
    terminal.interrupt();
    assert.match(await failureOf(opening), /^interrupted/);
    await fake.gone;
  });

  it('leaves no listener on the process', async () => {
    const before = process.listenerCount('exit');
    const { tunnel } = await opened();
    assert.equal(process.listenerCount('exit'), before + 1);
    await tunnel.close();
    assert.equal(process.listenerCount('exit'), before);
  });

  it('leaves no cloudflared behind when the process ends with an uncaught exception', async () => {
    const module = new URL('../../../src/kit/tunnel/tunnel.ts', import.meta.url).href;
    const script = `import { openTunnel } from '${module}';
      const { stdin, stdout, stderr, env } = process;
      const terminal = { stdin, stdout, stderr, environment: env, directory: '.', interrupted: new AbortController().signal };
      await openTunnel({ origin: 'x', agentRoute: '/', paths: [], terminal, program: process.argv[1] });
      setImmediate(() => { throw new Error('on purpose'); });`;
    const child = spawn(
      process.execPath,
      [...TYPESCRIPT, '--input-type=module', '-e', script, fakes.program],
      { stdio: 'ignore' },
    );
    const ended = once(child, 'exit');
    const fake = await Promise.race([
      fakes.running(),
      ended.then(() => Promise.reject(new Error('it ended before'))),
    ]);
    await fake.defy();
    await fake.say(BOX + CONNECTED);
    await fake.gone;
    assert.equal((await ended)[0], 1);
  });
});

describe('a tunnel', () => {
  useFakes();

  const ends: readonly (readonly [
    what: string, end: (fake: RunningFake) => void, reason: RegExp,
  ])[] = [
    ['its last lines', (fake) => fake.exit(3, 'ERR lost\u001b[31m it\n'),
      /^the tunnel is gone: .*cloudflared ended with code 3: .* \| ERR lost \[31m it$/],
    ['the signal that killed it', ({ pid }) => process.kill(pid, 'SIGKILL'),
      /cloudflared ended with SIGKILL/],
  ];
  for (const [what, end, reason] of ends) {
    it(`ends with cloudflared, and gives ${what} as the reason`, async () => {
      const { tunnel, fake } = await opened();
      end(fake);
      assert.match((await tunnel.ended).reason ?? '', reason);
    });
  }

  it('ends without a reason when it is closed', async () => {
    const { tunnel, fake } = await opened();
    await tunnel.close();
    await fake.gone;
    assert.deepEqual(await tunnel.ended, { reason: undefined });
  });

  it('ends without a reason when a Ctrl-C reaches cloudflared first', async () => {
    const { tunnel, fake } = await opened();
    terminal.interrupt();
    fake.exit(0);
    assert.deepEqual(await tunnel.ended, { reason: undefined });
  });

  it('may be closed again, even after it has died', async () => {
    const { tunnel, fake } = await opened();
    fake.exit(3);
    await tunnel.ended;
    await Promise.all([tunnel.close(), tunnel.close()]);
    await tunnel.close();
  });

  it('asks cloudflared to end, and kills it 3 s later if it does not', async (t) => {
    const { tunnel, fake } = await opened();
    await fake.defy();
    const clock = mockTimers(t, ['setTimeout']);
    const closing = tunnel.close();
    assert.equal(await fake.told(), 'SIGTERM');
    clock.tick(2_999);
    await fake.say('Still here.\n');
    clock.tick(1);
    await closing;
    await fake.gone;
  });

  it('can be closed even if a process that cloudflared left holds its output open', async () => {
    const { tunnel, fake } = await opened();
    const pid = await fake.leaveChild();
    try {
      await tunnel.close();
    } finally {
      process.kill(pid, 'SIGKILL');
    }
  });

  it('reads all that cloudflared says while it is running', async () => {
    const { fake } = await opened();
    await fake.say('x'.repeat(1_000_000)); // more than a pipe holds: it would wait for ever
  });
});

describe('a tunnel with --update-webhook', () => {
  useFakes();

  const PRODUCTION = 'https://voice.example/api/agent';
  let rest: RestServer;

  beforeEach(async () => {
    rest = await startRestServer({ 'ag-1': PRODUCTION });
  });
  afterEach(() => rest.close());

  function webhook(): Pick<Required<TunnelOptions>, 'webhook'> {
    return {
      webhook: { client: new RestClient({ url: rest.url, apiKey: REST_KEY }), agentId: 'ag-1' },
    };
  }

  it('restores the old webhook when it is closed, before cloudflared ends', async () => {
    const { tunnel, fake } = await opened(webhook());
    await fake.defy();
    const order: string[] = [];
    rest.fault = ({ method }) => {
      if (method === 'POST') order.push('webhook');
      return undefined;
    };
    const asked = fake.told().then(() => order.push('tunnel'));
    const closing = tunnel.close();
    await asked;
    process.kill(fake.pid, 'SIGKILL');
    await closing;
    assert.deepEqual([order, rest.webhooks.get('ag-1')], [['webhook', 'tunnel'], PRODUCTION]);
  });

  it('has restored the old webhook by the time it ends after a crash of cloudflared', async () => {
    const { tunnel, fake } = await opened(webhook());
    fake.exit(3);
    assert.match((await tunnel.ended).reason ?? '', /code 3/);
    assert.equal(rest.webhooks.get('ag-1'), PRODUCTION);
  });

  it('fails if the webhook cannot be set, and ends cloudflared', async () => {
    const opening = open(webhook());
    rest.fault = () => answerJson(401, { error: 'Invalid API key' });
    const fake = await fakes.running();
    await fake.say(BOX + CONNECTED);
    assert.match(
      await failureOf(opening),
      /^the webhook was not set: LayerCode refused the key \(401\)/,
    );
    await fake.gone;
  });
});

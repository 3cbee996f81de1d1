// How the process ends: `node dist/server.js`, and signals.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { Agent, get, type IncomingMessage } from 'node:http';
import { connect, type Socket } from 'node:net';
import { afterEach, beforeEach, describe, it } from 'node:test';

import { createTestClient, type TestClient } from '../../../src/kit/test-client.ts';
import { Listener } from '../../fixtures/app.ts';
import { SECRET, Workplace, type SpawnedServer } from '../../fixtures/spawned-server.ts';
import { assertEnds, stop } from '../process/server-end.ts';

const LIMIT = { timeout: 15_000 };

/** Speaks, waits for SIGUSR2 or for its signal, and speaks again. "deaf" ignores the signal. */
const HOLDING_AGENT = `
  import { EventEmitter } from 'node:events';
  const gate = new EventEmitter();
  process.on('SIGUSR2', () => gate.emit('go'));
  export default {
    name: 'holding',
    async *onMessage({ text, signal, log }) {
      if (text === 'short') return yield 'Short.';
      yield 'Begun.';
      await new Promise((resolve) => {
        gate.once('go', resolve);
        signal.addEventListener('abort', () => {
          log.info('agent was told', { reason: String(signal.reason?.message) });
          if (text !== 'deaf') resolve();
        });
      });
      yield ' Done.';
    },
  };
`;

const workplace = new Workplace();
const sockets: Socket[] = [];
const agents: Agent[] = [];
beforeEach(() => {
  workplace.write('holding.mjs', HOLDING_AGENT);
});
afterEach(async () => {
  for (const socket of sockets.splice(0)) socket.destroy();
  for (const agent of agents.splice(0)) agent.destroy();
  await workplace.clear();
});

interface Bench {
  readonly server: SpawnedServer;
  readonly url: string;
  readonly client: TestClient;
}

async function start(env: Readonly<Record<string, string>> = {}): Promise<Bench> {
  const server = workplace.spawn({
    env: { LAYERCODE_WEBHOOK_SECRET: SECRET, AGENT: './holding.mjs', ...env },
  });
  const url = await server.url();
  return { server, url, client: createTestClient(url, { secret: SECRET }) };
}

/** The words and the other events that are still to come. */
async function restOf(stream: Listener): Promise<unknown[]> {
  return (await stream.rest()).map(({ content, type }) => content ?? type);
}

async function streaming(
  { client }: Pick<Bench, 'client'>, words = 'hold',
): Promise<Listener> {
  const stream = new Listener(await client.say(words));
  assert.equal((await stream.next())?.content, 'Begun.');
  return stream;
}

/** A request over a connection of its own, so that none is kept alive. */
async function request(
  url: string,
  path: string,
  agent?: Agent,
): Promise<{ status: number | undefined; connection: string | undefined; body: unknown }> {
  const [response] = (await once(get(url + path, { agent: agent ?? false }), 'response')) as [
    IncomingMessage,
  ];
  let body = '';
  for await (const chunk of response.setEncoding('utf8')) body += chunk;
  return {
    status: response.statusCode,
    connection: response.headers.connection,
    body: JSON.parse(body),
  };
}

/** A bare connection. */
async function connection(url: string): Promise<Socket> {
  const { hostname, port } = new URL(url);
  const socket = connect({ host: hostname, port: Number(port) });
  sockets.push(socket);
  await once(socket, 'connect');
  return socket;
}

/** Resolves once nobody listens any more. */
async function refused(url: string): Promise<void> {
  const { hostname, port } = new URL(url);
  for (;;) {
    const socket = connect({ host: hostname, port: Number(port) });
    const outcome = await new Promise<string>((resolve) => {
      socket.once('connect', () => resolve('connected'));
      socket.once('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? ''));
    });
    socket.destroy();
    if (outcome === 'ECONNREFUSED') return;
  }
}

describe('SIGTERM', () => {
  it('ends an idle server with code 0', LIMIT, async () => {
    const { server } = await start();
    await stop(server);
    assert.deepEqual(server.log.map(({ msg }) => msg).slice(-2), ['closing', 'closed']);
    assert.deepEqual(
      [server.log.at(-2)?.['signal'], server.log.at(-2)?.['openTurns']],
      ['SIGTERM', 0],
    );
  });

  it(
    'is not held up by connections that are idle, or never asked for anything',
    LIMIT,
    async () => {
      const { server, url } = await start();
      const agent = new Agent({ keepAlive: true });
      agents.push(agent);
      await Promise.all([
        request(url, '/health', agent),
        request(url, '/health', agent),
        request(url, '/ready', agent),
      ]);
      await connection(url);
      const half = await connection(url);
      half.write('GET /health HTTP/1.1\r\nhost: x\r\n'); // unfinished
      await request(url, '/health'); // after both
      await stop(server);
    },
  );
});

for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const)
  it(`${signal} lets an open turn finish but nobody connect, with exit code 0`, LIMIT, async () => {
    const bench = await start();
    const { server, url } = bench;
    const stream = await streaming(bench);
    server.kill(signal);
    const closing = await server.line('closing');
    assert.deepEqual([closing['signal'], closing['openTurns']], [signal, 1]);
    await refused(url);
    server.kill('SIGUSR2');
    assert.deepEqual(await restOf(stream), [' Done.', 'response.end']);
    await assertEnds(server, 0);
    assert.equal(server.log.some(({ msg }) => msg === 'agent was told'), false);
    assert.equal((await server.line('request'))['outcome'], 'completed');
  });

describe('DRAIN_CALLS_SECONDS', () => {
  async function end({ client, url }: Bench): Promise<void> {
    const event = { type: 'session.end', session_id: 'test-session', conversation_id: 'c' };
    assert.equal((await client.post(event)).status, 200, url);
  }

  it('keeps serving calls until the last one ends; new ones go elsewhere', LIMIT, async () => {
    const bench = await start({ DRAIN_CALLS_SECONDS: '600' });
    const { server, url, client } = bench;
    await (await client.start()).text();
    server.kill('SIGTERM');
    await server.line('closing');
    assert.equal((await request(url, '/ready')).status, 503);
    assert.equal(await (await client.say('short')).text(), 'Short.');
    await end(bench);
    await assertEnds(server, 0);
  });
});

describe('the shutdown timeout', () => {
  it(
    'interrupts open turns, tells their agents, ends their streams properly, and the exit code is 0',
    LIMIT,
    async () => {
      const bench = await start({ SHUTDOWN_TIMEOUT_SECONDS: '0.2' });
      const { server } = bench;
      const stream = await streaming(bench);
      server.kill('SIGTERM');
      assert.deepEqual(await restOf(stream), ['response.end']);
      await assertEnds(server, 0);
      assert.equal((await server.line('agent was told'))['reason'], 'the server is shutting down');
      const turn = await server.line('request');
      assert.deepEqual([turn['status'], turn['outcome']], [200, 'interrupted']);
    },
  );

  it('is not held up by a request whose body never comes', LIMIT, async () => {
    const { server, url } = await start({ SHUTDOWN_TIMEOUT_SECONDS: '0' });
    const socket = await connection(url);
    socket.write(
      'POST /api/authorize HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\r\n{',
    );
    await request(url, '/health'); // after it
    await stop(server);
  });
});

describe('a second signal', () => {
  for (const [first, second, code] of [
    ['SIGINT', 'SIGTERM', 143],
    ['SIGTERM', 'SIGINT', 130],
  ] as const) {
    it(`ends the process at once with ${code}: ${second} after ${first}`, LIMIT, async () => {
      const bench = await start();
      const stream = await streaming(bench);
      bench.server.kill(first);
      assert.equal((await bench.server.line('closing'))['signal'], first);
      bench.server.kill(second);
      await assertEnds(bench.server, code);
      await assert.rejects(stream.rest()); // cut short, not properly ended
      assert.equal(
        bench.server.log.some(({ msg }) => msg === 'closed'),
        false,
      );
    });
  }
});

// Several processes as one server. SQLite is the store that they share.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, existsSync, readdirSync, readFileSync } from 'node:fs';
import { Agent, get, type IncomingMessage } from 'node:http';
import { connect } from 'node:net';
import { join } from 'node:path';
import { afterEach, describe, it } from 'node:test';
import { setImmediate, setTimeout } from 'node:timers/promises';

import { createTestClient } from '../../../src/kit/test-client.ts';
import { SECRET, SERVER, Workplace, type SpawnedServer } from '../../fixtures/spawned-server.ts';
import { WITHOUT_SQLITE } from '../../fixtures/sqlite.ts';
import { BOX, CONNECTED, URL_OF_TUNNEL } from '../../kit/tunnel/fake-cloudflared.ts';
import { assertEnds, stop } from './server-end.ts';
import {
  AGENT, hold, say, sayToNew, serving, workerOf, WORKERS_ENV, workerTurnsContract, type Service,
  type Turn,
} from './worker-turns.ts';

const workplace = new Workplace();
afterEach(() => workplace.clear());

const ANYWHERE = { timeout: 30_000 };
const LIMIT = { ...ANYWHERE, skip: WITHOUT_SQLITE };

const ENV = { ...WORKERS_ENV, CONVERSATION_STORE: 'sqlite:calls.db' };

const SPAWNS = "import { spawn } from 'node:child_process';";

interface SpawnOptions {
  readonly agent?: string;
  /** Node's own flags. */
  readonly execArgv?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
}

function spawnServer({ agent = AGENT, execArgv = [], env }: SpawnOptions = {}): SpawnedServer {
  workplace.write('agent.mjs', agent);
  return workplace.spawn({ env: { ...ENV, ...env }, execArgv });
}

function serve(options?: SpawnOptions): Promise<Service> {
  return serving(spawnServer(options));
}

/** A flag for Node that makes these functions take a tenth of the time, in all processes. */
function fast(...names: readonly ('setInterval' | 'setTimeout')[]): readonly string[] {
  const lines = names.map((name) => `const { ${name} } = globalThis;
    globalThis.${name} = (call, ms, ...values) => ${name}(call, ms / 10, ...values);`);
  return ['--import', workplace.write('fast.mjs', lines.join('\n'))];
}

/** A line of what the kernel says about a process; empty if the process is gone. */
function statusOf(pid: number, name: 'State' | 'PPid'): string {
  try {
    const status = readFileSync(`/proc/${pid}/status`, 'utf8');
    return new RegExp(`^${name}:\t(.*)$`, 'm').exec(status)?.[1] ?? '';
  } catch (error) {
    // ESRCH: it ended between `open` and `read`.
    const code = error instanceof Error && 'code' in error ? error.code : undefined;
    if (code === 'ENOENT' || code === 'ESRCH') return '';
    throw error;
  }
}

/**
 * Resolves when all of these processes have ended. Their parent is gone, so nobody is told, and
 * they may stay zombies until somebody takes note.
 */
async function ended(pids: readonly number[]): Promise<void> {
  while (pids.some((pid) => /^[^ZX]/.test(statusOf(pid, 'State')))) await setImmediate();
}

async function metric(url: string, name: string): Promise<number> {
  const headers = { connection: 'close' }; // a replaced worker serves its connections to their end
  const text = await (await fetch(`${url}/metrics`, { headers })).text();
  const line = text.split('\n').find((sample) => sample.startsWith(`${name} `));
  return Number(line?.slice(name.length));
}

/** Status and connection header of an answer over a connection of `agent`. */
async function health(url: string, agent: Agent): Promise<unknown[]> {
  const [response] = (await once(get(`${url}/health`, { agent }), 'response')) as [IncomingMessage];
  response.resume();
  await once(response, 'close');
  return [response.statusCode, response.headers.connection];
}

/** How a request over a connection of its own ends. */
function visit(url: string): Promise<'answered' | 'closed'> {
  return new Promise((resolve) => {
    const { hostname, port } = new URL(url);
    let answer = '';
    const socket = connect(Number(port), hostname, () => {
      socket.write(`GET /health HTTP/1.1\r\nhost: ${hostname}\r\nconnection: close\r\n\r\n`);
    });
    socket.setEncoding('utf8').on('data', (text: string) => (answer += text));
    socket.on('error', () => undefined); // `close` follows
    socket.on('close', () => resolve(answer.startsWith('HTTP/1.1 200') ? 'answered' : 'closed'));
  });
}

function within1Second<T>(end: Promise<T>): Promise<T | 'neither'> {
  return Promise.race([end, setTimeout(1_000, 'neither' as const, { ref: false })]);
}

/** A held turn goes on to its end. */
async function finish(turn: Turn): Promise<void> {
  turn.release();
  assert.equal(await turn.rest(), ' Done.');
}

function descriptorsOf(pid: number): number {
  return readdirSync(`/proc/${pid}/fd`).length;
}

const TURNS = 'layercode_turns_total{event="message",outcome="completed",wire="layercode"}';

describe('a server with workers', () => {
  it('serves one port from several processes, with one log and one sum of metrics', LIMIT, async () => {
    const { server, url, workers } = await serve();
    const turns: number[] = [];
    while (new Set(turns).size < workers.length) {
      const turn = await say(url, 'Hello');
      assert.equal(await turn.rest(), ' Done.');
      turns.push(turn.pid);
    }
    assert.deepEqual([...new Set(turns)].toSorted(), workers.toSorted());
    assert.equal(await metric(url, TURNS), turns.length);
    const first = 'layercode_first_speech_seconds_count{event="message"}';
    assert.equal(await metric(url, first), turns.length);
    assert.equal(await metric(url, 'layercode_workers'), 2);
    await stop(server);
    const requests = server.log.filter(({ path }) => path === '/api/agent');
    assert.deepEqual(requests.map(workerOf).toSorted(), turns.toSorted());
    assert.equal(server.log.at(-1)?.msg, 'closed');
    assert.equal(server.log.at(-1)?.['worker'], undefined);
  });

  it('replaces a killed worker, and no other call notices', LIMIT, async () => {
    const { server, url, workers } = await serve();
    const lost = await hold(url, () => true);
    const other = await hold(url, (pid) => pid !== lost.pid);
    for (let counted = 0; counted !== lost.pid; ) {
      const turn = await say(url, 'Hello');
      await turn.rest();
      counted = turn.pid;
    }
    const before = await metric(url, TURNS);
    process.kill(lost.pid, 'SIGKILL');
    await assert.rejects(lost.rest());
    const died = await server.line('a worker died');
    assert.deepEqual([workerOf(died), died['reason']], [lost.pid, 'SIGKILL']);
    const listening = (await server.lines('listening', 3)).map(workerOf);
    assert.deepEqual(listening.slice(0, 2), workers);
    // Everybody who asks within a second is told the same.
    while ((await metric(url, 'layercode_workers_died_total')) !== 1) await setTimeout(100);
    assert.equal(await metric(url, TURNS), before, 'what the dead one counted stays');
    await finish(other);
  });

  // Node's primary hands connections to its workers by default. It kept those that a worker did not
  // live to acknowledge: their callers waited for good, and each cost the primary a descriptor.
  it('answers or closes each connection within 1 s of the death of a worker', LIMIT, async () => {
    const { server, url, workers } = await serve();
    const primary = server.process.pid ?? assert.fail();
    await Promise.all(Array.from({ length: 10 }, () => visit(url)));
    const before = descriptorsOf(primary);
    let [victim] = workers;
    for (let round = 1; round <= 3; round++) {
      assert.ok(victim !== undefined);
      process.kill(victim, 'SIGSTOP'); // so that some surely arrive before its death is noticed
      const early = Array.from({ length: 10 }, () => visit(url));
      await setTimeout(50);
      process.kill(victim, 'SIGKILL');
      const late = Array.from({ length: 10 }, () => visit(url));
      const ends = await Promise.all([...early, ...late].map((end) => within1Second(end)));
      assert.deepEqual(ends.filter((end) => end === 'neither'), [], `round ${round}`);
      victim = workerOf((await server.lines('listening', 2 + round)).at(-1) ?? assert.fail());
    }
    assert.deepEqual(descriptorsOf(primary), before);
  });

  it('kills and replaces a hanging worker, but none if all were suspended', LIMIT, async () => {
    const { server, url, workers } = await serve({ execArgv: fast('setInterval') });
    const suspended = [server.process.pid ?? 0, ...workers];
    for (const pid of suspended) process.kill(pid, 'SIGSTOP');
    await setTimeout(2_000); // more than the 1.5 s that a worker may be silent
    for (const pid of suspended) process.kill(pid, 'SIGCONT');
    const other = await hold(url, () => true);
    const hung = workers.find((pid) => pid !== other.pid) ?? assert.fail();
    process.kill(hung, 'SIGSTOP');
    const died = await server.line('a worker died');
    assert.deepEqual([workerOf(died), died['reason']], [hung, 'SIGKILL']);
    const killed = await server.lines('a worker stopped answering and was killed', 1);
    assert.deepEqual(killed.map(workerOf), [hung]);
    await server.lines('listening', 3);
    await finish(other);
  });

  it('also kills a worker that hangs during a drain, and ends with code 1', LIMIT, async () => {
    const { server, workers } = await serve({ execArgv: fast('setInterval') });
    const [hung = assert.fail()] = workers;
    process.kill(hung, 'SIGSTOP');
    server.kill('SIGTERM');
    const killed = await server.line('a worker stopped answering and was killed');
    assert.equal(workerOf(killed), hung);
    await assertEnds(server, 1);
    assert.match(JSON.stringify(server.log.at(-1)), /"closing failed".*workers were killed/);
  });

  it('replaces a worker after an unawaited error, and lets its turns finish', LIMIT, async () => {
    const { server, url } = await serve();
    const held = await hold(url, () => true);
    for (let failed = 0; failed !== held.pid; ) {
      const turn = await say(url, 'fail');
      failed = turn.pid;
      await turn.rest();
    }
    await server.line('uncaught exception');
    const closing = await server.line('closing', (line) => workerOf(line) === held.pid);
    assert.equal(closing['reason'], 'replaced');
    await finish(held);
    await server.lines('listening', 3);
    assert.equal((await fetch(`${url}/ready`)).status, 200);
  });

  // A program that an agent starts may have the worker's stdout, and outlive the worker.
  it('replaces a worker whose output another program keeps open, and can end', LIMIT, async () => {
    const agent = AGENT.replace(
      "yield ' Done.';",
      "if (text === 'spawn') yield ` ${spawn('sleep', ['60'], { stdio: 'inherit' }).pid}`;",
    );
    const { server, url } = await serve({ agent: SPAWNS + agent });
    const turn = await say(url, 'spawn');
    const program = Number(await turn.rest());
    try {
      process.kill(turn.pid, 'SIGKILL');
      await server.line('a worker died');
      await server.lines('listening', 3);
      server.process.kill('SIGTERM');
      const [code] = await once(server.process, 'exit');
      assert.equal(code, 0);
    } finally {
      process.kill(program, 'SIGKILL');
    }
  });

  it('logs the last words of a worker before its death', LIMIT, async () => {
    // A program that the worker started says them: it speaks once its parent is gone.
    const speak = 'while kill -0 $PPID; do :; done 2>/dev/null; echo \'{"msg":"last words"}\'';
    const agent = AGENT.replace("yield ' Done.';", `if (text === 'spawn')
      spawn('sh', ['-c', ${JSON.stringify(speak)}], { stdio: ['ignore', 'inherit', 'ignore'] });`);
    const { server, url } = await serve({ agent: SPAWNS + agent });
    const turn = await say(url, 'spawn');
    await turn.rest();
    process.kill(turn.pid, 'SIGKILL');
    await server.line('a worker died');
    await server.line('last words');
    const messages = server.log.map(({ msg }) => msg);
    assert.ok(messages.indexOf('last words') < messages.indexOf('a worker died'), server.stdout);
  });

  it('starts workers with its own Node flags', LIMIT, async () => {
    const agent = AGENT.replace('String(process.pid)', 'JSON.stringify(process.execArgv)');
    const execArgv = ['--no-allocation-site-pretenuring', '--max-semi-space-size=4'];
    const { url } = await serve({ agent, execArgv });
    const reply = await createTestClient(url, { secret: SECRET }).say('Hello');
    assert.equal(await reply.text(), `${JSON.stringify(execArgv)} Done.`);
  });

  it('leaves nothing in the environment that marks programs as workers', LIMIT, async () => {
    const env = 'JSON.stringify(Object.keys(process.env))';
    const agent = AGENT.replace('String(process.pid)', env);
    const { url } = await serve({ agent });
    const reply = await createTestClient(url, { secret: SECRET }).say('Hello');
    assert.doesNotMatch(await reply.text(), /MICROSERVER/);
  });

  it('asks all workers for their figures only once for many readers', LIMIT, async () => {
    // The primary waits for a worker that hangs, and meanwhile the readers come.
    const count = `let asked = 0; const { send } = process;
      process.send = (message, ...rest) => {
        if (JSON.stringify(message).includes('"type":"sum"')) asked += 1;
        return Reflect.apply(send, process, [message, ...rest]);
      };`;
    const agent = count + AGENT.replace("yield ' Done.'", 'yield ` asked ${asked} times`');
    const { url, workers } = await serve({ agent });
    const [hung = assert.fail()] = workers;
    process.kill(hung, 'SIGSTOP');
    try {
      const readers = Array.from({ length: 50 }, () => metric(url, 'layercode_workers'));
      const figures = await Promise.all(readers);
      assert.deepEqual([...new Set(figures)], [2]);
      assert.equal(await (await say(url, 'Hello')).rest(), ' asked 1 times');
    } finally {
      process.kill(hung, 'SIGCONT'); // to see that the server is gone, and end
    }
  });

  it('drains all workers on SIGTERM', LIMIT, async () => {
    const { server, url } = await serve();
    const one = await hold(url, () => true);
    const other = await hold(url, (pid) => pid !== one.pid);
    server.kill('SIGTERM');
    await server.lines('closing', 3);
    for (const turn of [one, other]) await finish(turn);
    await assertEnds(server, 0);
  });

  it('gives workers the drain time in the settings before it kills them', LIMIT, async () => {
    // More than the 15 s that are added to the settings; time passes ten times as fast.
    const env = { DRAIN_DELAY_SECONDS: '20', SHUTDOWN_TIMEOUT_SECONDS: '20' };
    const { server, url } = await serve({ execArgv: fast('setTimeout'), env });
    const turn = await hold(url, () => true);
    server.kill('SIGTERM');
    assert.equal(await turn.rest(), '');
    await assertEnds(server, 0);
  });

  it('lets a worker that is sent SIGTERM itself finish, and replaces it', LIMIT, async () => {
    const { server, url } = await serve();
    const turn = await hold(url, () => true);
    process.kill(turn.pid, 'SIGTERM');
    const closing = await server.line('closing', (line) => workerOf(line) === turn.pid);
    assert.equal(closing['signal'], 'SIGTERM');
    await finish(turn);
    assert.equal((await server.line('a worker died'))['reason'], 'exit code 0');
    await server.lines('listening', 3);
  });

  it('ends at once on a second signal, and takes its workers with it', LIMIT, async () => {
    const { server, url, workers } = await serve();
    const turn = await hold(url, () => true);
    await say(url, 'block'); // this worker no longer reads messages
    server.kill('SIGINT');
    await server.line('closing');
    server.kill('SIGINT');
    await assertEnds(server, 130);
    await assert.rejects(turn.rest());
    await ended(workers);
  });

  it('takes its workers with it when it is killed', LIMIT, async () => {
    const { server, workers } = await serve();
    server.kill('SIGKILL');
    await server.exit;
    await ended(workers);
  });

  it('replaces all workers once on SIGHUP, without cutting off their calls', LIMIT, async () => {
    const { server, url, workers } = await serve();
    const startTime = await metric(url, 'process_start_time_seconds');
    const one = await hold(url, () => true);
    const other = await hold(url, (pid) => pid !== one.pid);
    const kept = new Agent({ keepAlive: true, maxSockets: 1 });
    assert.deepEqual(await health(url, kept), [200, 'keep-alive']);
    workplace.write('agent.mjs', AGENT.replace("' Done.'", "' New.'"));
    // A terminal sends signals to the workers, too: they leave them to the server.
    for (const pid of workers) process.kill(pid, 'SIGHUP');
    for (const pid of workers) process.kill(pid, 'SIGINT');
    server.kill('SIGHUP');
    await server.line('workers replaced');
    await server.lines('closing', 2);
    assert.deepEqual(await health(url, kept), [200, 'close'], 'of an old worker');
    kept.destroy();
    const turn = await sayToNew(url, workers);
    assert.equal(await turn.rest(), ' New.');
    for (const turn of [one, other]) await finish(turn);
    assert.equal((await fetch(`${url}/ready`)).status, 200);
    await ended(workers);
    assert.equal(await metric(url, 'process_start_time_seconds'), startTime);
    await stop(server);
    const messages = server.log.map(({ msg }) => msg);
    assert.equal(messages.filter((msg) => msg === 'replacing workers').length, 1);
    assert.ok(!messages.includes('a worker died'));
  });

  it('stops replacing workers on SIGTERM', LIMIT, async () => {
    const { server } = await serve();
    workplace.write('agent.mjs', 'console.log(`{"msg":"loading"}`); await new Promise(() => {});');
    server.kill('SIGHUP');
    await server.line('loading');
    await stop(server);
    const messages = server.log.map(({ msg }) => msg);
    assert.equal(messages.filter((msg) => msg === 'loading').length, 1);
    assert.deepEqual(messages.filter((msg) => /^a worker|workers replaced/.test(msg)), []);
  });

  it('keeps its workers on SIGHUP if no new worker can start', LIMIT, async () => {
    const { server, url, workers } = await serve();
    workplace.write('agent.mjs', 'throw new Error("half an edit");');
    server.kill('SIGHUP');
    await server.line('a worker was not replaced: its successor did not start');
    assert.match(server.stderr, /agent module .* failed to load: .*agent\.mjs:\d+: half an edit/);
    const turn = await say(url, 'Hello');
    assert.equal(await turn.rest(), ' Done.');
    assert.ok(workers.includes(turn.pid));
    assert.equal(await metric(url, 'layercode_workers_died_total'), 0);
    assert.deepEqual(server.log.filter(({ msg }) => msg === 'a worker died'), []);
  });

  it('replaces a worker that died during a failed SIGHUP', LIMIT, async () => {
    const { server, workers: [worker = 0] } = await serve();
    workplace.write('agent.mjs', `import { existsSync } from 'node:fs';
      console.log('{"msg":"loading"}');
      while (!existsSync('go')) await new Promise((resolve) => setTimeout(resolve, 20));
      throw new Error('half an edit');`);
    server.kill('SIGHUP');
    await server.line('loading');
    process.kill(worker, 'SIGKILL');
    await server.line('a worker died');
    await setTimeout(500); // by then the successor has counted as the missing one
    workplace.write('agent.mjs', AGENT);
    workplace.write('go', '');
    await server.line('a worker was not replaced: its successor did not start');
    await server.lines('listening', 3);
  });

  // Previously new workers used another store, in which the calls had no history.
  it('keeps its workers on SIGHUP if the settings now name a different store', LIMIT, async () => {
    const { CONVERSATION_STORE, ...env } = ENV;
    workplace.write('agent.mjs', AGENT);
    workplace.write('.env', `CONVERSATION_STORE=${CONVERSATION_STORE}`);
    const { server, url, workers } = await serving(workplace.spawn({ env }));
    workplace.write('.env', 'CONVERSATION_STORE=sqlite:others.db');
    server.kill('SIGHUP');
    const { level, ...line } = await server.line('workers not replaced: a setting needs a restart');
    assert.deepEqual([level, line['settings']], ['error', ['CONVERSATION_STORE']]);
    // Nor does a worker that replaces another one use the new store.
    const [killed = 0] = workers;
    process.kill(killed, 'SIGKILL');
    await server.lines('listening', 3);
    assert.equal(await (await say(url, 'Hello')).rest(), ' Done.');
    assert.equal(existsSync(join(workplace.directory, 'others.db')), false);
    assert.ok(server.log.every(({ msg }) => msg !== 'replacing workers'));
  });

  it('keeps its workers on SIGHUP if the settings have become wrong', LIMIT, async () => {
    const { WORKERS, ...env } = ENV;
    workplace.write('agent.mjs', AGENT);
    workplace.write('.env', `WORKERS=${WORKERS}`);
    const { server, url, workers } = await serving(workplace.spawn({ env }));
    workplace.write('.env', 'WORKERS=two');
    server.kill('SIGHUP');
    const { level, problems } = await server.line('workers not replaced: settings are wrong');
    assert.equal(level, 'error');
    assert.match(String(problems), /^WORKERS in .env .*two/);
    assert.ok(workers.includes((await say(url, 'Hello')).pid));
  });

  // Previously the port of the new workers changed without a word, and the old one was closed.
  it('warns on SIGHUP about other settings that need a restart', LIMIT, async () => {
    const { WORKERS, ...env } = ENV;
    workplace.write('agent.mjs', AGENT);
    workplace.write('.env', `WORKERS=${WORKERS}\nPORT=0`);
    const { server, url } = await serving(workplace.spawn({ env: { ...env, PORT: '' } }));
    workplace.write('.env', 'WORKERS=3\nPORT=1');
    server.kill('SIGHUP');
    const { level, settings } = await server.line('settings need a restart');
    assert.deepEqual([level, settings], ['warn', ['WORKERS', 'PORT']]);
    await server.line('workers replaced');
    const headers = { connection: 'close' };
    assert.equal((await fetch(`${url}/health`, { headers })).status, 200);
    assert.equal(await metric(url, 'layercode_workers'), 2);
  });

  it('treats SIGHUP like SIGTERM on a terminal', {
    ...LIMIT,
    skip: WITHOUT_SQLITE || (existsSync('/usr/bin/script') ? false : 'needs script of util-linux'),
  }, async () => {
    workplace.write('agent.mjs', AGENT);
    const command = `exec ${process.execPath} ${SERVER}`;
    const terminal = spawn('/usr/bin/script', ['-qefc', command, '/dev/null'], {
      cwd: workplace.directory,
      env: { HOST: '127.0.0.1', PORT: '0', LOG_FORMAT: 'json', ...ENV },
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    let output = '';
    terminal.stdout.setEncoding('utf8');
    for await (const text of terminal.stdout) {
      output += text;
      const isUp = output.split('"listening"').length === 3;
      if (!isUp || output.includes('"closing"')) continue;
      const [worker] = /(?<="worker":)\d+/.exec(output) ?? assert.fail(output);
      process.kill(Number(statusOf(Number(worker), 'PPid')), 'SIGHUP');
    }
    assert.match(output, /"msg":"closing","signal":"SIGHUP"/);
    if (terminal.exitCode === null) await once(terminal, 'exit');
    assert.equal(terminal.exitCode, 0);
  });
});

describe('the command run --tunnel with workers', () => {
  it('opens one tunnel, and ends the server when the tunnel is lost', LIMIT, async () => {
    workplace.write('agent.mjs', AGENT);
    const program = workplace.write('cloudflared', `#!${process.execPath}
      require('node:fs').appendFileSync('tunnels', process.pid + ' ');
      process.stderr.write(${JSON.stringify(BOX + CONNECTED)});
      setInterval(() => undefined, 1_000);`);
    chmodSync(program, 0o755);
    const env = { ...ENV, PATH: workplace.directory };
    const argv = ['run', '--tunnel'];
    const server = workplace.spawn({ server: join(SERVER, '../cli.js'), argv, env });
    await server.complains(new RegExp(URL_OF_TUNNEL));
    const pids = readFileSync(join(workplace.directory, 'tunnels'), 'utf8').trim();
    const [tunnel = '', ...others] = pids.split(' ');
    assert.deepEqual(others, []);
    process.kill(Number(tunnel), 'SIGKILL');
    await assertEnds(server, 1);
    assert.match(server.stdout, /"msg":"closed"/);
  });
});

describe('workers that cannot start', () => {
  // An agent is loaded before the store is opened: these tests need no SQLite.
  it('end the server with code 1, and the reason is printed once', ANYWHERE, async () => {
    const server = spawnServer({ agent: 'export default { name: "mine", onTalk: () => "Hi." };' });
    await assertEnds(server, 1);
    assert.match(server.stderr, /^layercode-microserver: agent module .*"onTalk".*\n$/);
    assert.equal(server.stdout, '');
  });

  it('end the server with code 1 even if another worker is serving', LIMIT, async () => {
    const server = spawnServer({
      agent: `import { existsSync, writeFileSync } from 'node:fs';
        if (existsSync('begun')) throw new Error('not twice');
        writeFileSync('begun', '');
        export default { name: 'mine', onMessage: () => 'Hi.' };`,
    });
    await assertEnds(server, 1);
    assert.match(server.stderr, /^layercode-microserver: agent module .*: not twice\n$/);
    const reason = 'a worker ended before it listened: exit code 1';
    assert.equal((await server.line('closing'))['reason'], reason);
  });

  it('end the server with code 1 even if they say nothing', ANYWHERE, async () => {
    const server = spawnServer({ agent: 'process.kill(process.pid, "SIGKILL");' });
    await assertEnds(server, 1);
    const reason = 'a worker ended before it listened: SIGKILL';
    assert.equal(server.stderr, `layercode-microserver: ${reason}\n`);
  });
});

workerTurnsContract('on SQLite', WITHOUT_SQLITE, () => serve());

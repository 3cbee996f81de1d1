// What must not end the process, and what must: only a spawned server shows it.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { closeSync, openSync } from 'node:fs';
import { createServer, type ServerResponse } from 'node:http';
import { afterEach, describe, it, type TestContext } from 'node:test';

import { createTestClient, type TestClient } from '../../../src/kit/test-client.ts';
import { listen } from '../../fixtures/listen.ts';
import {
  SECRET, SERVER, Workplace, type SpawnedServer, type SpawnOptions,
} from '../../fixtures/spawned-server.ts';
import { assertEnds, stop } from './server-end.ts';

const workplace = new Workplace();
afterEach(() => workplace.clear());

const LIMIT = { timeout: 20_000 };

/** A server whose agent has this body for `onMessage`, with `turn` and `reply`. */
function serve(body: string, options: Omit<SpawnOptions, 'directory'> = {}): SpawnedServer {
  const agent = `export default { name: 'mine', async onMessage(turn, reply) { ${body} } };`;
  workplace.write('my-agent.mjs', agent);
  const env = { LAYERCODE_WEBHOOK_SECRET: SECRET, AGENT: './my-agent.mjs', ...options.env };
  return workplace.spawn({ ...options, env });
}

function caller(url: string): TestClient {
  return createTestClient(url, { secret: SECRET });
}

/** Each of these texts is answered with itself. */
async function echo(url: string, ...texts: readonly string[]): Promise<void> {
  for (const text of texts) assert.equal(await (await caller(url).say(text)).text(), text);
}

async function droppedLines(url: string): Promise<number> {
  const text = await (await fetch(`${url}/metrics`)).text();
  return Number(/^layercode_log_lines_dropped_total (\d+)$/m.exec(text)?.[1]);
}

/** A turn that logs 16 MiB. */
const MUCH_LOG = `const text = 'x'.repeat(2_000);
  const fields = { a: text, b: text, c: text };
  if (turn.text === 'much') for (let line = 0; line < 2_700; line++) turn.log.info('much', fields);
  return turn.text;`;

const COMPLAINT =
  /^layercode-microserver: the log cannot be written \((.+)\): its lines are dropped, calls continue$/m;

/** Why the log cannot be written, each time that stderr says so. */
function complaints({ stderr }: SpawnedServer): string[] {
  const reasons = stderr.split('\n').map((line) => COMPLAINT.exec(line)?.[1] ?? '');
  return reasons.filter((reason) => reason !== '');
}

describe('a server that another program has started', () => {
  it('is not a worker of that program if it was forked', LIMIT, async () => {
    const forker = workplace.write('forker.mjs', `import { fork } from 'node:child_process';
      const server = fork(${JSON.stringify(SERVER)});
      process.on('SIGTERM', () => server.kill());
      server.on('exit', (code) => process.exit(code));`);
    const server = serve('return turn.text;', { server: forker });
    await echo(await server.url(), 'Hello');
    await stop(server);
  });

  it('is not a worker if it only has the environment variable of a worker', LIMIT, async () => {
    const server = serve('return turn.text;', { env: { LAYERCODE_MICROSERVER_WORKER: '1' } });
    await echo(await server.url(), 'Hello');
  });
});

describe('a log', () => {
  // EPIPE used to end the process without a word.
  it('whose reader has gone loses no calls: lines are dropped and counted, with one complaint',
    LIMIT, async () => {
      const server = serve('return turn.text;');
      const url = await server.url();
      server.process.stdout?.destroy();
      await echo(url, 'one', 'two', 'three');
      await server.complains(COMPLAINT);
      assert.ok((await droppedLines(url)) >= 1);
      assert.deepEqual(complaints(server), ['EPIPE']);
      await stop(server);
    });

  it('whose device is full loses no calls', LIMIT, async () => {
    const full = openSync('/dev/full', 'w');
    const server = serve('return turn.text;', { stdout: full });
    closeSync(full);
    const url = await server.urlOnStderr();
    await echo(url, 'one', 'two');
    assert.ok((await droppedLines(url)) >= 2);
    assert.deepEqual(complaints(server), ['ENOSPC']);
    await stop(server);
  });

  it('that nobody reads is bounded, and resumes when it is read again', LIMIT, async () => {
    // Unread lines used to pile up without a limit.
    const server = serve(MUCH_LOG);
    const url = await server.url();
    server.process.stdout?.pause();
    await echo(url, 'much', 'much');
    const dropped = await droppedLines(url);
    // 5,400 lines of 6 KB: 8 MiB and what the kernel takes are kept.
    assert.ok(dropped > 3_000 && dropped < 5_000, String(dropped));
    assert.deepEqual(complaints(server), ['it is not read']);
    server.process.stdout?.resume();
    await once(server.process.stdout ?? assert.fail(), 'data');
    const late = { type: 'message', session_id: 's', conversation_id: 'c', turn_id: 'late' };
    while (!server.log.some((line) => line['path'] === '/api/agent' && line['turnId'] === 'late'))
      await (await caller(url).post({ ...late, text: 'late' })).text();
    assert.ok(server.log.every((line) => line.msg !== ''), 'every line is whole');
  });

  it('whose reader has gone loses no calls even without stderr', LIMIT, async () => {
    const server = serve('return turn.text;');
    const url = await server.url();
    server.process.stdout?.destroy();
    server.process.stderr?.destroy();
    await echo(url, 'one', 'two', 'three');
    assert.ok((await droppedLines(url)) >= 1);
  });
});

describe('a start that fails', () => {
  for (const [what, env] of [
    ['a wrong setting', { PORT: '80a' }],
    ['an address that is not available', { HOST: '192.0.2.1' }],
  ] as const)
    it(`because of ${what} ends the process, even if the agent's module keeps it alive`,
      LIMIT, async () => {
        workplace.write('my-agent.mjs', `setInterval(() => undefined, 1_000);
          export default { name: 'mine', onMessage: () => 'Hi.' };`);
        const agent = { LAYERCODE_WEBHOOK_SECRET: SECRET, AGENT: './my-agent.mjs' };
        const server = workplace.spawn({ env: { ...agent, ...env } });
        await assertEnds(server, 1);
        assert.match(server.stderr, /^layercode-microserver: .*(80a|192\.0\.2\.1).*\n$/);
      });
});

/** A server that answers only when it is told to. */
async function heldServer(t: TestContext): Promise<{
  url: string; asked: (count: number) => Promise<void>; answer: () => void;
}> {
  const held: ServerResponse[] = [];
  const server = createServer((_request, response) => {
    held.push(response);
    server.emit('asked');
  });
  return {
    url: (await listen(server, t)).origin,
    async asked(count) {
      while (held.length < count) await once(server, 'asked');
    },
    answer() {
      for (const response of held.splice(0)) response.end('answered');
    },
  };
}

describe('a barge-in', () => {
  // Previously the first rejection ended the turn, the second had no handler, and every call of
  // the process was lost.
  it('does not end the process even if the agent does not await all that the signal aborts',
    LIMIT, async (t) => {
      const held = await heldServer(t);
      const server = serve(
        `if (turn.text !== 'leave') return turn.text;
       reply.say('Wait. ');
       const ask = () => fetch('${held.url}', { signal: turn.signal });
       const [first, second] = [ask(), ask()];
       await first; await second;`,
        { env: { LOG_LEVEL: 'debug' } },
      );
      const client = caller(await server.url());
      const leaving = await client.say('leave');
      await held.asked(2);
      leaving.drop();
      await server.line('an abort that nobody awaited');
      await echo(await server.url(), 'still there?');
      assert.equal((await fetch(`${await server.url()}/ready`)).status, 200);
      await stop(server);
    });
});

describe('an error that nobody awaits', () => {
  for (const [message, kind, failure] of [
    ['uncaught exception', 'in a timer',
      `setTimeout(() => { throw new Error('out of nowhere'); });`],
    ['unhandled rejection', 'in a promise', `Promise.reject(new Error('out of nowhere'));`],
    ['unhandled rejection', 'and that is not an Error', `Promise.reject('out of nowhere');`],
  ] as const)
    it(`${kind} lets open turns finish, keeps new turns away, and ends the process with 1`,
      LIMIT, async (t) => {
        const held = await heldServer(t);
        const server = serve(
          `if (turn.text === 'fail') { ${failure} return 'Failing.'; }
         reply.say('Wait. ');
         return (await fetch('${held.url}')).text();`,
          { env: { DRAIN_DELAY_SECONDS: '0' } },
        );
        const url = await server.url();
        const open = await caller(url).say('open');
        await held.asked(1);
        const failing = caller(url).say('fail').then((reply) => reply.text());
        assert.match(JSON.stringify((await server.line(message))['error']), /out of nowhere/);
        assert.equal((await server.line('closing'))['reason'], message);
        assert.equal(await failing, 'Failing.');
        const ready = await fetch(`${url}/ready`).then(({ status }) => status, () => 'refused');
        assert.ok(ready === 503 || ready === 'refused', String(ready));
        held.answer();
        assert.equal(await open.text(), 'Wait. answered');
        await assertEnds(server, 1);
        assert.equal(server.log.filter(({ msg }) => msg === 'closed').length, 1);
      });

  it('leaves the server not ready but serving through the drain delay, as balancers need',
    LIMIT, async () => {
      const server = serve(
        `if (turn.text === 'fail') setTimeout(() => { throw new Error('once'); });
       return turn.text;`,
        { env: { DRAIN_DELAY_SECONDS: '60' } },
      );
      const url = await server.url();
      await (await caller(url).say('fail')).text();
      await server.line('closing');
      assert.equal((await fetch(`${url}/ready`)).status, 503);
      await echo(url, 'late');
      await (await caller(url).say('fail')).text(); // a second error does not close it twice
      server.kill('SIGTERM'); // a second request to close ends the drain
      await assertEnds(server, 143);
      assert.equal(server.log.filter(({ msg }) => msg === 'closing').length, 1);
    });

  it('during a drain makes the exit code 1', LIMIT, async (t) => {
    const held = await heldServer(t);
    const server = serve(
      `reply.say('Wait. ');
       await (await fetch('${held.url}')).text();
       setTimeout(() => { throw new Error('late'); });
       await new Promise((resolve) => setTimeout(resolve, 1));
       return 'Done.';`,
    );
    const open = await caller(await server.url()).say('open');
    await held.asked(1);
    server.kill('SIGTERM');
    await server.line('closing');
    held.answer();
    assert.equal(await open.text(), 'Wait. Done.');
    await assertEnds(server, 1);
    await server.line('uncaught exception');
  });
});

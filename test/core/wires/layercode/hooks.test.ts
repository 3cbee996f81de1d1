// Events that do not speak: how long their hooks may take, how many run at once, and what a
// repeated one does.

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { describe, it } from 'node:test';
import { promisify } from 'node:util';

import {
  deferred,
  fired,
  Listener,
  messageEvent,
  rawRequest,
  serve,
  Told,
  within,
} from '../../../fixtures/app.ts';
import { jumpingClock, mockTimers } from '../../../fixtures/clock.ts';
import { TYPESCRIPT } from '../../../fixtures/typescript.ts';

const MAX_ONE = { environment: { MAX_STREAMS: '1' } };

const ids = { session_id: 's-1', conversation_id: 'c-1' };
const dataEvent = (fields: object = {}): object => ({
  type: 'data',
  ...ids,
  turn_id: 't-9',
  data: { a: 1 },
  ...fields,
});
const updateEvent = (fields: object = {}): object => ({
  type: 'session.update',
  ...ids,
  ...fields,
});
const endEvent = (fields: object = {}): object => ({ type: 'session.end', ...ids, ...fields });
const callEvent = (type: string, fields: object = {}): object => ({
  type,
  call_id: 'call-1',
  ...fields,
});

/** Serves an agent whose hooks never end, calls them, collects garbage, and prints the statuses. */
const COLLECTED = `
  import { createApp, defineAgent, parseSettings, signPayload } from './src/index.ts';
  const settings = parseSettings({
    LAYERCODE_WEBHOOK_SECRET: 'whsec_x', TURN_TIMEOUT_SECONDS: '1', SHUTDOWN_TIMEOUT_SECONDS: '0',
  }, []);
  const never = () => new Promise(() => undefined);
  const agent = defineAgent({
    name: 'deaf', onMessage: () => 'Yes.',
    onData: never, onSessionUpdate: never, onSessionEnd: never,
  });
  const app = createApp(settings, agent);
  const { port } = await app.listen({ host: '127.0.0.1', port: 0 });
  const asked = process.argv.slice(1).map((body) => fetch('http://127.0.0.1:' + port + '/api/agent', {
    method: 'POST', body,
    headers: { 'content-type': 'application/json', 'layercode-signature': signPayload(body, 'whsec_x') },
  }));
  // Nothing says when a collection has taken what nobody holds: several, as long as the hooks run.
  for (let count = 0; count < 20; count++) {
    await new Promise((resolve) => setTimeout(resolve, 20));
    globalThis.gc();
  }
  const late = new Promise((resolve) => setTimeout(resolve, 9_000, { status: 'no answer' }));
  const answers = await Promise.all(asked.map((one) => Promise.race([one, late])));
  console.log(JSON.stringify(answers.map(({ status }) => status)));
  process.exit();
`;

describe('a hook that never ends', () => {
  // Node 20 used to collect the timeout, so that the request hung for ever.
  it('keeps its timeout after a garbage collection: onData, onSessionUpdate, onSessionEnd', async () => {
    const events = [dataEvent(), updateEvent(), endEvent()].map((event) => JSON.stringify(event));
    const { stdout } = await promisify(execFile)(
      process.execPath,
      ['--expose-gc', ...TYPESCRIPT, '--input-type=module', '--eval', COLLECTED, ...events],
      { cwd: new URL('../../../..', import.meta.url) },
    );
    assert.deepEqual(JSON.parse(stdout), [500, 500, 500]);
  });

  it('has its signal aborted, with the timeout as the reason', async (t) => {
    const reason = deferred<unknown>();
    const { client } = serve(
      t,
      {
        onData: ({ signal }) => {
          void fired(signal).then(reason.resolve);
          return new Promise(() => undefined);
        },
      },
      { environment: { TURN_TIMEOUT_SECONDS: '0.05' } },
    );
    assert.equal((await client.post(dataEvent())).status, 500);
    const { name, message } = (await reason.promise) as Error;
    assert.deepEqual([name, message], ['TimeoutError', 'the agent took longer than 50 ms']);
  });
});

describe('a hook that returns a thenable such as a query builder', () => {
  it('is awaited', async (t) => {
    const { client } = serve(t, {
      onData: () =>
        ({
          then: (resolve: (value: object) => void) => resolve({ rows: 2 }),
        }) as unknown as Promise<object & { rows: number }>,
    });
    assert.deepEqual(await (await client.post(dataEvent())).json(), { rows: 2 });
  });
});

/** A hook that waits until it is released. */
function waiting() {
  const [begun, release] = [deferred(), deferred()];
  const hook = (): Promise<void> => {
    begun.resolve();
    return release.promise;
  };
  return { hook, begun: begun.promise, release: release.resolve };
}

describe('as many running data hooks as MAX_STREAMS', () => {
  for (const [name, event] of [
    ['data', dataEvent],
    ['session.update', updateEvent],
  ] as const) {
    it(`cause one more ${name} to be refused with 503, and the agent is not told`, async (t) => {
      const [told, release] = [new Told<string>(), deferred()];
      const hook = async ({ event: { type } }: { event: { type: string } }): Promise<void> => {
        told.tell(type);
        await release.promise;
      };
      const { client } = serve(t, { onData: hook, onSessionUpdate: hook }, MAX_ONE);
      const first = client.post(dataEvent());
      await told.next();
      const second = await client.post(event());
      assert.deepEqual(
        [second.status, second.response.headers.get('retry-after'), told.all],
        [503, '1', ['data']],
      );
      release.resolve();
      assert.equal((await first).status, 200);
    });
  }

  it('leave a stream for a turn', async (t) => {
    const { hook, begun, release } = waiting();
    const { client } = serve(t, { onData: hook }, MAX_ONE);
    const first = client.post(dataEvent());
    await begun;
    assert.equal((await client.say('Hello?')).status, 200);
    release();
    await first;
  });

  it('make room when the platform drops one of them, and its signal fires', async (t) => {
    const [begun, reason] = [deferred(), deferred<unknown>()];
    const { client, raw } = serve(
      t,
      {
        onData: ({ data, signal }) => {
          if (data['a'] === 2) return { second: true };
          void fired(signal).then(reason.resolve);
          begun.resolve();
          return new Promise(() => undefined);
        },
      },
      MAX_ONE,
    );
    const connection = await raw();
    connection.write(rawRequest(dataEvent()));
    await begun.promise;
    connection.socket.destroy();
    const left = await within(reason.promise, 'the signal');
    assert.match(String(left), /the caller closed the connection/);
    assert.equal((await client.post(dataEvent({ data: { a: 2 } }))).status, 200);
  });
});

describe('at MAX_STREAMS,', () => {
  /** A server whose one stream is open, in a call of either dialect. */
  async function full(t: Parameters<typeof serve>[0], event: object) {
    const ended = new Told<string>();
    const served = serve(
      t,
      {
        onMessage: async ({ signal }, reply) => {
          reply.say('One.');
          await fired(signal);
        },
        onSessionEnd: ({ event: { type } }) => ended.tell(type),
      },
      MAX_ONE,
    );
    const listener = new Listener(await served.client.post(event));
    await listener.next();
    return { ...served, ended, listener };
  }
  const spoken = (fields: object = {}): object =>
    callEvent('transcript', { transcript: 'Hello?', turn_id: 't-1', ...fields });

  for (const [opened, end, type] of [
    [spoken(), callEvent('user_interrupted'), undefined],
    [spoken(), callEvent('call_ended'), 'call_ended'],
    [messageEvent(), endEvent(), 'session.end'],
  ] as const)
    it(`${type ?? 'user_interrupted'} ends the turn and is reported`, async (t) => {
      const { client, interrupted, ended } = await full(t, opened);
      assert.equal((await client.post(end)).status, 200);
      assert.equal((await interrupted.next()).turnId, 't-1');
      if (type !== undefined) assert.equal(await ended.next(), type);
    });

  it('a slow hook at the end of a call does not keep a turn out', async (t) => {
    const { hook, begun, release } = waiting();
    const { client, metric } = serve(t, { onSessionEnd: hook }, MAX_ONE);
    const ending = client.post(callEvent('call_ended'));
    await begun;
    assert.deepEqual(
      [metric('layercode_open_streams'), (await client.say('Hello?')).status],
      [0, 200],
    );
    release();
    await (await ending).text();
  });
});

for (const end of [endEvent(), callEvent('call_ended')])
  it(`a repeated ${(end as { type: string }).type} is answered, not reported again`, async (t) => {
    const [told, release] = [new Told<string>(), deferred()];
    const { client } = serve(t, {
      onSessionEnd: async ({ event: { type } }) => {
        told.tell(type);
        await release.promise;
      },
    });
    const first = client.post(end);
    await told.next();
    const again = await client.post(end); // while the first is with the agent
    release.resolve();
    const texts = [await (await first).response.text(), await (await again).response.text()];
    assert.equal(texts[0], texts[1]);
    assert.equal((await client.post(end)).status, 200);
    assert.equal(told.all.length, 1);
  });

describe('a repeated session.end', () => {
  it('does not cut a turn that has begun since, not even one of its own session', async (t) => {
    const { client, history } = serve(t, {
      onMessage: async ({ text, signal }, reply) => {
        reply.say('One.');
        if (text !== 'short') await fired(signal);
      },
    });
    await client.post(endEvent());
    for (const session_id of ['s-1', 's-2']) {
      const listener = new Listener(
        await client.post(messageEvent({ session_id, turn_id: `t-${session_id}` })),
      );
      await listener.next();
      await client.post(endEvent());
      assert.equal((await history('c-1')).at(-1)?.[2], 'open');
    }
  });

  it('is reported again if the hook failed', async (t) => {
    const told = new Told<string>();
    const { client } = serve(t, {
      onSessionEnd: async ({ event: { type } }) => {
        told.tell(type);
        if (told.all.length === 1) throw new Error('the database is away');
      },
    });
    const statuses = [];
    for (let count = 0; count < 3; count++) statuses.push((await client.post(endEvent())).status);
    assert.deepEqual([statuses, told.all.length], [[500, 200, 200], 2]);
  });
});

describe('the time for the first word', () => {
  // It used to run from the request's headers on, and a slow body left the agent none of it.
  it('begins once the body has arrived', async (t) => {
    const pass = jumpingClock(t);
    const begun = deferred();
    const spoke = deferred();
    const { app, raw } = serve(
      t,
      {
        onMessage: async (_turn, reply) => {
          begun.resolve();
          await spoke.promise;
          reply.say('In time.');
        },
      },
      { environment: { FIRST_WORD_TIMEOUT_SECONDS: '10' } },
    );
    const headArrived = deferred();
    app.use((_context, next) => {
      headArrived.resolve();
      return next();
    });
    const connection = await raw();
    const bytes = rawRequest(messageEvent());
    const head = bytes.indexOf('\r\n\r\n') + 4;
    connection.write(bytes.slice(0, head));
    await headArrived.promise;
    pass(11_000);
    const clock = mockTimers(t, ['setTimeout']);
    connection.write(bytes.slice(head));
    await begun.promise;
    clock.tick(9_000);
    spoke.resolve();
    assert.match(
      await connection.read((text) => text.includes('response.end'), 'the reply'),
      /In time\./,
    );
  });
});

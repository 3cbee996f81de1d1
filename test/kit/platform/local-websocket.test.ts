import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import type { EventContext } from '../../../src/core/agents/agent.ts';
import type { SessionEndEvent } from '../../../src/core/wires/layercode/events.ts';
import { deferred, fired } from '../../fixtures/app.ts';
import { authorize, Browser, connect, type ConnectOptions, type Refusal } from './browser.ts';
import { greeted, stage } from './local-stage.ts';

type Fields = Readonly<Record<string, unknown>>;

async function refused(answer: Promise<Browser | Refusal>): Promise<Refusal> {
  const refusal = await answer;
  if (refusal instanceof Browser) {
    refusal.destroy();
    throw new Error('the socket was opened');
  }
  return refusal;
}

describe('the local WebSocket', () => {
  it('welcomes the caller once, on client.ready', async (t) => {
    const { open } = await stage(t, { welcome: 'Hi!' });
    const browser = await open();
    browser.send({ type: 'client.ready' });
    browser.send({ type: 'client.ready' });
    assert.equal((await browser.next('response.text')).content, 'Hi!');
    browser.send({ type: 'client.response.text', content: 'Hello' });
    assert.equal((await browser.next('response.text')).content, 'You said: Hello');
  });

  it('sends no welcome before client.ready', async (t) => {
    const { open, app } = await stage(t, { welcome: 'Hi!' });
    const browser = await open();
    browser.send({ type: 'client.response.text', content: 'Hello' });
    assert.equal((await browser.next('response.text')).content, 'You said: Hello');
    assert.equal(await app.conversations.count(), 1);
  });

  it('ignores frames that mean nothing in text mode', async (t) => {
    const { open } = await stage(t);
    const browser = await open();
    for (const frame of [
      { type: 'client.audio', content: 'AAAA' },
      { type: 'vad_events', event: 'vad_start' },
      { type: 'trigger.turn.end', role: 'user' },
      { type: '__proto__' },
    ])
      browser.send(frame);
    browser.send({ type: 'client.response.text', content: 'Hello' });
    assert.equal((await browser.next('response.text')).content, 'You said: Hello');
  });

  it('sends no trace to a front end that did not ask for one', async (t) => {
    const browser = await greeted(t);
    await browser.next('turn.end');
    await browser.next('turn.end');
    assert.deepEqual(
      browser.frames.all.filter(({ type }) => type.startsWith('local.')),
      [],
    );
  });

  it("shows the webhook's events and the server's figures to a client that asks", async (t) => {
    const { open } = await stage(t);
    const browser = await open('&trace=true');
    const startedAtMs = performance.now();
    browser.send({ type: 'client.response.text', content: 'Hello' });
    const request = await browser.next('local.request');
    const turn = await browser.next('local.turn');
    assert.ok(turn.durationMs > 0 && turn.durationMs < performance.now() - startedAtMs);
    assert.deepEqual(
      [turn.delivery, turn.turn_id, turn.outcome],
      [request.delivery, request.event['turn_id'], 'completed'],
    );
    assert.ok((turn.firstSpeechMs ?? Infinity) <= turn.durationMs);
    assert.equal('reason' in turn, false);
  });

  it("shows the tokens and time of each model request, to a tenth of a ms", async (t) => {
    const browser = await greeted(t, {
      onMessage: ({ journal }) => {
        const tokens = { inputTokens: 1_204, outputTokens: undefined, cachedTokens: 1_024 };
        journal.noteUsage({ type: 'usage', model: 'test:model', ...tokens, firstDeltaMs: 1.234 });
        return 'Yes?';
      },
    }, '&trace=true');
    const { usage } = await browser.next('local.turn');
    const tokens = { inputTokens: 1_204, cachedTokens: 1_024 };
    assert.deepEqual(usage, [{ type: 'usage', model: 'test:model', ...tokens, firstDeltaMs: 1.2 }]);
  });

  it("gives the agent the caller's number, custom metadata and headers with every event", async (t) => {
    const told: unknown[] = [];
    const note = ({ event, headers }: EventContext): void => {
      const { type, from_phone_number, custom_metadata } = event as unknown as Fields;
      told.push([type, from_phone_number, custom_metadata, headers['x-tenant']]);
    };
    const { open } = await stage(t, { onSessionStart: note, onMessage: note, onSessionEnd: note });
    const browser = await open('', {
      from_phone_number: '+31201234567',
      custom_metadata: { plan: 'gold' },
      custom_headers: { 'X-Tenant': 'acme' },
    });
    browser.send({ type: 'client.ready' });
    await browser.next('response.end');
    browser.send({ type: 'client.response.text', content: 'Hello' });
    await browser.next('response.end');
    browser.send({ type: 'local.end' });
    assert.equal(await browser.closed, 1000);
    assert.deepEqual(told, ['session.start', 'message', 'session.end'].map((type) => (
      [type, '+31201234567', { plan: 'gold' }, 'acme']
    )));
  });

  const itself = new Error('x'.repeat(10_000));
  itself.cause = itself;
  for (const [what, error, reason] of [
    ['with the messages of the error and its causes',
      new Error('the oven is cold', { cause: new Error('no gas') }), 'the oven is cold: no gas'],
    ['with bounded text if the error is long and its own cause', itself,
      'x'.repeat(2_000)],
    ['with a value that is not an error', 'out of flour', 'out of flour'],
  ] as const) {
    it(`tells only a client that asks for a trace why a turn failed, ${what}`, async (t) => {
      const agent = { onMessage: () => Promise.reject(error as Error) };
      const browser = await greeted(t, agent, '&trace=true');
      const turn = await browser.next('local.turn');
      assert.deepEqual([turn.outcome, turn.reason], ['failed', reason]);
      const others = browser.frames.all.filter(({ type }) => type !== 'local.turn');
      assert.equal(JSON.stringify(others).includes(reason), false);
    });
  }

  it("also treats the beginning of the caller's speech as an interruption", async (t) => {
    const aborted = deferred();
    const browser = await greeted(t, {
      async *onMessage({ signal }) {
        yield 'A long story ';
        await fired(signal);
        aborted.resolve();
      },
    });
    await browser.next('response.text.delta');
    browser.send({ type: 'trigger.turn.start', role: 'user' });
    await aborted.promise;
  });

  it('goes on if the official client reports too early that it has played a turn', async (t) => {
    const gate = deferred();
    const browser = await greeted(t, {
      async *onMessage() {
        yield 'One ';
        await gate.promise;
        yield 'two.';
      },
    });
    await browser.next('response.text.delta');
    browser.send({ type: 'trigger.response.audio.replay_finished', reason: 'completed' });
    gate.resolve();
    assert.equal((await browser.next('response.text')).content, 'One two.');
  });

  it('ends the session when the socket closes, and when it is lost', async (t) => {
    const ends: (string | undefined)[] = [];
    const both = deferred();
    const { open } = await stage(t, {
      onSessionEnd: ({ event }) => {
        ends.push((event as SessionEndEvent).conversation_id ?? undefined);
        if (ends.length === 2) both.resolve();
      },
    });
    const closing = await open('', { conversation_id: 'closes' });
    closing.close();
    assert.equal(await closing.closed, 1005);
    (await open('', { conversation_id: 'is lost' })).destroy();
    await both.promise;
    assert.deepEqual(ends.toSorted(), ['closes', 'is lost']);
  });

  it('closes with 1000 after a hang-up', async (t) => {
    const browser = await greeted(t, {
      onMessage: (_turn, reply) => reply.hangup({ say: 'Goodbye!' }),
    });
    assert.equal(await browser.closed, 1000);
    assert.equal(browser.frames.all.at(-1)?.type, 'turn.end');
  });

  it('closes with 1001 when the server shuts down, after telling the agent', async (t) => {
    const ends: string[] = [];
    const { open, app } = await stage(t, {
      onSessionEnd: ({ event }) => void ends.push(event.type),
    });
    const browser = await open();
    await app.close();
    assert.deepEqual([await browser.closed, ends], [1001, ['session.end']]);
  });

  it('does not open while the server is shutting down, and /ready says so', async (t) => {
    const isTold = deferred();
    const gate = deferred();
    const { open, app, origin, fetch } = await stage(t, {
      async onSessionEnd() {
        isTold.resolve();
        await gate.promise;
      },
    });
    const { client_session_key } = await authorize(origin);
    await open();
    const closing = app.close();
    await isTold.promise;
    assert.equal((await fetch('/ready')).status, 503);
    assert.equal(
      (await refused(connect(origin, `client_session_key=${client_session_key}`))).status,
      503,
    );
    gate.resolve();
    await closing;
  });

  it('passes on text nearly as long as a message may be, along with its trace', async (t) => {
    const { open } = await stage(t, { onMessage: ({ text }) => String(text.length) });
    const browser = await open('&trace=true');
    browser.send({ type: 'client.response.text', content: 'x'.repeat(1_040_000) });
    assert.equal((await browser.next('response.text')).content, '1040000');
  });

  it('logs one line per socket, once it has closed', async (t) => {
    const { open, recorded } = await stage(t);
    const browser = await open();
    browser.close();
    await browser.closed;
    const lines = await recorded.wait('request', 3); // authorize, the socket, session.end
    const line = lines.find(({ path }) => path === '/v1/agents/web/websocket');
    assert.deepEqual(
      [line?.['status'], JSON.stringify(line).includes('client_session_key')],
      [101, false],
    );
  });

  const broken: readonly (readonly [what: string, frame: string])[] = [
    ['is not JSON', '{'],
    ['is not an object', '[]'],
    ['has no type', '{}'],
    ['has text that is not a string', '{"type":"client.response.text","content":1}'],
    ['has data that is not an object', '{"type":"client.response.data","data":[]}'],
    [
      'is nested too deeply',
      `{"type":"client.response.data","data":{"a":${'['.repeat(100_000)}${']'.repeat(100_000)}}}`,
    ],
  ];
  for (const [what, frame] of broken) {
    it(`closes with 1008 for a message that ${what}`, async (t) => {
      const browser = await (await stage(t)).open();
      browser.send(frame);
      assert.equal(await browser.closed, 1008);
    });
  }
});

describe("the server of the local WebSocket", () => {
  // Which clients are on this machine is decided by localOnly.
  const doors: readonly (readonly [
    who: string, status: number, options: ConnectOptions & { readonly query?: string },
  ])[] = [
    ['somebody without a key', 401, { query: '' }],
    ['somebody with an unknown key', 401, { query: 'client_session_key=abc' }],
    ['a page of another site', 403, { headers: { origin: 'https://evil.example' } }],
    ['a client of an older protocol', 426, { headers: { 'sec-websocket-version': '8' } }],
    ['a WebSocket on another path', 400, { path: '/health' }],
  ];
  for (const [who, status, { query, ...options }] of doors) {
    it(`answers ${who} with ${status}`, async (t) => {
      const { origin } = await stage(t);
      const { client_session_key: key } = await authorize(origin);
      const answer = connect(origin, query ?? `client_session_key=${key}`, options);
      assert.equal((await refused(answer)).status, status);
    });
  }

  it('tells an ordinary request that an upgrade is required', async (t) => {
    const { fetch } = await stage(t);
    const response = await fetch('/v1/agents/web/websocket');
    assert.deepEqual([response.status, response.headers.get('upgrade')], [426, 'websocket']);
  });
});

describe('a WebSocket opened after a request that is still being answered', () => {
  // Assigning its response to the socket threw, which ended the process.
  it('is closed, and the server goes on', async (t) => {
    const { raw, fetch } = await stage(t);
    const connection = await raw();
    connection.send(
      'GET /playground HTTP/1.1\r\nhost: localhost\r\n\r\n'
        + 'GET /v1/agents/web/websocket HTTP/1.1\r\nhost: localhost\r\n'
        + 'connection: Upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\n'
        + 'sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n',
    );
    await connection.closed;
    assert.equal((await fetch('/health')).status, 200);
  });
});

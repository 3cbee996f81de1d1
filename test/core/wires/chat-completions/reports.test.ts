// What platforms report about a call besides its turns.

import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { describe, it, type TestContext } from 'node:test';

import type { SessionEndContext } from '../../../../src/core/agents/agent.ts';
import { defineAgent } from '../../../../src/core/agents/define-agent.ts';
import { defineState } from '../../../../src/core/state/state.ts';
import type { CallRecord } from '../../../../src/server/records/call-record.ts';
import {
  deferred, Told, within, type ServeOptions, type TestAgent,
} from '../../../fixtures/app.ts';
import {
  asking, CONVERSATION, KEY, requestLines, serveCompletions, serveWith, saying, warningsIn,
  type Completion, type Fields, type ServedPlatform,
} from '../../../fixtures/completions.ts';
import { openRecorder } from '../../../server/records/recorded-calls.ts';

const PATH = '/api/agent/events';
const VAPI_SECRET = 'vapi-secret-of-the-tests';
const ELEVENLABS_SECRET = 'wsec_of-the-tests';
const REFUSED = {
  message: 'the report carries no known signature', type: 'invalid_request_error', param: null,
  code: null,
};

const call = { id: CONVERSATION, type: 'inboundPhoneCall' };
const END = {
  message: {
    type: 'end-of-call-report', call, endedReason: 'customer-ended-call',
    startedAt: '2026-11-25T12:00:00.000Z', endedAt: '2026-11-25T12:01:05.000Z',
    customer: { number: '+4930111' }, phoneNumber: { number: '+4930222' },
  },
};
const ENDED = { message: { type: 'status-update', status: 'ended', call } };
const INTERRUPTED = { message: { type: 'user-interrupted', call } };
const AFTER_CALL = {
  type: 'post_call_transcription',
  data: {
    conversation_id: CONVERSATION, transcript: [],
    metadata: { start_time_unix_secs: 1_764_000_000, call_duration_secs: 65 },
  },
};

interface Reporting extends ServedPlatform {
  /** Reports as Vapi does, with `X-Vapi-Secret`. */
  report(body: Fields | string | Uint8Array, headers?: Fields): Promise<Completion>;
  /** Reports as ElevenLabs does, with its signature. */
  tell(body: Fields | string, signature?: string): Promise<Completion>;
}

function serveReports(
  t: TestContext, agent: TestAgent, options: ServeOptions = {}, profile = 'generic',
): Reporting {
  const environment = {
    VAPI_WEBHOOK_SECRET: VAPI_SECRET, ELEVENLABS_WEBHOOK_SECRET: ELEVENLABS_SECRET,
    CHAT_COMPLETIONS_PROFILE: profile, ...options.environment,
  };
  const served = serveCompletions(t, agent, { ...options, environment });
  const post = (
    body: Fields | string | Uint8Array, headers: Fields,
  ): Promise<Completion> => served.platform.ask(body, {
    path: PATH, key: null, conversationId: null, headers: headers as Record<string, string>,
  });
  return {
    ...served,
    report: (body, headers = { 'x-vapi-secret': VAPI_SECRET }) => post(body, headers),
    tell(body, signature) {
      const text = typeof body === 'string' ? body : JSON.stringify(body);
      return post(text, { 'elevenlabs-signature': signature ?? signed(text) });
    },
  };
}

/** Signs as the library of ElevenLabs does: https://github.com/elevenlabs/elevenlabs-js */
function signed(body: string, atMs = Date.now(), secret = ELEVENLABS_SECRET): string {
  const time = Math.floor(atMs / 1_000);
  const digest = createHmac('sha256', secret).update(`${time}.${body}`).digest('hex');
  return `t=${time},v0=${digest}`;
}

/** An agent that remembers the ends of calls that it was told of. */
function listening(): { readonly agent: TestAgent; readonly ends: Told<SessionEndContext> } {
  const ends = new Told<SessionEndContext>();
  return { agent: { onSessionEnd: ends.tell }, ends };
}

describe('the route for reports', () => {
  it('does not exist without a secret, nor without keys', async (t) => {
    const { platform } = serveCompletions(t, {});
    assert.equal((await platform.ask(END, { path: PATH })).status, 404);
    const { platform: keyless } = serveWith(t, saying('Yes.'), {
      LAYERCODE_WEBHOOK_SECRET: 'whsec_x-of-the-tests', VAPI_WEBHOOK_SECRET: VAPI_SECRET,
    });
    assert.equal((await keyless.ask(END, { path: PATH })).status, 404);
  });

  it('exists for each of several agents', async (t) => {
    const agents = { sales: saying('Sales.'), desk: saying('Desk.') };
    const { platform } = serveWith(t, agents, {
      CHAT_COMPLETIONS_KEYS: KEY, VAPI_WEBHOOK_SECRET: VAPI_SECRET,
      AGENTS: 'sales=./sales.ts,desk=./desk.ts',
    });
    const statuses = [];
    for (const base of ['/api/agent', '/api/agent/sales', '/api/agent/desk'])
      statuses.push((await platform.ask(END, { path: `${base}/events`, key: VAPI_SECRET })).status);
    assert.deepEqual(statuses, [200, 200, 200]);
  });

  it('takes the old and the new secret during a rotation, and no other', async (t) => {
    const environment = {
      VAPI_WEBHOOK_SECRET: `old-${VAPI_SECRET},new-${VAPI_SECRET}`,
      ELEVENLABS_WEBHOOK_SECRET: `old-${ELEVENLABS_SECRET},new-${ELEVENLABS_SECRET}`,
    };
    const { report, tell } = serveReports(t, {}, { environment });
    const body = JSON.stringify(AFTER_CALL);
    for (const [age, status] of [['old-', 200], ['new-', 200], ['', 401]] as const) {
      const vapi = await report(END, { 'x-vapi-secret': age + VAPI_SECRET });
      const elevenLabs = await tell(body, signed(body, Date.now(), age + ELEVENLABS_SECRET));
      assert.deepEqual([vapi.status, elevenLabs.status], [status, status], age);
    }
  });

  const forged = signed(JSON.stringify(AFTER_CALL), Date.now(), '');
  for (const [whose, only, environment, body, headers] of [
    ['Vapi', 'ElevenLabs', { ELEVENLABS_WEBHOOK_SECRET: ELEVENLABS_SECRET }, END,
      { authorization: `Bearer ${VAPI_SECRET}` }],
    ['ElevenLabs', 'Vapi', { VAPI_WEBHOOK_SECRET: VAPI_SECRET }, AFTER_CALL,
      { 'elevenlabs-signature': forged }],
  ] as const)
    it(`refuses a report from ${whose} if only ${only} has a secret`, async (t) => {
      const { platform } = serveCompletions(t, {}, { environment });
      const answer = await platform.ask(body, { path: PATH, key: null, headers });
      assert.deepEqual([answer.status, await answer.json()], [401, { error: REFUSED }]);
    });

  const old = signed('', Date.now() - 31 * 60_000);
  for (const [what, credentials, environment] of [
    ['that nobody could have signed', `elevenlabs-signature: ${signed('')}`, {
      ELEVENLABS_WEBHOOK_SECRET: undefined,
    }],
    ['with a wrong secret', 'x-vapi-secret: wrong', {}],
    ['with an old signature', `elevenlabs-signature: ${old}`, {}],
    ['with a malformed signature', `elevenlabs-signature: ${signed('')}0`, {}],
  ] as const)
    it(`refuses, before its body comes, a report ${what}`, async (t) => {
      const served = serveReports(t, {}, { environment } as ServeOptions);
      const head = [
        `POST ${PATH} HTTP/1.1`, 'host: localhost', 'content-type: application/json',
        'content-length: 1000', credentials,
      ];
      const connection = await served.raw();
      connection.write(`${head.join('\r\n')}\r\n\r\n{`);
      assert.equal(await connection.status(), 401);
    });
});

describe('a report from Vapi', () => {
  for (const [what, headers] of [
    ['in X-Vapi-Secret', { 'x-vapi-secret': VAPI_SECRET }],
    ['as a bearer token', { authorization: `Bearer ${VAPI_SECRET}` }],
  ] as const) {
    it(`is accepted with its secret ${what}`, async (t) => {
      const { report } = serveReports(t, {});
      const answer = await report(END, headers);
      assert.deepEqual([answer.status, await answer.json()], [200, { status: 'ok' }]);
    });
  }

  for (const [what, headers] of [
    ['no secret', {}],
    ['a wrong secret', { 'x-vapi-secret': 'wrong' }],
    ['a wrong bearer token', { authorization: 'Bearer wrong' }],
    ["the agent's key", { authorization: `Bearer ${KEY}` }],
    ["the agent's key in its header", { 'x-api-key': KEY }],
    ["its secret in the key's header", { 'x-api-key': VAPI_SECRET }],
  ] as const) {
    it(`is refused with ${what}, and nobody is told`, async (t) => {
      const { agent, ends } = listening();
      const { report } = serveReports(t, agent);
      const answer = await report(END, headers);
      const { error } = (await answer.json()) as { readonly error: Fields };
      assert.deepEqual([answer.status, error['code'], ends.all], [401, 'invalid_api_key', []]);
    });
  }

  it('has a secret that is not a key for completions', async (t) => {
    const { platform } = serveReports(t, {});
    assert.equal((await platform.ask(['user: Hello?'], { key: VAPI_SECRET })).status, 401);
  });

  it('of the end of a call reaches the agent, with the caller and the metadata', async (t) => {
    const { agent, ends } = listening();
    const { report, platform } = serveReports(t, agent);
    await platform.hear(['user: Hello?']);
    await report({ message: { ...END.message, call: { ...call, metadata: { a: 1 } } } });
    const { conversationId, wire, history, event, caller, metadata } = await ends.next();
    assert.deepEqual(
      [conversationId, wire, history.map(({ content }) => content), event.type],
      [CONVERSATION, 'chat-completions', ['Hello?', 'Yes.'], 'call.report'],
    );
    assert.deepEqual([caller, metadata], [{ from: '+4930111', to: '+4930222' }, { a: 1 }]);
  });

  // One URL gets the reports of all calls on the platform, including those of other agents.
  for (const how of ['report', 'tell'] as const)
    it(`or ElevenLabs on a call without turns is neither passed on nor kept: ${how}`, async (t) => {
      const { agent, ends } = listening();
      const { recorder: records, archive } = openRecorder();
      let states = 0;
      const state = defineState(() => ({ n: states += 1 }));
      const served = serveReports(t, { ...agent, state }, { records });
      assert.equal((await served[how](how === 'report' ? END : AFTER_CALL)).status, 200);
      await records.close();
      assert.deepEqual([ends.all, archive.kept.all, states], [[], [], 0]);
    });

  it('is passed on once, in whichever form it comes again', async (t) => {
    const { agent, ends } = listening();
    const { report, platform, logLines } = serveReports(t, agent);
    await platform.hear(['user: Hello?']);
    for (const body of [ENDED, END, ENDED]) assert.equal((await report(body)).status, 200);
    const lines = await requestLines(logLines, 4);
    const outcomes = lines.slice(1).map(({ outcome }) => outcome);
    assert.deepEqual(outcomes, [undefined, 'repeated', 'repeated']);
    assert.equal(ends.all.length, 1);
  });

  for (const [what, body] of [
    ['of another kind', { message: { type: 'speech-update', call } }],
    ['that a call is ringing', { message: { type: 'status-update', status: 'ringing', call } }],
    ['of the end of an unnamed call', { message: { type: 'end-of-call-report' } }],
    ['of the end of a call with an odd id', { message: { ...END.message, call: { id: 7 } } }],
    ['without a message', {}],
    ['whose message is a list', { message: [] }],
    ['whose call is text', { message: { type: 'end-of-call-report', call: 'c-1' } }],
    ['of the type constructor', { message: { type: 'constructor', call } }],
  ] as const) {
    it(`${what} is ignored`, async (t) => {
      const { agent, ends } = listening();
      const { report } = serveReports(t, agent);
      const answer = await report(body);
      const expected = [200, { status: 'ignored' }, []];
      assert.deepEqual([answer.status, await answer.json(), ends.all], expected);
    });
  }
});

describe("Vapi's report that the caller spoke over the reply", () => {
  it('interrupts the running turn', async (t) => {
    const gate = deferred();
    const { report, platform, interrupted } = serveReports(t, {
      async *onMessage() {
        yield 'One.';
        await gate.promise;
        yield ' Two.';
      },
    });
    const answer = await platform.ask(['user: Hello?']);
    assert.equal(await answer.word(), 'One.');
    assert.deepEqual(await (await report(INTERRUPTED)).json(), { status: 'ok' });
    assert.equal((await interrupted.next()).text, 'One.');
    assert.equal(await answer.text(), '');
    gate.resolve();
  });

  it("marks the newest completed turn's reply as interrupted", async (t) => {
    const { report, platform, interrupted, history } = serveReports(t, {});
    await platform.hear(['user: Hello?']);
    await report(INTERRUPTED);
    assert.equal((await interrupted.next()).conversationId, CONVERSATION);
    assert.deepEqual((await history(CONVERSATION)).at(-1)?.[2], 'interrupted');
  });

  it('counts as late if the turn has not spoken yet, and ends nothing', async (t) => {
    const [gate, begun] = [deferred(), deferred()];
    const { report, platform, interrupted } = serveReports(t, {
      async onMessage() {
        begun.resolve();
        await gate.promise;
        return 'Yes.';
      },
    });
    const heard = platform.hear(['user: Hello?']);
    await begun.promise;
    await report(INTERRUPTED);
    gate.resolve();
    assert.equal(await heard, 'Yes.');
    assert.deepEqual(interrupted.all, []);
  });
});

describe('the webhook of ElevenLabs after a call', () => {
  it('is passed on to the agent once', async (t) => {
    const { agent, ends } = listening();
    const { tell, platform } = serveReports(t, agent, {}, 'elevenlabs');
    await platform.hear(['user: Hello?']);
    for (const _ of [1, 2]) assert.equal((await tell(AFTER_CALL)).status, 200);
    const { conversationId, history } = await ends.next();
    assert.deepEqual(
      [conversationId, history.length, ends.all.length], [CONVERSATION, 2, 1],
    );
  });

  const body = JSON.stringify(AFTER_CALL);
  const minute = 60_000;
  const [WRONG, STALE, MALFORMED] = [
    'wrong secret or body', 'its time is more than 30 minutes off', 'the signature is malformed',
  ];
  for (const [what, signature, hint] of [
    ['made with another secret', () => signed(body, Date.now(), 'wrong'), WRONG],
    ['made for another body', () => signed(`${body} `), WRONG],
    ['dated 31 minutes ago', () => signed(body, Date.now() - 31 * minute), STALE],
    ['dated 31 minutes ahead', () => signed(body, Date.now() + 31 * minute), STALE],
    ['that is empty', () => '', MALFORMED],
    ['without a time', () => signed(body).replace(/^t=\d+,/, ''), MALFORMED],
    ['without a digest', () => signed(body).replace(/,.*$/, ''), MALFORMED],
    ['of another version', () => signed(body).replace('v0', 'v1'), MALFORMED],
    ['with capital letters', () => signed(body).toUpperCase(), MALFORMED],
    ['whose digest is cut', () => signed(body).slice(0, -1), MALFORMED],
    ['whose digest is not hex', () => signed(body).replace(/.{4}$/, 'zzzz'), MALFORMED],
    ['whose time has been changed', () => signed(body).replace(/^t=\d+/, 't=9999999999'), STALE],
    ['whose time is not a number', () => signed(body).replace(/^t=\d+/, 't=1e9'), MALFORMED],
    ['that comes twice', () => `${signed(body)}, ${signed(body)}`, MALFORMED],
    ['of 8 KB', () => `t=${'1'.repeat(8_000)},v0=${'0'.repeat(64)}`, MALFORMED],
  ] as const) {
    it(`is refused with a signature ${what}, with a hint in the log`, async (t) => {
      const { agent, ends } = listening();
      const { tell, logLines } = serveReports(t, agent);
      const answer = await tell(body, signature());
      const expected = [401, { error: REFUSED }, []];
      assert.deepEqual([answer.status, await answer.json(), ends.all], expected);
      assert.equal((await requestLines(logLines))[0]?.['hint'], hint);
    });
  }

  it('is accepted with a signature dated 29 minutes ago', async (t) => {
    const { tell } = serveReports(t, {});
    assert.equal((await tell(body, signed(body, Date.now() - 29 * minute))).status, 200);
  });

  it("is refused with Vapi's secret beside a wrong signature", async (t) => {
    const { report } = serveReports(t, {});
    const headers = { 'elevenlabs-signature': signed('{}'), 'x-vapi-secret': VAPI_SECRET };
    assert.equal((await report(END, headers)).status, 401);
  });

  for (const [what, body] of [
    ['without a conversation', { type: 'post_call_transcription', data: {} }],
    ['with an odd id', { data: { conversation_id: ['c-1'] } }],
    ['without data', { type: 'post_call_audio' }],
    ['whose data is null', { data: null }],
  ] as const) {
    it(`${what} is ignored`, async (t) => {
      const { agent, ends } = listening();
      const { tell } = serveReports(t, agent);
      const answer = await tell(body);
      assert.deepEqual([await answer.json(), ends.all], [{ status: 'ignored' }, []]);
    });
  }
});

describe('the body of a report', () => {
  for (const [what, body, status, type] of [
    ['that is not JSON', '{', 400, 'application/json'],
    ['that is too large', `"${'x'.repeat(1_048_576)}"`, 413, 'application/json'],
    ['of another type', '{}', 415, 'text/plain'],
  ] as const) {
    it(`${what} is refused with ${status}`, async (t) => {
      const { report } = serveReports(t, {});
      const answer = await report(body, { 'x-vapi-secret': VAPI_SECRET, 'content-type': type });
      const { error } = (await answer.json()) as { readonly error: Fields };
      assert.deepEqual([answer.status, error['type']], [status, 'invalid_request_error']);
    });
  }
});

describe('a shutdown that waits for calls', () => {
  const environment = { DRAIN_CALLS_SECONDS: '10' };

  it('waits until the end of a call is reported', async (t) => {
    const { platform, report, app } = serveReports(t, {}, { environment });
    await platform.hear(['user: Hello?']);
    let isClosed = false;
    const closed = app.close().then(() => {
      isClosed = true;
    });
    assert.equal(await platform.hear(['user: Hello?', 'agent: Yes.', 'user: And?']), 'Yes.');
    assert.equal(isClosed, false);
    await report(END);
    await within(closed, 'the shutdown');
  });

  it('does not wait for a request that names no call: its end would never come', async (t) => {
    const { platform, app } = serveReports(t, {}, { environment });
    await platform.hear(['user: Hello?'], { conversationId: null });
    await within(app.close(), 'the shutdown');
  });

  it('waits for nothing without a wire that reports ends, and says so at start-up', (t) => {
    const agent = defineAgent({ name: 'tested', onMessage: () => 'Yes.' });
    const warnings = (wires: Readonly<Record<string, string>>): readonly string[] =>
      warningsIn(serveWith(t, agent, { ...environment, ...wires }).logLines);
    const keys = { CHAT_COMPLETIONS_KEYS: KEY };
    assert.deepEqual(warnings(keys), ['DRAIN_CALLS_SECONDS has no effect']);
    assert.deepEqual(warnings({ ...keys, DRAIN_CALLS_SECONDS: '0' }), []);
    assert.deepEqual(warnings({ ...keys, VAPI_WEBHOOK_SECRET: VAPI_SECRET }), []);
    assert.deepEqual(warnings({ ...keys, LAYERCODE_WEBHOOK_SECRET: ELEVENLABS_SECRET }), []);
  });
});

describe('the record of a call', () => {
  function recording(t: TestContext, profile: string): Reporting & {
    readonly kept: Told<CallRecord>;
    readonly close: () => Promise<void>;
  } {
    const { recorder: records, archive: { kept } } = openRecorder();
    return { ...serveReports(t, {}, { records }, profile), kept, close: () => records.close() };
  }

  it('is kept when it ends: who called, for how long, and what was said', async (t) => {
    const { report, platform, kept } = recording(t, 'vapi');
    await platform.hear(asking(['user: Hello?'], { call }));
    await report(END);
    const { conversationId, agent, from, to, durationMs, turns } = await kept.next();
    assert.deepEqual(
      [conversationId, agent, from, to, durationMs],
      [CONVERSATION, 'tested', '+4930111', '+4930222', 65_000],
    );
    const said = turns.flatMap(({ messages }) => messages.map(({ content }) => content));
    assert.deepEqual(said, ['Hello?', 'Yes.']);
  });

  // Vapi says that a call has ended before it sends its report.
  it('has the times of the report, even if the end was reported before', async (t) => {
    const { report, platform, kept } = recording(t, 'vapi');
    await platform.hear(asking(['user: Hello?'], { call }));
    for (const body of [ENDED, END]) await report(body);
    const { startedAt, endedAt, durationMs } = await kept.next();
    const { message } = END;
    const expected = [message.startedAt, message.endedAt, 65_000];
    assert.deepEqual([startedAt, endedAt, durationMs], expected);
    await report(END);
    assert.equal(kept.all.length, 1);
  });

  it('has the times that ElevenLabs reports', async (t) => {
    const { tell, platform, kept } = recording(t, 'elevenlabs');
    await platform.hear(['user: Hello?'], { headers: { 'x-caller-number': '+4930111' } });
    await tell(AFTER_CALL);
    const { from, startedAt, durationMs } = await kept.next();
    assert.deepEqual(
      [from, startedAt, durationMs], ['+4930111', '2025-11-24T16:00:00.000Z', 65_000],
    );
  });
});

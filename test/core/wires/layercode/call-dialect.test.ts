// The wire of the reference document: four types, each answered with a stream of named events.

import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';

import type { Agent, EventContext } from '../../../../src/core/agents/agent.ts';
import { DEFAULT_APOLOGY } from '../../../../src/core/agents/phrases.ts';
import {
  deferred,
  fired,
  Listener,
  serve,
  Told,
  typesOf,
  until,
  within,
  type Served,
  type TestAgent,
} from '../../../fixtures/app.ts';
import { wireBody } from '../../../fixtures/wire.ts';

const DONE = 'event: done\ndata: [DONE]\n\n';
const MESSAGE = (text: string): string => `event: message\ndata: ${text}\n\n`;

function event(name: string, fields: Readonly<Record<string, unknown>> = {}): object {
  return { ...(JSON.parse(wireBody(name)) as object), ...fields };
}

/** The exact text with which a transcript is answered. */
async function streamOf(t: TestContext, onMessage: Agent['onMessage']): Promise<string> {
  const { client } = serve(t, { onMessage });
  const { response } = await client.post(wireBody('transcript'));
  return within(response.text(), 'the end of the stream');
}

/** An agent that says "One." and waits for the end of its turn. */
function holding(
  t: TestContext,
  agent: Partial<Agent> = {},
): Served & {
  hold: (fields?: Readonly<Record<string, unknown>>) => Promise<Listener>;
  signals: Told<AbortSignal>;
} {
  const signals = new Told<AbortSignal>();
  const served = serve(t, {
    async *onMessage({ signal }) {
      signals.tell(signal);
      yield 'One.';
      await fired(signal);
    },
    ...agent,
  });
  return {
    ...served,
    signals,
    async hold(fields) {
      const listener = new Listener(await served.client.post(event('transcript', fields)));
      await listener.next();
      return listener;
    },
  };
}

describe('call_started', () => {
  it('is answered with the welcome, or with the end alone', async (t) => {
    for (const [agent, text] of [
      [{ welcome: 'Hello there.' }, MESSAGE('Hello there.') + DONE], [{}, DONE],
    ] as const) {
      const { client } = serve(t, agent);
      assert.equal(await (await client.post(wireBody('call-started'))).response.text(), text);
    }
  });

  it('of a known call is answered with "Welcome back." and wipes nothing', async (t) => {
    const { client, history } = serve(t, { welcome: 'Hello there.' });
    await (await client.post(wireBody('transcript'))).text();
    const text = await (await client.post(wireBody('call-started'))).text();
    assert.deepEqual([text, (await history('call_123')).length], ['Welcome back.', 3]);
  });
});

describe('transcript', () => {
  it('is answered with an event "message" for each piece, and then "done"', async (t) => {
    assert.equal(
      await streamOf(t, () => ["I'm doing well,", ' thank you!']),
      MESSAGE("I'm doing well,") + MESSAGE(' thank you!') + DONE,
    );
  });

  it('whose turn fails is answered with the apology and the events error and done', async (t) => {
    const stream = await streamOf(t, () => {
      throw new Error('secret detail');
    });
    assert.equal(
      stream,
      MESSAGE(DEFAULT_APOLOGY) + 'event: error\ndata: {"error":"Internal server error"}\n\n' + DONE,
    );
  });
});

describe('user_interrupted', () => {
  it('ends the running turn, and keeps what had been sent, as interrupted', async (t) => {
    const { client, hold, history } = holding(t);
    const listener = await hold();
    await (await client.post(wireBody('user-interrupted'))).events();
    assert.deepEqual(typesOf(await listener.rest()), ['done']);
    assert.deepEqual((await history('call_123'))[1], ['assistant', 'One.', 'interrupted']);
  });

  for (const [what, hold] of [
    ['that was running', true],
    ['that had been sent whole', false],
  ] as const) {
    it(`is reported to the agent once for a turn ${what}`, async (t) => {
      const served = holding(t, hold ? {} : { onMessage: () => 'One.' });
      await served.hold();
      await until(() => hold || served.app.runningTurns === 0, 'the turn to end');
      for (let time = 0; time < 2; time++)
        await (await served.client.post(wireBody('user-interrupted'))).events();
      assert.deepEqual(
        served.interrupted.all.map(({ conversationId, text }) => [conversationId, text]),
        [['call_123', 'One.']],
      );
    });
  }

  it('ends a turn that has said nothing, and leaves the reply before it alone', async (t) => {
    const begun = deferred();
    const { client, app, history, interrupted } = serve(t, {
      async onMessage({ text, signal }, { say }) {
        if (text !== 'wait') return void say('Yes.');
        begun.resolve();
        await fired(signal);
      },
    });
    await (await client.post(wireBody('transcript'))).text();
    const waiting = client.post(event('transcript', { transcript: 'wait' }));
    await within(begun.promise, 'the agent to be asked');
    await (await client.post(wireBody('user-interrupted'))).events();
    assert.deepEqual(typesOf(await (await waiting).events()), ['done']);
    const words = event('transcript') as { transcript: string };
    assert.deepEqual(await history('call_123'), [
      ['user', words.transcript],
      ['assistant', 'Yes.', 'completed'],
      ['user', 'wait'],
    ]);
    assert.deepEqual([app.runningTurns, interrupted.all.map(({ text }) => text)], [0, ['']]);
  });

  it('after a silent turn is not reported to the agent', async (t) => {
    const { client, interrupted } = serve(t, { onMessage: () => undefined });
    await (await client.post(event('transcript', { turn_id: 't-1' }))).text();
    await (await client.post(wireBody('user-interrupted'))).events();
    assert.deepEqual(interrupted.all, []);
  });

  it('marks a reply that had been sent whole, even if the agent has no hook for it', async (t) => {
    const { client, history } = serve(t, { onInterrupted: undefined } as unknown as TestAgent);
    await (await client.post(wireBody('transcript'))).text();
    const answer = await client.post(wireBody('user-interrupted'));
    assert.equal(await answer.response.text(), DONE);
    assert.deepEqual((await history('call_123'))[1], ['assistant', 'Yes.', 'interrupted']);
  });
});

describe('call_ended', () => {
  it('is reported to the agent, and keeps the conversation', async (t) => {
    const told = new Told<EventContext>();
    const { client, history } = serve(t, { onSessionEnd: told.tell });
    await (await client.post(wireBody('transcript'))).text();
    assert.equal(await (await client.post(wireBody('call-ended'))).response.text(), DONE);
    assert.deepEqual((await told.next()).event, JSON.parse(wireBody('call-ended')));
    assert.equal((await history('call_123')).length, 2);
  });

  it("is answered once the agent's hook has ended", async (t) => {
    const gate = deferred();
    const begun = deferred();
    let isOver = false;
    const { client } = serve(t, {
      onSessionEnd: async () => {
        begun.resolve();
        await gate.promise;
        isOver = true;
      },
    });
    const answered = client
      .post(wireBody('call-ended'))
      .then((reply) => reply.events())
      .then(() => isOver);
    await within(begun.promise, 'the hook');
    gate.resolve();
    assert.equal(await within(answered, 'the answer'), true);
  });
});

describe('an event whose hook fails', () => {
  const fail = (): never => {
    throw new Error('secret detail');
  };
  for (const [name, hook] of [
    ['user-interrupted', 'onInterrupted'], ['call-ended', 'onSessionEnd'],
  ] as const)
    it(`is answered with the events error and done, without detail: ${name}`, async (t) => {
      const { client } = serve(t, { [hook]: fail });
      await (await client.post(wireBody('transcript'))).text();
      const { response } = await client.post(wireBody(name));
      const text = await within(response.text(), 'the end');
      assert.equal(text, `event: error\ndata: {"error":"Internal server error"}\n\n${DONE}`);
    });
});

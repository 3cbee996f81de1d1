// Two models on one turn: the fast one plays Groq, the slow one OpenAI.

import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';

import { getAgent } from '../../../src/agents/built-in/registry.ts';
import {
  empty,
  pausing,
  refuses,
  says,
  silentAfter,
  type Answer,
  type ModelServer,
} from '../../faults/model-server.ts';
import { chunk, DONE, textReply } from '../../faults/wire-shapes.ts';
import { contentsOf, deferred, errorsIn, Listener, until, within } from '../../fixtures/app.ts';
import {
  callOver,
  eventsOf,
  modelServer,
  outline,
  promptOf,
  serveAgent,
  spoken,
  type ModelApp,
} from '../model-app.ts';

const APOLOGY = 'Sorry, something went wrong. Could you say that again?';
const MODELS = { FAST_MODEL: 'groq:quick', SLOW_MODEL: 'openai:thorough' };

interface Relayed extends ModelApp {
  readonly fast: ModelServer;
  readonly slow: ModelServer;
}

async function relay(
  t: TestContext,
  name: string,
  fastAnswer: Answer,
  slowAnswer: Answer,
  environment: Readonly<Record<string, string>> = {},
): Promise<Relayed> {
  const [fast, slow] = [await modelServer(t, fastAnswer), await modelServer(t, slowAnswer)];
  return {
    fast,
    slow,
    ...serveAgent(t, getAgent(name), { groq: fast, openai: slow }, { ...MODELS, ...environment }),
  };
}

const finish = [chunk({}, 'stop'), DONE];

for (const name of ['relay', 'relay:shadow']) {
  describe(name, () => {
    it("speaks the fast model's words at once, and the slow one's behind them", async (t) => {
      const gate = deferred();
      const { client } = await relay(
        t,
        name,
        says('Good', ' question.'),
        pausing([], gate.promise, textReply('It', ' rains.')),
      );
      const listener = new Listener(await client.say('Rain?'));
      assert.equal((await listener.next())?.content, 'Good');
      gate.resolve();
      assert.equal(contentsOf(await listener.rest()).join(''), ' question. It rains.');
    });

    it('asks both at the same time, each with its own prompt and the history', async (t) => {
      const gate = deferred();
      const { client, fast, slow } = await relay(
        t,
        name,
        says('Hm.'),
        pausing([], gate.promise, textReply('Yes.')),
      );
      const reply = client.say('Rain?');
      await Promise.all([
        within(fast.request(0), 'the fast request'),
        within(slow.request(0), 'the slow request'),
      ]);
      void reply.then(() => gate.resolve()); // which is at the fast model's first word
      assert.equal(await spoken(reply), 'Hm. Yes.');
      assert.deepEqual(
        [fast.requests[0]?.body['model'], slow.requests[0]?.body['model']],
        ['quick', 'thorough'],
      );
      assert.notEqual(
        promptOf(fast.requests[0])[0]?.content,
        promptOf(slow.requests[0])[0]?.content,
      );
      assert.deepEqual(
        [outline(fast.requests[0]), outline(slow.requests[0])],
        [[['user', 'Rain?']], [['user', 'Rain?']]],
      );
    });

    it('lets the fast model finish its sentence, not its speech', async (t) => {
      const gates = [deferred(), deferred()];
      const slowAnswer = pausing(
        [],
        gates[0]?.promise ?? Promise.resolve(),
        textReply('It rains.'),
      );
      const { client, fast, slow } = await relay(
        t,
        name,
        pausing([chunk({ content: 'Let' })], gates[1]?.promise ?? Promise.resolve(), [
          chunk({ content: ' me think.' }),
          chunk({ content: ' And more.' }),
          ...finish,
        ]),
        slowAnswer,
      );
      const listener = new Listener(await client.say('Rain?'));
      assert.equal((await listener.next())?.content, 'Let');
      gates[0]?.resolve();
      // the whole of the slow answer is sent
      assert.equal(await (await slow.request(0)).wasCut, false);
      gates[1]?.resolve();
      assert.equal(contentsOf(await listener.rest()).join(''), ' me think. It rains.');
      await (
        await fast.request(0)
      ).wasCut;
    });

    it('skips the fast model where the slow one is ready first, and closes its connection', async (t) => {
      // Was: the turn waited for the fast model's next token before it let go of it, 8 s when none
      // came.
      const { client, fast } = await relay(t, name, silentAfter(), says('It', ' rains.'));
      assert.equal(
        await within(spoken(client.say('Rain?')), 'the slow answer', 1_000),
        'It rains.',
      );
      assert.equal(
        await within((await fast.request(0)).wasCut, 'the fast connection to close', 500),
        true,
      );
    });

    it('does not wait for a fast model that falls silent behind a sentence', async (t) => {
      const gate = deferred();
      const { client } = await relay(
        t,
        name,
        silentAfter(chunk({ content: 'Let me' }), chunk({ content: ' think.' })),
        pausing([], gate.promise, textReply('It rains.')),
      );
      const listener = new Listener(await client.say('Rain?'));
      for (
        let text = '';
        !text.includes('think');
        text += String((await listener.next())?.content)
      );
      gate.resolve();
      assert.match(
        contentsOf(await within(listener.rest(), 'the slow answer', 1_500)).join(''),
        /It rains\.$/,
      );
    });

    it("ends the fast model's reply once it is not wanted any more", async (t) => {
      const gate = deferred();
      const { client, fast } = await relay(
        t,
        name,
        pausing(
          [chunk({ content: 'Hm.' })],
          gate.promise,
          [chunk({ content: ' Well.' }), chunk({ content: ' So.' })].concat(
            Array.from({ length: 2_000 }, () => chunk({ content: ' And so on.' })),
            finish,
          ),
        ),
        says('It rains.'),
      );
      const listener = new Listener(await client.say('Rain?'));
      await listener.next();
      gate.resolve();
      await listener.rest();
      await within((await fast.request(0)).wasCut, 'the fast request to end', 1_000);
    });

    it('keeps both as one message', async (t) => {
      const gate = deferred();
      const { client, messages } = await relay(
        t,
        name,
        says('Hm.'),
        pausing([], gate.promise, textReply('It rains.')),
      );
      const reply = client.say('Rain?');
      void reply.then(() => gate.resolve());
      await spoken(reply);
      assert.deepEqual(
        (await messages()).map(({ content }) => content),
        ['Rain?', 'Hm. It rains.'],
      );
    });

    it('is without a bridge where the fast model fails, and no error for the caller', async (t) => {
      const { client, logLines } = await relay(t, name, refuses, says('It rains.'));
      assert.equal(await spoken(client.say('Rain?')), 'It rains.');
      assert.deepEqual(errorsIn(logLines), []);
    });

    for (const [what, slowAnswer] of [
      ['fails', refuses],
      ['says nothing', empty],
      ['says nothing that can be spoken', says('\u{1F600}', '\u{1F600}')],
    ] as const) {
      it(`is apologised for where the slow model ${what}: a bridge is no answer`, async (t) => {
        const { client } = await relay(t, name, says('Hm.'), slowAnswer);
        assert.match(
          await spoken(client.say('Rain?')),
          /Sorry, something went wrong\. Could you say that again\?$/,
        );
      });
    }

    it('is apologised for where both fail', async (t) => {
      const { client } = await relay(t, name, refuses, refuses);
      assert.deepEqual(contentsOf(await eventsOf(client.say('Rain?'))), [APOLOGY]);
    });

    it('is apologised for where neither says anything that can be spoken', async (t) => {
      const { client } = await relay(t, name, says('\u{1F600}'), says('\u{1F600}'));
      assert.deepEqual(contentsOf(await eventsOf(client.say('Rain?'))), [APOLOGY]);
    });

    it("frees both models' texts of what cannot be spoken", async (t) => {
      const gate = deferred();
      const { client } = await relay(
        t,
        name,
        says('**Hm.** \u{1F914}'),
        pausing([], gate.promise, textReply('# It', ' *rains*.')),
      );
      const reply = client.say('Rain?');
      void reply.then(() => gate.resolve());
      assert.match(await spoken(reply), /^Hm\.\s+It rains\.$/);
    });

    it('says a filler where neither has spoken', async (t) => {
      const gate = deferred();
      const { client } = await relay(
        t,
        name,
        pausing([], gate.promise, textReply('Hm.')),
        pausing([], gate.promise, textReply('It rains.')),
        { FILLER_AFTER_MS: '20' },
      );
      const listener = new Listener(await client.say('Rain?'));
      assert.equal(String((await listener.next())?.content).trim(), 'One moment.');
      gate.resolve();
      assert.match(contentsOf(await listener.rest()).join(''), /It rains\.$/);
    });
  });
}

describe('relay:speculative', () => {
  const name = 'relay:speculative';

  it("speaks the fast model's answer, and then asks the slow one what it thinks of it", async (t) => {
    const { client, slow } = await relay(t, name, says('It', ' rains.'), says('OK'));
    assert.equal(await spoken(client.say('Rain?')), 'It rains.');
    const said = outline(slow.requests[0]);
    assert.deepEqual(said.slice(0, 2), [
      ['user', 'Rain?'],
      ['assistant', 'It rains.'],
    ]);
    assert.equal(said.at(-1)?.[0], 'user');
  });

  for (const verdict of [
    ['OK'],
    ['O', 'K'],
    ['OK', '.'],
    [' OK', '\n'],
    ['OK!'],
    ['Ok.'],
    ['ok'],
    ['"OK"'],
    ['**OK**'],
  ]) {
    it(`is silent on the verdict ${JSON.stringify(verdict)}`, async (t) => {
      const { client, messages } = await relay(t, name, says('It rains.'), says(...verdict));
      assert.equal(await spoken(client.say('Rain?')), 'It rains.');
      assert.deepEqual(
        (await messages()).map(({ content }) => content),
        ['Rain?', 'It rains.'],
      );
    });
  }

  for (const correction of [
    ['Sorry,', ' it snows.'],
    ['OK', ', but it snows.'],
    ['O', 'slo has snow.'],
    ['Okay, it snows.'],
    ['OKAPIs', ' live in Africa.'],
  ]) {
    it(`speaks the correction ${JSON.stringify(correction.join(''))}, behind the answer`, async (t) => {
      const { client, messages } = await relay(t, name, says('It rains.'), says(...correction));
      assert.equal(await spoken(client.say('Rain?')), `It rains. ${correction.join('')}`);
      assert.deepEqual(
        (await messages()).map(({ content }) => content),
        ['Rain?', `It rains. ${correction.join('')}`],
      );
    });
  }

  it('speaks a correction token by token', async (t) => {
    const gate = deferred();
    const { client } = await relay(
      t,
      name,
      says('It rains.'),
      pausing([chunk({ content: 'Sorry,' })], gate.promise, [
        chunk({ content: ' it snows.' }),
        ...finish,
      ]),
    );
    const listener = new Listener(await client.say('Rain?'));
    for (
      let text = '';
      !text.includes('Sorry');
      text += String((await listener.next('the first word of the correction'))?.content)
    );
    gate.resolve();
    assert.equal(contentsOf(await listener.rest()).join(''), ' it snows.');
  });

  for (const [what, slowAnswer] of [
    ['fails', refuses],
    ['says nothing', empty],
  ] as const) {
    it(`lets the answer stand where the slow model ${what}`, async (t) => {
      const { client, logLines } = await relay(t, name, says('It rains.'), slowAnswer);
      assert.equal(await spoken(client.say('Rain?')), 'It rains.');
      assert.deepEqual(errorsIn(logLines), []);
    });
  }

  for (const [what, fastAnswer] of [
    ['fails', refuses],
    ['says nothing', empty],
    ['says nothing that can be spoken', says('\u{1F600}')],
  ] as const) {
    it(`is not silent where the fast model ${what}`, async (t) => {
      const { client } = await relay(t, name, fastAnswer, says('OK'));
      assert.deepEqual(contentsOf(await eventsOf(client.say('Rain?'))), [APOLOGY]);
    });
  }
});

describe('a caller who leaves a relay', () => {
  for (const name of ['relay', 'relay:shadow']) {
    it(`closes both connections of ${name} at once, in mid-reply`, async (t) => {
      const served = await relay(t, name, silentAfter(chunk({ content: 'Let me' })), silentAfter());
      const caller = await callOver(t, served);
      await caller.read((text) => text.includes('Let'));
      caller.socket.destroy();
      const [fast, slow] = [await served.fast.request(0), await served.slow.request(0)];
      assert.deepEqual(
        await within(Promise.all([fast.wasCut, slow.wasCut]), 'both connections to close'),
        [true, true],
      );
      assert.deepEqual(errorsIn(served.logLines), []);
    });
  }

  it('closes the slow connection of relay:speculative while it verifies', async (t) => {
    const served = await relay(t, 'relay:speculative', says('It rains.'), silentAfter());
    const caller = await callOver(t, served);
    const slow = await within(served.slow.request(0), 'the slow request');
    caller.socket.destroy();
    assert.equal(await within(slow.wasCut, 'the connection to close'), true);
    assert.deepEqual(
      (await served.messages()).map(({ content }) => content),
      ['Hello?', 'It rains.'],
    );
  });
});

describe("a relay's readiness", () => {
  it('names both models', async (t) => {
    const { get } = await relay(t, 'relay', says('Hm.'), says('Yes.'));
    assert.deepEqual(await (await get('/ready')).json(), {
      ready: true,
      agent: 'relay',
      model: 'groq:quick+openai:thorough',
    });
  });

  it('needs both keys, and names the one that is missing', async (t) => {
    const { get } = serveAgent(
      t,
      getAgent('relay'),
      { openai: await modelServer(t, says('Yes.')) },
      MODELS,
    );
    const answer = await get('/ready');
    const { reasons } = (await answer.json()) as { reasons: string[] };
    assert.deepEqual(
      [answer.status, reasons],
      [503, ['GROQ_API_KEY is not set, model groq:quick needs it']],
    );
  });

  it('needs no FAST_MODEL: the default model is both', async (t) => {
    const server = await modelServer(t, says('Yes.'));
    const { get } = serveAgent(t, getAgent('relay'), { openai: server });
    assert.equal(
      ((await (await get('/ready')).json()) as { model: string }).model,
      'openai:gpt-6-luna+openai:gpt-6-luna',
    );
  });

  it('opens both connections while the welcome is spoken', async (t) => {
    const { client, fast, slow } = await relay(t, 'relay', says('Hm.'), says('Yes.'));
    assert.equal(await spoken(client.start()), 'Hello! What would you like to know?');
    await until(() => fast.warmUps === 1 && slow.warmUps === 1, 'both connections to be opened');
  });
});

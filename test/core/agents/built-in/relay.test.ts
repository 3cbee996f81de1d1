// Two models on one turn: the fast one plays Groq, the slow one OpenAI.

import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';

import { getAgent } from '../../../../src/core/agents/built-in/registry.ts';
import {
  empty,
  pausing,
  refuses,
  says,
  silentAfter,
  type Answer,
  type ModelServer,
} from '../../../faults/model-server.ts';
import { chunk, DONE, textReply } from '../../../faults/wire-shapes.ts';
import { contentsOf, deferred, errorsIn, Listener, until, within } from '../../../fixtures/app.ts';
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
import { APOLOGY } from '../weather-tool.ts';

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

/** Reads until these words have been spoken. */
async function heard(listener: Listener, words: string): Promise<void> {
  let text = '';
  while (!text.includes(words)) text += String((await listener.next(`"${words}"`))?.content);
}

// relay:shadow is the same except for the prompt of its fast model.
describe('relay', () => {
  it("speaks the fast model's words at once, and the slow one's after them", async (t) => {
    const gate = deferred();
    const { client, messages } = await relay(
      t, 'relay', says('**Good** \u{1F914}', ' question.'),
      pausing([], gate.promise, textReply('# It', ' *rains*.')),
    );
    const listener = new Listener(await client.say('Rain?'));
    assert.equal((await listener.next())?.content, 'Good');
    gate.resolve();
    assert.equal(contentsOf(await listener.rest()).join(''), ' question. It rains.');
    assert.deepEqual(
      (await messages()).map(({ content }) => content),
      ['Rain?', 'Good question. It rains.'],
    );
  });

  for (const name of ['relay', 'relay:shadow']) {
    it(`asks both models at once, each with its own prompt and the history: ${name}`, async (t) => {
      const gate = deferred();
      const { client, fast, slow } = await relay(
        t, name, says('Hm.'), pausing([], gate.promise, textReply('Yes.')),
      );
      const reply = client.say('Rain?');
      await within(Promise.all([fast.request(0), slow.request(0)]), 'both requests');
      void reply.then(() => gate.resolve()); // which comes with the fast model's first word
      assert.equal(await spoken(reply), 'Hm. Yes.');
      const requests = [fast.requests[0], slow.requests[0]];
      assert.deepEqual(requests.map((request) => request?.body['model']), ['quick', 'thorough']);
      const [prompt, other] = requests.map((request) => promptOf(request)[0]?.content);
      assert.notEqual(prompt, other);
      assert.deepEqual(requests.map(outline), [[['user', 'Rain?']], [['user', 'Rain?']]]);
    });
  }

  it('lets the fast model finish its sentence, but not its reply', async (t) => {
    const [slowMay, fastMay] = [deferred(), deferred()];
    const { client, fast, slow } = await relay(
      t,
      'relay',
      pausing([chunk({ content: 'Let' })], fastMay.promise, [
        chunk({ content: ' me think.' }),
        chunk({ content: ' And more.' }),
        ...finish,
      ]),
      pausing([], slowMay.promise, textReply('It rains.')),
    );
    const listener = new Listener(await client.say('Rain?'));
    assert.equal((await listener.next())?.content, 'Let');
    slowMay.resolve();
    // the slow answer has been sent whole
    assert.equal(await (await slow.request(0)).wasCut, false);
    fastMay.resolve();
    assert.equal(contentsOf(await listener.rest()).join(''), ' me think. It rains.');
    await (await fast.request(0)).wasCut;
  });

  it('skips the fast model if the slow one is ready first, and closes its stream', async (t) => {
    // The turn used to hold on to the fast model until its next token: for 8 s when none came.
    const { client, fast } = await relay(t, 'relay', silentAfter(), says('It', ' rains.'));
    assert.equal(await within(spoken(client.say('Rain?')), 'the slow answer', 1_000), 'It rains.');
    const { wasCut } = await fast.request(0);
    assert.equal(await within(wasCut, 'the fast connection to close', 500), true);
  });

  it('does not wait for a fast model that falls silent after a sentence', async (t) => {
    const gate = deferred();
    const { client } = await relay(
      t,
      'relay',
      silentAfter(chunk({ content: 'Let me' }), chunk({ content: ' think.' })),
      pausing([], gate.promise, textReply('It rains.')),
    );
    const listener = new Listener(await client.say('Rain?'));
    await heard(listener, 'think');
    gate.resolve();
    const rest = await within(listener.rest(), 'the slow answer', 1_500);
    assert.match(contentsOf(rest).join(''), /It rains\.$/);
  });

  it('has no bridge if the fast model fails, and the caller hears no error', async (t) => {
    const { client, logLines } = await relay(t, 'relay', refuses, says('It rains.'));
    assert.equal(await spoken(client.say('Rain?')), 'It rains.');
    assert.deepEqual(errorsIn(logLines), []);
  });

  for (const [what, fastAnswer, slowAnswer] of [
    ['the slow model fails: a bridge is not an answer', says('Hm.'), refuses],
    ['the slow model says nothing', says('Hm.'), empty],
    ['the slow model says nothing that can be spoken', says('Hm.'), says('\u{1F600}')],
    ['both fail', refuses, refuses],
  ] as const) {
    it(`apologises if ${what}`, async (t) => {
      const { client } = await relay(t, 'relay', fastAnswer, slowAnswer);
      assert.ok((await spoken(client.say('Rain?'))).endsWith(APOLOGY));
    });
  }

  it('says a filler if neither has spoken', async (t) => {
    const gate = deferred();
    const { client } = await relay(
      t,
      'relay',
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

describe('relay:speculative', () => {
  const name = 'relay:speculative';

  it("speaks the fast model's answer, and then asks the slow one to check it", async (t) => {
    const { client, slow } = await relay(t, name, says('It', ' rains.'), says('OK'));
    assert.equal(await spoken(client.say('Rain?')), 'It rains.');
    const said = outline(slow.requests[0]);
    assert.deepEqual(said.slice(0, 2), [
      ['user', 'Rain?'],
      ['assistant', 'It rains.'],
    ]);
    assert.equal(said.at(-1)?.[0], 'user');
  });

  for (const [verdict, correction] of [
    [['OK'], ''],
    [['O', 'K', '.'], ''],
    [[' OK', '\n'], ''],
    [['ok!'], ''],
    [['"**OK**"'], ''],
    [['Sorry,', ' it snows.'], ' Sorry, it snows.'],
    [['OK', ', but it snows.'], ' OK, but it snows.'],
    [['O', 'slo has snow.'], ' Oslo has snow.'],
    [['Okay, it snows.'], ' Okay, it snows.'],
  ] as const) {
    const what = correction === '' ? 'adds nothing to the answer for' : 'adds to the answer for';
    it(`${what} the verdict ${JSON.stringify(verdict)}`, async (t) => {
      const { client, messages } = await relay(t, name, says('It rains.'), says(...verdict));
      assert.equal(await spoken(client.say('Rain?')), `It rains.${correction}`);
      assert.deepEqual(
        (await messages()).map(({ content }) => content),
        ['Rain?', `It rains.${correction}`],
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
    await heard(listener, 'Sorry');
    gate.resolve();
    assert.equal(contentsOf(await listener.rest()).join(''), ' it snows.');
  });

  for (const [what, slowAnswer] of [
    ['fails', refuses],
    ['says nothing', empty],
  ] as const) {
    it(`lets the answer stand if the slow model ${what}`, async (t) => {
      const { client, logLines } = await relay(t, name, says('It rains.'), slowAnswer);
      assert.equal(await spoken(client.say('Rain?')), 'It rains.');
      assert.deepEqual(errorsIn(logLines), []);
    });
  }

  for (const [what, fastAnswer] of [
    ['fails', refuses],
    ['says nothing that can be spoken', says('\u{1F600}')],
  ] as const) {
    it(`apologises if the fast model ${what}`, async (t) => {
      const { client } = await relay(t, name, fastAnswer, says('OK'));
      assert.deepEqual(contentsOf(await eventsOf(client.say('Rain?'))), [APOLOGY]);
    });
  }
});

describe('a caller who leaves a relay', () => {
  it('closes both connections at once, in mid-reply', async (t) => {
    const narrates = silentAfter(chunk({ content: 'Let me' }));
    const served = await relay(t, 'relay', narrates, silentAfter());
    const caller = await callOver(served);
    await caller.read((text) => text.includes('Let'));
    caller.socket.destroy();
    const [fast, slow] = [await served.fast.request(0), await served.slow.request(0)];
    assert.deepEqual(
      await within(Promise.all([fast.wasCut, slow.wasCut]), 'both connections to close'),
      [true, true],
    );
    assert.deepEqual(errorsIn(served.logLines), []);
  });
});

describe('a relay', () => {
  it('names both models on /ready: the default model twice without settings', async (t) => {
    const both = await relay(t, 'relay', says('Hm.'), says('Yes.'));
    const server = await modelServer(t, says('Yes.'));
    const alone = serveAgent(t, getAgent('relay'), { openai: server });
    const answers = await Promise.all([both, alone].map(({ get }) => get('/ready')));
    assert.deepEqual(await Promise.all(answers.map((answer) => answer.json())), [
      { ready: true, agent: 'relay', model: 'groq:quick+openai:thorough' },
      { ready: true, agent: 'relay', model: 'openai:gpt-6-luna+openai:gpt-6-luna' },
    ]);
  });

  it('needs both keys, and names the missing one on /ready', async (t) => {
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
      [503, ['GROQ_API_KEY is not set, but model groq:quick needs it']],
    );
  });

  it('opens both connections while the welcome is spoken', async (t) => {
    const { client, fast, slow } = await relay(t, 'relay', says('Hm.'), says('Yes.'));
    assert.equal(await spoken(client.start()), 'Hello! What would you like to know?');
    await until(() => fast.warmUps === 1 && slow.warmUps === 1, 'both connections to be opened');
  });
});

// Values that a tool or an agent was given, and that come back in what these produce.

import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';

import { soon } from '../../../src/base/awaitable.ts';
import { noLog } from '../../../src/base/log.ts';
import { atOnce } from '../../../src/base/slices.ts';
import type { MessageTurn } from '../../../src/core/agents/agent.ts';
import { defineAgent } from '../../../src/core/agents/define-agent.ts';
import { withModel } from '../../../src/core/agents/with-model.ts';
import { MemoryStore } from '../../../src/core/conversations/memory-store.ts';
import { redactedEvent } from '../../../src/core/redaction/redacted-event.ts';
import { Redaction } from '../../../src/core/redaction/redaction.ts';
import { stateMadeBy } from '../../../src/core/state/state.ts';
import { tool } from '../../../src/core/tools/tool.ts';
import type { LayercodeEvent } from '../../../src/core/wires/layercode/events.ts';
import { callEventOf } from '../../../src/core/wires/layercode/our-events.ts';
import { scriptedModel, type Script } from '../../../src/kit/scripted-model.ts';
import { callRecorder } from '../../../src/server/records/call-recorder.ts';
import {
  contentsOf, deferred, messageEvent, serve, Told, type Served, type ServeOptions, type TestAgent,
} from '../../fixtures/app.ts';
import { serveCompletions } from '../../fixtures/completions.ts';
import { CallArchiveInMemory } from '../../server/records/call-archive-in-memory.ts';

const REDACT = ['cards', 'phones'] as const;
const SAID = 'It is 4242 4242 4242 4242, expires 11/27, CVV 417. Call me on 161 496 0732.';
const NAMED = 'It is [card 1], expires [expiry 1], CVV [code 1]. Call me on [phone 1].';

interface Values {
  readonly card: string;
  readonly expiry: string;
  readonly code: string;
  readonly phone: string;
}

const PLACEHOLDERS: Values = {
  card: '[card 1]', expiry: '[expiry 1]', code: '[code 1]', phone: '[phone 1]',
};
const PAY = [{ call: 'pay', args: { ...PLACEHOLDERS } }] as const;

interface AgentState {
  phone?: unknown;
  total: unknown;
  notes?: unknown;
}

type Run = (values: Values, context: { readonly state: AgentState }) => unknown;

/** An agent whose tool `pay` gets the values themselves. */
function paying(script: Script, run: Run): TestAgent {
  const state = stateMadeBy((): AgentState => ({ total: 417 }));
  const text = { type: 'string' } as const;
  const pay = tool({
    name: 'pay',
    description: 'Pays.',
    state,
    raw: true,
    parameters: {
      type: 'object',
      properties: { card: text, expiry: text, code: text, phone: text },
      required: ['card', 'expiry', 'code', 'phone'],
      additionalProperties: false,
    },
    run,
  });
  const agent = defineAgent({
    name: 'x', prompt: 'Be brief.', tools: [pay], redact: REDACT, state,
  });
  return withModel(agent, scriptedModel(script));
}

let turns = 0;

async function says({ client }: Served, text: string, fields: object = {}): Promise<string> {
  turns += 1;
  const event = messageEvent({ turn_id: `turn-${turns}`, text, ...fields });
  return contentsOf(await (await client.post(event)).events()).join('');
}

/** What the model and history have of a tool's result. */
async function resultOf(t: TestContext, run: Run): Promise<unknown> {
  const served = serve(t, paying([PAY, 'Done.'], run));
  await says(served, SAID);
  const told = await served.messages('c-1');
  assert.equal(told[0]?.content, NAMED);
  return JSON.parse(String(told.find(({ role }) => role === 'tool')?.content));
}

/** Serves an agent that says something with the values. */
function saying(
  t: TestContext, say: (values: Values) => string, options?: ServeOptions,
): Served {
  const onMessage = ({ journal }: MessageTurn): string => say(journal.reveal(PLACEHOLDERS));
  return serve(t, { redact: REDACT, onMessage }, options);
}

describe('what a raw tool gives back has placeholders', () => {
  for (const [title, run, expected] of [
    ['as it was given', (values) => values, PLACEHOLDERS],
    [
      'as numbers',
      ({ code, expiry, phone }) => [Number(code), Number(expiry), Number(phone)],
      ['[code 1]', '[expiry 1]', '[phone 1]'],
    ],
    [
      'in a text',
      ({ expiry, code, phone }) => `exp=${expiry}&cvv=${code} ${code} ${expiry}; tel:${phone}`,
      'exp=[expiry 1]&cvv=[code 1] [code 1] [expiry 1]; tel:[phone 1]',
    ],
    ['joined', ({ code, expiry }) => `${code}/${expiry}-${code}`, '[code 1]/[expiry 1]-[code 1]'],
    [
      'in groups and in words',
      () => ['4 1 7', '4-1-7', 'four one seven', 'four seventeen', '161-4960 732', '٤١٧'],
      ['[code 1]', '[code 1]', '[code 1]', '[code 1]', '[phone 1]', '[code 1]'],
    ],
    [
      'as a date in any form',
      () => ['11/27', '11 / 2027', '2027-11', 'November 2027', 'nov twenty twenty-seven'],
      Array(5).fill('[expiry 1]'),
    ],
    [
      'as a month and a year',
      () => [
        { month: 11, year: 2027 }, { exp_month: '11', exp_year: '27' }, { month: 12, year: 27 },
      ],
      [
        { month: '[expiry 1]', year: '[expiry 1]' },
        { exp_month: '[expiry 1]', exp_year: '[expiry 1]' },
        { month: 12, year: 27 },
      ],
    ],
    [
      'in nested JSON, and as names',
      ({ code }) => ({ a: [{ b: { [code]: true } }], body: JSON.stringify({ c: Number(code) }) }),
      { a: [{ b: { '[code 1]': true } }], body: '{"c":[code 1]}' },
    ],
    [
      'but not within longer numbers and words',
      () => [
        '1417', '4170', 417.5, '417.50', '1,417', '417,000', 'A417', 'x_417', '2024-417',
        'oh four one seven', 'four one seven four', '161 417 0732 55',
        '2026-11-27', '11/27/2026', '1161 496 07324', [41, 7],
      ],
      [
        '1417', '4170', 417.5, '417.50', '1,417', '417,000', 'A417', 'x_417', '2024-417',
        'oh four one seven', 'four one seven four', '161 417 0732 55',
        '2026-11-27', '11/27/2026', '1161 496 07324', [41, 7],
      ],
    ],
    ['which has a price', () => '417 euros', '[code 1] euros'],
  ] as const satisfies readonly (readonly [string, Run, unknown])[])
    it(title, async (t) => assert.deepEqual(await resultOf(t, run), expected));

  it('in an error', async (t) => {
    const fail: Run = ({ code }) => assert.fail(`declined: ${code}`);
    assert.deepEqual(await resultOf(t, fail), { error: 'declined: [code 1]' });
  });

  it('in the state, except for what was there before', async (t) => {
    const served = serve(t, paying(['Yes.', PAY, 'Done.'], ({ code, phone }, { state }) => {
      Object.assign(state, { phone, notes: [`code ${code}`, Number(code)] });
      return 'paid';
    }));
    await says(served, 'Hello.');
    await says(served, SAID);
    assert.deepEqual(await served.app.conversations.getState('c-1'), {
      total: 417, phone: '[phone 1]', notes: ['code [code 1]', '[code 1]'],
    });
  });

  it('even if it returns after the call', async (t) => {
    const [began, goesOn] = [deferred(), deferred()];
    const served = serve(t, paying([PAY, 'Done.'], async ({ code, phone }, { state }) => {
      began.resolve();
      await goesOn.promise;
      state.notes = [code, phone];
      return { found: code };
    }));
    const turn = says(served, SAID);
    await began.promise;
    await served.client.post({ type: 'session.end', session_id: 's-1', conversation_id: 'c-1' });
    goesOn.resolve();
    await turn;
    const kept = async (): Promise<string> =>
      JSON.stringify(await served.app.conversations.read('c-1'));
    while (!(await kept()).includes('found')) await soon();
    assert.deepEqual(await served.app.conversations.getState('c-1'), {
      total: 417, notes: ['[code 1]', '[phone 1]'],
    });
    assert.match(await kept(), /\{\\"found\\":\\"\[code \w+\]\\"\}/);
  });

  // The result of a call that has run out of time once was stored as it came.
  it('even if its time was up', async (t) => {
    const goesOn = deferred();
    const pay = tool({
      name: 'pay', description: 'Pays.', raw: true, once: true, timeoutMs: 1,
      parameters: { type: 'object', properties: { code: { type: 'string' } } },
      async run(args) {
        await goesOn.promise;
        return { paid: args, card: '4242424242424242' };
      },
    });
    const served = serve(t, withModel(
      defineAgent({ name: 'x', prompt: 'Be brief.', tools: [pay], redact: REDACT }),
      scriptedModel([[{ call: 'pay', args: { code: '[code 1]' } }], 'Done.']),
    ));
    await says(served, SAID);
    goesOn.resolve();
    const kept = async (): Promise<string> => JSON.stringify(await served.messages('c-1'));
    while (!(await kept()).includes('paid')) await soon();
    const result = (await served.messages('c-1')).find(({ role }) => role === 'tool')?.content;
    assert.equal(result, '{"paid":{"code":"[code 1]"},"card":"[card 1]"}');
  });

  it('so a function `once` gets what the model wrote', async (t) => {
    const asked = new Told<unknown>();
    const pay = tool({
      name: 'pay', description: 'Pays.', raw: true,
      once(args) {
        asked.tell(args);
        return 'order 5';
      },
      parameters: {
        type: 'object',
        properties: { code: { type: 'string', pattern: '^\\d+$' }, cents: { type: 'integer' } },
      },
      run: () => 'paid',
    });
    const args = { code: '[code 1]', cents: 417 };
    const served = serve(t, withModel(
      defineAgent({ name: 'x', prompt: 'Be brief.', tools: [pay], redact: REDACT }),
      scriptedModel([[{ call: 'pay', args }], 'Done.']),
    ));
    await says(served, SAID);
    assert.deepEqual(await asked.next(), args);
  });

  it('but the arguments of calls, which a model writes, stay as they are', async (t) => {
    const seen = new Told<unknown>();
    const order = tool({
      name: 'order',
      description: 'Orders.',
      once: ({ cents }) => `order of ${cents}`,
      parameters: {
        type: 'object', properties: { cents: { type: 'integer' } }, required: ['cents'],
        additionalProperties: false,
      },
      run: ({ cents }) => seen.tell(cents),
    });
    const pay = tool({
      name: 'pay', description: 'Pays.', raw: true, run: () => 'paid',
      parameters: { type: 'object', properties: { code: { type: 'string' } } },
    });
    const calls = [{ call: 'order', args: { cents: 417 } }] as const;
    const agent = withModel(
      defineAgent({ name: 'x', prompt: 'Be brief.', tools: [order, pay], redact: REDACT }),
      scriptedModel([
        calls, 'Ordered.', [{ call: 'pay', args: { code: '[code 1]' } }], calls, 'Ok.',
      ]),
    );
    const served = serve(t, agent);
    await says(served, 'An order, please.');
    await says(served, SAID);
    assert.deepEqual(seen.all, [417]); // still the same order
  });
});

describe('what an agent says of values that it was given has placeholders', () => {
  it('in history, however it is cut into pieces', async (t) => {
    const served = serve(t, {
      redact: REDACT,
      async *onMessage({ journal }) {
        yield 'So it is 4';
        journal.reveal('[code 1]');
        yield '1';
        yield '7, or four one';
        yield ' seven. Right?';
      },
    });
    assert.equal(await says(served, SAID), 'So it is 417, or four one seven. Right?');
    const history = await served.history('c-1');
    assert.equal(history.at(-1)?.[1], 'So it is [code 1], or [code 1]. Right?');
  });

  it('even if it said them before it was given them', async (t) => {
    const served = serve(t, {
      redact: REDACT,
      async *onMessage({ journal }) {
        yield 'Is it 417?';
        await journal.noteToolCalls([{ id: 'x', name: 'look', args: '{}' }]);
        journal.reveal('[code 1]');
      },
    });
    await says(served, SAID);
    assert.equal((await served.history('c-1'))[1]?.[1], 'Is it [code 1]?');
  });

  it('but an expiry date without its zero only in two parts', async (t) => {
    const served = serve(t, {
      redact: REDACT,
      onMessage: ({ journal }) => `${journal.reveal('[expiry 1]')}, 3/27, not 327 euros`,
    });
    await says(served, 'It expires 03/27.');
    assert.equal((await served.history('c-1'))[1]?.[1], '[expiry 1], [expiry 1], not 327 euros');
  });

  it('in what was heard of it, and in the transcript of the call', async (t) => {
    const told = new Told<unknown>();
    const served = serve(t, {
      redact: REDACT,
      onMessage: ({ journal, event }) => {
        told.tell('interruption_context' in event && event.interruption_context);
        return `So it is ${journal.reveal('[code 1]')} and no other.`;
      },
      onSessionEnd: ({ event }) => told.tell('transcript' in event && event.transcript),
    });
    await says(served, SAID, { turn_id: 'first' });
    await says(served, 'No!', {
      interruption_context: {
        previous_turn_interrupted: true, assistant_turn_id: 'first', text_heard: 'So it is 417 and',
      },
    });
    assert.equal((await served.history('c-1'))[1]?.[1], 'So it is [code 1] and');
    const transcript = [{ role: 'assistant', text: 'So it is 417 and no other.' }];
    const ids = { session_id: 's-1', conversation_id: 'c-1' };
    await served.client.post({ type: 'session.end', ...ids, transcript });
    await told.next();
    const heard = await told.next();
    assert.match(JSON.stringify(heard), /"text_heard":"So it is \[code 1\] and"/);
    assert.deepEqual(await told.next(), [
      { role: 'assistant', text: 'So it is [code 1] and no other.' },
    ]);
  });

  it('in records, fillers, data and the log', async (t) => {
    const archive = new CallArchiveInMemory();
    const records = callRecorder({ archive, log: noLog() });
    const served = serve(t, {
      redact: REDACT,
      onMessage({ journal }, reply) {
        const { code } = journal.reveal(PLACEHOLDERS);
        journal.sayFiller(`One moment, ${code}.`);
        void reply.data({ code: Number(code) });
        throw new Error(`no use of ${code}`);
      },
    }, { records });
    await says(served, SAID);
    await served.client.post({ type: 'session.end', session_id: 's-1', conversation_id: 'c-1' });
    const record = JSON.stringify(await archive.kept.next('a record'));
    assert.match(record, /One moment, \[code 1\]/);
    const kept = JSON.stringify(await served.app.conversations.read('c-1'));
    for (const text of [record, kept, served.logLines.join('')])
      assert.doesNotMatch(text, /\b417\b/);
    assert.match(served.logLines.join(''), /no use of \[code/);
  });

  it('in calls over Chat Completions, whose turn ids reveal nothing', async (t) => {
    const ids = new Told<string>();
    const agent: TestAgent = {
      redact: REDACT,
      onMessage({ journal, turnId }) {
        ids.tell(turnId);
        return `So it is ${journal.reveal('[code 1]')}.`;
      },
    };
    const store = new MemoryStore({ ttlMs: 60_000, maxConversations: 10 });
    const served = serveCompletions(t, agent, { store });
    const lines = [`user: ${SAID}`];
    lines.push(`agent: ${await served.platform.hear(lines)}`, 'user: Yes.');
    await served.platform.hear(lines);
    assert.deepEqual((await served.history('c-1')).map(([, content]) => content), [
      NAMED, 'So it is [code 1].', 'Yes.', 'So it is [code 1].',
    ]);
    const plain = serveCompletions(t, { onMessage: ({ turnId }) => ids.tell(turnId) });
    const guess = lines.map((line) => line.replace(SAID, NAMED));
    await plain.platform.hear(guess);
    assert.notEqual(ids.all[1], ids.all[2]);
  });

  it('but not if it never was given them', async (t) => {
    const served = serve(t, { redact: REDACT, onMessage: () => '417 euros, please.' });
    await says(served, SAID);
    assert.equal((await served.history('c-1')).at(-1)?.[1], '417 euros, please.');
  });

  it('and leaves values of one or two characters alone', async (t) => {
    const size = { kind: 'size', find: (text: string) => [
      ...text.matchAll(/\bsize (\d+)/g)].map(({ 0: { length }, 1: value, index }) =>
      ({ start: index, end: index + length, value })) };
    const served = serve(t, {
      redact: size, onMessage: ({ journal }) => `${journal.reveal('[size 1]')} shoes`,
    });
    assert.equal(await says(served, 'I have size 42.'), '42 shoes');
    assert.equal((await served.history('c-1')).at(-1)?.[1], '42 shoes');
  });

  it('in the form in which the text has it, if it is a word or has letters', async (t) => {
    const names = { kind: 'customer', find: (text: string) =>
      [...text.matchAll(/\bKD-?\d{6}\b|Will Lee/g)].map(({ 0: { length }, index }) =>
        ({ start: index, end: index + length })) };
    const served = serve(t, { redact: names, onMessage({ journal }) {
      journal.reveal('[customer 1] [customer 2]');
      return 'kd 123456, KD123456 and Will  Lee, not XKD-123456, KD-1234567 or will lee';
    } });
    await says(served, 'KD-123456, Will Lee');
    assert.equal(
      (await served.history('c-1')).at(-1)?.[1],
      '[customer 1], [customer 1] and [customer 2], not XKD-123456, KD-1234567 or will lee',
    );
  });
});

describe('the name of a field', () => {
  it('counts as the words around a value do', async (t) => {
    const found = {
      cvv: 882, securityCode: '0815', phone: '1614961234', customer_phone: ['1614961235'],
      expiry: '03/28', exp: 429, card: { cvc: '883' },
    };
    const harmless = {
      code: 882, total: 1614961234, phone_id: 16149612, expires_in: 1127, phone: 'none', cvv: null,
    };
    const served = serve(t, {
      redact: REDACT,
      async onMessage({ journal }) {
        await journal.noteToolCalls([{ id: 'x', name: 'look', args: '{}' }]);
        journal.noteToolResult('x', JSON.stringify({ found, harmless }));
        return 'Done.';
      },
    });
    await says(served, 'Hello.');
    const result = (await served.messages('c-1')).find(({ role }) => role === 'tool')?.content;
    assert.deepEqual(JSON.parse(String(result)), {
      found: {
        cvv: '[code 1]', securityCode: '[code 2]', phone: '[phone 1]',
        customer_phone: ['[phone 2]'], expiry: '[expiry 1]', exp: '[expiry 2]',
        card: { cvc: '[code 3]' },
      },
      harmless,
    });
  });

  it('counts in the data of a browser, too', async (t) => {
    const told = new Told<unknown>();
    const served = serve(t, { redact: REDACT, onData: ({ data }) => void told.tell(data) });
    const ids = { session_id: 's-1', conversation_id: 'c-1' };
    await served.client.post({ type: 'data', ...ids, data: { cvv: '417' } });
    assert.match(JSON.stringify(await told.next()), /^\{"cvv":"\[code \w+\]"\}$/);
  });
});

it('the caller\'s number is no value, whatever the name of its field', () => {
  const redaction = new Redaction({ redact: REDACT, key: 'k', onFailure: () => assert.fail() });
  const event = messageEvent({ from_phone_number: '1614960732', text: 'Hello.' });
  atOnce(redactedEvent(callEventOf(event as unknown as LayercodeEvent), redaction));
  assert.equal(redaction.size, 0);
});

it('an agent reads its own words as it said them', async (t) => {
  assert.equal(await says(saying(t, ({ code }) => `It is ${code}.`), SAID), 'It is 417.');
});

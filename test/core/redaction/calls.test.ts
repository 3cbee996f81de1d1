// What becomes of values in calls over LayerCode's wire: what hooks, models and tools are told, and
// what is kept.

import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';

import { noLog } from '../../../src/base/log.ts';
import type { MessageTurn } from '../../../src/core/agents/agent.ts';
import { defineAgent } from '../../../src/core/agents/define-agent.ts';
import { withModel } from '../../../src/core/agents/with-model.ts';
import { cardNumbers } from '../../../src/core/redaction/card-numbers.ts';
import { emailAddresses } from '../../../src/core/redaction/email-addresses.ts';
import { stateMadeBy } from '../../../src/core/state/state.ts';
import { tool } from '../../../src/core/tools/tool.ts';
import { scriptedModel, type Script, type ScriptedModel } from '../../../src/kit/scripted-model.ts';
import { callRecorder } from '../../../src/server/records/call-recorder.ts';
import {
  contentsOf, errorsIn, messageEvent, serve, slowStore, Told, type Served, type ServeOptions,
  type TestAgent,
} from '../../fixtures/app.ts';
import { CallArchiveInMemory } from '../../server/records/call-archive-in-memory.ts';

const CARD = '4242424242424242';
const SPOKEN = '4242 4242 4242 4242';
const OTHER = '5555-5555-5555-4444';
const BOTH = [cardNumbers, emailAddresses];

/** Serves an agent that redacts cards and addresses. */
function redacting(t: TestContext, agent: TestAgent, options?: ServeOptions): Served {
  return serve(t, { redact: BOTH, ...agent }, options);
}

let turns = 0;

/** The caller says the text. Resolves with what was spoken. */
async function says({ client }: Served, text: string, fields: object = {}): Promise<string> {
  turns += 1;
  const event = messageEvent({ turn_id: `turn-${turns}`, text, ...fields });
  return contentsOf(await (await client.post(event)).events()).join('');
}

interface Paying extends Served {
  readonly model: ScriptedModel;
  /** What `pay` was given. */
  readonly paid: Told<unknown>;
}

/** Serves an agent whose model follows a script, and that can `pay` with the card itself. */
function paying(t: TestContext, script: Script, run = (card: string): unknown => card): Paying {
  const paid = new Told<unknown>();
  const pay = tool({
    name: 'pay',
    description: 'Pays.',
    raw: true,
    parameters: {
      type: 'object',
      properties: { card: { type: 'string', pattern: '^\\d{13,19}$' } },
      required: ['card'],
      additionalProperties: false,
    },
    run({ card }) {
      paid.tell(card);
      return run(card);
    },
  });
  const savedCard = tool({
    name: 'saved_card',
    description: 'The card of the last order.',
    parameters: { type: 'object', properties: {}, additionalProperties: false },
    run: () => ({ card: SPOKEN }),
  });
  const model = scriptedModel(script);
  const tools = [pay, savedCard];
  const agent = defineAgent({ name: 'x', prompt: 'Be brief.', tools, redact: BOTH });
  return { ...serve(t, withModel(agent, model)), model, paid };
}

const PAY = [{ call: 'pay', args: { card: '[card 1]' } }] as const;

describe('redact', () => {
  for (const [kind, options] of [
    ['memory', () => ({})],
    ['a store that answers later', () => ({ store: slowStore() })],
  ] as const) {
    it(`gives hooks and history the same placeholder for the same value: ${kind}`, async (t) => {
      const told = new Told<MessageTurn>();
      const served = redacting(t, {
        onMessage(turn) {
          told.tell(turn);
          return `Not ${turn.text}`;
        },
      }, options());
      assert.equal(await says(served, `It is ${SPOKEN}.`), 'Not It is [card 1].');
      const other = await says(served, `Or ${OTHER}, ann@example.com`);
      assert.equal(other, 'Not Or [card 2], [email 1]');
      const words = 'four two '.repeat(8).trim();
      assert.equal(await says(served, `I said ${words}`), 'Not I said [card 1]');
      assert.deepEqual((await served.history('c-1')).map(([, content]) => content), [
        'It is [card 1].', 'Not It is [card 1].',
        'Or [card 2], [email 1]', 'Not Or [card 2], [email 1]',
        'I said [card 1]', 'Not I said [card 1]',
      ]);
      const [, { text, event, history } = {}] = told.all;
      assert.equal(text, 'Or [card 2], [email 1]');
      assert.equal(event !== undefined && 'text' in event && event.text, text);
      assert.deepEqual(history?.map(({ content }) => content), [
        'It is [card 1].', 'Not It is [card 1].', text,
      ]);
    });
  }

  it('logs no value that an agent throws', async (t) => {
    const served = redacting(t, { onMessage: () => assert.fail(`no use of ${SPOKEN}`) });
    await says(served, 'Hello.');
    assert.equal(errorsIn(served.logLines).length, 1);
    assert.match(served.logLines.join(''), /no use of \[card/);
    assert.doesNotMatch(served.logLines.join(''), /4242 ?4242/);
  });

  it('sends the caller what the agent says, and stores it without values', async (t) => {
    const served = redacting(t, {
      async *onMessage() {
        yield 'Is it 4242 4242';
        yield ` 4242 4242? Or ann@exam`;
        yield 'ple.com?';
      },
    });
    const spoken = 'Is it 4242 4242 4242 4242? Or ann@example.com?';
    assert.equal(await says(served, 'Hello?'), spoken);
    assert.deepEqual((await served.history('c-1')).at(-1), [
      'assistant', 'Is it [card 1]? Or [email 1]?', 'completed',
    ]);
  });

  it('cuts a reply to what was heard of it, whatever form its values have', async (t) => {
    const served = redacting(t, { onMessage: () => `Card ${SPOKEN} for ann@example.com, right?` });
    await says(served, 'Hello?', { turn_id: 'first' });
    const heard = { previous_turn_interrupted: true, assistant_turn_id: 'first' };
    await says(served, 'No!', {
      interruption_context: { ...heard, text_heard: `Card ${SPOKEN} for` },
    });
    const [, cut] = await served.history('c-1');
    assert.deepEqual(cut, ['assistant', 'Card [card 1] for', 'interrupted']);
    assert.equal(served.interrupted.all.at(-1)?.text, 'Card [card 1] for');
  });

  it('also gives placeholders to the hooks of other events', async (t) => {
    const told = new Told<unknown>();
    const served = redacting(t, {
      onMessage: ({ text }) => text,
      onData: ({ data, event }) => void told.tell([data, event.data]),
      onSessionEnd: ({ event, history }) =>
        void told.tell(['transcript' in event && event.transcript, history.length]),
    });
    const ids = { session_id: 's-1', conversation_id: 'c-1' };
    await says(served, SPOKEN);
    await served.client.post({ type: 'data', ...ids, data: { [CARD]: [OTHER], card: CARD } });
    const data = { '[card 1]': ['[card 2]'], card: '[card 1]' };
    assert.deepEqual(await told.next(), [data, data]);
    assert.equal(await says(served, OTHER), '[card 2]');
    const transcript = [{ role: 'user', text: `It is ${SPOKEN}.` }];
    await served.client.post({ type: 'session.end', ...ids, transcript });
    assert.deepEqual(await told.next(), [[{ role: 'user', text: 'It is [card 1].' }], 4]);
  });

  it('leaves ids, phone numbers and metadata as they are', async (t) => {
    const told = new Told<MessageTurn>();
    const served = redacting(t, { onMessage: told.tell });
    const ids = { session_id: CARD, conversation_id: '5555555555554444', turn_id: CARD };
    const from = { from_phone_number: '4242424242426', metadata: { mail: 'ann@example.com' } };
    await says(served, 'Hello?', { ...ids, ...from });
    const { conversationId, turnId, caller, metadata, event } = await told.next();
    assert.deepEqual(
      [conversationId, turnId, caller?.from, metadata, event.turn_id],
      ['5555555555554444', CARD, '4242424242426', { mail: 'ann@example.com' }, CARD],
    );
  });

  it('keeps values out of a recorded filler', async (t) => {
    const archive = new CallArchiveInMemory();
    const records = callRecorder({ archive, log: noLog() });
    const served = redacting(t, {
      onMessage({ text, journal }) {
        journal.sayFiller(`One moment, ${journal.reveal(text)}.`);
        return 'Done.';
      },
    }, { records });
    assert.equal(await says(served, SPOKEN), `One moment, ${CARD}. Done.`);
    await served.client.post({ type: 'session.end', session_id: 's-1', conversation_id: 'c-1' });
    const kept = JSON.stringify(await archive.kept.next('a record'));
    assert.match(kept, /One moment, \[card 1\]\./);
    assert.doesNotMatch(kept, /4242 ?4242/);
  });

  it('keeps values out of the stored state', async (t) => {
    const served = redacting(t, {
      state: stateMadeBy(() => ({ card: '' })),
      onMessage(given) {
        const turn = given as MessageTurn<{ card: string }>;
        turn.state.card ||= turn.journal.reveal(turn.text);
        return turn.state.card;
      },
    });
    assert.equal(await says(served, SPOKEN), CARD);
    assert.deepEqual(await served.app.conversations.getState('c-1'), { card: '[card 1]' });
    assert.equal(await says(served, 'And now?'), '[card 1]');
  });

  it('keeps values out of tool calls that an agent runs itself', async (t) => {
    const served = redacting(t, {
      async onMessage({ journal }) {
        const args = JSON.stringify({ card: CARD });
        await journal.noteToolCalls([{ id: 'x', name: 'look', args }]);
        const result = { mail: 'ann@example.com', card: Number(CARD) };
        journal.noteToolResult('x', JSON.stringify(result));
        return 'Done.';
      },
    });
    await says(served, 'Hello?');
    const [, call, result] = await served.messages('c-1');
    assert.equal(call?.role === 'assistant' && call.toolCalls?.[0]?.args, '{"card":"[card 1]"}');
    assert.equal(result?.content, '{"mail":"[email 1]","card":"[card 1]"}');
  });

  it('leaves out a text if a function fails, and logs that without the text', async (t) => {
    const redact = (text: string): string => assert.fail(`cannot read ${text}`);
    const served = serve(t, { redact, onMessage: ({ text }) => text });
    assert.equal(await says(served, SPOKEN), '[redaction failed]');
    assert.ok(errorsIn(served.logLines).includes('redact failed: a text was left out'));
    assert.doesNotMatch(served.logLines.join(''), /4242 4242|cannot read/);
  });
});

describe('a tool with raw', () => {
  it('gets the value itself, while the model and history get only its placeholder', async (t) => {
    const served = paying(t, [PAY, 'Paid.'], (card) => ({ card, mail: 'ann@example.com' }));
    await says(served, `It is ${SPOKEN}.`);
    assert.deepEqual(served.paid.all, [CARD]);
    const requests = JSON.stringify(served.model.requests);
    assert.doesNotMatch(requests, /4242|ann@/);
    assert.equal(
      served.model.requests[1]?.messages.at(-1)?.content,
      '{"card":"[card 1]","mail":"[email 1]"}',
    );
    assert.doesNotMatch(JSON.stringify(await served.messages('c-1')), /4242 ?42|ann@/);
  });

  it('does not tell the model a value in an error', async (t) => {
    const served = paying(t, [PAY, 'Sorry.'], (card) => assert.fail(`${card} was declined`));
    await says(served, SPOKEN);
    assert.equal(
      served.model.requests[1]?.messages.at(-1)?.content, '{"error":"[card 1] was declined"}',
    );
    assert.doesNotMatch(served.logLines.join(''), /4242 ?4242/);
  });

  it('returns no part of a value if a long result is cut', async (t) => {
    const served = paying(t, [PAY, 'Paid.'], (card) => `${'-'.repeat(65_522)} ${card} ${card}`);
    await says(served, SPOKEN);
    const told = String(served.model.requests[1]?.messages.at(-1)?.content);
    assert.match(told, /- \[card 1\].*\[cut\]$/);
    assert.doesNotMatch(told, /4242/);
  });

  it('may get a value that another tool returned in the same turn', async (t) => {
    const served = paying(t, [
      [{ call: 'saved_card', args: {} }], PAY, 'Paid.',
    ]);
    await says(served, 'With the card you have.');
    assert.deepEqual(served.paid.all, [CARD]);
  });

  it('gets no value once the session is over', async (t) => {
    const served = paying(t, ['Yes.', PAY, 'Once more, please.']);
    await says(served, SPOKEN);
    const ids = { session_id: 's-1', conversation_id: 'c-1' };
    await served.client.post({ type: 'session.end', ...ids });
    await says(served, 'Pay.', { session_id: 's-2' });
    assert.deepEqual(served.paid.all, []);
  });
});

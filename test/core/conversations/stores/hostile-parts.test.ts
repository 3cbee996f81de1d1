// Parts that no version of this program writes: what is stored is checked like what comes from the
// network.

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { machine, said } from './machines.ts';

/** What must not be in the log. */
const WORDS = 'my card is 4242';
const TURN = { id: 'bad', state: 'completed', runId: 1, words: WORDS, reply: null };
const TOOL = { role: 'tool', content: '1', turnId: 'bad', toolCallId: 'x', state: 'completed' };
const CALL = {
  state: 'completed', tool: 'pay', runId: 1, turnId: 't', toolCallId: 'x', claimedAt: 1,
  content: '1',
};
const FIGURES = { sessionId: 's', startedAt: 1 };
const HUGE = Number.MAX_SAFE_INTEGER;
const ONCE = `once-${'0'.repeat(64)}`;
const DEEP = `${'{"a":'.repeat(9_000)}0${'}'.repeat(9_000)}`;

function turn(fields: object): string {
  return JSON.stringify({ ...TURN, ...fields });
}

function message(fields: object): string {
  return turn({ messages: [{ ...TOOL, ...fields }] });
}

function calling(call: object): string {
  const asked = { role: 'assistant', content: '', turnId: 'bad', state: 'completed' };
  return turn({ messages: [{ ...asked, toolCalls: [call] }] });
}

function captured(fields: object): string {
  return turn({ figures: { ...FIGURES, captured: { bytes: 1, requests: [], ...fields } } });
}

const change = (fields: object): string =>
  `{"l":["${WORDS}"]}\nv1\nv2 ${JSON.stringify([{ path: ['l'], was: WORDS, ...fields }])}`;

/** By the part's name: the text that is stored. */
const PARTS: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  state: {
    'an index that is far too great': change({ kind: 'remove', index: HUGE }),
    'a negative index': change({ kind: 'remove', index: -1 }),
    'a change to what is not there': change({ kind: 'set', path: ['__proto__', 'x'], to: 1 }),
    'a change that is nested too deeply':
      `{}\nv1\nv2 [{"path":["a"],"kind":"set","to":${DEEP}}]`,
    'a state that is nested too deeply': `${DEEP}\nv1`,
    'no object': `"${WORDS}"\nv1`,
    'broken JSON': `{"a":"${WORDS}`,
  },
  7: {
    'a list instead of a turn': JSON.stringify([WORDS]),
    'messages that are nested too deeply': turn({}).replace('}', `,"later":${DEEP}}`),
    'a place after which there is no next one': turn({ number: HUGE }),
    'a time after which there is no next one': turn({ addedAt: 1e300 }),
    'a negative number of runs': turn({ runs: -1 }),
    'a negative number of messages': turn({ kept: -1 }),
    'a filler that is no text': turn({ filler: {} }),
    'a report without lines': turn({ heard: { runId: 1, lines: 7 } }),
    'no report': turn({ heard: null }),
    'an event without its text': turn({ sent: [{ type: 'say' }] }),
    'no event': turn({ sent: [null] }),
    'a result without its call': message({ toolCallId: undefined }),
    'a result of another type': message({ content: [WORDS] }),
    'a call without a name': calling({ id: 'x', args: '{}' }),
    'a start that is no time': turn({ figures: { ...FIGURES, startedAt: WORDS } }),
    'a negative size of captured requests': captured({ bytes: -1 }),
    'captured requests without messages': captured({ requests: [{ request: 0 }] }),
    'a trace without a place': turn({ trace: {} }),
    'an agent before that is no name': turn({ agentBefore: 7 }),
    'an undo that is no text': turn({ undo: [] }),
  },
  [ONCE]: {
    'a claim that was repeated too often': JSON.stringify({ ...CALL, nth: 1e300 }),
    'a claim that did nothing a negative number of times': JSON.stringify({ ...CALL, notDone: -1 }),
    'a claim at no time': JSON.stringify({ ...CALL, claimedAt: '1' }),
    'a claim whose result is no text': JSON.stringify({ ...CALL, content: { WORDS } }),
  },
  head: {
    'no head': `[${JSON.stringify(WORDS)}]`,
    'no caller': '{"caller":null}',
    'an agent that is no name': '{"agent":{"a":1}}',
    'numbers of values that are none': '{"placeholders":{"a":null}}',
    'spending that is negative':
      '{"spent":[{"sessionId":"s","process":"p","revision":1,"tokens":-1,"cost":0}]}',
    'no time of an erasure': '{"erasedAt":1e300}',
    'a place that is no number': '{"erasedTo":"1"}',
    'a report that is none': '{"reports":[null]}',
    'no number of changes': '{"revision":null}',
  },
};

describe('a conversation of which a part was damaged', () => {
  for (const [name, texts] of Object.entries(PARTS))
    for (const [what, text] of Object.entries(texts))
      it(`goes on without it, and the log names it: ${what}`, async (t) => {
        const before = machine(t);
        await before.turns('t1');
        const stored = await before.parts.read('c');
        assert.ok(typeof stored === 'object');
        await before.write({ [name]: text }, stored.version);
        const after = before.fresh();
        t.after(() => after.store.close());
        await after.turns('t2 t3');
        assert.deepEqual(await before.fresh().texts(), said('t1 t2 t3'));
        const lines = after.lines.map((line) => JSON.parse(line) as { readonly msg: string });
        const [line] = lines.filter(({ msg }) => msg.includes('cannot be read'));
        assert.deepEqual(line, { ...line, level: 'error', conversationId: 'c', parts: [name] });
        assert.ok(!after.lines.join().includes('4242'), 'the log quotes nobody');
      });

  it('keeps its own fields, whatever a head calls its fields', async (t) => {
    const before = machine(t);
    await before.turns('t1');
    const stored = await before.parts.read('c');
    assert.ok(typeof stored === 'object');
    const head = '{"__proto__":{"erasedTo":7},"isBehind":true,"openTurns":9,"state":"x",'
      + '"touched":[],"onceCalls":{"a":1},"merged":1,"later":1}';
    await before.write({ head }, stored.version);
    const found = await before.fresh().read() ?? assert.fail();
    const { erasedTo, isBehind, openTurns, state, onceCalls } = found;
    assert.deepEqual([erasedTo, isBehind, openTurns, state, onceCalls],
      [undefined, undefined, 0, undefined, undefined]);
    assert.equal(Object.getPrototypeOf(found), Object.prototype);
  });

  it('stores new turns, although a part has the highest possible number', async (t) => {
    const before = machine(t);
    await before.turns('t1');
    const stored = await before.parts.read('c');
    assert.ok(typeof stored === 'object');
    await before.write({ '999999999999999': turn({ id: 'last' }) }, stored.version);
    const after = before.fresh();
    t.after(() => after.store.close());
    await after.turns('t2 t3');
    assert.deepEqual(await before.fresh().ids(), ['t1', 't2', 't3', 'last'].toSorted());
  });
});

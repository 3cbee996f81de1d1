import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import type { SentEvent } from '../../../src/core/calls/reply-event.ts';
import type { SpokenToolCall } from '../../../src/core/tools/tool-calling-turn.ts';
import { MAX_REPLY_LENGTH, SpokenReply } from '../../../src/core/turns/spoken-reply.ts';

const HIGH = '\ud83d';
const LOW = '\ude00';

/**
 * One act of an agent: a text that it says, `~` with a filler, data that begins with `{`, or `[`
 * with the ids of its calls.
 */
type Act = string;

function call(id: string): SpokenToolCall {
  return {
    call: { id, name: 'look', args: '{}' },
    key: `key of ${id}`,
    runId: 1,
    process: undefined,
    state: 'completed',
    content: `"${id}"`,
  };
}

function perform(reply: SpokenReply, act: Act): SentEvent | undefined {
  if (act.startsWith('~')) return reply.sayFiller(act.slice(1));
  return act.startsWith('{') ? reply.sendData(act) : reply.say(act);
}

/** A reply after these acts. Every event was sent. */
function spoken(...acts: readonly Act[]): SpokenReply {
  const reply = new SpokenReply();
  for (const act of acts) {
    if (act.startsWith('[')) reply.noteCalls(act.slice(1, -1).split(' ').map(call));
    const event = act.startsWith('[') ? undefined : perform(reply, act);
    if (event !== undefined) reply.note(event);
  }
  return reply;
}

/** Each message as `role: text`, with the ids of its calls in brackets. */
function shown(reply: SpokenReply, count?: number): string[] {
  return reply.messages('t-1', 'completed', count).map((message) => {
    const calls = message.role === 'assistant' ? message.toolCalls ?? [] : [];
    const ids = calls.length === 0 ? '' : ` [${calls.map(({ id }) => id).join(' ')}]`;
    return `${message.role}: ${message.content}${ids}`;
  });
}

describe('SpokenReply.say', () => {
  for (const [title, pieces, sent] of [
    ['passes a piece on', ['Hello'], ['Hello']],
    ['sends nothing for an empty string', [''], []],
    ['keeps spaces as they are', [' a ', ' b '], [' a ', ' b ']],
    ['holds half a character back until its other half arrives',
      [`a${HIGH}`, `${LOW}b`], ['a', `${HIGH}${LOW}b`]],
    ['sends nothing for half a character alone', [HIGH], []],
    ['holds back only the second of two first halves', [HIGH, HIGH], [HIGH]],
    ['passes a lone second half on', [LOW], [LOW]],
  ] as const)
    it(title, () => {
      const reply = new SpokenReply();
      const events = pieces.map((piece) => reply.say(piece)).filter((event) => event !== undefined);
      assert.deepEqual(events, sent.map((text): SentEvent => ({ type: 'say', text })));
    });

  it('makes the reply count as spoken at its first non-blank character', () => {
    assert.deepEqual([spoken(' \n').hasSpoken, spoken(' \n', 'a').hasSpoken], [false, true]);
  });
});

describe('SpokenReply.flush', () => {
  it('replaces half a character that was left over, and has nothing to send otherwise', () => {
    const reply = spoken(`a${HIGH}`);
    assert.deepEqual(reply.flush(), { type: 'say', text: '\ufffd' });
    assert.equal(reply.flush(), undefined);
    assert.equal(spoken('a').flush(), undefined);
  });
});

describe('SpokenReply.sayFiller', () => {
  it('ends the filler with one space, so that the first word does not run into it', () => {
    const sent = { type: 'say', text: 'One moment. ', isFiller: true };
    assert.deepEqual(new SpokenReply().sayFiller('One moment.  '), sent);
  });

  for (const [title, acts, filler] of [
    ['remembers what was said', ['~One moment.'], 'One moment.'],
    ['remembers each of several fillers',
      ['~One moment.', '~ Still looking. '], 'One moment. Still looking.'],
    ['says nothing once the agent has spoken', ['Yes.', '~One moment.'], undefined],
    ['says nothing for a blank text', ['~ '], undefined],
  ] as const)
    it(title, () => assert.equal(spoken(...acts).filler, filler));

  it("does not count as the agent's words", () => {
    const reply = spoken('~One moment.');
    const found = [reply.hasSpoken, reply.isEmpty, reply.text(), shown(reply)];
    assert.deepEqual(found, [false, true, '', []]);
  });
});

describe('SpokenReply.isEmpty', () => {
  for (const [acts, isEmpty] of [
    [[], true], [[' '], true], [['~One moment.'], true],
    [['a'], false], [[HIGH], false], [['{}'], false],
  ] as const)
    it(`is ${isEmpty} after ${JSON.stringify(acts)}`, () =>
      assert.equal(spoken(...acts).isEmpty, isEmpty));
});

describe('SpokenReply.apart', () => {
  for (const [acts, text, apart] of [
    [[], 'Bye', 'Bye'],
    [['Hello'], 'Bye', ' Bye'],
    [['Hello '], 'Bye', 'Bye'],
    [['Hello'], ' Bye', ' Bye'],
    [['Hello', '{}'], 'Bye', ' Bye'],
    [['~One moment.'], 'Bye', 'Bye'],
  ] as const)
    it(`returns "${apart}" for "${text}" after ${JSON.stringify(acts)}`, () =>
      assert.equal(spoken(...acts).apart(text), apart));
});

describe('SpokenReply.excess', () => {
  const half = 'x'.repeat(MAX_REPLY_LENGTH / 2);

  it('is undefined at the limit, and names the limit one character beyond it', () => {
    const reply = spoken(half, `{${half.slice(1)}`);
    assert.equal(reply.excess, undefined);
    reply.say('x');
    assert.equal(reply.excess, `${MAX_REPLY_LENGTH} characters`);
  });

  it('counts fillers, with the space after each', () =>
    assert.ok(spoken(`~${half}`, half).excess));

  for (const [title, pieces, more] of [
    ['in one piece', ['one two three four '], 'five'],
    ['in pieces that split words', [...'one two\nthree four '], 'five'],
    ['next to punctuation', ['One, two: three... four!'], ' five'],
    ['in a script without spaces', [...'早上九', '点 '], '门'],
    ['in fillers', ['~One two three four.'], 'five'],
  ] as const)
    it(`is undefined at the word limit, and names it one word beyond: ${title}`, () => {
      const reply = new SpokenReply(undefined, 4);
      for (const piece of [...pieces, '{"five":"six"}']) {
        const event = perform(reply, piece);
        if (event !== undefined) reply.note(event);
      }
      assert.equal(reply.excess, undefined);
      reply.say(more);
      assert.equal(reply.excess, '4 words');
    });
});

describe('SpokenReply.messages', () => {
  const ROUNDS = ['Let me see.', '[c1 c2]', ' One', ' more.', '[c3]', ' Done.'];

  for (const [title, acts, messages] of [
    ['are empty for silence', [], []],
    ['join the pieces of a text', ['It is', ' ten.'], ['assistant: It is ten.']],
    ['leave data out', ['a', '{}', 'b'], ['assistant: ab']],
    ['leave fillers out', ['~One moment.', 'Ten.'], ['assistant: Ten.']],
    ['have an empty text for calls without words before them',
      ['[c1]'], ['assistant:  [c1]', 'tool: "c1"']],
  ] as const)
    it(title, () => assert.deepEqual(shown(spoken(...acts)), messages));

  // the texts before the first calls and before the second, and what follows both
  for (const [count, texts] of [
    [0, ['', '']], [1, ['Let me see.', '']], [2, ['Let me see.', ' One']],
    [3, ['Let me see.', ' One more.']], [undefined, ['Let me see.', ' One more.', ' Done.']],
  ] as const)
    it(`are cut after ${count ?? 'all'} events, and keep every call with its result`, () => {
      const [first, second, ...last] = texts;
      assert.deepEqual(shown(spoken(...ROUNDS), count), [
        `assistant: ${first} [c1 c2]`, 'tool: "c1"', 'tool: "c2"',
        `assistant: ${second} [c3]`, 'tool: "c3"',
        ...last.map((text) => `assistant: ${text}`),
      ]);
    });

  it("carry each call's key and state", () => {
    const [, result] = spoken('[c1]').messages('t-1', 'completed');
    assert.deepEqual(result, {
      role: 'tool', content: '"c1"', turnId: 't-1', toolCallId: 'c1', runId: 1,
      state: 'completed', key: 'key of c1',
    });
  });
});

describe('SpokenReply.countSent', () => {
  it('leaves out what has not been sent', () =>
    assert.equal(spoken('a', 'b', 'c').countSent(2), 1));

  it('is never less than what an earlier delivery has sent', () => {
    const reply = spoken('a', 'b', 'c');
    reply.noteTakeOver(1);
    assert.equal(reply.countSent(3), 2); // the new delivery has sent nothing yet
    assert.equal(reply.countSent(0), 3);
  });

  it('takes the maximum of several earlier deliveries', () => {
    const reply = spoken('a', 'b');
    reply.noteTakeOver(0);
    reply.noteTakeOver(2);
    assert.equal(reply.countSent(2), 2);
  });
});

describe('SpokenReply.replay', () => {
  const said = (text: string): SentEvent => ({ type: 'say', text });
  for (const [title, acts, replay] of [
    ['is not needed where the messages say it all', ['a', 'b'], undefined],
    ['is not needed for silence', [], undefined],
    ['joins texts and keeps data between them',
      ['a', 'b', '{1}', 'c'], [said('ab'), { type: 'data', json: '{1}' }, said('c')]],
    ['leaves fillers out', ['~One moment.', 'a'], [said('a')]],
  ] as const)
    it(title, () => assert.deepEqual(spoken(...acts).replay(), replay));
});

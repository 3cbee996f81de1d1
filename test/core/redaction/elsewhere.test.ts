// Values where several processes share a conversation: a value has one placeholder everywhere, and
// only the process that heard it knows it.

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import {
  emptyConversation, type Conversation,
} from '../../../src/core/conversations/conversation.ts';
import { takeNames, ValueNumbers } from '../../../src/core/conversations/numbering.ts';
import { newTurn } from '../../../src/core/conversations/turn-record.ts';
import { cardNumbers } from '../../../src/core/redaction/card-numbers.ts';
import { markOf } from '../../../src/core/redaction/placeholder.ts';
import { Told, until, type TestAgent } from '../../fixtures/app.ts';
import { ID, machines, says } from '../turns/machines.ts';
import { paying, type Paid } from './card-payer.ts';

const CARD = '4242 4242 4242 4242';
const OTHER = '5555 5555 5555 4444';

const AMEX_IN_WORDS = 'three seven eight two, eight two two four six three, one oh oh oh five';

const echo: TestAgent = { redact: cardNumbers, onMessage: ({ text }) => text };

describe('a value', () => {
  it('has one placeholder in all processes', async (t) => {
    const { a, b, c } = machines(t, echo);
    assert.equal(await says(a, CARD), '[card 1]');
    assert.equal(await says(b, OTHER), '[card 2]');
    assert.equal(await says(c, `${OTHER} and ${CARD}`), '[card 2] and [card 1]');
  });

  it('never shares its placeholder with a value heard elsewhere at the same time', async (t) => {
    const { a, b } = machines(t, echo);
    await says(a, 'Hello.');
    await Promise.all([says(a, CARD), says(b, OTHER)]);
    const names = [await says(a, `A ${CARD}`), await says(b, `B ${OTHER}`)];
    assert.deepEqual(names.map((name) => name.slice(2)).toSorted(), ['[card 1]', '[card 2]']);
  });

  it('has its placeholder in the transcript of a session that ends elsewhere, too', async (t) => {
    const told = new Told<unknown>();
    const { a, b } = machines(t, {
      ...echo, onSessionEnd: ({ event }) => told.tell('transcript' in event && event.transcript),
    });
    await says(a, CARD, { session_id: 's' });
    const end = { type: 'session.end', session_id: 's', ...ID };
    await b.client.post({ ...end, transcript: [{ role: 'user', text: CARD }] });
    assert.deepEqual(await told.next(), [{ role: 'user', text: '[card 1]' }]);
    await b.app.conversations.clear('c');
    await b.client.post({ ...end, session_id: 's-2', transcript: [{ role: 'user', text: OTHER }] });
    assert.match(JSON.stringify(await told.next()), /\[card [a-z]{12}\]/);
    assert.equal((await b.app.conversations.read('c'))?.placeholders, undefined);
  });

  it('reaches a raw tool only where it was heard, until it is said again', async (t) => {
    const paid: Paid = new Told();
    const { a, b } = machines(t, paying(paid, false));
    assert.equal(await says(a, CARD), '"paid"');
    const refused = await says(b, 'Again with [card 1].');
    assert.match(refused, /\[card 1\] is not known in this process/);
    assert.deepEqual((await b.parts.list('\tvalue\t', '')).ids, []); // there is no REDACTION_KEY
    assert.equal(await says(b, `With ${CARD}.`), '"paid"');
    assert.deepEqual(paid.all.map(([card]) => card), ['4242424242424242', '4242424242424242']);
  });

  // "Did you pay?" in another process: the model was once told to ask for the card again.
  const asked: string[] = []; // its text becomes a hash without a key
  const onceFor = ({ card }: { readonly card: string }): string => {
    asked.push(card);
    return `order 5 ${card}`;
  };
  for (const once of [true, onceFor])
    it(`is used to pay only once, and is not asked for again (once: ${typeof once})`, async (t) => {
      const paid: Paid = new Told();
      const { a, b, c } = machines(t, paying(paid, once));
      assert.equal(await says(a, CARD), '"paid"');
      const done = '{"status":"done before","result":"paid"}';
      assert.equal(await says(b, 'Did you pay with [card 1]?'), done);
      assert.equal(await says(c, `With ${CARD}.`), done);
      assert.equal(await says(b, OTHER), '"paid"');
      assert.deepEqual(paid.all.map(([card]) => card), ['4242424242424242', '5555555555554444']);
      assert.equal(new Set(paid.all.map(([, key]) => key)).size, 2);
      assert.deepEqual([...new Set(asked)], once === true ? [] : ['[card 1]', '[card 2]']);
    });

  it('is asked for if nothing was paid with it, and no once call is claimed', async (t) => {
    const paid: Paid = new Told();
    const { a, b } = machines(t, { ...paying(paid, true) });
    await says(a, `Not now: ${OTHER}`, {});
    paid.all.length = 0;
    const unknown = '[card 2] is not known in this process: ask the caller to say it again';
    assert.equal(await says(b, 'Pay with [card 2].'), JSON.stringify({ error: unknown }));
    assert.ok(b.logLines.some((line) =>
      line.includes('"tool call refused"') && line.includes('this process does not know a value')));
    const { onceCalls } = (await b.app.conversations.read('c')) ?? {};
    assert.equal(Object.keys(onceCalls ?? {}).length, 1);
    assert.equal(await says(b, `With ${CARD}.`), '"paid"');
    assert.deepEqual(paid.all.map(([card]) => card), ['4242424242424242']);
  });

  it('is asked for if a once function cannot do without it', async (t) => {
    const paid: Paid = new Told();
    const { b } = machines(t, paying(paid, ({ card }) => card.slice(card.indexOf('9')).charAt(99)));
    const unknown = '[card 1] is not known in this process: ask the caller to say it again';
    assert.equal(await says(b, 'Pay with [card 1].'), JSON.stringify({ error: unknown }));
  });

  // 14 of 15 digits once stayed in history and in the store, and the last one follows from them.
  for (const [form, read, heard] of [
    ['digits', '3782 822463 10005', '3782 822463 1000'],
    ['a few words', AMEX_IN_WORDS, 'three seven ei'],
  ] as const)
    it(`becomes its placeholder after an interruption, in any process: ${form}`, async (t) => {
      const { a, b } = machines(t, {
        redact: cardNumbers,
        onMessage: ({ text }) => (text === 'Read it.' ? `Your card is ${read}. Right?` : 'Yes.'),
      });
      await says(a, 'Read it.');
      await says(b, 'Stop!', {
        interruption_context: {
          previous_turn_interrupted: true, assistant_turn_id: 'Read it.',
          text_heard: `Your card is ${heard}`,
        },
      });
      const [, cut] = await a.messages('c');
      assert.equal(cut?.content, 'Your card is [card 1]');
      const kept = JSON.stringify(await b.app.conversations.read('c'));
      assert.doesNotMatch(kept, /3782 |822463|three seven/); // more than a time may hold
    });

  it('has letters instead of a number while the store does not answer', async (t) => {
    const { a, b } = machines(t, echo);
    await says(a, 'Hello.');
    a.parts.failWith = new Error('down');
    await says(a, 'Still there?'); // from here on the store counts as away
    const name = await says(a, CARD);
    assert.match(name, /^\[card [a-z]{12}\]$/);
    assert.equal(await says(b, OTHER), '[card 1]');
    a.parts.failWith = undefined;
    assert.equal(await says(b, `Now ${CARD}`), 'Now [card 2]');
  });
});

describe('a number that a process assigned before its store failed', () => {
  it('is changed if another process has given it to another value meanwhile', async (t) => {
    const { a, b, c } = machines(t, echo);
    await says(a, 'Hello.');
    a.parts.failWith = new Error('down');
    assert.equal(await says(a, CARD), '[card 1]'); // the write that assigned it has failed
    assert.equal(await says(b, OTHER), '[card 1]');
    a.parts.failWith = undefined;
    await until(() => !a.store.health().isDegraded, 'the store to answer again');
    await until(() => a.store.health().turnsWaiting === 0, 'what was said to be written');
    const cards = (await c.messages('c')).flatMap(({ role, content }) =>
      role === 'user' && content.startsWith('[card') ? [content] : []);
    assert.deepEqual(cards.toSorted(), ['[card 1]', '[card 2]']);
    assert.equal(await says(c, `It was ${CARD}, then ${OTHER}`), 'It was [card 2], then [card 1]');
  });
});

const NUMBERS = new ValueNumbers(new Set(['card']));

describe('takeNames', () => {
  const [x, y, z] = ['xxxxxxxxxxxx', 'yyyyyyyyyyyy', 'zzzzzzzzzzzz'];

  function conversationOf(letters: readonly string[]): Conversation {
    const conversation = emptyConversation('c');
    NUMBERS.numbered(conversation, letters.map((mark) => markOf('card', mark)));
    return conversation;
  }

  it('changes the other copy\'s number if it means another value here', () => {
    const here = conversationOf([x]);
    const there = conversationOf([y, x, z]);
    there.turns = [{ ...newTurn('t', 'completed', 1), words: '[card 1], [card 2], [card 3]' }];
    takeNames(here, there);
    assert.deepEqual(here.placeholders, { [x]: 'card 1', [y]: 'card 2', [z]: 'card 3' });
    assert.equal(there.turns[0]?.words, '[card 2], [card 1], [card 3]');
  });

  it('takes over names that no other value has', () => {
    const here = conversationOf([]);
    const there = conversationOf([x]);
    there.turns = [{ ...newTurn('t', 'completed', 1), words: '[card 1]' }];
    takeNames(here, there);
    assert.deepEqual(here.placeholders, { [x]: 'card 1' });
    assert.equal(there.turns[0]?.words, '[card 1]');
  });

  it('has at most 100 names to take, because other values keep their letters', () => {
    const letters = Array.from({ length: 101 }, (_, index) =>
      String.fromCharCode(97 + Math.floor(index / 26), 97 + (index % 26)) + 'aaaaaaaaaa');
    const conversation = conversationOf(letters);
    assert.equal(Object.keys(conversation.placeholders ?? {}).length, 100);
    const last = markOf('card', letters[100] ?? '');
    assert.equal(NUMBERS.numbered(conversation, last), last);
  });
});

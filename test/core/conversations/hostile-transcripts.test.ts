// What attacks on the reconciliation of transcripts have found, each as a rule.

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { addMessage } from '../../../src/core/conversations/conversation.ts';
import { leastMs, processorMs } from '../../fixtures/processor-time.ts';
import { call, callOf, tellCalls } from './calls.ts';
import { BOUNDS, inTalk, reply, Talk, yes } from './talk.ts';

const HELLO = 'hello > You said hello.';

describe('words that are the beginning of the newest ones', () => {
  tellCalls([['are not late if the reply to the newest was broken off, for nobody wants that reply',
    `hello () > You said hello.; pay one now (${HELLO}) > *; pay one (${HELLO})`,
    `${HELLO} / pay one > …; not t2`]]);
});

describe('a late copy of a request', () => {
  const request = call('pay 100', [HELLO]);

  it('may not act if another request has replaced it and been answered', () => {
    const talk = callOf(HELLO);
    talk.open('t2', request);
    talk.exchange('t3', 'Paid 10.', call('no, pay 10', [HELLO]));
    assert.equal(talk.open('t2', request).mayAct, false);
  });

  it('may act if nothing has been answered since', () => {
    const talk = callOf(HELLO);
    talk.open('t2', request);
    talk.settle('t2', 'interrupted');
    assert.equal(talk.open('t2', request).mayAct, true);
  });
});

describe('a turn\'s place in the call', () => {
  it('is the same after a restart that has lost the conversation', () => {
    const { place } = callOf(HELLO).open('t2', call('book', [HELLO]));
    assert.equal(new Talk().open('t2', call('book', [HELLO])).place, place);
  });

  it('is not that of a discarded turn whose words the platform has corrected and kept', () => {
    const talk = callOf(HELLO);
    talk.exchange('t2', 'Booked.', call('book one', [HELLO]));
    const { place } = talk.open('t3', call('another', [HELLO, 'book one please > Booked.']));
    assert.notEqual(place, `\u0000${talk.turn('t2').number}`);
  });

  it('is that of the turn it replaces, even if it was over before it was opened', () => {
    const talk = callOf(HELLO);
    const { place } = talk.open('t2', call('book one', [HELLO]));
    talk.settle('t2', 'completed', 'Booked.');
    const request = call('book one please', [HELLO]);
    talk.ask('t3', { ...request, isOver: yes });
    assert.equal(talk.open('t3', request).place, place);
  });
});

describe('words that are joined in one list', () => {
  const inTwo = `hello () > You said hello.; I want a table (${HELLO}) > When?; `
    + `for four (${HELLO} / I want a table) > Done.`;
  tellCalls([
    ['match two turns of ours, the first of them unheard',
      `${inTwo}; Thanks (${HELLO} / I want a table, for four. > Done.)`,
      `${HELLO} / I want a table / for four > Done. / Thanks > …`],
    ['match two messages of the platform',
      `hello () > You said hello.; I want a table for four (${HELLO}) > Done.; `
        + `Thanks (${HELLO} / I want a table / for four > Done.)`,
      `${HELLO} / I want a table for four > Done. / Thanks > …`],
    ['do not match two messages between which the agent has spoken',
      `hello () > You said hello.; yes yes (${HELLO}) > Fine.; `
        + `Thanks (${HELLO} / yes > What? / yes > Fine.)`,
      `${HELLO} / yes > What? / yes > Fine. / Thanks > …; not t2`],
    ['replace both turns even if nothing else in the call is certain',
      `${inTwo}; I want a table for four (Ahem. > Pardon?)`,
      `${HELLO} / I want a table for four > …; not t2, t3`],
  ]);
});

describe('a reply that another process is saying', () => {
  const REPLY = 'We open at nine. We close at six.';

  for (const [what, told, isHeard, shown] of [
    // Seeds 985 and 5379 of the random platforms: all of it was in history.
    ['was not heard if the platform reports none of it although the call went on', '', false, []],
    ['keeps its words, and those that the platform has reported meanwhile', 'Are you there?',
      false, [`assistant(interrupted): ${REPLY}`, 'assistant(completed): Are you there?']],
    ['is cut to what the platform has reported', 'We open at nine.', false,
      ['assistant(interrupted): We open at nine.']],
  ] as const)
    it(what, inTalk((talk) => {
      talk.open('t1', call('Hours?'));
      talk.open('t2', call('And Sunday?', [`Hours? > ${told}`], { isHeard }));
      talk.settle('t1', 'interrupted', REPLY); // it settles late
      assert.deepEqual(talk.shown.slice(1, -2), shown);
    }));
});

describe('a filler', () => {
  // Seed 4723: "Yes." was said four times, and only fillers told which turn was the last.
  it("of a running turn tells the turn's words from identical ones", inTalk((talk) => {
    const filler = 'One moment.';
    for (const [index, turnId] of ['t1', 't2', 't3', 't4'].entries()) {
      talk.open(turnId, call('Yes.', Array<string>(index).fill(`Yes. > ${filler}`)));
      if (turnId !== 't4') talk.settle(turnId, 'interrupted', '', { filler });
    }
    const running = [{ ...talk.soFar('t4', 'interrupted'), filler }];
    const told = [`> ${filler}`, 'Yes. > One', `Yes. > ${filler}`];
    talk.ask('t5', { ...call('Bye', told), running });
    assert.deepEqual(talk.words, [...Array<string>(4).fill('Yes.'), 'Bye']);
  }));

  // Seed 23333: only the last turns were looked at, without the one that had the filler.
  it('is not mistaken for a text of a platform that has cut its list at the front', () => {
    const talk = callOf(HELLO);
    talk.open('t2', call('book', [HELLO]));
    talk.settle('t2', 'interrupted', '', { filler: 'One moment.' });
    const told = 'Line two is free. | One moment. | You are the first.';
    for (const [turnId, text] of [['draft', 'and'], ['t3', 'and now?']] as const)
      talk.exchange(turnId, 'It is done.', call(text, [HELLO, `book > ${told}`]));
    talk.open('t4', call('bye', [`> ${told}`, 'and now? > It is done.']));
    assert.ok(!talk.shown.includes('assistant(completed): One moment.'));
  });
});

describe('drafts of the same words', () => {
  it('leave history before anything that was actually said', inTalk((talk) => {
    talk.exchange('first', 'Hello Anna.', call('my name is Anna'));
    for (let draft = 1; draft <= BOUNDS.maxMessages; draft++) {
      const request = call(`book ${draft}`, ['my name is Anna > Hello Anna.']);
      talk.exchange(`d${draft}`, `Booked ${draft}.`, request);
    }
    assert.equal(talk.turns[0]?.id, 'first');
  }));
});

/**
 * Asserts that a turn whose transcript has these lines begins in less than 50 ms of processor time,
 * in a conversation of these turns: what the caller said, and the reply.
 */
function assertCheap(
  told: readonly string[], turns: readonly (readonly [text: string, said: string])[],
): void {
  const costMs = leastMs(50, () => {
    const talk = new UncheckedTalk();
    for (const [index, [content, said]] of turns.entries()) {
      addMessage(talk.conversation, { role: 'user', content, turnId: `t${index}` });
      addMessage(talk.conversation, reply(`t${index}`, said));
    }
    const request = call('And?', told);
    const before = process.cpuUsage();
    talk.ask('next', request);
    return processorMs(before);
  });
  assert.ok(costMs < 50, `${costMs} ms`); // the first try compiles code, or loads a dictionary
}

class UncheckedTalk extends Talk {
  override check(): void {}
}

/** This many of these. */
function times<T>(count: number, of: (nth: number) => T): T[] {
  return Array.from({ length: count }, (_, nth) => of(nth));
}

function long(nth: number, part: string): string {
  return `${part}${nth}`.repeat(700).slice(0, 16_000);
}

function asked(turn: number): string {
  return `Are you there? This is call ${turn} of the shop. `.repeat(4);
}

function text(turn: number): string {
  const words = times(300, (index) => `w${(index * 7919 + turn * 31) % 97}`);
  return `Are you there? Call ${turn}. ${words.join(' ')}`;
}

describe('a turn begins in less than 50 ms', () => {
  for (const [script, part] of [
    ['Thai', 'สวัสดีครับวันนี้อากาศดีมาก'],
    ['Khmer', 'សួស្តីថ្ងៃនេះអាកាសធាតុល្អណាស់'],
    ['Chinese', '今天天气很好我们去公园吧'],
  ] as const)
    it(`even if each long ${script} reply of the call was rewritten`, () => {
      const replies = times(24, (nth) => long(nth, part));
      assertCheap(
        replies.map((said) => `Yes. > oh ${said.slice(3)}`), replies.map((said) => ['Yes.', said]),
      );
    });

  // ElevenLabs asks again whenever the caller is silent. All those turns are one exchange.
  for (const [why, told] of [
    ['as they were said', asked],
    ['rewritten for speech', (turn: number) => asked(turn).replaceAll('the shop', 'our shop')],
    ['in other words', (turn: number) => `Please hold line ${turn}, an agent comes. `.repeat(5)],
  ] as const)
    it(`even if the caller was silent for fifty turns, whose replies come back ${why}`, () =>
      assertCheap(
        [`Hello > ${times(50, told).join(' | ')}`],
        times(50, (turn) => [turn === 0 ? 'Hello' : '', asked(turn)]),
      ));

  // Each of the platform's texts used to be compared with each of ours, prepared anew every time.
  for (const [why, count, reply] of [
    ['the caller was silent for fifty turns', 50, text],
    ['a reply is very long', 1, (turn: number) => text(turn).repeat(80)],
  ] as const)
    it(`even if the call was cut to fifty texts of the agent, and ${why}`, () =>
      assertCheap(
        [`> ${times(50, (turn) => `${text(turn + 1)} yes`).join(' | ')}`],
        times(count + 1, (turn) =>
          [turn === 0 ? 'Hello' : turn === count ? 'Tea?' : '', reply(turn)]),
      ));
});

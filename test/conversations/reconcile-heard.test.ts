import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import type { Message } from '../../src/conversations/message.ts';
import { booking, call, callOf } from './reconciling.ts';
import { Talk } from './talk.ts';

const HOURS = 'We open at nine. We close at six.';
const HEARD = { isHeard: true };

/** A turn that has said this, after a filler. */
function afterFiller(): Talk {
  const talk = new Talk();
  talk.open('t1', call('Hours?'));
  talk.settle('t1', 'completed', HOURS, { filler: 'One moment.' });
  return talk;
}

describe('what was heard of a reply', () => {
  for (const [what, said, told, left] of [
    ['nothing if the caller spoke twice in a row', HOURS, '', undefined],
    ['a beginning that the platform sends back', HOURS, ' > We open at nine',
      'assistant(interrupted): We open at nine.'],
    ['a beginning that was rewritten for speech, up to its last word',
      'It costs $5 for two, and tea is free.', ' > It costs five dollars for two',
      'assistant(interrupted): It costs $5 for two,'],
    ['never more than we said', 'We open at nine.', ` > ${HOURS}`,
      'assistant(completed): We open at nine.'],
    ['perhaps in several texts', HOURS, ' > We open at nine. | We close',
      'assistant(interrupted): We open at nine. We close'],
    ['all of a reply that comes back unchanged', HOURS, ` > ${HOURS}`,
      `assistant(completed): ${HOURS}`],
  ] as const)
    it(`is ${what}`, () => {
      const talk = callOf(`Hours? > ${said}`);
      talk.open('t2', call('And Sunday?', [`Hours?${told}`]));
      const replies = left === undefined ? [] : [left];
      assert.deepEqual(talk.shown, [
        'user: Hours?', ...replies, 'user: And Sunday?', 'assistant(open): ',
      ]);
    });

  it('is not the end of a greeting for which the platform has its own line', () => {
    const talk = new Talk();
    const [first, second] = ['Welcome to the bakery.', 'How can I help?'];
    talk.exchange('s1', first, call(''));
    talk.exchange('s2', second, call('', [`> ${first}`]));
    talk.exchange('t1', 'Tea is one euro.', call('Tea?', [`> ${first} | ${second}`]));
    const told = [`> ${first} | Please hold the line.`, 'Tea? > Tea is one euro.'];
    talk.open('t2', call('Thanks', told, HEARD));
    assert.equal(talk.shown.some((text) => text.includes(second)), false);
  });

  // Seeds 27488 and 33181 of the random platforms.
  it('is nothing of a reply that only resembles the next one, which the caller heard', () => {
    const [first, second] = ['Line 1 of three is busy.', 'Line 2 of three is busy.'];
    const talk = callOf(`Which line? > ${first}`);
    talk.exchange('t2', second, call('', [`Which line? > ${first}`]));
    talk.open('t3', call('Thanks', [`Which line? > ${second}`], HEARD));
    assert.deepEqual(talk.replies, [`t2: ${second}`]);
  });

  // Seed 376 of the random platforms: the caller heard the first word of the second reply.
  it('is a rewritten reply, even if the next one ended at the word that both begin with', () => {
    const talk = callOf('Hours? > We open at nine today.');
    const rewritten = 'Hours? > We open at 9 today.';
    talk.open('t2', call('', [rewritten]));
    talk.settle('t2', 'interrupted', 'We');
    talk.open('t3', call('Thanks', [`${rewritten} | We`]));
    assert.deepEqual(talk.replies, ['t1: We open at nine today.', 't2: We *']);
  });

  // Seed 41933 of the random platforms.
  it('belongs to the reply that is most like it, even if both were rewritten', () => {
    const [first, second] = ['Line 1 closes at nine today.', 'Line 2 closes at nine today.'];
    const talk = callOf(`Which line? > ${first}`);
    talk.exchange('t2', second, call('', [`Which line? > ${first}`]));
    talk.open('t3', call('Thanks', ['Which line? > Line 2 closes at 9 today.']));
    assert.deepEqual(talk.replies, [`t1: ${first}`, `t2: ${second}`]);
  });

  // Seed 98157: a text that comes behind what was said later is not about the first reply.
  it('belongs to the reply that follows the platform\'s line it follows', () => {
    const talk = callOf('Hours? > We open at nine today.');
    const told = 'Hours? > Please hold the line.';
    talk.exchange('t2', 'We close at six today.', call('', [told]));
    talk.open('t3', call('Thanks', [`${told} | We`]));
    assert.deepEqual(talk.shown.slice(1, 5), [
      'assistant(completed): We open at nine today.',
      'assistant(completed): Please hold the line.', 'user: ', 'assistant(interrupted): We',
    ]);
  });

  it('is no more of a reply that was already cut', () => {
    const talk = callOf(`Hours? > ${HOURS}`);
    talk.exchange('t2', 'The same.', call('And Sunday?', ['Hours? > We open']));
    talk.open('t3', call('Bye', [`Hours? > ${HOURS}`, 'And Sunday? > The same.']));
    assert.equal(talk.replies[0], 't1: We open *');
  });

  it('is final: the run of a turn that was cut while it ran does not change it', () => {
    const talk = new Talk();
    talk.open('t1', call('Hours?'));
    const running = [talk.soFar('t1', 'interrupted', HOURS)];
    talk.open('t2', { ...call('And Sunday?', ['Hours? > We open']), running });
    talk.settle('t1', 'interrupted', HOURS);
    assert.deepEqual(talk.replies, ['t1: We open *']);
  });

  it('is reported to the agent if the turn had completed', () => {
    const opened = callOf(`Hours? > ${HOURS}`)
      .open('t2', call('And Sunday?', ['Hours? > We open']));
    assert.deepEqual(opened.cut, { turnId: 't1', text: 'We open' });
  });

  for (const [what, heard, replies] of [
    ['leaves out a filler that was spoken first', 'One moment. We open at nine',
      ['t1: We open at nine. *']],
    ['is nothing if only the filler was heard', 'one moment', []],
  ] as const)
    it(what, () => {
      const talk = afterFiller();
      talk.open('t2', call('And Sunday?', [`Hours? > ${heard}`]));
      assert.deepEqual(talk.replies, replies);
    });

  it('keeps the tool calls of a reply that was cut before them', () => {
    const talk = new Talk();
    talk.exchange('t1', booking('t1'), call('Book'));
    talk.open('t2', call('Thanks', ['Book > Let me see']));
    assert.deepEqual(talk.shown.slice(1, 4), [
      'assistant(interrupted): Let me see [book]', 'tool: "booked"', 'user: Thanks',
    ]);
  });
});

describe("an assistant's text that is not ours", () => {
  const line = 'Are you still there?';

  for (const [where, told, fields, replies] of [
    ['is added beside our reply', line, {}, [HOURS, line]],
    ['takes the place of our reply if the platform sends back what was heard', line, HEARD, [line]],
    ['is added after our reply if it comes with it', `${line} | ${HOURS}`, HEARD, [HOURS, line]],
  ] as const)
    it(where, () => {
      const talk = callOf(`Hours? > ${HOURS}`);
      talk.open('t2', call('Yes', [`Hours? > ${told}`], fields));
      const said = replies.map((text) => `assistant(completed): ${text}`);
      assert.deepEqual(talk.shown.slice(0, -2), ['user: Hours?', ...said]);
    });

  it('is added once, however often it comes', () => {
    const talk = callOf(`Hours? > ${HOURS}`);
    talk.exchange('t2', 'Good.', call('Yes', [`Hours? > ${line}`]));
    const before = talk.shown;
    talk.open('t3', call('Bye', [`Hours? > ${line}`, 'Yes > Good.']));
    assert.deepEqual(talk.shown.slice(0, -2), before);
  });
});

describe('an unknown reply whose process is gone', () => {
  /** `t1` runs, and nobody knows what it says. */
  function unknown(words = 'Hours?'): Talk {
    const talk = new Talk();
    talk.open('t1', call(words));
    return talk;
  }

  it("is the platform's text", () => {
    const talk = unknown();
    talk.open('t2', call('And Sunday?', [`Hours? > ${HOURS}`]));
    assert.deepEqual(talk.replies, [`t1: ${HOURS} *`]);
  });

  it("is the platform's text, as far as it continues what we know", () => {
    const talk = unknown();
    talk.turn('t1').reply = 'We open'; // stored before the process was gone
    talk.conversation.textLength += 'We open'.length;
    talk.open('t2', call('And Sunday?', [`Hours? > ${HOURS}`]));
    assert.deepEqual(talk.replies, [`t1: ${HOURS} *`]);
  });

  // Seeds 40102 and 43298 of the random platforms.
  for (const words of ['', 'Let me see.'])
    it(`is nothing if half a filler was heard, and "${words}" was stored with a call`, () => {
      const talk = unknown('A table?');
      const messages = booking('t1', 'running').slice(0, 2).map((message): Message =>
        message.role === 'assistant' ? { ...message, content: words } : message);
      talk.progress('t1', messages, { filler: 'One moment, please.' });
      talk.open('t2', call('Hello?', ['A table? > One mo'], HEARD));
      assert.equal(talk.shown[1], 'assistant(interrupted):  [book]');
    });

  // It was taken away before the turn's length was: the conversation seemed too long from then on.
  it('is gone, and no longer counts, once the turn runs again', () => {
    const talk = unknown();
    talk.open('t2', call('Yes', [`Hours? > ${HOURS}`]));
    assert.deepEqual(talk.turn('t1').heard?.lines, [HOURS]);
    talk.open('t1', call('Hours?'));
    assert.equal(talk.turn('t1').heard, undefined);
  });

  it('is nothing if the caller spoke twice in a row', () => {
    const talk = unknown();
    talk.open('t2', call('Hello?', ['Hours?']));
    assert.deepEqual(talk.shown.slice(0, 2), ['user: Hours?', 'user: Hello?']);
  });
});

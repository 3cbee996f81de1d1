import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { booking, call, callOf, tellCalls } from './calls.ts';
import { inTalk, Talk } from './talk.ts';

const HOURS = 'We open at nine. We close at six.';

describe('what was heard of a reply', () => {
  tellCalls([
    ['is nothing if the caller spoke twice in a row', `Hours? () > ${HOURS}; Hello? (Hours?)`,
      'Hours? / Hello? > …'],
    ['is the beginning that the platform sends back',
      `Hours? () > ${HOURS}; Bye (Hours? > We open at nine)`,
      'Hours? > We open at nine.* / Bye > …'],
    ['may be a beginning that was rewritten for speech, up to its last word',
      'How much? () > It costs $5 for two, and tea is free.; '
        + 'Bye (How much? > It costs five dollars for two)',
      'How much? > It costs $5 for two,* / Bye > …'],
    ['may come in several texts',
      `Hours? () > ${HOURS}; Bye (Hours? > We open at nine. | We close)`,
      'Hours? > We open at nine. We close* / Bye > …'],
    ['is all of a reply that comes back unchanged', `Hours? () > ${HOURS}; Bye (Hours? > ${HOURS})`,
      `Hours? > ${HOURS} / Bye > …`],
    ['is not the end of a greeting for which the platform has its own line',
      ' () > Welcome to the bakery.;  (> Welcome to the bakery.) > How can I help?; '
        + 'Tea? (> Welcome to the bakery. | How can I help?) > It is out.; '
        + 'Bye [> Welcome to the bakery. | Please hold the line. / Tea? > It is out.]',
      ' > Welcome to the bakery. /  > Please hold the line. / Tea? > It is out. / Bye > …'],
    // Seeds 27488 and 33181 of the random platforms.
    ['is nothing if the reply only resembles the next one, which the caller heard',
      'Which? () > Line 1 of ten is busy.;  (Which? > Line 1 of ten is busy.) > Line 2 of ten is '
        + 'busy.; Bye [Which? > Line 2 of ten is busy.]',
      'Which? /  > Line 2 of ten is busy. / Bye > …'],
    // Seed 98157: a text that follows what was said later is not about the first reply.
    ['belongs to the reply that comes after the same line of the platform',
      'Hours? () > We open at nine today.;  (Hours? > Please hold the line.) > We close at six '
        + 'today.; Bye (Hours? > Please hold the line. | We)',
      'Hours? > We open at nine today. | Please hold the line. /  > We* / Bye > …'],
    ['stays as it was for a reply that was already cut',
      `Hours? () > ${HOURS}; Sunday? (Hours? > We open) > No.; `
        + `Bye (Hours? > ${HOURS} / Sunday? > No.)`,
      'Hours? > We open* / Sunday? > No. / Bye > …'],
  ]);

  it('is reported to the agent if the turn had completed', () => {
    const opened = callOf(`Hours? > ${HOURS}`).open('t2', call('Bye', ['Hours? > We open']));
    assert.deepEqual(opened.cut, { turnId: 't1', text: 'We open' });
  });

  it('leaves out a filler that was spoken first', inTalk((talk) => {
    talk.open('t1', call('Hours?'));
    talk.settle('t1', 'completed', HOURS, { filler: 'One moment.' });
    talk.open('t2', call('And Sunday?', ['Hours? > One moment. We open at nine']));
    assert.deepEqual(talk.replies, ['t1: We open at nine. *']);
  }));

  it('leaves tool calls in place if the reply was cut before them', inTalk((talk) => {
    talk.exchange('t1', booking('t1'), call('Book'));
    talk.open('t2', call('Thanks', ['Book > Let me see']));
    assert.deepEqual(talk.shown.slice(1, 4), [
      'assistant(interrupted): Let me see [book]', 'tool: "booked"', 'user: Thanks',
    ]);
  }));
});

describe("an assistant's text that is not ours", () => {
  const hours = `Hours? () > ${HOURS}`;
  tellCalls([
    ['is added to our reply', `${hours}; Yes (Hours? > Are you there?)`,
      `Hours? > ${HOURS} | Are you there? / Yes > …`],
    ['takes the place of our reply if the platform sends back what was heard',
      `${hours}; Yes [Hours? > Are you there?]`, 'Hours? > Are you there? / Yes > …'],
    ['is added once, however often it is sent',
      `${hours}; Yes (Hours? > Are you there?) > Good.; `
        + 'Bye (Hours? > Are you there? / Yes > Good.)',
      `Hours? > ${HOURS} | Are you there? / Yes > Good. / Bye > …`],
  ]);
});

describe('an unknown reply whose process is gone', () => {
  /** `t1` is running, and nobody knows what it says. */
  function unknown(words = 'Hours?'): Talk {
    const talk = new Talk();
    talk.open('t1', call(words));
    return talk;
  }

  tellCalls([
    ["is the platform's text", `Hours? (); Bye (Hours? > ${HOURS})`,
      `Hours? > ${HOURS}* / Bye > …`],
  ]);

  it("is the platform's text, as far as it continues what we know", () => {
    const talk = unknown();
    talk.turn('t1').reply = 'We open'; // stored before the process died
    talk.conversation.textLength += 'We open'.length;
    talk.open('t2', call('And Sunday?', [`Hours? > ${HOURS}`]));
    assert.deepEqual(talk.replies, [`t1: ${HOURS} *`]);
  });

  // Seeds 40102 and 43298 of the random platforms.
  it('is nothing if half a filler was heard, though words were stored with a call', () => {
    const talk = unknown('A table?');
    const called = booking('t1', 'running').slice(0, 2);
    talk.progress('t1', called, { filler: 'One moment, please.' });
    talk.open('t2', call('Hello?', ['A table? > One mo'], { isHeard: true }));
    assert.equal(talk.shown[1], 'assistant(interrupted):  [book]');
  });

  // It used to be removed before the turn's length was, after which the conversation seemed too
  // long.
  it('is forgotten, and no longer counts, once the turn runs again', () => {
    const talk = unknown();
    talk.open('t2', call('Yes', [`Hours? > ${HOURS}`]));
    assert.deepEqual(talk.turn('t1').heard?.lines, [HOURS]);
    talk.open('t1', call('Hours?'));
    assert.equal(talk.turn('t1').heard, undefined);
  });
});

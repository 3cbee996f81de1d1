import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { tellCalls } from './calls.ts';
import { inTalk, Talk, toolMessages } from './talk.ts';

describe('cutTurn', () => {
  for (const [title, said, heard, left] of [
    ['to nothing for blanks', 'First.', ' \n', undefined],
    ["to the platform's words where they are not ours", 'It costs $5.', 'it costs five dollars',
      'it costs five dollars'],
    ['to half a word', 'First.', 'Fir', 'Fir'],
    ['and keeps blanks around what was heard', 'First of many.', 'First ', 'First '],
  ] as const)
    it(`cuts a completed turn ${title}`, inTalk((talk) => {
      talk.exchange('t1', said);
      assert.deepEqual(talk.cut(heard), { turnId: 't1', text: left ?? '' });
      const marked = left === undefined ? [] : [`assistant(interrupted): ${left}`];
      assert.deepEqual(talk.shown, ['user: t1', ...marked]);
      assert.equal(talk.turn('t1').state, 'interrupted');
    }));

  it('leaves the newest turn alone while an older one runs elsewhere: that one is meant', () => {
    const talk = new Talk();
    talk.open('t1');
    talk.exchange('t2', 'Second.');
    talk.open('t1');
    assert.equal(talk.cut(undefined), undefined);
    assert.equal(talk.turn('t2').state, 'completed');
  });

  tellCalls([
    ['cuts nothing if the turn that is named did not say it, nor any before',
      't0 > Zeroth.; t1 > First.; heard "Fi" of t0', 't0 > Zeroth. / t1 > First.'],
    ['lets a turn that was cut run again when it is delivered again',
      't1 > First.; heard "Fi" of t1; t1', 't1 > …'],
  ]);

  it('cuts an interrupted turn to what was heard, and does not report it again', inTalk((talk) => {
    talk.open('t1');
    talk.settle('t1', 'interrupted', 'First of man');
    assert.equal(talk.cut('First'), undefined);
    assert.deepEqual(talk.shown, ['user: t1', 'assistant(interrupted): First']);
  }));

  it('forgets what a turn sent: it is not sent again', inTalk((talk) => {
    talk.open('t1');
    talk.settle('t1', 'completed', 'First.', {
      sent: [{ type: 'say', text: 'First.' }, { type: 'data', json: '{}' }],
    });
    talk.cut('Fi');
    assert.equal(talk.turn('t1').sent, undefined);
  }));
});

describe('cutTurn of a turn with tools', () => {
  const call = ['assistant(interrupted): Let me see. [call-1]', 'tool: 42'];
  for (const [title, heard, left] of [
    ['in the text before the call', 'Let', ['assistant(interrupted): Let [call-1]', 'tool: 42']],
    ['right behind it', 'Let me see.', call],
    ['in the text behind it', 'Let me see.It is', [...call, 'assistant(interrupted): It is']],
    ['before the first word', '', ['assistant(interrupted):  [call-1]', 'tool: 42']],
    ['where it is not known what was heard', undefined,
      [...call, 'assistant(interrupted): It is 42.']],
  ] as const)
    it(`keeps the call and its result whole when cut ${title}`, inTalk((talk) => {
      talk.exchange('t1', toolMessages('t1'));
      talk.cut(heard);
      assert.deepEqual(talk.shown, ['user: t1', ...left]);
    }));
});

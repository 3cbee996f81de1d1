// text_heard is written only where it can have been heard: each row is a conversation, a report,
// and what history then holds.

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { isPrefix, withoutPrefix } from '../../../src/core/conversations/heard.ts';
import type { Message } from '../../../src/core/conversations/message.ts';
import type { TurnSettlement } from '../../../src/core/conversations/turn-settlement.ts';
import { inTalk, reply, round, Talk, toolMessages } from './talk.ts';

/** A turn, by how its run ended: said in full, cut off, with a filler, or gone with its process. */
interface Past {
  readonly said?: string;
  readonly state?: TurnSettlement['state'];
  readonly filler?: string;
  /** Its process died. */
  readonly isLost?: true;
}

interface Report {
  readonly textHeard: string | undefined;
  readonly turnId?: string;
  /** Other turns may be missing. */
  readonly isBehind?: true;
}

/** What is left of `t1`, `t2`, … with these replies when the next turn brings the report. */
function left(past: readonly Past[], { textHeard, turnId, isBehind }: Report): string[] {
  const talk = new Talk();
  if (isBehind) talk.conversation.isBehind = true;
  for (const [index, { said, state = 'completed', filler, isLost }] of past.entries()) {
    talk.open(`t${index + 1}`);
    if (isLost !== true) talk.settle(`t${index + 1}`, state, said, { filler });
  }
  talk.open('next', { interruption: { textHeard, turnId } });
  return talk.replies;
}

const TUESDAY = 'Your appointment is on Tuesday at ten.';
const SPOKEN = { said: TUESDAY };
const WORDLESS = { state: 'interrupted' } as const;
const FILLERS = { filler: 'One moment. Still looking.' };
const LOST = { isLost: true } as const;

describe('a heard text', () => {
  for (const [title, past, textHeard, expected] of [
    ['that consists of fillers leaves an older reply alone', [SPOKEN, { ...FILLERS, ...WORDLESS }],
      'One moment.  Still looking. ', [`t1: ${TUESDAY}`]],
    ['that begins with fillers means the words after them', [{ ...FILLERS, said: 'It is ten.' }],
      'One moment. Still looking. It', ['t1: It *']],

    ['cuts an older reply before a wordless turn, whatever the white space', [SPOKEN, WORDLESS],
      'Your  appointment\nis', ['t1: Your  appointment\nis *']],
    ['looks past several wordless turns', [SPOKEN, WORDLESS, WORDLESS], 'Your', ['t1: Your *']],
    ['never looks past a turn that has spoken', [SPOKEN, { said: 'Yes.' }], 'Your',
      [`t1: ${TUESDAY}`, 't2: Your *']],
    ['changes nothing if nobody spoke', [WORDLESS], 'Your', []],

    ['becomes the reply of a turn whose process died', [SPOKEN, LOST], 'It is ten',
      [`t1: ${TUESDAY}`, 't2: It is ten *']],
    ["that is empty becomes the reply of a turn whose process died, not an older turn's",
      [SPOKEN, LOST], '', [`t1: ${TUESDAY}`]],
    ['becomes the reply of a lost turn before a wordless one', [LOST, WORDLESS], 'It is ten',
      ['t1: It is ten *']],
  ] as const satisfies readonly (readonly [string, readonly Past[], string, readonly string[]])[])
    it(title, () => assert.deepEqual(left(past, { textHeard }), expected));

  for (const [title, past, textHeard, turnId, expected] of [
    ['applies to the named turn', [{ said: 'Zero.' }, { said: 'One.' }], 'Ze', 't1',
      ['t1: Ze *', 't2: One.']],
    ['looks back from the named turn, never forward',
      [{ said: 'Zero.' }, WORDLESS, { said: 'Two.' }], 'Ze', 't2', ['t1: Ze *', 't3: Two.']],
    ['applies to the newest turn if the id is not ours', [{ said: 'Zero.' }, { said: 'One.' }],
      'On', 'an id of the platform', ['t1: Zero.', 't2: On *']],
  ] as const)
    it(title, () => assert.deepEqual(left(past, { textHeard, turnId }), expected));

  // Previously a server that could not ask the store cut its own newest reply to another's words.
  for (const [title, past, textHeard, expected] of [
    ['leaves the newest turn alone', [{ said: 'One.' }], 'Two', ['t1: One.']],
    ['that is empty leaves the newest turn alone', [{ said: 'One.' }], '', ['t1: One.']],
    ['that is unknown leaves the newest turn alone', [{ said: 'One.' }], undefined, ['t1: One.']],
    ['that is a prefix leaves the newest turn alone', [{ said: 'One.' }], 'On', ['t1: One.']],
    ['does not become the reply of a turn whose process died', [LOST], 'On', []],
  ] as const)
    it(`${title} if its own turn may be missing`, () => {
      const report = { textHeard, turnId: 'of another process', isBehind: true } as const;
      assert.deepEqual(left(past, report), expected);
    });

  for (const turnId of ['t1', undefined])
    it(`cuts ${turnId ?? 'the newest turn'}, even if other turns may be missing`, () => {
      const report = { textHeard: 'five', isBehind: true } as const;
      const named = turnId === undefined ? report : { ...report, turnId };
      assert.deepEqual(left([{ said: '$5' }], named), ['t1: five *']);
    });

  it('is compared with what a turn of this process has sent, even before that is settled', () => {
    const talk = new Talk();
    talk.exchange('t1', TUESDAY);
    talk.open('t2');
    const running = [{ ...talk.soFar('t2', 'interrupted'), filler: 'One moment.' }];
    const interruption = { textHeard: 'One moment.', turnId: undefined };
    talk.open('t3', { interruption, running });
    assert.deepEqual(talk.replies, [`t1: ${TUESDAY}`]);
  });
});

describe('an interruption that does not say what was heard', () => {
  it('marks nothing if nobody spoke', () =>
    assert.deepEqual(left([], { textHeard: undefined }), []));

  it('marks what a run elsewhere has stored of its reply, and closes the turn', () => {
    const talk = new Talk();
    talk.open('t1');
    talk.progress('t1', round('t1', 'a', { said: 'I look.', saidState: 'open' }));
    const heard = talk.hear(undefined);
    assert.deepEqual([heard?.wasCompleted, talk.conversation.openTurns], [false, 0]);
    assert.deepEqual(talk.replies, ['t1: I look. *']);
  });

  for (const [what, filler] of [['nothing', undefined], ['only a filler', 'One moment.']] as const)
    it(`does not interrupt a turn that said ${what}, and reports nothing`, inTalk((talk) => {
      talk.open('t1');
      talk.settle('t1', 'completed', '', { filler });
      assert.equal(talk.hear(undefined), undefined);
      assert.equal(talk.turn('t1').state, 'completed');
    }));
});

describe('noteHeard on a turn with tools', () => {
  /** A turn that died after a call, with the words before it written down. */
  function lostAfterCall(): Talk {
    const talk = new Talk();
    talk.open('t1');
    talk.settle('t1', 'interrupted', round('t1', 'c1', { said: 'Let me see.' }));
    talk.turn('t1').said = 'nothing';
    return talk;
  }

  for (const [heard, expected] of [
    ['Let me see. It is', ['t1: Let me see. *', 't1:  It is *']],
    ['LET ME SEE it is ten', ['t1: LET ME SEE *', 't1:  it is ten *']],
    ['Let me', ['t1: Let me *']],
    ['', ['t1:  *']],
  ] as const)
    it(`splits ${JSON.stringify(heard)} at the call`, () => {
      const talk = lostAfterCall();
      talk.hear(heard);
      assert.deepEqual(talk.replies, expected);
      assert.equal(talk.calls.length, 1);
    });

  /** A turn that has said all of this, with a call between rounds. */
  function after(rounds: readonly string[], filler?: string): Talk {
    const talk = new Talk();
    talk.open('t1');
    const messages = rounds.flatMap((said, index): Message[] =>
      index === rounds.length - 1
        ? [reply('t1', said)]
        : round('t1', `c${index}`, { said, saidState: 'completed' }));
    talk.settle('t1', 'completed', messages, { filler });
    return talk;
  }

  // It used to be 'one moment a' before the call, and 'll right' after it.
  for (const [title, rounds, heard, expected] of [
    ['all of it', ['One moment. ', 'All right.'], 'one moment all right',
      ['One moment. ', 'All right.']],
    ['the words before the call', ['One moment. ', 'All right.'], 'one moment',
      ['One moment.', '']],
    ['half a word after the call', ['One moment. ', 'All right.'], 'ONE MOMENT al',
      ['One moment. ', 'Al']],
    ['three rounds', ['Well, let me see. ', 'One more thing… ', 'All right, done.'],
      'well let me see one more thing all right', [
        'Well, let me see. ', 'One more thing… ', 'All right,']],
    ['a round without words', ['One moment. ', '', 'All right.'], 'one moment all',
      ['One moment. ', '', 'All']],
    ['repeated words', ['Yes, yes. ', 'Yes, yes, done.'], 'yes yes yes', ['Yes, yes. ', 'Yes,']],
    ['another form of Unicode', ['Un café ? ', 'Voilà !'], 'un cafe\u0301 voila\u0300',
      ['Un café ? ', 'Voilà !']],
    ['no spaces between words', ['少々お待ちください。', '分かりました。'], '少々お待ちください分かり',
      ['少々お待ちください。', '分かり']],
    ['numbers read out', ['It is $5.00. ', 'All right, then.'], 'it is five dollars all right',
      ['It is $5.00. ', 'All right,']],
    ['a number', ['It is [card 1]. ', 'All right.'], 'it is four two four two',
      ['It is [card 1]', '']],
    ['more than was said', ['One moment. ', 'All right.'], 'one moment all right bye',
      ['one moment', ' all right bye']],
    ['other words', ['$5. ', 'Done.'], 'five dollars', ['', 'five dollars']],
  ] as const)
    it(`matches what was heard with the words of the rounds: ${title}`, () => {
      const talk = after(rounds);
      talk.hear(heard);
      const texts = expected.filter((text, index) => text !== '' || index < expected.length - 1);
      assert.deepEqual(talk.replies, texts.map((text) => `t1: ${text} *`));
    });
});

describe('cutTurn', () => {
  for (const [title, said, heard, left] of [
    ['to nothing for white space', 'First.', ' \n', undefined],
    ["to the platform's words if they are not ours", 'It costs $5.', 'it costs five dollars',
      'it costs five dollars'],
    ['to half a word', 'First.', 'Fir', 'Fir'],
    ['and keeps spaces around what was heard', 'First of many.', 'First ', 'First '],
  ] as const)
    it(`cuts a completed turn ${title}`, inTalk((talk) => {
      talk.exchange('t1', said);
      assert.deepEqual(talk.cut(heard), { turnId: 't1', text: left ?? '' });
      const marked = left === undefined ? [] : [`assistant(interrupted): ${left}`];
      assert.deepEqual(talk.shown, ['user: t1', ...marked]);
      assert.equal(talk.turn('t1').state, 'interrupted');
    }));

  it('leaves the newest turn alone if an older one that is running elsewhere is meant', () => {
    const talk = new Talk();
    talk.open('t1');
    talk.exchange('t2', 'Second.');
    talk.open('t1');
    assert.equal(talk.cut(undefined), undefined);
    assert.equal(talk.turn('t2').state, 'completed');
  });

  it('cuts an interrupted turn to what was heard without reporting it again', inTalk((talk) => {
    talk.open('t1');
    talk.settle('t1', 'interrupted', 'First of man');
    assert.equal(talk.cut('First'), undefined);
    assert.deepEqual(talk.shown, ['user: t1', 'assistant(interrupted): First']);
  }));

  it('forgets what a turn sent, so that it is not sent again', inTalk((talk) => {
    talk.open('t1');
    talk.settle('t1', 'completed', 'First.', {
      sent: [{ type: 'say', text: 'First.' }, { type: 'data', json: '{}' }],
    });
    talk.cut('Fi');
    assert.equal(talk.turn('t1').sent, undefined);
  }));
});

describe('cutTurn on a turn with tools', () => {
  const call = ['assistant(interrupted): Let me see. [call-1]', 'tool: 42'];
  for (const [title, heard, left] of [
    ['in the text before the call', 'Let', ['assistant(interrupted): Let [call-1]', 'tool: 42']],
    ['right after the call', 'Let me see.', call],
    ['in the text after the call', 'Let me see.It is', [...call, 'assistant(interrupted): It is']],
    ['before the first word', '', ['assistant(interrupted):  [call-1]', 'tool: 42']],
    ['without knowing what was heard', undefined,
      [...call, 'assistant(interrupted): It is 42.']],
  ] as const)
    it(`keeps the call and its result whole when it cuts ${title}`, inTalk((talk) => {
      talk.exchange('t1', toolMessages('t1'));
      talk.cut(heard);
      assert.deepEqual(talk.shown, ['user: t1', ...left]);
    }));
});

describe('withoutPrefix', () => {
  for (const [text, prefix, rest] of [
    ['One moment. Yes.', 'One moment.', 'Yes.'],
    ['One  moment.\nYes.', 'One moment.', 'Yes.'],
    ['Onemoment.Yes.', 'One moment.', 'Yes.'],
    ['One mo', 'One moment.', ''],
    ['  ', 'One moment.', ''],
    ['', 'One moment.', ''],
    ['One apple', 'One moment.', 'One apple'],
    ['one moment yes', 'One moment.', 'yes'],
    ['ONE MO', 'One moment.', ''],
    ['Yes.', '', 'Yes.'],
    [' Yes.', ' ', ' Yes.'],
    ['👋🏽 Hi', '👋🏽', 'Hi'],
    ['👋🏽 Hi', '👋🏿', '👋🏽 Hi'],
  ] as const)
    it(`leaves "${rest}" of ${JSON.stringify(text)} without "${prefix}"`, () => {
      assert.equal(withoutPrefix(text, prefix), rest);
    });
});

describe('isPrefix', () => {
  for (const [prefix, text, expected] of [
    ['Your app', 'Your appointment', true],
    ['Your  app', 'Your appointment', true],
    ['', 'a', true],
    ['your appointment is', 'Your appointment: is it on Tuesday?', true],
    ['…', 'Your', false],
    ['our', 'Your', false],
    ['Your appointment.', 'Your', false],
  ] as const)
    it(`is ${expected} for ${JSON.stringify(prefix)} and ${JSON.stringify(text)}`, () =>
      assert.equal(isPrefix(prefix, text), expected));
});

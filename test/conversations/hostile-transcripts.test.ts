// What attacks on the reconciling of transcripts have found, each as a rule.

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import type { Transcript } from '../../src/calls/call-event.ts';
import {
  addMessage, emptyConversation, rewrite, type Conversation,
} from '../../src/conversations/conversation.ts';
import { OpenedTurn } from '../../src/conversations/opened-turn.ts';
import { coveredBy, lettersOf } from '../../src/conversations/spoken-words.ts';
import { openTurn, type TurnOpeningResult } from '../../src/conversations/turn-opening.ts';
import { settleTurn } from '../../src/conversations/turn-settlement.ts';
import { leastMs, processorMs } from '../fixtures/processor-time.ts';
import { transcriptOf } from '../fixtures/transcript.ts';
import { BOUNDS, check, nextRun, runs, settle, shown } from './checked-rules.ts';

function ask(
  conversation: Conversation, turnId: string, text: string, lines: readonly string[] = [],
  more: Partial<Transcript> = {},
): TurnOpeningResult {
  const opening = { turnId, runId: nextRun(), text, transcript: transcriptOf(lines, more) };
  const result = openTurn(conversation, opening, BOUNDS);
  check(conversation);
  return result;
}

function open(...request: Parameters<typeof ask>): OpenedTurn {
  const opened = ask(...request);
  assert.ok(opened instanceof OpenedTurn);
  return opened;
}

function exchange(
  conversation: Conversation, turnId: string, text: string, reply: string,
  lines: readonly string[] = [],
): void {
  open(conversation, turnId, text, lines);
  settle(conversation, turnId, 'completed', reply);
}

const HELLO = ['user: hello', 'agent: You said hello.'];

function afterHello(): Conversation {
  const conversation = emptyConversation('c');
  exchange(conversation, 't1', 'hello', 'You said hello.');
  return conversation;
}

describe('a text of a caller', () => {
  it('costs little, even if a letter has a hundred thousand marks', () => {
    const hostile = `a${'\u0301\u0323'.repeat(100_000)}`;
    const before = process.cpuUsage();
    lettersOf(hostile);
    assert.ok(processorMs(before) < 50);
  });

  it('is not taken for a tag if it only contains a comparison', () => {
    const reply = 'If 5 < 6 and 7 > 3, all is well.';
    assert.equal(coveredBy('If 5 < 6', reply), 'If 5 < 6'.length);
  });

  it('covers a reply whose last words come in another form', () => {
    const reply = 'We open the shop at nine.';
    assert.equal(coveredBy('We open the shop at 9:00.', reply), reply.length);
  });
});

describe('words that are the beginning of the newest ones', () => {
  it('are late while those are being answered', () => {
    const conversation = afterHello();
    open(conversation, 't2', 'pay one now', HELLO);
    assert.equal(ask(conversation, 't3', 'pay one', HELLO).kind, 'stale');
  });

  it('are not late once the reply to those was broken off: nobody wants it', () => {
    const conversation = afterHello();
    open(conversation, 't2', 'pay one now', HELLO);
    settle(conversation, 't2', 'interrupted', '');
    assert.equal(ask(conversation, 't3', 'pay one', HELLO).kind, 'opened');
  });
});

describe('a late copy of a request', () => {
  it('may not act if another request has replaced it and been answered', () => {
    const conversation = afterHello();
    open(conversation, 't2', 'pay 100', HELLO);
    exchange(conversation, 't3', 'no, pay 10', 'Paid 10.', HELLO);
    assert.equal(open(conversation, 't2', 'pay 100', HELLO).mayAct, false);
  });

  it('may act if nothing has been answered since', () => {
    const conversation = afterHello();
    open(conversation, 't2', 'pay 100', HELLO);
    settle(conversation, 't2', 'interrupted', '');
    assert.equal(open(conversation, 't2', 'pay 100', HELLO).mayAct, true);
  });
});

describe('a turn\'s place in the call', () => {
  it('is the same after a restart that has lost the conversation', () => {
    const conversation = afterHello();
    const place = open(conversation, 't2', 'book', HELLO).place;
    assert.equal(open(emptyConversation('c'), 't2', 'book', HELLO).place, place);
  });

  it('is not that of a discarded turn whose words the platform has corrected and kept', () => {
    const conversation = afterHello();
    exchange(conversation, 't2', 'book one', 'Booked.', HELLO);
    const discarded = conversation.turns.at(-1);
    const lines = [...HELLO, 'user: book one please', 'agent: Booked.'];
    const { place } = open(conversation, 't3', 'another one', lines);
    assert.notEqual(place, `\u0000${discarded?.number}`);
  });
});

describe('a turn that was over before it was opened', () => {
  it('keeps the place of the turn that it replaces when it comes again', () => {
    const conversation = afterHello();
    const { place } = open(conversation, 't2', 'book one', HELLO);
    settle(conversation, 't2', 'completed', 'Booked.');
    const request = { turnId: 't3', text: 'book one please', transcript: transcriptOf(HELLO) };
    const isOver = (): boolean => true;
    openTurn(conversation, { ...request, runId: nextRun(), isOver }, BOUNDS);
    assert.equal(open(conversation, 't3', 'book one please', HELLO).place, place);
  });
});

describe('a call that was cut at the front down to our last reply', () => {
  it('does not replace the turn of that reply', () => {
    const conversation = afterHello();
    open(conversation, 't2', 'My name is Anna.', ['agent: You said hello.']);
    assert.deepEqual(shown(conversation).slice(0, 2), [
      'user: hello', 'assistant(completed): You said hello.',
    ]);
  });
});

describe('the first words of a call', () => {
  it('that come in two messages and then joined in one replace both', () => {
    const conversation = emptyConversation('c');
    exchange(conversation, 't1', 'I want', 'Yes?');
    exchange(conversation, 't2', 'book four', 'Booked.', ['user: I want']);
    open(conversation, 't3', 'I want book four');
    assert.deepEqual(shown(conversation), ['user: I want book four', 'assistant(open): ']);
  });
});

describe('words that are joined in one list', () => {
  const FOUR = 'For four: done.';

  /** Hello, and a table for four that was asked for in two turns. */
  function inTwo(): Conversation {
    const conversation = afterHello();
    exchange(conversation, 't2', 'I want a table', 'For how many?', HELLO);
    exchange(conversation, 't3', 'for four', FOUR, [...HELLO, 'user: I want a table']);
    return conversation;
  }

  it('are those of two turns of ours, the first of them unheard', () => {
    const conversation = inTwo();
    const lines = [...HELLO, 'user: I want a table, for four.', `agent: ${FOUR}`];
    open(conversation, 't4', 'Thanks', lines);
    assert.deepEqual(shown(conversation).slice(2), [
      'user: I want a table', 'user: for four', `assistant(completed): ${FOUR}`,
      'user: Thanks', 'assistant(open): ',
    ]);
  });

  it('are those of two messages of the platform', () => {
    const conversation = afterHello();
    exchange(conversation, 't2', 'I want a table for four', FOUR, HELLO);
    const lines = [...HELLO, 'user: I want a table', 'user: for four', `agent: ${FOUR}`];
    open(conversation, 't3', 'Thanks', lines);
    assert.deepEqual(shown(conversation).slice(2), [
      'user: I want a table for four', `assistant(completed): ${FOUR}`,
      'user: Thanks', 'assistant(open): ',
    ]);
  });

  it('are not those of two messages between which the agent has spoken', () => {
    const conversation = afterHello();
    exchange(conversation, 't2', 'yes yes', 'Fine.', HELLO);
    const lines = [...HELLO, 'user: yes', 'agent: What?', 'user: yes', 'agent: Fine.'];
    open(conversation, 't3', 'Thanks', lines);
    const said = shown(conversation).filter((line) => line.startsWith('user'));
    assert.deepEqual(said, ['user: hello', 'user: yes', 'user: yes', 'user: Thanks']);
  });

  it('replace both turns even if nothing else of the call is certain', () => {
    const conversation = inTwo();
    open(conversation, 't4', 'I want a table for four', ['user: Ahem.', 'agent: Pardon?']);
    const said = shown(conversation).filter((line) => line.startsWith('user'));
    assert.deepEqual(said, ['user: hello', 'user: I want a table for four']);
  });
});

describe('a reply that another process says', () => {
  const REPLY = 'We open at nine. We close at six.';

  /** It settles after the platform has told something of it. */
  function settledLate(lines: readonly string[], more: Partial<Transcript> = {}): string[] {
    const conversation = emptyConversation('c');
    open(conversation, 't1', 'Hours?');
    const runId = runs;
    open(conversation, 't2', 'And Sunday?', ['user: Hours?', ...lines], more);
    settle(conversation, 't1', 'interrupted', REPLY, undefined, BOUNDS, runId);
    return shown(conversation).slice(1, -2);
  }

  it('keeps its words, and those that the platform has reported meanwhile', () => {
    assert.deepEqual(settledLate(['agent: Are you there?']), [
      `assistant(interrupted): ${REPLY}`, 'assistant(completed): Are you there?',
    ]);
  });

  it('is cut to what the platform has reported', () => {
    assert.deepEqual(settledLate(['agent: We open at nine.']), [
      'assistant(interrupted): We open at nine.',
    ]);
  });

  it('was not heard if the platform knows that only its own words were', () => {
    assert.deepEqual(settledLate(['agent: Are you there?'], { isHeard: true }), [
      'assistant(completed): Are you there?',
    ]);
  });

  // Seeds 985 and 5379 of the random platforms: all that the run said afterwards was in history.
  it('was not heard if the platform reports nothing of it, though the call went on', () => {
    assert.deepEqual(settledLate([]), []);
  });

  it('ends where it was cut, if that is just what its process had stored so far', () => {
    const conversation = emptyConversation('c');
    open(conversation, 't1', 'Hours?');
    const runId = runs;
    rewrite(conversation, conversation.turns[0] ?? assert.fail(), [
      { role: 'user', content: 'Hours?', turnId: 't1' },
      { role: 'assistant', content: 'We open', turnId: 't1', state: 'open' },
    ]);
    open(conversation, 't2', 'And Sunday?', ['user: Hours?', 'agent: We open']);
    settle(conversation, 't1', 'completed', REPLY, undefined, BOUNDS, runId);
    assert.equal(shown(conversation)[1], 'assistant(interrupted): We open');
  });

  it('is what the platform has reported if its run never settles', () => {
    const conversation = emptyConversation('c');
    open(conversation, 't1', 'Hours?');
    open(conversation, 't2', 'And Sunday?', ['user: Hours?', 'agent: We open']);
    assert.equal(shown(conversation)[1], 'assistant(interrupted): We open');
  });
});

describe('a filler of a turn that still runs', () => {
  // Seed 4723: "Yes." was said four times, and only fillers told which turn was the last.
  it('distinguishes its words from equal ones', () => {
    const conversation = emptyConversation('c');
    const silent = { state: 'interrupted', messages: [], filler: 'One moment.' } as const;
    for (const turnId of ['t1', 't2', 't3', 't4']) {
      const lines = conversation.turns.flatMap(() => ['user: Yes.', 'agent: One moment.']);
      open(conversation, turnId, 'Yes.', lines);
      const settlement = { ...silent, turnId, runId: runs };
      if (turnId !== 't4') settleTurn(conversation, settlement, BOUNDS);
    }
    const told = ['agent: One moment.', 'user: Yes.', 'agent: One', 'user: Yes.'];
    const transcript = transcriptOf([...told, 'agent: One moment.']);
    const running = [{ ...silent, turnId: 't4', runId: runs }];
    const opening = { turnId: 't5', runId: nextRun(), text: 'Bye', transcript, running };
    openTurn(conversation, opening, BOUNDS);
    check(conversation);
    const said = shown(conversation).filter((line) => line.startsWith('user'));
    assert.deepEqual(said, [...Array<string>(4).fill('user: Yes.'), 'user: Bye']);
  });
});

describe('an exchange with many texts of the platform', () => {
  // Seed 23333: only the last turns were looked at, without the one that had the filler.
  it('does not take its filler for one of their texts if the list was cut at the front', () => {
    const conversation = afterHello();
    open(conversation, 't2', 'book', HELLO);
    const silent = { turnId: 't2', runId: runs, state: 'interrupted', messages: [] } as const;
    settleTurn(conversation, { ...silent, filler: 'One moment.' }, BOUNDS);
    const told = ['agent: Line two is free.', 'agent: One moment.', 'agent: You are the first.'];
    for (const [turnId, text] of [['draft', 'and'], ['t3', 'and now?']] as const)
      exchange(conversation, turnId, text, 'It is done.', [...HELLO, 'user: book', ...told]);
    open(conversation, 't4', 'bye', [...told, 'user: and now?', 'agent: It is done.']);
    assert.ok(!shown(conversation).includes('assistant(completed): One moment.'));
  });
});

describe('drafts of the same words', () => {
  it('leave history before anything that was actually said', () => {
    const conversation = emptyConversation('c');
    exchange(conversation, 'first', 'my name is Anna', 'Hello Anna.');
    const lines = ['user: my name is Anna', 'agent: Hello Anna.'];
    for (let draft = 1; draft <= BOUNDS.maxMessages; draft++)
      exchange(conversation, `d${draft}`, `book ${draft}`, `Booked ${draft}.`, lines);
    assert.equal(conversation.turns[0]?.id, 'first');
  });
});

describe('a call in a script without spaces', () => {
  const WIDE = { maxMessages: 200, maxTextLength: 1_048_576 };
  for (const [script, part] of [
    ['Thai', 'สวัสดีครับวันนี้อากาศดีมาก'],
    ['Khmer', 'សួស្តីថ្ងៃនេះអាកាសធាតុល្អណាស់'],
    ['Chinese', '今天天气很好我们去公园吧'],
  ] as const)
    it(`costs less than 50 ms, even if each long ${script} reply was rewritten`, () => {
      const textOf = (index: number): string => `${part}${index}`.repeat(700).slice(0, 16_000);
      const replies = Array.from({ length: 24 }, (_, index) => textOf(index));
      const lines = replies.flatMap((reply) => ['user: Yes.', `agent: oh ${reply.slice(3)}`]);
      const costMs = leastMs(50, () => {
        const conversation = emptyConversation('c');
        for (const [index, reply] of replies.entries()) {
          addMessage(conversation, { role: 'user', content: 'Yes.', turnId: `t${index}` });
          const said = { role: 'assistant', state: 'completed', content: reply } as const;
          addMessage(conversation, { ...said, turnId: `t${index}` });
        }
        const transcript = transcriptOf(lines);
        const opening = { turnId: 'next', runId: nextRun(), text: 'And?', transcript };
        const before = process.cpuUsage();
        openTurn(conversation, opening, WIDE);
        return processorMs(before);
      });
      assert.ok(costMs < 50, `${costMs} ms`); // the first try loads a dictionary
    });
});

/**
 * Asserts that a turn whose transcript has these lines begins in less than 50 ms of processor time,
 * in a conversation of these turns: what the caller said, and the reply.
 */
function assertCheap(
  lines: readonly string[],
  turns: readonly (readonly [text: string, reply: string])[],
): void {
  const costMs = leastMs(50, () => {
    const conversation = emptyConversation('c');
    for (const [index, [text, reply]] of turns.entries()) {
      openTurn(conversation, { turnId: `t${index}`, runId: nextRun(), text }, BOUNDS);
      settle(conversation, `t${index}`, 'completed', reply);
    }
    const transcript = transcriptOf(lines);
    const opening = { turnId: 'next', runId: nextRun(), text: 'And?', transcript };
    const before = process.cpuUsage();
    openTurn(conversation, opening, BOUNDS);
    return processorMs(before);
  });
  assert.ok(costMs < 50, `${costMs} ms`); // the first try is compiled
}

// ElevenLabs asks again whenever the caller is silent. All those turns are one exchange.
describe('a caller who is silent for fifty turns', () => {
  const replyOf = (turn: number): string =>
    `Are you there? This is call ${turn} of the shop. `.repeat(4);
  for (const [why, toldOf] of [
    ['as they were said', replyOf],
    ['rewritten for speech', (turn: number) => replyOf(turn).replaceAll('the shop', 'our shop')],
    ['in other words', (turn: number) => `Please hold line ${turn}, an agent comes. `.repeat(5)],
  ] as const)
    it(`costs less than 50 ms, even if all replies come ${why}`, () => {
      const turns = Array.from({ length: 50 }, (_, turn) => turn);
      const lines = ['user: Hello', ...turns.map((turn) => `agent: ${toldOf(turn)}`)];
      assertCheap(lines, turns.map((turn) => [turn === 0 ? 'Hello' : '', replyOf(turn)]));
    });
});

// Each text of the platform's was compared with each of ours, and prepared anew for that.
describe('a call that was cut to fifty texts of the agent', () => {
  const textOf = (turn: number): string => {
    const words = Array.from({ length: 300 }, (_, index) => `w${(index * 7919 + turn * 31) % 97}`);
    return `Are you there? Call ${turn}. ${words.join(' ')}`;
  };
  for (const [why, count, replyOf] of [
    ['a caller was silent for fifty turns', 50, textOf],
    ['a reply is very long', 1, (turn: number) => textOf(turn).repeat(80)],
  ] as const)
    it(`costs less than 50 ms, even if ${why}`, () => {
      const lines = Array.from({ length: 50 }, (_, turn) => `agent: ${textOf(turn + 1)} yes`);
      const replies = Array.from({ length: count + 1 }, (_, turn) => replyOf(turn));
      const textOfCaller = (turn: number): string =>
        turn === 0 ? 'Hello' : turn === count ? 'Tea?' : '';
      assertCheap(lines, replies.map((reply, turn) => [textOfCaller(turn), reply]));
    });
});

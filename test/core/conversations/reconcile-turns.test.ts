import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { keepState, setState } from '../../../src/core/conversations/agent-state.ts';
import type { Message } from '../../../src/core/conversations/message.ts';
import type { OpenedTurn } from '../../../src/core/conversations/opened-turn.ts';
import {
  afterRequests, booking, call, callOf, discarded, numbers, tellCalls,
} from './calls.ts';
import { change, setTo } from './state-writes.ts';
import { reply, round, Talk, yes } from './talk.ts';

describe("the caller's words in a transcript", () => {
  tellCalls([
    ['are added if we lack them', 'A () > a; B (A > a) > b; C (A > a / B > b / X > x)',
      'A > a / B > b / X > x / C > …'],
    ['are added once, however often they are sent',
      'A () > a; C (A > a / X) > c; D (A > a / X / C > c)', 'A > a / X / C > c / D > …'],
    ["are added after the agent's last reply if the lists have nothing in common",
      'A () > a; B (A > a) > b; C (X > x / Y / Z)', 'A > a / B > b / Y / Z / C > …'],
    ['are not added if they match our last words, even if it is unclear which of them',
      'Yes. () > Sugar?; Yes. (Yes. > Sugar?) > Lemon?; C (X > x / Yes.)',
      'Yes. > Sugar? / Yes. > Lemon? / C > …'],
    ['are added before the turn that brings them if that turn runs again',
      'A () > a; B (A > a) > b; C (A > a / B > b) > c*; t3: C (Q > q / X)',
      'A > a / B > b / X / C > …'],
  ]);

  it('are added between the turns where they were said', () => {
    const talk = callOf('A > a', 'B > b');
    // The turn ended before its record was opened, so it has reconciled nothing.
    const before = ['A > a', 'B > b', 'X > x'];
    talk.ask('t3', { ...call('C', before), isOver: yes });
    talk.open('t4', call('D', [...before, 'C']));
    assert.deepEqual(talk.words, ['A', 'B', 'X', 'C', 'D']);
  });
});

describe('a turn that the platform lacks', () => {
  const told = ['A > a', 'B > b'];

  /**
   * A, then D, which the platform has discarded, then B, a turn that was over before it was open.
   */
  function withGap(): Talk {
    const talk = callOf('A > a');
    talk.exchange('t2', 'd', call('D', ['A > a']));
    talk.ask('t3', { ...call('B', ['A > a']), isOver: yes });
    talk.open('t4', call('C', told));
    return talk;
  }

  it('leaves history, even from between turns that the platform has', () => {
    assert.deepEqual(withGap().words, ['A', 'B', 'C']);
  });

  it('does not pass its number on to the turn after next', () => {
    const requests = 'A () > a; D (A > a) > d; B (A > a / D) > b; C (A > a / B > b)';
    const talk = afterRequests(requests);
    assert.deepEqual(discarded(talk), ['t2']);
    assert.deepEqual(numbers(talk), [1, 3, 4, 5]);
  });

  it('is told from an earlier turn with identical words by what it is saying', () => {
    const talk = callOf('No. > n', 'Yes. > a', 'No. > b');
    talk.open('t4', call('Yes.', ['No.', 'Yes. > a', 'No. > b']));
    const running = [talk.soFar('t4', 'interrupted', 'Lemon?')];
    talk.open('t5', { ...call('Maybe.', ['No.', 'Yes. > a']), running });
    assert.deepEqual(discarded(talk), ['t3', 't4']);
  });

  tellCalls([
    ['stays if the platform has cut its list to the rest of an exchange and new words',
      'A (> Welcome.) > a; B (> Welcome. / A > a) > b; C (> b / X)',
      '> Welcome. / A > a / B > b / X / C > …'],
  ]);
});

describe('a turn that was discarded', () => {
  const told = ['A > a'];

  it('accepts late results and what they changed, and nothing else', () => {
    const talk = callOf('A > a');
    talk.open('t2', call('Book', told));
    const runId = talk.runOf('t2');
    const messages = booking('t2', 'running').slice(0, 2).map((message): Message =>
      message.role === 'tool' ? { ...message, runId } : message);
    const running = [talk.soFar('t2', 'interrupted', messages)];
    talk.open('t3', { ...call('Book it', told), running, isCallRunning: yes });
    const late = { content: '"late"', agentState: setTo('{"n":1}'), handOver: 'other' };
    talk.result('t2', 'book', late);
    const { shown, conversation: { state, agent } } = talk;
    assert.deepEqual(shown.slice(2), [
      'assistant(interrupted):  [book]', 'tool: "late"', 'user: Book it', 'assistant(open): ',
    ]);
    assert.deepEqual([state, agent], ['{"n":1}', undefined]);
  });

  tellCalls([
    ['becomes another turn if its words are sent again',
      'A () > a; Book (A > a) > When?; Book it (A > a) > Fine.; t2: Book (A > a / Book it > Fine.)',
      'A > a / Book it > Fine. / Book > …; not t2'],
    ['returns to its place if the platform has its words after all',
      'A () > a; C (A > a / X) > c; D (A > a) > d; E (A > a / X / D > d)',
      'A > a / X / D > d / E > …; not t2'],
  ]);
});

describe('the state and the agent of a conversation', () => {
  const told = ['A > a'];

  /** A, which left a state and an agent; B, which changed both; and the turn that replaces B. */
  function replacing(said: readonly Message[]): OpenedTurn {
    const talk = callOf('A > a');
    const { conversation } = talk;
    setState(conversation, '{"n":1}');
    conversation.agent = 'first';
    talk.open('t2', call('B', told));
    keepState(conversation, talk.turn('t2'), { agentState: change('{"n":1}', '{"n":2}') });
    talk.settle('t2', 'completed', [...round('t2', 'a', { handOver: 'second' }), ...said]);
    return talk.open('t3', call('B and C', told));
  }

  const stateOf = ({ state, agent }: OpenedTurn): unknown => [state, agent];

  it('go back to what they were before a discarded turn', () => {
    const opened = replacing([reply('t2', 'b')]);
    assert.deepEqual(stateOf(opened), ['{"n":1}', 'first']);
    assert.equal(opened.discardedTurns, 1);
  });

  it('differ if a tool had effects: the state goes back, and the agent stays', () => {
    assert.deepEqual(stateOf(replacing(booking('t2'))), ['{"n":1}', 'second']);
  });
});

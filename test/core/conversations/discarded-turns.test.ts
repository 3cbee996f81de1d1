// What a turn finds in its place in the call: the calls and the state of the turns that it
// replaces.

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { keepAgent, keepState } from '../../../src/core/conversations/agent-state.ts';
import {
  addTurn, emptyConversation, historyOf, type Conversation,
} from '../../../src/core/conversations/conversation.ts';
import { callsAtPlace, takePlace } from '../../../src/core/conversations/discarded-turns.ts';
import type { ToolMessage } from '../../../src/core/conversations/message.ts';
import { newTurn, type TurnRecord } from '../../../src/core/conversations/turn-record.ts';
import { change } from './state-writes.ts';
import { round } from './talk.ts';

/** A call in which the platform has discarded one turn, and another one has its place. */
class Replaced {
  readonly conversation = emptyConversation('c');
  readonly discarded: TurnRecord;
  readonly record: TurnRecord = { ...newTurn('t2', 'open', 2), number: 1 };

  constructor(results: readonly Partial<ToolMessage>[] = []) {
    const messages = results.flatMap((result, index) =>
      round('t1', `call-${index}`, { key: 'key', ...result }));
    const discarded = { number: 1, isDiscarded: true, messages } as const;
    this.discarded = { ...newTurn('t1', 'interrupted', 1), ...discarded };
    for (const turn of [this.discarded, this.record]) addTurn(this.conversation, turn);
  }

  /** The discarded turn, or another one, changes the state. */
  change(from: string, to: string, by = this.discarded, call?: ToolMessage): void {
    keepState(this.conversation, by, { agentState: change(from, to) }, call);
  }

  /** The conversation once a turn has taken the place. */
  taken(record = this.record, from = [this.discarded]): Conversation {
    takePlace(this.conversation, record, from, 0);
    return this.conversation;
  }
}

describe('the calls of a turn that was replaced', () => {
  function idsOf(results: readonly Partial<ToolMessage>[]): string[] {
    const { conversation, record } = new Replaced(results);
    const calls = callsAtPlace(conversation, record);
    return calls.map(({ toolCallId }) => toolCallId);
  }

  it('begin with waiting ones, and leave out interrupted ones', () => {
    const running = { state: 'running' } as const;
    const results = [{}, running, { ...running, joins: true }, { state: 'interrupted' }] as const;
    assert.deepEqual(idsOf(results), ['call-2', 'call-1', 'call-0']);
  });

  it('leave out repeatable ones, because what they changed has been taken back', () =>
    assert.deepEqual(idsOf([{ isRepeatable: true }, {}]), ['call-1']));
});

describe('the history of a turn that was replaced', () => {
  it('has the calls that changed something, or may have, and no others', () => {
    const { conversation } = new Replaced([
      {}, { state: 'unknown' }, { state: 'interrupted' }, { isRepeatable: true }, { joins: true },
    ]);
    const results = historyOf(conversation).filter((message) => message.role === 'tool');
    assert.deepEqual(results.map(({ toolCallId }) => toolCallId), ['call-0', 'call-1']);
  });
});

describe('the state of a turn that was replaced', () => {
  const before = '{"cart":["tea"]}';
  const changed = '{"cart":["tea","cola"]}';

  it('loses what the turn itself changed, and nothing that others changed', () => {
    const place = new Replaced();
    place.conversation.state = before;
    place.change(before, changed);
    place.change(changed, '{"cart":["tea","cola"],"paid":true}', place.record);
    assert.equal(place.taken().state, '{"cart":["tea"],"paid":true}');
  });

  it('loses the changes that came with the first state, and keeps that state', () => {
    const place = new Replaced();
    place.change('{"cart":[]}', '{"cart":["cola"]}');
    assert.equal(place.taken().state, '{"cart":[]}');
  });

  it('loses the changes of several writes, the last one first', () => {
    for (const states of [[[], ['tea'], []], [['tea'], ['cola'], []]]) {
      const [first = '', second = '', third = ''] = states.map((cart) => JSON.stringify({ cart }));
      const place = new Replaced();
      place.conversation.state = first;
      place.change(first, second);
      place.change(second, third);
      assert.equal(place.taken().state, first);
    }
  });

  it('loses the changes of any number of writes, and what undoes them is bounded', () => {
    const place = new Replaced();
    const states = Array.from({ length: 40 }, (_, n) =>
      JSON.stringify({ own: `${n}`.repeat(2_000), others: n > 20 ? ['tea'] : [] }));
    for (const [n, state] of states.entries()) {
      const by = n === 21 ? place.record : place.discarded;
      if (n === 0) place.conversation.state = state;
      else place.change(states[n - 1] ?? '', state, by);
    }
    assert.ok((place.discarded.undo?.length ?? 0) < 131_072, `${place.discarded.undo?.length}`);
    // What another turn has set since stays.
    assert.equal(place.taken().state, states[21]);
  });

  it('stays as it is if what undoes the changes cannot be read', () => {
    for (const undo of ['{}', '[7]', '[[{"kind":"set"}]]', '[[', '[[{"path":["cart"],'
      + '"kind":"remove","index":9007199254740991,"was":1}],null]']) {
      const place = new Replaced();
      place.conversation.state = before;
      place.discarded.undo = undo;
      assert.equal(place.taken().state, before);
    }
  });

  it('loses several changes of several turns', () => {
    const place = new Replaced();
    place.conversation.state = before;
    place.change(before, changed);
    place.change(changed, '{"cart":["cola"]}');
    place.change('{"cart":["cola"]}', '{"cart":[]}', place.record);
    for (const [id, runId] of [['t3', 3], ['t4', 4]] as const) {
      const record = { ...newTurn(id, 'open', runId), number: 1 };
      assert.equal(place.taken(record, [place.discarded, place.record]).state, before);
    }
  });

  for (const [what, result, state] of [
    ['loses what a call may do again', { isRepeatable: true }, before],
    ['loses what a call that only waited for another turn has changed', { joins: true }, before],
    ['loses what an interrupted call has changed', { state: 'interrupted' }, before],
    ['keeps what a call whose result stays has changed', {}, changed],
    ['keeps what a call that may have acted has changed', { state: 'unknown' }, changed],
  ] as const)
    it(what, () => {
      const place = new Replaced([result]);
      const [, call] = round('t1', 'call-0', { key: 'key', ...result });
      place.conversation.state = before;
      place.change(before, changed, place.discarded, call);
      assert.equal(place.taken().state, state);
    });

  it('keeps changes that a running call whose result stays may have made', () => {
    const place = new Replaced();
    place.conversation.state = before;
    const { conversation, discarded } = place;
    keepState(conversation, discarded, { agentState: change(before, changed, true) });
    assert.equal(place.taken().state, changed);
  });
});

describe('the agent of a turn that was replaced', () => {
  for (const agent of [undefined, 'sales'])
    it(`is ${agent ?? "the path's own"} again`, () => {
      const place = new Replaced();
      if (agent !== undefined) place.conversation.agent = agent;
      for (const handOver of ['billing', 'support']) {
        place.discarded.messages = round('t1', 'a', { handOver });
        keepAgent(place.conversation, place.discarded);
      }
      assert.equal(place.taken().agent, agent);
    });
});

describe('the agent that has a conversation', () => {
  const newer = newTurn('t2', 'completed', 2);
  const handingOver = { ...newer, messages: round('t2', 'a', { handOver: 'b' }) };

  for (const [what, later, agent] of [
    ['that of the last hand-over, in the order of turns', handingOver, 'b'],
    ['the one that an older turn handed the call over to late, unless a later turn handed it over',
      newer, 'a'],
  ] as const)
    it(`is ${what}`, () => {
      const conversation = emptyConversation('c');
      const messages = round('t1', 'a', { handOver: 'a' });
      const older = { ...newTurn('t1', 'interrupted', 1), messages };
      for (const turn of [older, later]) addTurn(conversation, turn);
      for (const turn of [later, older, older]) keepAgent(conversation, turn);
      assert.equal(conversation.agent, agent);
    });
});

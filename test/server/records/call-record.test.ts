import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import {
  addMessage, emptyConversation, type Conversation,
} from '../../../src/core/conversations/conversation.ts';
import type { Message } from '../../../src/core/conversations/message.ts';
import type { ModelFigures } from '../../../src/core/conversations/turn-figures.ts';
import { openTurn } from '../../../src/core/conversations/turn-opening.ts';
import { newTurn } from '../../../src/core/conversations/turn-record.ts';
import {
  callRecordOf, isSettled, lastTurnOf, parseCallRecord,
} from '../../../src/server/records/call-record.ts';
import { addTurn as addTurnOf, BOUNDS, callOf } from './recorded-calls.ts';

const MODEL = {
  model: 'm', requests: 1, inputTokens: 10, outputTokens: undefined, cachedTokens: undefined,
};
const CALL = callOf('s-1');

/** An ended turn of a session, with what its models used. */
function addTurn(
  conversation: Conversation,
  turnId: string,
  sessionId: string,
  messages: readonly Message[] = [],
): void {
  const figures = { durationMs: 200, firstSpeechMs: 100, models: [MODEL, MODEL] };
  addTurnOf(conversation, turnId, sessionId, { messages, figures });
}

/** A conversation with a turn of session `s-1`. */
function conversationWith(turnId: string, messages?: readonly Message[]): Conversation {
  const conversation = emptyConversation('c-1');
  addTurn(conversation, turnId, 's-1', messages);
  return conversation;
}

/** A conversation of one turn, with these figures for its models. */
function withModels(models: readonly ModelFigures[]): Conversation {
  const conversation = emptyConversation('c-1');
  addTurnOf(conversation, 't', 's-1', { figures: { models } });
  return conversation;
}

function turnIds(conversation: Conversation, sessionId = 's-1'): string[] {
  return callRecordOf({ ...CALL, sessionId }, conversation).turns.map(({ turnId }) => turnId);
}

describe('a call record', () => {
  it('adds up what the models cost, and says if tokens are estimated', () => {
    const models = [{ ...MODEL, cost: 0.1, isEstimated: true }, { ...MODEL, cost: 0.2 }] as const;
    const { cost, tokens } = callRecordOf(CALL, withModels([...models, MODEL]));
    assert.equal(cost, 0.3);
    assert.deepEqual(tokens, { input: 30, isEstimated: true });
    assert.equal('cost' in callRecordOf(CALL, withModels([MODEL])), false);
  });

  it('has ids, times, tokens, and each turn with its words and figures', () => {
    const reply = { role: 'assistant', content: 'Hi.', turnId: 't', state: 'completed' } as const;
    assert.deepEqual(callRecordOf(CALL, conversationWith('t', [reply])), {
      format: 2, conversationId: 'c-1', sessionId: 's-1', agent: 'bakery', wire: 'layercode',
      startedAt: '1970-01-01T00:00:01.000Z', endedAt: '1970-01-01T00:01:06.000Z',
      durationMs: 65_000, outcome: 'ended',
      tokens: { input: 20 }, // nobody reported the others
      turns: [{
        turnId: 't', outcome: 'completed', startedAt: '1970-01-01T00:00:05.000Z',
        durationMs: 200, firstSpeechMs: 100, models: [MODEL, MODEL],
        messages: [
          { role: 'user', content: 'words of t' },
          { role: 'assistant', content: 'Hi.' },
        ],
      }],
    });
  });

  it('has the turns of its session, and not those before and after it', () => {
    const conversation = emptyConversation('c-1');
    const turns = [['a', 's-0'], ['b', 's-1'], ['c', 's-1'], ['d', 's-2']];
    for (const [turnId = '', sessionId = ''] of turns) addTurn(conversation, turnId, sessionId);
    assert.deepEqual(turnIds(conversation), ['b', 'c']);
  });

  it('counts what a hook added as part of the session of the turn before it', () => {
    const conversation = emptyConversation('c-1');
    const added = { role: 'user', content: 'A note.' } as const;
    addMessage(conversation, { ...added, turnId: 'too early' });
    addTurn(conversation, 'a', 's-1');
    addMessage(conversation, { ...added, turnId: 'added' });
    addTurn(conversation, 'b', 's-2');
    assert.deepEqual(turnIds(conversation), ['a', 'added']);
  });

  it('names the agent that spoke after a hand-over', () => {
    const said = { role: 'assistant', turnId: 't', state: 'completed' } as const;
    const replies = [
      { ...said, content: 'Hold on.' }, { ...said, content: 'Hi.', agent: 'billing' },
    ];
    const [turn] = callRecordOf(CALL, conversationWith('t', replies)).turns;
    assert.deepEqual(turn?.messages.map(({ agent }) => agent), [undefined, undefined, 'billing']);
  });

  it('starts at the first turn with a time if the platform reports no beginning', () => {
    const conversation = emptyConversation('c-1');
    conversation.turns.push({ ...newTurn('told-1', 'completed', 0), reply: 'Welcome.' });
    addTurn(conversation, 'a', 's-1');
    const record = callRecordOf({ ...CALL, startedAt: undefined }, conversation);
    assert.deepEqual(record.turns.map(({ turnId }) => turnId), ['told-1', 'a']);
    assert.equal(record.startedAt, '1970-01-01T00:00:05.000Z');
    assert.equal(record.durationMs, 61_000);
  });

  // Each outage added a few: the same exchanges are there as turns that were spoken.
  it('leaves out what only a transcript has and the platform then asked again', () => {
    const conversation = emptyConversation('c-1');
    addTurn(conversation, 'a', 's-1');
    const told = { ...newTurn('told-1', 'completed', 0), words: 'words of a', reply: 'Hi.' };
    conversation.turns.push({ ...told, isDiscarded: true });
    assert.deepEqual(turnIds(conversation), ['a']);
    assert.equal(lastTurnOf(conversation, 's-1')?.id, 'a');
  });

  it('knows the caller of the session from its own turns', () => {
    const conversation = emptyConversation('c-1');
    const caller = { sessionId: 's-1', from: '+1', to: '+2' };
    openTurn(conversation, { turnId: 'a', runId: 1, text: 'Hi', caller }, BOUNDS);
    const { from, to } = callRecordOf(CALL, conversation);
    assert.deepEqual([from, to], ['+1', '+2']);
    assert.equal('from' in callRecordOf({ ...CALL, sessionId: 's-2' }, conversation), false);
  });

  for (const [what, sent, outcome] of [
    ['"hung up" if the agent hung up', { type: 'hangup' }, 'hung up'],
    ['"ended" if the agent only sent data', { type: 'data', json: '1' }, 'ended'],
  ] as const) {
    it(`says ${what}`, () => {
      const conversation = conversationWith('a');
      addTurn(conversation, 'b', 's-1');
      conversation.turns[1]!.sent = [{ type: 'say', text: 'Bye.' }, sent];
      assert.equal(callRecordOf(CALL, conversation).outcome, outcome);
    });
  }

  it('has a filler that was spoken, and none without words', () => {
    const conversation = emptyConversation('c-1');
    for (const filler of ['One moment.', '']) {
      addTurn(conversation, `filled by "${filler}"`, 's-1');
      conversation.turns.at(-1)!.filler = filler;
    }
    const fillers = callRecordOf(CALL, conversation).turns.map((turn) =>
      'filler' in turn ? turn.filler : 'none');
    assert.deepEqual(fillers, ['One moment.', 'none']);
  });

  it('does not share objects with the conversation, which goes on', () => {
    const call = { id: 'x', name: 'stock', args: '{}' };
    const messages: Message[] = [
      { role: 'assistant', content: '', turnId: 'a', state: 'completed', toolCalls: [call] },
      { role: 'tool', content: '1', turnId: 'a', toolCallId: 'x', state: 'running' },
    ];
    const conversation = conversationWith('a', messages);
    const record = callRecordOf(CALL, conversation);
    const before = JSON.stringify(record);
    addTurn(conversation, 'b', 's-1');
    for (const turn of conversation.turns) delete turn.messages;
    assert.equal(JSON.stringify(record), before);
    assert.equal(isSettled(record), false);
  });
});

describe('a call record with figures', () => {
  const figures = {
    sessionId: 's-1', startedAt: 5_000, durationMs: 900, firstSpeechMs: 100, firstWordMs: 700,
    storeMs: 40,
    failure: { reason: 'model', detail: 'ModelError rate_limited' },
    requests: [{ model: 'a:b', startedMs: 3, durationMs: 60, failure: 'rate_limited' }],
    tools: [{ toolCallId: 'x', tool: 'stock', startedMs: 70, durationMs: 5, outcome: 'failed' }],
    fillers: [{ text: 'One moment.', afterMs: 100 }],
  } as const;

  it('has requests, tools, fillers, waits and the reason for a failure', () => {
    const conversation = emptyConversation('c-1');
    openTurn(conversation, { turnId: 'a', runId: 1, text: 'Hi', figures }, BOUNDS);
    const [turn] = callRecordOf(CALL, conversation).turns;
    const { requests, tools, fillers, failure, storeMs, firstWordMs } = turn ?? {};
    assert.deepEqual(requests, figures.requests);
    assert.deepEqual(tools, figures.tools);
    assert.deepEqual(fillers, figures.fillers);
    assert.deepEqual([failure, storeMs, firstWordMs], [figures.failure, 40, 700]);
  });

  it("has the agent's state only if asked for it", () => {
    const conversation = { ...emptyConversation('c-1'), state: '{"loaves":3}' };
    assert.deepEqual(callRecordOf(CALL, conversation, { hasState: true }).state, { loaves: 3 });
    assert.equal('state' in callRecordOf(CALL, conversation), false);
  });
});

describe('isSettled', () => {
  it('is true once all turns and tools are over, however they ended', () => {
    const tool = { role: 'tool', content: '1', turnId: 'a', toolCallId: 'x' } as const;
    for (const [state, isOver] of [
      ['completed', true], ['interrupted', true], ['unknown', true], ['running', false],
    ] as const) {
      const call = { id: 'x', name: 'stock', args: '{}' };
      const asks = { role: 'assistant', content: '', turnId: 'a', state: 'completed' } as const;
      const conversation = conversationWith('a', [
        { ...asks, toolCalls: [call] }, { ...tool, state },
      ]);
      assert.equal(isSettled(callRecordOf(CALL, conversation)), isOver, state);
    }
  });

  it('is false while a turn is open', () => {
    const conversation = emptyConversation('c-1');
    const figures = { sessionId: 's-1', startedAt: 5_000 };
    openTurn(conversation, { turnId: 'a', runId: 1, text: 'Hi', figures }, BOUNDS);
    assert.equal(isSettled(callRecordOf(CALL, conversation)), false);
  });
});

describe('parseCallRecord', () => {
  for (const text of ['', '{', 'null', '[]', '"x"', '{"conversationId":"c"}',
    '{"conversationId":"c","sessionId":1,"startedAt":"","turns":[]}']) {
    it(`refuses to parse: ${text}`, () => assert.equal(parseCallRecord(text), undefined));
  }

  const turn = { turnId: 't', outcome: 'completed', messages: [] };
  const message = { role: 'user', content: 'Hi' };
  for (const change of [
    { tokens: undefined }, { outcome: 1 }, { from: 5 }, { turns: [null] }, { turns: [{}] },
    ...[
      { messages: 5 }, { messages: [null] }, { messages: [{ role: 'user' }] }, { startedAt: 5 },
      { messages: [{ ...message, toolCalls: [{ id: 'x', name: 'y' }] }] }, { requests: {} },
      { tools: [null] }, { fillers: 'x' }, { failure: null }, { captured: 9 },
      { captured: { requests: [{}] } },
    ].map((odd) => ({ turns: [{ ...turn, ...odd }] })),
  ]) {
    const text = JSON.stringify({ ...callRecordOf(CALL, undefined), ...change });
    it(`does not accept a record with ${JSON.stringify(change)}`, () => {
      assert.equal(parseCallRecord(text), undefined);
    });
  }

  it('returns what was written, including fields of a later version', () => {
    const record = { ...callRecordOf(CALL, undefined), later: true };
    assert.deepEqual(parseCallRecord(JSON.stringify(record)), record);
  });
});

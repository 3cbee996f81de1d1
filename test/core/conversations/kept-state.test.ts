// What runs and tools change in the state counts, whatever has become of their turn by then, unless
// the change goes with the turn or was erased.

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { createLogger } from '../../../src/base/log.ts';
import type { StateWrite } from '../../../src/core/conversations/agent-state.ts';
import {
  clearTurns, emptyConversation, findTurn, type Conversation,
} from '../../../src/core/conversations/conversation.ts';
import { trim } from '../../../src/core/conversations/history-bounds.ts';
import { ConversationManager } from '../../../src/core/conversations/manager.ts';
import { MemoryStore } from '../../../src/core/conversations/memory-store.ts';
import type { Message } from '../../../src/core/conversations/message.ts';
import { noteProgress, noteToolResult } from '../../../src/core/conversations/tool-call-rules.ts';
import { openTurn, type TurnOpening } from '../../../src/core/conversations/turn-opening.ts';
import { settleTurn } from '../../../src/core/conversations/turn-settlement.ts';
import { LiveStates } from '../../../src/core/state/live-state.ts';
import { transcriptOf } from '../../fixtures/transcript.ts';
import { setTo } from './state-writes.ts';

const BOUNDS = { maxMessages: 200, maxTextLength: 1_048_576 };
const RUN = { turnId: 't1', runId: 1, erasedAt: 0 };
const CHANGED = '{"paid":true}';

function open(conversation: Conversation, more: Partial<TurnOpening> = {}): void {
  const opening = { ...RUN, text: 'Hello', isCallRunning: () => true, ...more };
  assert.equal(openTurn(conversation, opening, BOUNDS).kind, 'opened');
}

/** A running call of the first run. */
function calling(toolCallId = 'x'): Message[] {
  const toolCalls = [{ id: toolCallId, name: 'pay', args: '{}' }];
  return [
    { role: 'assistant', content: '', turnId: 't1', state: 'open', toolCalls },
    {
      role: 'tool', content: '{}', turnId: 't1', toolCallId, runId: 1, state: 'running', key: 'k',
    },
  ];
}

function opened(): Conversation {
  const conversation = emptyConversation('c');
  open(conversation);
  noteProgress(conversation, { ...RUN, messages: calling() }, BOUNDS);
  return conversation;
}

const BECOMES: Readonly<Record<string, (conversation: Conversation) => void>> = {
  'was ended by a newer one': (conversation) => open(conversation, { turnId: 't2', runId: 2 }),
  'has run again since': (conversation) => {
    settleTurn(conversation, { ...RUN, state: 'failed', messages: [] }, BOUNDS);
    open(conversation, { runId: 2 });
  },
  'was trimmed': (conversation) => {
    open(conversation, { turnId: 't2', runId: 2 });
    trim(conversation, { maxMessages: 1, maxTextLength: 100 });
    assert.equal(findTurn(conversation, 't1'), undefined);
  },
};

const WRITES: Readonly<Record<string, (conversation: Conversation, state: StateWrite) => void>> = {
  'the calls of a run': (conversation, agentState) =>
    void noteProgress(conversation, { ...RUN, messages: calling('y'), agentState }, BOUNDS),
  'the end of a run': (conversation, agentState) =>
    void settleTurn(conversation, { ...RUN, state: 'failed', messages: [], agentState }, BOUNDS),
  'the result of a call': (conversation, agentState) => {
    const result = { ...RUN, toolCallId: 'x', state: 'completed', content: '1' } as const;
    noteToolResult(conversation, { ...result, agentState }, BOUNDS);
  },
};

describe('a change to the state', () => {
  for (const [title, becomes] of Object.entries(BECOMES))
    for (const [what, write] of Object.entries(WRITES)) {
      if (title === 'was trimmed' && what === 'the calls of a run') continue; // given again later
      it(`is stored with ${what}, even if the turn ${title}`, () => {
        const conversation = opened();
        becomes(conversation);
        write(conversation, setTo(CHANGED));
        assert.equal(conversation.state, CHANGED);
      });
    }

  for (const [what, write] of Object.entries(WRITES))
    it(`is not stored with ${what} from before an erasure`, () => {
      const conversation = opened();
      clearTurns(conversation);
      write(conversation, setTo(CHANGED));
      assert.equal(conversation.state, undefined);
    });

  for (const [what, write] of Object.entries(WRITES))
    it(`is not stored with ${what} from before an erasure if its turn is there again`, () => {
      const conversation = opened();
      clearTurns(conversation);
      open(conversation, { runId: 2 });
      write(conversation, setTo(CHANGED));
      assert.equal(conversation.state, undefined);
    });

  it('is not stored in a conversation that is gone', () => {
    const conversation = emptyConversation('c');
    WRITES['the end of a run']?.(conversation, setTo(CHANGED));
    assert.equal(conversation.state, undefined);
  });
});

describe('a state that a discarded turn has changed', () => {
  /** A manager with a turn that the platform has discarded, and its live state. */
  async function discarded() {
    const store = new MemoryStore({ ttlMs: 60_000, maxConversations: 10 });
    const manager = new ConversationManager(store);
    const live = new LiveStates(() => ({ paid: [] as string[] }))
      .enter('c', { state: '{"paid":[]}', isResumed: true });
    const transcript = transcriptOf([]);
    await manager.openTurn('c', { ...RUN, text: 'Hel', transcript });
    await manager.saveState('c', 't1', { agentState: setTo('{"paid":[]}') });
    await manager.noteProgress('c', { ...RUN, messages: calling() });
    await manager.openTurn('c', {
      turnId: 't2', runId: 2, text: 'Hello', transcript, isCallRunning: () => true,
    });
    const log = createLogger({ level: 'error', write: (line) => assert.fail(line) });
    const save = async (): Promise<void> =>
      manager.saveState('c', 't1', { agentState: live.validChanges() });
    const settle = async (): Promise<unknown> => manager.settleTurn('c', {
      ...RUN, state: 'interrupted', messages: calling(), agentState: live.changes(log, 'c'),
    });
    const result = async (): Promise<unknown> => manager.noteToolResult('c', {
      ...RUN, toolCallId: 'x', state: 'completed', content: '1',
      agentState: live.changes(log, 'c'),
    });
    return { store, manager, live, save, settle, result };
  }

  it('is stored by saveState if the result of a running call will stay', async () => {
    const { store, manager, live, save } = await discarded();
    live.callBegan();
    live.value.paid.push('pizza');
    await save();
    assert.deepEqual(await manager.getState('c'), { paid: ['pizza'] });
    store.close();
  });

  it('is stored by the next write that may store it', async () => {
    const { store, manager, live, settle, result } = await discarded();
    live.value.paid.push('pizza');
    await settle(); // of a discarded turn: it changes nothing
    assert.deepEqual(await manager.getState('c'), { paid: [] });
    live.value.paid.push('cola');
    await result();
    assert.deepEqual(await manager.getState('c'), { paid: ['pizza', 'cola'] });
    store.close();
  });
});

// What a call leaves in the record when it has waited for one that another process may still make.

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { UNFINISHED_RESULTS } from '../../src/conversations/unfinished-tool-results.ts';
import { createLogger } from '../../src/log.ts';
import type { ToolCallingTurn, ToolHost } from '../../src/tools/tool-calling-turn.ts';
import type { SpokenToolCall } from '../../src/tools/tool-calls-noted.ts';
import { RunningToolCalls } from '../../src/tools/tool-calls-running.ts';
import { ToolCalls } from '../../src/tools/tool-calls.ts';

/** The store says that process `p` has claimed the key. */
const CLAIM = {
  state: 'running', content: UNFINISHED_RESULTS.running, tool: 'pay', claimedAt: 0,
  turnId: 'other', runId: 1, toolCallId: 'x', process: 'p',
} as const;

describe('a call that has waited for a claim under which nothing begins', () => {
  it('is refused, and no longer joins the other call in the record', async () => {
    const spoken: SpokenToolCall[] = [];
    const stored: SpokenToolCall[] = [];
    const turn = {
      conversationId: 'c', turnId: 't', place: 't', runId: 1, isStored: true, isOver: false,
      mayAct: true, mayBeReplaced: false,
      spoken: {
        speaker: undefined, filler: undefined,
        noteCalls: (calls: readonly SpokenToolCall[]) => void spoken.push(...calls),
        messages: () => spoken.map((call) => ({ ...call })),
      },
      work: { noteStore: () => undefined },
      log: createLogger({ level: 'silent', write: () => undefined }),
    } as unknown as ToolCallingTurn;
    const conversations = {
      keyOf: (id: string) => id,
      read: (): unknown => ({ turns: [], onceCalls: { [spoken[0]?.key ?? '']: CLAIM } }),
      noteProgress: (
        _id: string,
        { messages, claims = [] }: { messages: SpokenToolCall[]; claims?: readonly unknown[] },
      ) => {
        stored.splice(0, stored.length, ...messages);
        const outcomes = claims.map(() => ({ kind: 'running', call: CLAIM }));
        return { ownership: 'noted', claims: outcomes, isStateKept: true };
      },
      noteToolResult: () => ({ isKept: true, isStateKept: true }),
    };
    const idle = { isCallRunning: () => true, isIdle: () => true, isAlive: () => true };
    const others = {
      ask: () => Promise.resolve(idle),
      askAll: () => Promise.resolve({ ...idle, runnerOf: () => 'p', isClaimed: () => false }),
      awaitCall: (_key: string, listener: () => void) => {
        setImmediate(() => setImmediate(listener)); // it need not wait for the next look
      },
      stopAwaiting: () => undefined,
    };
    const host = {
      conversations, others, calls: new RunningToolCalls(), process: 'own', observer: undefined,
      track: () => undefined,
    } as unknown as ToolHost;
    const [outcome] = await new ToolCalls(turn, host, []).run(
      [{ id: 'y', name: 'pay', args: '{}' }],
      () => ({ name: 'pay', once: () => 'it', run: () => '"paid"' }),
    );
    assert.equal(outcome?.content, '{"error":"not started"}');
    const [call] = stored;
    assert.deepEqual([call?.call.id, call?.joins, call?.runner], ['y', undefined, undefined]);
  });
});

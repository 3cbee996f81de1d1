// Calls that wait for one of another process: what they are told, and what the record keeps.

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { emptyConversation } from '../../src/conversations/conversation.ts';
import { UNFINISHED_RESULTS } from '../../src/conversations/unfinished-tool-results.ts';
import { createLogger } from '../../src/log.ts';
import { callKey } from '../../src/tools/tool-call-key.ts';
import type { ToolCallingTurn, ToolHost } from '../../src/tools/tool-calling-turn.ts';
import type { SpokenToolCall } from '../../src/tools/tool-calls-noted.ts';
import { RunningToolCall, RunningToolCalls } from '../../src/tools/tool-calls-running.ts';
import { ToolCalls } from '../../src/tools/tool-calls.ts';
import type { ToolOutcome } from '../../src/tools/tool-run.ts';

/** The store says that process `p` has claimed the key. */
const CLAIM = {
  state: 'running', content: UNFINISHED_RESULTS.running, tool: 'pay', claimedAt: 0,
  turnId: 'other', runId: 1, toolCallId: 'x', process: 'p',
} as const;

function turnSaying(spoken: SpokenToolCall[], host: ToolHost): ToolCallingTurn {
  return {
    host,
    conversationId: 'c', turnId: 't', place: 't', runId: 1, isStored: true, isOver: false,
    mayAct: true, mayBeReplaced: false,
    spoken: {
      speaker: undefined, filler: undefined,
      noteCalls: (calls: readonly SpokenToolCall[]) => void spoken.push(...calls),
      messages: () => spoken.map((call) => ({ ...call })),
    },
    work: { noteStore: () => undefined, toolBegan: () => undefined },
    log: createLogger({ level: 'silent', write: () => undefined }),
  } as unknown as ToolCallingTurn;
}

/** A host whose store says that `p` has claimed the key, and what it is given of the calls. */
function claimedByOther(
  spoken: readonly SpokenToolCall[],
  stored: SpokenToolCall[],
  runner: string | undefined,
  asked = (): void => undefined,
): ToolHost {
  const conversations = {
    keyOf: (id: string) => id,
    remembered: () => undefined,
    read: (): unknown => ({ turns: [], onceCalls: { [spoken[0]?.key ?? '']: CLAIM } }),
    noteProgress: (
      _id: string,
      { messages, claims = [] }: { messages: SpokenToolCall[]; claims?: readonly unknown[] },
    ) => {
      stored.splice(0, stored.length, ...messages);
      const outcomes = claims.map(() => ({ kind: 'running', call: CLAIM }));
      return { ownership: 'noted', claims: outcomes, earlierCalls: [] };
    },
    noteToolResult: () => ({ isKept: true }),
  };
  const idle = { isCallRunning: () => true, isIdle: () => true, isAlive: () => true };
  const others = {
    ask: () => (asked(), Promise.resolve(idle)),
    askAll: () => Promise.resolve({ ...idle, runnerOf: () => runner, isClaimed: () => false }),
    awaitCall: (_key: string, listener: () => void) => {
      setImmediate(() => setImmediate(listener)); // it need not wait for the next look
    },
    stopAwaiting: () => undefined,
  };
  return {
    conversations, others, calls: new RunningToolCalls(), process: 'own', observer: undefined,
    track: () => undefined,
  } as unknown as ToolHost;
}

function pays(
  spoken: SpokenToolCall[],
  host: ToolHost,
): Promise<readonly ToolOutcome[]> {
  return new ToolCalls(turnSaying(spoken, host), []).run(
    [{ id: 'y', name: 'pay', args: '{}' }],
    () => ({ name: 'pay', once: () => 'it', run: () => '"paid"' }),
  );
}

describe('a call that has waited for a claim under which nothing begins', () => {
  it('is refused, and no longer joins the other call in the record', async () => {
    const spoken: SpokenToolCall[] = [];
    const stored: SpokenToolCall[] = [];
    const [outcome] = await pays(spoken, claimedByOther(spoken, stored, 'p'));
    assert.equal(outcome?.content, '{"error":"not started"}');
    const [call] = stored;
    assert.deepEqual([call?.call.id, call?.joins, call?.runner], ['y', undefined, undefined]);
  });
});

// Else an unknown outcome would seem to be a call that nobody has begun: its own process lives.
describe('a call that waits for a claim of another process', () => {
  for (const [who, runner] of [
    ['which says so', 'p'],
    ['and for which a third one waits', 'q'],
    ['which has not answered', undefined],
  ] as const)
    it(`names that process, ${who}`, async () => {
      const spoken: SpokenToolCall[] = [];
      const names: unknown[] = [];
      const asked = (): void => void names.push(spoken[0]?.runner);
      await pays(spoken, claimedByOther(spoken, [], runner, asked));
      assert.deepEqual(new Set(names), new Set(['p']));
    });
});

// Seeds 60001698 and 60004921 of the fleet: a run that was asking others lost its turn to another
// process, which made the call, and then the turn came back.
describe('a call that another process has made or makes', () => {
  const key = callKey('c', 't', 'pay', '{}', 0, undefined);
  const made = {
    role: 'tool', turnId: 't', toolCallId: 'x', runId: 2, process: 'b', key,
  } as const;
  const running = { ...made, state: 'running', content: UNFINISHED_RESULTS.running } as const;
  const paid = { ...made, state: 'completed', content: '"paid by b"' } as const;
  const lives = { isCallRunning: () => true, isIdle: () => false, isAlive: () => true };

  for (const earlier of [running, paid])
    it(`is not made again where it is ${earlier.state}, though interrupted here`, async () => {
      const acts: string[] = [];
      const calls = new RunningToolCalls();
      const before = new RunningToolCall();
      calls.add(key, before); // its end is not stored yet
      const conversations = {
        keyOf: (id: string) => id,
        remembered: () => undefined,
        read: (): unknown => ({
          ...emptyConversation('c'), turns: [{ id: 't', runId: 3, messages: [paid], kept: 1 }],
        }),
        noteProgress: () =>
          ({ ownership: 'noted', claims: [], earlierCalls: [] }),
        noteToolResult: () => ({ isKept: true }),
      };
      const others = {
        ask: () => Promise.resolve(lives),
        awaitCall: () => undefined,
        stopAwaiting: () => undefined,
      };
      const host = {
        conversations, others, calls, process: 'a', observer: undefined, track: () => undefined,
      } as unknown as ToolHost;
      const run = new ToolCalls(turnSaying([], host), [earlier]).run(
        [{ id: 'y', name: 'pay', args: '{}' }],
        () => ({ name: 'pay', run: () => (acts.push('a'), '"paid by a"') }),
      );
      before.end({ state: 'interrupted', content: UNFINISHED_RESULTS.interrupted });
      const [outcome] = await run;
      assert.equal(outcome?.content, '"paid by b"');
      assert.deepEqual(acts, []);
    });
});

// The turn came back from another process while this one still asked who makes the payment.
describe('a call of another process that the run learns of before its own equal one begins', () => {
  it('waits for that one, not for itself', async () => {
    const key = callKey('c', 't', 'book', '{}', 0, undefined);
    const booked = {
      role: 'tool', turnId: 't', toolCallId: 'x', runId: 2, process: 'b', key,
      state: 'completed', content: '"booked by b"',
    } as const;
    const running = { ...booked, state: 'running', content: UNFINISHED_RESULTS.running } as const;
    const conversations = {
      keyOf: (id: string) => id,
      remembered: () => undefined,
      read: (): unknown => ({
        ...emptyConversation('c'), turns: [{ id: 't', runId: 1, messages: [booked], kept: 1 }],
      }),
      noteProgress: (_id: string, { claims = [] }: { claims?: readonly unknown[] }) => {
        const outcomes = claims.map(() => ({ kind: 'claimed' }));
        return { ownership: 'noted', claims: outcomes, earlierCalls: [] };
      },
      noteToolResult: () => ({ isKept: true }),
    };
    const lives = { isCallRunning: () => true, isIdle: () => false, isAlive: () => true };
    const others = {
      ask: () => Promise.resolve(lives),
      askAll: () => {
        calls.learn([running]);
        return Promise.resolve({
          ...lives, runnerOf: () => undefined, isClaimed: () => false, areDoubtful: false,
        });
      },
      awaitCall: () => undefined,
      stopAwaiting: () => undefined,
    };
    const host = {
      conversations, others, calls: new RunningToolCalls(), process: 'a', observer: undefined,
      track: () => undefined,
    } as unknown as ToolHost;
    const calls = new ToolCalls(turnSaying([], host), []);
    const outcomes = await calls.run(
      [{ id: 'y', name: 'book', args: '{}' }, { id: 'z', name: 'pay', args: '{}' }],
      ({ name }) => ({
        name, run: () => '"done by a"', ...(name === 'pay' ? { once: () => 'it' } : {}),
      }),
    );
    assert.deepEqual(outcomes.map(({ content }) => content), ['"booked by b"', '"done by a"']);
    assert.equal(host.calls.isRunning(key), false);
  });
});

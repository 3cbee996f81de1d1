// What becomes of calls whose turn may not act, was replaced, or is over; of calls that were made
// before; and of those whose claims others know of.

import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';

import { emptyConversation } from '../../src/conversations/conversation.ts';
import type { EarlierToolCall } from '../../src/conversations/discarded-turns.ts';
import { UNFINISHED_RESULTS } from '../../src/conversations/unfinished-tool-results.ts';
import { createLogger } from '../../src/log.ts';
import { callKey, onceKey } from '../../src/tools/tool-call-key.ts';
import type { ToolCallingTurn, ToolHost } from '../../src/tools/tool-calling-turn.ts';
import type { SpokenToolCall } from '../../src/tools/tool-calls-noted.ts';
import { RunningToolCalls } from '../../src/tools/tool-calls-running.ts';
import { ToolCalls } from '../../src/tools/tool-calls.ts';
import type { ToolRun } from '../../src/tools/tool-run.ts';
import { deferred } from '../fixtures/app.ts';
import { mockTimers } from '../fixtures/clock.ts';

const NOT_STARTED = '{"error":"not started"}';
/** The key of the call that every test makes. */
const KEY = callKey('c', 't', 'pay', '{}', 0, undefined);

/** A run of turn `t` in process `own`, and what its calls have done and stored. */
class Stage {
  readonly acts: string[] = [];
  readonly spoken: SpokenToolCall[] = [];
  readonly lost: unknown[] = [];
  readonly unknown: string[] = [];
  /** How many claims each write has made. */
  readonly progress: number[] = [];
  readonly running = new RunningToolCalls();
  readonly abort = new AbortController();
  /** What the store says of each claim. */
  claim: Record<string, unknown> = { kind: 'claimed' };
  /** What the store says of the run. */
  ownership = 'noted';
  /** What process `p` answers. */
  answer = { isCallRunning: () => true, isIdle: () => false, isAlive: () => true };
  /** The process that says it runs the call, if one does. */
  runner: string | undefined;
  /** What the store says of claims before it is asked for one, by key. */
  claims: Readonly<Record<string, unknown>> = {};
  asked: string[] = [];
  /** Happens while all others are asked. */
  meanwhile = (): void => undefined;
  /** Whether the call was known to be asking then. */
  wasAsking: boolean | undefined;
  /** The results that were stored. */
  readonly results: Record<string, unknown>[] = [];
  isOver = false;

  calls(turn: Partial<ToolCallingTurn>, earlier: readonly EarlierToolCall[] = []): ToolCalls {
    const stage = this;
    const run = {
      host: this.#host(),
      conversationId: 'c', turnId: 't', place: 't', runId: 1, isStored: true,
      mayAct: true, mayBeReplaced: false, settlesAtMs: 0, signal: this.abort.signal,
      get isOver() {
        return stage.isOver;
      },
      spoken: {
        speaker: undefined, filler: undefined,
        noteCalls: (calls: readonly SpokenToolCall[]) => void this.spoken.push(...calls),
        messages: () => [],
      },
      work: {
        noteStore: () => undefined, toolBegan: () => undefined,
        settlingBegan: () => undefined, settlingEnded: () => undefined,
      },
      log: createLogger({ level: 'silent', write: () => undefined }),
      learn: () => undefined,
    };
    const told = Object.defineProperties({}, {
      ...Object.getOwnPropertyDescriptors(run), ...Object.getOwnPropertyDescriptors(turn),
    }) as ToolCallingTurn;
    return new ToolCalls(told, earlier);
  }

  #host(): ToolHost {
    const conversations = {
      keyOf: (id: string) => id,
      read: () => ({ ...emptyConversation('c'), onceCalls: this.claims }),
      noteProgress: (_id: string, { claims = [] }: { claims?: readonly unknown[] }) => {
        this.progress.push(claims.length);
        const outcomes = claims.map(() => this.claim);
        return { ownership: this.ownership, claims: outcomes, isStateKept: true, earlierCalls: [] };
      },
      noteToolResult: (_id: string, result: Record<string, unknown>) => {
        this.results.push(result);
        return { isKept: true, isStateKept: true, wasUnknown: false };
      },
      loseClaim: (_id: string, key: string) => this.lost.push(key) > 0,
    };
    const others = {
      ask: (_id: string, calls: ReadonlyMap<string, unknown>) => {
        this.asked.push(...calls.keys());
        return Promise.resolve(this.answer);
      },
      askAll: (_id: string, [key = '']: readonly string[]) => {
        this.meanwhile();
        this.wasAsking = this.running.isAsking(key);
        return Promise.resolve({
          ...this.answer, runnerOf: () => this.runner, isClaimed: () => false, areDoubtful: false,
        });
      },
      awaitCall: () => undefined,
      stopAwaiting: () => undefined,
    };
    const observer = { unknownOutcome: (tool: string) => void this.unknown.push(tool) };
    return {
      conversations, others, calls: this.running, process: 'own', observer, track: () => undefined,
    } as unknown as ToolHost;
  }

  /** Makes the call, and resolves with what the model is told. */
  async pays(calls: ToolCalls, tool: Partial<ToolRun> = {}): Promise<string | undefined> {
    const run = (): string => {
      this.acts.push('paid');
      return '"paid"';
    };
    const [outcome] = await calls.run(
      [{ id: 'y', name: 'pay', args: '{}' }], () => ({ name: 'pay', run, ...tool }),
    );
    return outcome?.content;
  }
}

/** Other rounds of the event loop, in which everything happens that waits for nothing. */
async function rounds(): Promise<void> {
  for (let count = 0; count < 5; count += 1) await new Promise((resolve) => setImmediate(resolve));
}

describe('a call of a late copy of a request', () => {
  it('is not started', async () => {
    const stage = new Stage();
    assert.equal(await stage.pays(stage.calls({ mayAct: false })), NOT_STARTED);
    assert.deepEqual(stage.acts, []);
  });

  it('is started if it may be repeated: it changes nothing', async () => {
    const stage = new Stage();
    const calls = stage.calls({ mayAct: false });
    assert.equal(await stage.pays(calls, { repeatable: true }), '"paid"');
  });
});

describe('a call of a turn that the platform may replace', () => {
  function settling(t: TestContext): { readonly stage: Stage; readonly calls: ToolCalls } {
    mockTimers(t, ['setTimeout']);
    const stage = new Stage();
    const settlesAtMs = performance.now() + 60_000;
    return { stage, calls: stage.calls({ mayBeReplaced: true, settlesAtMs }) };
  }

  it('has not begun, for others and for history, before the turn has stood', async (t) => {
    const { stage, calls } = settling(t);
    const paid = stage.pays(calls);
    await rounds();
    assert.equal(stage.running.isRunning(KEY), false);
    assert.deepEqual(stage.spoken.map(({ state }) => state), ['interrupted']);
    stage.abort.abort();
    assert.equal(await paid, '"paid"'); // the turn itself goes on
  });

  for (const [what, tool] of [['', {}], [', though it acts once', { once: () => 'it' }]] as const)
    it(`is not stored if the turn was replaced by then${what}`, async (t) => {
      const { stage, calls } = settling(t);
      const paid = stage.pays(calls, tool);
      await rounds();
      stage.isOver = true;
      stage.abort.abort();
      assert.equal(await paid, UNFINISHED_RESULTS.interrupted);
      assert.deepEqual([stage.acts, stage.progress], [[], []]);
      assert.equal(stage.spoken.some(({ key }) => stage.running.isRunning(key ?? '')), false);
    });
});

describe('a call of a run that has lost its turn, as the store says', () => {
  for (const [ownership, end] of [['taken over', 'giveAway'], ['closed', 'interrupt']] as const)
    it(`never begins, and its run ends: the turn is ${ownership}`, async () => {
      const stage = new Stage();
      stage.ownership = ownership;
      const ended: string[] = [];
      const noteEnd = (): void => {
        ended.push(end);
        stage.isOver = true;
      };
      const told = await stage.pays(stage.calls({ [end]: noteEnd }));
      assert.equal(told, UNFINISHED_RESULTS.interrupted);
      assert.deepEqual([ended, stage.acts], [[end], []]);
    });
});

describe('a call that acts once', () => {
  const once = { once: () => 'it' } as const;

  it('that its own turn has made has its result, and not one from before', async () => {
    const stage = new Stage();
    stage.claim = { kind: 'ended', call: { state: 'completed', content: '7', turnId: 't' } };
    assert.equal(await stage.pays(stage.calls({}), once), '7');
  });

  it('that another turn has made was done before', async () => {
    const stage = new Stage();
    stage.claim = { kind: 'ended', call: { state: 'completed', content: '7', turnId: 'other' } };
    const told = await stage.pays(stage.calls({}), once);
    assert.equal(told, '{"status":"done before","result":7}');
  });

  it('goes on when its turn ends, whatever the agent says of it', async () => {
    const stage = new Stage();
    const calls = stage.calls({});
    const [begun, ended] = [deferred<AbortSignal>(), deferred<string>()];
    const run: ToolRun['run'] = ({ signal }) => {
      begun.resolve(signal);
      return ended.promise;
    };
    const paid = stage.pays(calls, { ...once, run, whenInterrupted: 'abort' });
    const signal = await begun.promise;
    calls.turnEnded(new Error('the turn ended'), 60_000, false);
    assert.equal(signal.aborted, false);
    ended.resolve('"paid late"');
    assert.equal(await paid, '"paid late"');
  });

  const running = {
    state: 'running', content: UNFINISHED_RESULTS.running, tool: 'pay', claimedAt: 0,
    turnId: 'other', runId: 1, toolCallId: 'x', process: 'p',
  };

  it('has an unknown outcome for all if the process that made it is gone', async () => {
    const stage = new Stage();
    stage.claim = { kind: 'running', call: running };
    stage.answer = { ...stage.answer, isCallRunning: () => false };
    assert.equal(await stage.pays(stage.calls({}), once), UNFINISHED_RESULTS.unknown);
    assert.deepEqual([stage.lost, stage.unknown], [stage.spoken.map(({ key }) => key), ['pay']]);
  });

  it('is told as unknown by the claim that finds it lost', async () => {
    const stage = new Stage();
    stage.claim = { kind: 'lost', call: { ...running, state: 'unknown' } };
    assert.equal(await stage.pays(stage.calls({}), once), UNFINISHED_RESULTS.unknown);
    assert.deepEqual(stage.unknown, ['pay']);
  });

  it('is not claimed again after its turn, though what it waited for did nothing', async () => {
    const stage = new Stage();
    const calls = stage.calls({});
    stage.claim = { kind: 'running', call: running };
    stage.answer = {
      ...stage.answer,
      isIdle: () => {
        calls.turnEnded(new Error('the turn ended'), 0, false);
        return true;
      },
    };
    assert.equal(await stage.pays(calls, once), UNFINISHED_RESULTS.interrupted);
    assert.deepEqual([stage.acts, stage.progress], [[], [1]]);
  });
});

describe('a call that acts once, which other processes know of', () => {
  const once = { once: () => 'it' } as const;
  const key = onceKey('c', 'pay', 'it');
  const running = {
    state: 'running', content: UNFINISHED_RESULTS.running, tool: 'pay', claimedAt: 0,
    turnId: 't', runId: 1, toolCallId: 'y',
  } as const;

  it('counts as asking while it asks them: of two that do, only one may go ahead', async () => {
    const stage = new Stage();
    await stage.pays(stage.calls({}), once);
    assert.deepEqual([stage.wasAsking, stage.running.isAsking(key)], [true, false]);
  });

  // Seed 100001532 of the fleet: its process said that it was about to pay, and died.
  it('does not count as asking if its turn is over by then: it claims nothing', async () => {
    const stage = new Stage();
    stage.meanwhile = () => {
      stage.isOver = true;
    };
    assert.equal(await stage.pays(stage.calls({}), once), UNFINISHED_RESULTS.interrupted);
    assert.equal(stage.wasAsking, false);
  });

  it('acts if the claim is its own: the others may be waiting for this process', async () => {
    const stage = new Stage();
    stage.claims = { [key]: { ...running, process: 'own' } };
    stage.runner = 'q';
    assert.equal(await stage.pays(stage.calls({}), once), '"paid"');
    assert.deepEqual(stage.asked, []);
  });

  for (const [what, isAlive, awaited] of [
    ['the process of the claim', true, 'p'],
    ['a process that runs it, if that of the claim is gone', false, 'q'],
  ] as const)
    it(`waits for ${what}`, async () => {
      const stage = new Stage();
      stage.claims = { [key]: { ...running, turnId: 'other', process: 'p' } };
      stage.runner = 'q';
      const calls = stage.calls({});
      const ends = (): boolean => {
        calls.turnEnded(new Error('the turn ended'), 0, false);
        return false;
      };
      stage.answer = { ...stage.answer, isAlive: () => isAlive, isIdle: ends };
      await stage.pays(calls, once);
      assert.deepEqual(new Set(stage.asked), new Set([awaited]));
      assert.equal(stage.spoken[0]?.runner, awaited);
    });
});

describe('the result of a call', () => {
  it('says which erasure its turn has seen: what was erased since does not come back', async () => {
    const stage = new Stage();
    await stage.pays(stage.calls({ erasedAt: 7 }));
    assert.deepEqual(stage.results.map(({ erasedAt }) => erasedAt), [7]);
  });
});

describe('a call that an earlier run of the turn has made', () => {
  const earlier: EarlierToolCall = {
    role: 'tool', turnId: 't', toolCallId: 'x', runId: 2, key: KEY, process: 'own',
    state: 'running', content: UNFINISHED_RESULTS.running,
  };

  it('has an unknown outcome if it should run here and does not', async () => {
    const stage = new Stage();
    const told = await stage.pays(stage.calls({}, [earlier]));
    assert.equal(told, UNFINISHED_RESULTS.unknown);
    assert.deepEqual([stage.acts, stage.asked], [[], []]);
  });
});

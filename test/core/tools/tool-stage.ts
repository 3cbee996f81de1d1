// A run of a turn that makes tool calls. Its store and other processes say what the test says.

import { createLogger } from '../../../src/base/log.ts';
import {
  emptyConversation, type Conversation,
} from '../../../src/core/conversations/conversation.ts';
import type { EarlierToolCall } from '../../../src/core/conversations/discarded-turns.ts';
import type { UpdateOptions } from '../../../src/core/conversations/store.ts';
import { LiveState } from '../../../src/core/state/live-state.ts';
import { callKey } from '../../../src/core/tools/tool-call-key.ts';
import type {
  SpokenToolCall, ToolCallingTurn, ToolHost,
} from '../../../src/core/tools/tool-calling-turn.ts';
import { RunningToolCalls } from '../../../src/core/tools/tool-calls-running.ts';
import { ToolCalls } from '../../../src/core/tools/tool-calls.ts';
import type { ToolOutcome, ToolRun } from '../../../src/core/tools/tool-run.ts';

/** The key of the call that every test makes. */
export const KEY = callKey('c', 't', 'pay', '{}', 0, undefined);

/** A run of turn `t` in process `own`, and what its calls have done and stored. */
export class Stage {
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
  /** Whether this process is the first that finds a claim lost. */
  isFirst = true;
  /** What the store says of the run. */
  ownership = 'noted';
  /** Whether process `p` is gone. */
  isGone = false;
  /** What is stored of the conversation when a call of another process is waited for. */
  stored: Partial<Conversation> = {};
  /** What this process remembers of the conversation. */
  remembered: Partial<Conversation> | undefined;
  /** The processes whose calls were waited for. */
  readonly awaited: string[] = [];
  /** The calls of other runs that the store reports when it is written. */
  learnt: readonly EarlierToolCall[] = [];
  /** Called while the store is being written. */
  storing = (_options: UpdateOptions): void => undefined;
  /** Called while a call of another process is waited for. */
  waiting = (): void => undefined;
  /** The claims that were given back. */
  readonly released: unknown[] = [];
  /** The results that were stored. */
  readonly results: Record<string, unknown>[] = [];
  /** What the work of the turn was told. */
  readonly noted: string[] = [];
  isOver = false;
  /** For a turn whose agent has a state. Nobody looks at it. */
  readonly liveState = new LiveState(() => ({}), undefined, 0, () => undefined);

  calls(turn: Partial<ToolCallingTurn>, earlier: readonly EarlierToolCall[] = []): ToolCalls {
    const stage = this;
    const work = {
      noteStore: (step: string) => void this.noted.push(`waited for ${step}`),
      toolBegan: (tool: string) => void this.noted.push(`${tool} began`),
      toolEnded: (_id: string, end: string) => void this.noted.push(end),
      settlingBegan: () => undefined, settlingEnded: () => undefined,
    };
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
      work,
      workSoFar: work,
      log: createLogger({ level: 'silent', write: () => undefined }),
      learn: (known: readonly EarlierToolCall[]) => calls.learn(known),
    };
    const told = Object.defineProperties({}, {
      ...Object.getOwnPropertyDescriptors(run), ...Object.getOwnPropertyDescriptors(turn),
    }) as ToolCallingTurn;
    const calls = new ToolCalls(told, earlier);
    return calls;
  }

  #host(): ToolHost {
    const conversations = {
      remembered: () => this.remembered,
      keyOf: (id: string) => id,
      goneAmong: (processes: readonly string[]) => {
        this.waiting();
        return Promise.resolve(new Set(this.isGone ? processes : []));
      },
      read: () => ({ ...emptyConversation('c'), ...this.stored }),
      releaseClaims: (_id: string, claims: readonly unknown[]) =>
        void this.released.push(...claims),
      noteProgress: (
        _id: string,
        { claims = [] }: { claims?: readonly unknown[] },
        options: UpdateOptions = {},
      ) => {
        this.progress.push(claims.length);
        this.storing(options);
        const outcomes = claims.map(() => this.claim);
        return { ownership: this.ownership, claims: outcomes, earlierCalls: this.learnt };
      },
      noteToolResult: (_id: string, result: Record<string, unknown>) => {
        this.results.push(result);
        return { isKept: true, wasUnknown: false };
      },
      loseClaim: (_id: string, key: string) => this.lost.push(key) > 0 && this.isFirst,
    };
    const others = {
      awaitCall: (_id: string, process: string) => {
        this.awaited.push(process);
        return () => undefined;
      },
      callEnded: () => undefined,
    };
    const observer = { unknownOutcome: (tool: string) => void this.unknown.push(tool) };
    return {
      conversations, others, calls: this.running, process: 'own', observer, track: () => undefined,
    } as unknown as ToolHost;
  }

  /** Makes the call, and resolves with what the model is told. */
  async pays(calls: ToolCalls, tool: Partial<ToolRun> = {}): Promise<string | undefined> {
    return (await this.outcome(calls, tool))?.content;
  }

  async outcome(calls: ToolCalls, tool: Partial<ToolRun> = {}): Promise<ToolOutcome | undefined> {
    const run = (): string => {
      this.acts.push('paid');
      return '"paid"';
    };
    const [outcome] = await calls.run(
      [{ id: 'y', name: 'pay', args: '{}' }], () => ({ name: 'pay', run, ...tool }),
    );
    return outcome;
  }
}

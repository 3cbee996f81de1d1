import type { ToolCall, ToolMessage } from '../conversations/message.ts';
import type { ClaimOutcome } from '../conversations/once-rules.ts';
import { UNFINISHED_RESULTS } from '../conversations/unfinished-tool-results.ts';
import { callKey, canonicalArguments, onceKey, uniqueKey } from './tool-call-key.ts';
import type { SpokenToolCall, ToolCallingTurn } from './tool-calling-turn.ts';
import type { KnownToolCall } from './tool-calls-earlier.ts';
import { RunningToolCall } from './tool-calls-running.ts';
import type { ToolRun } from './tool-run.ts';

export interface NotedToolCall {
  readonly spoken: SpokenToolCall;
  /** The id that the model gave it, which might not be unique. */
  readonly givenId: string;
  /** The idempotency key. */
  key: string;
  readonly round: number;
  readonly running: RunningToolCall;
  /** How to run it. Undefined if that is not known, and for a call that the agent runs itself. */
  tool: ToolRun | undefined;
  /** Why it cannot run. */
  failure: { readonly error: unknown } | undefined;
  /** The same call, made before. Undefined if there is none, and until that has been looked up. */
  earlier: KnownToolCall | undefined;
  /** Whether it acts once per conversation. */
  isOnce: boolean;
  /**
   * The key that such a call has at the moment: its `once` may read the state. Undefined if `run`
   * will refuse it. Rejects with what `once` throws.
   */
  keyNow: () => Promise<string | undefined>;
  claims: number;
  /** What happened to the last claim. Undefined for a call that makes none. */
  claim: ClaimOutcome | undefined;
  /** Undefined before the call begins, and for a call that the agent runs itself. */
  whenInterrupted: 'abort' | 'finish' | undefined;
  /** Whether it may be changing the state now, and its result stays in history. */
  isActing: boolean;
  /** Name of the agent to hand the conversation over to when the call returns. */
  handOver: string | undefined;
}

/** What history says about a call that is running, or about to. */
export const BEGUN = { state: 'running', content: UNFINISHED_RESULTS.running } as const;

/** The name of the tool for logs and metrics: not the one that the model wrote. */
export function toolNameOf({ tool }: NotedToolCall): string {
  return tool?.name ?? 'unknown';
}

/**
 * The tool calls of one run of a turn. Each has an id that is unique in the run and in the history
 * that the run has seen, and its idempotency key.
 */
export class NotedToolCalls {
  readonly #turn: ToolCallingTurn;
  readonly #calls: NotedToolCall[] = [];
  readonly #ids: Set<string>;
  /** How many identical calls there are, by agent, tool and arguments. */
  readonly #alike = new Map<string, number>();
  #rounds = 0;

  constructor(turn: ToolCallingTurn, earlierCalls: readonly ToolMessage[]) {
    this.#turn = turn;
    this.#ids = new Set(earlierCalls.map(({ toolCallId }) => toolCallId));
  }

  /** Notes calls that a model made together. */
  add(calls: readonly ToolCall[]): readonly NotedToolCall[] {
    this.#rounds += 1;
    const { runId, host: { process } } = this.#turn;
    const noted = calls.map((given): NotedToolCall => {
      const call = { id: this.#uniqueId(given.id), name: given.name, args: given.args };
      const key = this.#keyOf(call);
      return {
        spoken: { call, key, runId, process, ...BEGUN },
        givenId: given.id,
        key: key ?? uniqueKey(),
        round: this.#rounds,
        running: new RunningToolCall(),
        tool: undefined,
        failure: undefined,
        earlier: undefined,
        isOnce: false,
        keyNow: async () => undefined,
        claims: 0,
        claim: undefined,
        whenInterrupted: undefined,
        isActing: false,
        handOver: undefined,
      };
    });
    this.#calls.push(...noted);
    return noted;
  }

  onceKeyOf({ spoken: { call } }: NotedToolCall, text: string): string {
    return onceKey(this.#conversation, call.name, text);
  }

  /** The calls that have no result yet. */
  get running(): readonly NotedToolCall[] {
    return this.#calls.filter(({ spoken }) => spoken.state === 'running');
  }

  /** The first call with that key, whether or not it has begun. */
  withKey(key: string): NotedToolCall | undefined {
    return this.#calls.find((call) => call.key === key);
  }

  /**
   * The call that a result is for, among those that the agent runs itself. `givenId` is the model's
   * id.
   */
  awaiting(givenId: string): NotedToolCall | undefined {
    // Some vendors start counting afresh in each reply, so ids repeat. The newest round with the id
    // is meant, and in it the first call without a result.
    const open = this.#calls.filter(
      (call) =>
        call.givenId === givenId
        && call.whenInterrupted === undefined
        && call.spoken.state !== 'completed',
    );
    return open.find(({ round }) => round === open.at(-1)?.round);
  }

  #uniqueId(given: string): string {
    let id = given || 'call';
    for (let count = 2; this.#ids.has(id); count++) id = `${given || 'call'}-${count}`;
    this.#ids.add(id);
    return id;
  }

  /** Undefined if the arguments are not JSON: such a call is not identical to any other. */
  #keyOf({ name, args }: ToolCall): string | undefined {
    const canonical = canonicalArguments(args);
    if (canonical === undefined) return undefined;
    const { place, spoken: { speaker } } = this.#turn;
    const alike = JSON.stringify([name, canonical, speaker]);
    const occurrence = this.#alike.get(alike) ?? 0;
    this.#alike.set(alike, occurrence + 1);
    return callKey(this.#conversation, place, name, canonical, occurrence, speaker);
  }

  /** The key under which the conversation is stored. */
  get #conversation(): string {
    const { conversationId, host } = this.#turn;
    return host.conversations.keyOf(conversationId);
  }
}

import type { ToolRun } from '../agents/agent.ts';
import type { ConversationManager } from '../conversations/manager.ts';
import { UNFINISHED_RESULTS, type ToolCall, type ToolMessage } from '../conversations/message.ts';
import type { ClaimOutcome } from '../conversations/once-rules.ts';
import { callKey, canonicalArguments, onceKey, uniqueKey } from './call-key.ts';
import type { KnownCall } from './earlier-calls.ts';
import type { CallOwner, SpokenCall } from './reply-messages.ts';
import { RunningCall } from './running-calls.ts';

/** A tool call that was written down. */
export interface NotedCall {
  readonly spoken: SpokenCall;
  /** The id that the model gave it, which may not be unique. */
  readonly givenId: string;
  /** The idempotency key. */
  key: string;
  readonly round: number;
  readonly running: RunningCall;
  /** How to run it. Undefined for a call that the agent runs itself, and if that is not known. */
  tool: ToolRun | undefined;
  /** Why it cannot run. */
  failure: { readonly error: unknown } | undefined;
  /** The same call, made before. Undefined if it was not, and until that was looked up. */
  earlier: KnownCall | undefined;
  /** Whether it acts once per conversation. */
  isOnce: boolean;
  /** What became of its claim. Undefined for a call that makes none. */
  claim: ClaimOutcome | undefined;
  /** Undefined before the call begins, and for a call that the agent runs itself. */
  whenInterrupted: 'abort' | 'finish' | undefined;
  /** Name of the agent to hand the conversation over to when the call returns. */
  handOver: string | undefined;
}

/** The name of the tool for logs and metrics: not the one that the model wrote. */
export function toolNameOf({ tool }: NotedCall): string {
  return tool?.name ?? 'unknown';
}

/** The run of a turn that calls belong to. */
export interface NotingTurn {
  readonly conversationId: string;
  /** What names the turn in the keys of its calls. */
  readonly place: string;
  /** The agent that speaks. Undefined is the path's own. */
  readonly spoken: { readonly speaker: string | undefined };
}

/**
 * The tool calls of one run of a turn. Each has an id that is unique in the run and in the history
 * that the run has seen, and its idempotency key.
 */
export class NotedCalls {
  readonly #turn: NotingTurn;
  readonly #conversations: Pick<ConversationManager, 'keyOf'>;
  readonly #owner: CallOwner;
  readonly #calls: NotedCall[] = [];
  readonly #ids: Set<string>;
  /** How many equal calls there are, by agent, tool and arguments. */
  readonly #alike = new Map<string, number>();
  #rounds = 0;

  constructor(
    turn: NotingTurn,
    owner: CallOwner,
    conversations: Pick<ConversationManager, 'keyOf'>,
    earlierCalls: readonly ToolMessage[],
  ) {
    this.#turn = turn;
    this.#owner = owner;
    this.#conversations = conversations;
    this.#ids = new Set(earlierCalls.map(({ toolCallId }) => toolCallId));
  }

  /** Notes calls that a model made together. */
  add(calls: readonly ToolCall[]): readonly NotedCall[] {
    this.#rounds += 1;
    const noted = calls.map((given): NotedCall => {
      const call = { id: this.#uniqueId(given.id), name: given.name, args: given.args };
      const key = this.#keyOf(call);
      const { running } = UNFINISHED_RESULTS;
      return {
        spoken: { call, key, owner: this.#owner, state: 'running', content: running },
        givenId: given.id,
        key: key ?? uniqueKey(),
        round: this.#rounds,
        running: new RunningCall(),
        tool: undefined,
        failure: undefined,
        earlier: undefined,
        isOnce: false,
        claim: undefined,
        whenInterrupted: undefined,
        handOver: undefined,
      };
    });
    this.#calls.push(...noted);
    return noted;
  }

  /** The key of a call that acts once per conversation. */
  onceKeyOf({ spoken: { call } }: NotedCall, text: string): string {
    return onceKey(this.#conversations.keyOf(this.#turn.conversationId), call.name, text);
  }

  /** Those that have no result yet. */
  get running(): readonly NotedCall[] {
    return this.#calls.filter(({ spoken }) => spoken.state === 'running');
  }

  /** The call that the agent runs itself and that a result is for. `givenId` is the model's id. */
  awaiting(givenId: string): NotedCall | undefined {
    // Some vendors begin to count in each reply, so ids repeat. The newest round with the id is
    // meant, and in it the first call without a result.
    const open = this.#calls.filter(
      (call) =>
        call.givenId === givenId &&
        call.whenInterrupted === undefined &&
        call.spoken.state !== 'completed',
    );
    return open.find(({ round }) => round === open.at(-1)?.round);
  }

  #uniqueId(given: string): string {
    let id = given || 'call';
    for (let count = 2; this.#ids.has(id); count++) id = `${given || 'call'}-${count}`;
    this.#ids.add(id);
    return id;
  }

  /** Undefined if the arguments are not JSON: such a call is equal to no other. */
  #keyOf({ name, args }: ToolCall): string | undefined {
    const canonical = canonicalArguments(args);
    if (canonical === undefined) return undefined;
    const { conversationId, place, spoken: { speaker } } = this.#turn;
    const alike = JSON.stringify([name, canonical, speaker]);
    const occurrence = this.#alike.get(alike) ?? 0;
    this.#alike.set(alike, occurrence + 1);
    const conversation = this.#conversations.keyOf(conversationId);
    return callKey(conversation, place, name, canonical, occurrence, speaker);
  }
}

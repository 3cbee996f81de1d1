import { callerIn, findTurn, historyUpTo, type Conversation } from './conversation.ts';
import type { EarlierToolCall } from './discarded-turns.ts';
import type { LostCall } from './elsewhere.ts';
import type { CutTurn } from './heard.ts';
import type { Message } from './message.ts';
import type { RunLinks } from './trace-place.ts';
import type { RunElsewhere, TurnRecord } from './turn-record.ts';

/** What a turn has found in its conversation: see `OpenedTurn`. */
export type FoundByTurn = Pick<
  OpenedTurn,
  'isResumed' | 'cut' | 'earlierCalls' | 'endedElsewhere' | 'lostCalls' | 'links' | 'mayAct'
>;

/** An opened turn as its run sees it. Exposes no record the run could change. */
export class OpenedTurn {
  readonly kind = 'opened';
  /**
   * The opening's `turnId`, or an id of our own if other words have already begun a turn with that
   * id.
   */
  readonly turnId: string;
  /** Whether the conversation existed before this turn. */
  readonly isResumed: boolean;
  /** An older turn, cut to what the caller heard. */
  readonly cut: CutTurn | undefined;
  /**
   * Calls by earlier runs of this turn that have completed, are still running, or have an unknown
   * outcome.
   */
  readonly earlierCalls: readonly EarlierToolCall[];
  /**
   * Runs in other processes that this run has ended: of older turns, and of this turn. Those
   * processes have not been told yet.
   */
  readonly endedElsewhere: readonly RunElsewhere[];
  /** Tool calls whose outcome is unknown from now on, because their process is gone. */
  readonly lostCalls: readonly LostCall[];
  /** What identifies the turn in the keys of its tool calls: see `TurnRecord.number`. */
  readonly place: string;
  /**
   * False if the request is a late copy of one that was followed or replaced by another turn, which
   * has completed. It is answered, but its tools must not change anything.
   */
  readonly mayAct: boolean;
  /** Undefined if it is not traced. */
  readonly links: RunLinks | undefined;
  /** When the conversation was last erased. 0: never. */
  readonly erasedAt: number;
  #conversation: Conversation;
  #record: TurnRecord;

  constructor(conversation: Conversation, record: TurnRecord, found: FoundByTurn) {
    this.turnId = record.id;
    this.isResumed = found.isResumed;
    this.cut = found.cut;
    this.earlierCalls = found.earlierCalls;
    this.endedElsewhere = found.endedElsewhere;
    this.lostCalls = found.lostCalls;
    // No platform's id contains a control character.
    this.place = record.number === undefined ? record.id : `\u0000${record.number}`;
    this.mayAct = found.mayAct;
    this.links = found.links;
    this.erasedAt = conversation.erasedAt ?? 0;
    this.#conversation = conversation;
    this.#record = record;
  }

  /** From now on it sees a later copy of the conversation, if its run still has the turn there. */
  seeLater(later: Conversation | undefined): void {
    const record = later === undefined ? undefined : findTurn(later, this.turnId);
    if (later === undefined || record?.runId !== this.#record.runId) return;
    this.#conversation = later;
    this.#record = record;
  }

  /** Copies of the current messages up to the caller's words and the calls of earlier runs. */
  history(): Message[] {
    return historyUpTo(this.#conversation, this.#record);
  }

  /** The agent's state, as JSON text. Undefined if none is stored. */
  get state(): string | undefined {
    return this.#conversation.state;
  }

  /** How many turns have been discarded. */
  get discardedTurns(): number {
    if (this.#record.number === undefined) return 0; // a wire that discards none
    return this.#conversation.turns.filter(({ isDiscarded }) => isDiscarded === true).length;
  }

  /** The agent that the conversation was last handed over to. */
  get agent(): string | undefined {
    return this.#conversation.agent;
  }

  /** The names of the conversation's values. Undefined if it has none. */
  get placeholders(): Conversation['placeholders'] {
    return this.#conversation.placeholders;
  }

  /** Who called in that session, if known. */
  callerIn(sessionId: string): ReturnType<typeof callerIn> {
    return callerIn(this.#conversation, sessionId);
  }
}

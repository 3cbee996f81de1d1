// What may happen to a conversation: pure functions over plain data, so that every store runs the
// same rules.

import { trim, type ConversationBounds } from './bounds.ts';
import {
  add,
  addTurn,
  callerIn,
  findTurn,
  historyUpTo,
  keepCaller,
  keepState,
  rewrite,
  subtract,
  type Conversation,
  type KnownCaller,
} from './conversation.ts';
import { cutOf, noteHeard, type CutTurn, type Interruption } from './heard.ts';
import {
  type Message,
  type SentEvent,
  type ToolMessage,
  type TurnState,
} from './message.ts';
import {
  earlierRounds, forgetLostCalls, keepHandOver, withKnownResults,
} from './tool-call-rules.ts';
import {
  idOfNth,
  forgetRun,
  isBegunBy,
  isPlainReply,
  leadingMessages,
  messagesOf,
  newTurn,
  ownMessages,
  sentEvents,
  setMessages,
  setPlain,
  toolMessagesOf,
  type RunElsewhere,
  type TurnFigures,
  type TurnRecord,
} from './turn-record.ts';

export interface TurnOpening {
  readonly turnId: string;
  readonly runId: number;
  /** The caller's words; undefined for a turn that the caller did not begin. */
  readonly text?: string | undefined;
  readonly interruption?: Interruption | undefined;
  /** Where the event names the caller of a telephone call. */
  readonly caller?: KnownCaller | undefined;
  /**
   * What the turns that run in this process would leave if they ended now. This turn interrupts
   * them.
   */
  readonly running?: readonly TurnSettlement[] | undefined;
  /** Whether a living process runs the tool call of that key. Default: none does. */
  readonly isCallRunning?: ((key: string) => boolean) | undefined;
  /** The address of this process, where others share the conversation. */
  readonly process?: string | undefined;
  /** Whether other processes were asked what they run. Until then nothing is taken from them. */
  readonly hasAsked?: boolean | undefined;
  /** Where calls are recorded. */
  readonly figures?: TurnFigures | undefined;
}

/** A turn that was opened, as its run sees it. Holds no record that the run could change. */
export class OpenedTurn {
  readonly kind = 'opened';
  /**
   * The `turnId` of the opening, or one of our own where a turn of that id was begun by other
   * words.
   */
  readonly turnId: string;
  /** Whether the conversation was known before this turn. */
  readonly isResumed: boolean;
  /** An older turn that was cut to what was heard. */
  readonly cut: CutTurn | undefined;
  /** Calls of earlier runs of this turn that completed, still run, or whose outcome is unknown. */
  readonly earlierCalls: readonly ToolMessage[];
  /** Runs of other processes that this turn has ended. They do not know it yet. */
  readonly endedElsewhere: readonly RunElsewhere[];
  readonly #conversation: Conversation;
  readonly #record: TurnRecord;

  constructor(
    conversation: Conversation,
    record: TurnRecord,
    isResumed: boolean,
    cut: CutTurn | undefined,
    earlierCalls: readonly ToolMessage[],
    endedElsewhere: readonly RunElsewhere[],
  ) {
    this.turnId = record.id;
    this.isResumed = isResumed;
    this.cut = cut;
    this.earlierCalls = earlierCalls;
    this.endedElsewhere = endedElsewhere;
    this.#conversation = conversation;
    this.#record = record;
  }

  /**
   * The messages up to the caller's words and the calls of earlier runs, as they are now. Copies.
   */
  history(): Message[] {
    return historyUpTo(this.#conversation, this.#record);
  }

  /** The agent's state: JSON text. Undefined where none was stored. */
  get state(): string | undefined {
    return this.#conversation.state;
  }

  /** The name of the agent that it was handed over to last. */
  get agent(): string | undefined {
    return this.#conversation.agent;
  }

  /** Who called in that session, where that is known. */
  callerIn(sessionId: string): ReturnType<typeof callerIn> {
    return callerIn(this.#conversation, sessionId);
  }
}

export type TurnOpeningResult =
  | OpenedTurn
  /** The same delivery was completed: its reply can be sent again. */
  | { readonly kind: 'completed before'; readonly sent: readonly SentEvent[] }
  /**
   * The same delivery began a turn that was interrupted or failed, and a newer turn runs: nothing
   * is to be done.
   */
  | { readonly kind: 'stale' }
  /**
   * Another process runs the same delivery, or tools that this turn would take for lost: it is to
   * be asked first. Nothing is changed.
   */
  | {
      readonly kind: 'elsewhere';
      /** Of the same delivery. */
      readonly same: RunElsewhere | undefined;
      /** Keys of tool calls, by the process that may run them. */
      readonly calls: ReadonlyMap<string, readonly string[]>;
    };

/** How a run ended. */
export interface TurnSettlement {
  readonly turnId: string;
  readonly runId: number;
  readonly state: Exclude<TurnState, 'open'>;
  /**
   * What the run said and called: what follows the caller's words, and the calls of earlier runs,
   * in history.
   */
  readonly messages: readonly Message[];
  readonly sent?: readonly SentEvent[] | undefined;
  readonly filler?: string | undefined;
  /** The agent's state: JSON text. Kept whoever closed the turn, but not by an older run of it. */
  readonly agentState?: string | undefined;
  /** Where calls are recorded. */
  readonly figures?: TurnFigures | undefined;
}

const NO_CALLS: readonly ToolMessage[] = [];
const NO_TURNS: readonly TurnRecord[] = [];
const NO_RUNS: readonly RunElsewhere[] = [];

/**
 * Begins a turn: ends those that were open, cuts an older one to what was heard, stores the
 * caller's words and a placeholder. A delivery that was completed is left alone. One that was
 * interrupted or failed runs anew in its old place, unless a newer turn runs.
 */
export function openTurn(
  conversation: Conversation,
  opening: TurnOpening,
  bounds: ConversationBounds,
): TurnOpeningResult {
  const { runId, text, running = [], isCallRunning = () => false } = opening;
  const turnId = idOf(conversation, opening);
  const known = findTurn(conversation, turnId);
  if (known?.state === 'completed') return { kind: 'completed before', sent: sentEvents(known) };
  if (known !== undefined && known.state !== 'open' && runsAfter(conversation, known, running))
    return { kind: 'stale' };
  if (opening.process !== undefined && opening.hasAsked !== true) {
    const elsewhere = runsElsewhere(conversation, known, opening.process);
    if (elsewhere !== undefined) return elsewhere;
  }

  const isResumed = conversation.turns.length > (known === undefined ? 0 : 1);
  const ended =
    opening.process === undefined ? NO_RUNS : openRunsElsewhere(conversation, opening.process);
  const closed = conversation.openTurns > 0 ? closeOpenTurns(conversation, running) : NO_TURNS;
  if (conversation.runningCalls > 0)
    for (const turn of conversation.turns) forgetLostCalls(conversation, turn, isCallRunning);
  const heard =
    opening.interruption === undefined
      ? undefined
      : noteHeard(conversation, opening.interruption, turnId);
  // Their runs may still be sending, and have the last word on that unless the platform has said
  // what was heard.
  const decided = opening.interruption?.textHeard === undefined ? undefined : heard?.record;
  for (const turn of closed) if (turn !== decided) turn.isUnknown = true;

  const record = known ?? newTurn(turnId, 'open', runId);
  const earlier = known === undefined ? [] : earlierRounds(known);
  if (known === undefined) addTurn(conversation, record);
  conversation.openTurns += 1;
  record.state = 'open';
  record.runId = runId;
  if (opening.process !== undefined) record.process = opening.process;
  if (opening.figures !== undefined) record.figures = opening.figures;
  if (known !== undefined) forgetRun(record);
  subtract(conversation, record);
  if (earlier.length === 0)
    setPlain(record, text ?? null, ''); // the placeholder
  else {
    const leading: Message[] = [
      ...(text === undefined ? [] : [{ role: 'user', content: text, turnId } as const]),
      ...earlier,
    ];
    setMessages(
      record,
      [...leading, { role: 'assistant', content: '', turnId, state: 'open' }],
      leading.length,
    );
  }
  add(conversation, record);
  keepCaller(conversation, opening.caller);
  trim(conversation, bounds);
  return new OpenedTurn(
    conversation,
    record,
    isResumed,
    cutOf(heard),
    earlier.length === 0 ? NO_CALLS : toolMessagesOf(record),
    ended,
  );
}

/**
 * Ends a run, once. False when it no longer owns the turn: the turn was settled, cut to what was
 * heard, run anew or cleared. A turn that a newer one closed is still its run's to settle, as only
 * the run knows what was sent.
 */
export function settleTurn(
  conversation: Conversation,
  settlement: TurnSettlement,
  bounds: ConversationBounds,
): boolean {
  const record = findTurn(conversation, settlement.turnId);
  if (record?.runId !== settlement.runId) return false;
  keepState(conversation, settlement.agentState);
  if (record.state !== 'open' && record.isUnknown !== true) return false;
  settle(conversation, record, settlement);
  trim(conversation, bounds);
  return true;
}

function settle(
  conversation: Conversation,
  record: TurnRecord,
  { state, messages, sent, filler, figures }: TurnSettlement,
): void {
  if (record.state === 'open') conversation.openTurns -= 1;
  record.state = state;
  if (figures !== undefined) record.figures = figures;
  if (record.isUnknown !== undefined) delete record.isUnknown;
  if (filler !== undefined) record.filler = filler;
  subtract(conversation, record);
  if (record.messages === undefined && messages.length <= 1 && messages.every(isPlainReply)) {
    setPlain(record, record.words, messages[0]?.content ?? null);
  } else {
    keepHandOver(conversation, record, messages);
    const leading = leadingMessages(record);
    setMessages(record, leading.concat(withKnownResults(record, messages)), leading.length);
  }
  if (sent !== undefined) record.sent = sent;
  // Deleting costs a call into V8's runtime, even where there is nothing to delete.
  else if (record.sent !== undefined) delete record.sent;
  add(conversation, record);
}

/** Appends a message: to its turn where that is known, else as a completed turn of its own. */
export function appendMessage(
  conversation: Conversation,
  message: Message,
  bounds: ConversationBounds,
): void {
  let record = findTurn(conversation, message.turnId);
  if (record === undefined) {
    record = newTurn(message.turnId, 'completed', 0);
    addTurn(conversation, record);
  }
  rewrite(conversation, record, [...messagesOf(record), message], record.kept);
  trim(conversation, bounds);
}

/** The turns that other processes run, as far as the conversation knows. */
export function openRunsElsewhere(
  { turns, openTurns }: Conversation,
  own: string,
): readonly RunElsewhere[] {
  if (openTurns === 0) return NO_RUNS;
  return turns.flatMap(({ state, process, runId }) =>
    state === 'open' && process !== undefined && process !== own ? [{ process, runId }] : [],
  );
}

function runsElsewhere(
  conversation: Conversation,
  known: TurnRecord | undefined,
  own: string,
): Extract<TurnOpeningResult, { readonly kind: 'elsewhere' }> | undefined {
  const open = openRunsElsewhere(conversation, own);
  const same = open.find(({ runId }) => known?.state === 'open' && known.runId === runId);
  const calls = new Map<string, string[]>();
  if (conversation.runningCalls > 0) {
    for (const turn of conversation.turns) {
      if (turn.process === undefined || turn.process === own) continue;
      const keys = toolMessagesOf(turn).flatMap(({ state, key }) =>
        state === 'running' && key !== undefined ? [key] : [],
      );
      if (keys.length > 0) calls.set(turn.process, [...(calls.get(turn.process) ?? []), ...keys]);
    }
  }
  return same === undefined && calls.size === 0 ? undefined : { kind: 'elsewhere', same, calls };
}

/**
 * The delivery's turn. An id that other words have taken begins another turn, under an id of our
 * own: the same words find it again when they are delivered again.
 */
function idOf(conversation: Conversation, { turnId, text }: TurnOpening): string {
  for (let n = 1; ; n += 1) {
    const id = idOfNth(turnId, n);
    const known = findTurn(conversation, id);
    if (known === undefined || isBegunBy(known, text)) return id;
  }
}

/** Whether one of these runs has a turn that came after this one. */
function runsAfter(
  { turns }: Conversation,
  record: TurnRecord,
  running: readonly TurnSettlement[],
): boolean {
  for (let index = turns.length - 1; index >= 0 && turns[index] !== record; index--) {
    const turn = turns[index];
    if (turn?.state === 'open' && running.some(({ runId }) => runId === turn.runId)) return true;
  }
  return false;
}

/**
 * Closes the open turns, as another one begins. Of those that run here it is known what they have
 * sent so far: these are returned.
 */
function closeOpenTurns(
  conversation: Conversation,
  running: readonly TurnSettlement[],
): readonly TurnRecord[] {
  const closed: TurnRecord[] = [];
  for (const record of conversation.turns) {
    if (record.state !== 'open') continue;
    const soFar = running.find(({ runId }) => runId === record.runId);
    if (soFar === undefined) abandon(conversation, record);
    else {
      settle(conversation, record, soFar);
      closed.push(record);
    }
  }
  return closed;
}

/** The turn's run is gone, perhaps with its process: what it sent is not known here. */
function abandon(conversation: Conversation, record: TurnRecord): void {
  conversation.openTurns -= 1;
  record.state = 'interrupted';
  record.isUnknown = true;
  const leading = leadingMessages(record);
  const own = ownMessages(record).flatMap((message): Message[] => {
    if (message.role !== 'assistant') return [message];
    return message.content === '' && message.toolCalls === undefined
      ? []
      : [{ ...message, state: 'interrupted' }];
  });
  rewrite(conversation, record, [...leading, ...own], leading.length);
}

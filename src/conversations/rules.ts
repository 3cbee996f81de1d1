// The rules of a conversation: pure functions over plain data, the same for every store.

import type { Interruption } from '../calls/call-event.ts';
import type { SentEvent } from '../calls/reply-event.ts';
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
  settleForGood,
  subtract,
  type Conversation,
  type KnownCaller,
} from './conversation.ts';
import { cutOf, noteHeard, type CutTurn } from './heard.ts';
import { type Message, type ToolMessage, type TurnState } from './message.ts';
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
  /** The caller's words. Undefined if the caller did not begin the turn. */
  readonly text?: string | undefined;
  readonly interruption?: Interruption | undefined;
  /** Set if the event names a telephone caller. */
  readonly caller?: KnownCaller | undefined;
  /**
   * What each turn running in this process would leave if it ended now. The new turn interrupts
   * them.
   */
  readonly running?: readonly TurnSettlement[] | undefined;
  /** Whether a living process runs the tool call with this key. Default: none does. */
  readonly isCallRunning?: ((key: string) => boolean) | undefined;
  /** The address of this process, if it shares the conversation with others. */
  readonly process?: string | undefined;
  /**
   * Whether the other processes have been asked what they run. Until then nothing is taken from
   * them.
   */
  readonly hasAsked?: boolean | undefined;
  /** Where calls are recorded. */
  readonly figures?: TurnFigures | undefined;
}

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
  readonly earlierCalls: readonly ToolMessage[];
  /** Runs of older turns in other processes that this turn has ended. They are not told yet. */
  readonly endedElsewhere: readonly RunElsewhere[];
  /** The run of this turn in another process, if it ran there. It has not been told yet. */
  readonly takenOver: RunElsewhere | undefined;
  readonly #conversation: Conversation;
  readonly #record: TurnRecord;

  constructor(
    conversation: Conversation,
    record: TurnRecord,
    isResumed: boolean,
    cut: CutTurn | undefined,
    earlierCalls: readonly ToolMessage[],
    openElsewhere: readonly RunElsewhere[],
    takenOver: RunElsewhere | undefined,
  ) {
    this.turnId = record.id;
    this.isResumed = isResumed;
    this.cut = cut;
    this.earlierCalls = earlierCalls;
    this.endedElsewhere =
      takenOver === undefined ? openElsewhere : openElsewhere.filter((run) => run !== takenOver);
    this.takenOver = takenOver;
    this.#conversation = conversation;
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

  /** The agent that the conversation was last handed over to. */
  get agent(): string | undefined {
    return this.#conversation.agent;
  }

  /** Who called in that session, if known. */
  callerIn(sessionId: string): ReturnType<typeof callerIn> {
    return callerIn(this.#conversation, sessionId);
  }
}

export type TurnOpeningResult =
  | OpenedTurn
  /** The same delivery has already completed: its reply can be sent again. */
  | { readonly kind: 'completed before'; readonly sent: readonly SentEvent[] }
  /**
   * The same delivery began a turn that was interrupted or failed, and a newer turn is running: do
   * nothing.
   */
  | { readonly kind: 'stale' }
  /**
   * Other processes may be running tool calls that this turn would count as lost. Ask them first;
   * nothing has changed.
   */
  | {
      readonly kind: 'elsewhere';
      /** Keys of tool calls, by the process that may be running them. */
      readonly calls: ReadonlyMap<string, readonly string[]>;
    };

/** How a run ended. */
export interface TurnSettlement {
  readonly turnId: string;
  readonly runId: number;
  readonly state: Exclude<TurnState, 'open'>;
  /**
   * What the run said and called. In history this follows the caller's words and the calls of
   * earlier runs.
   */
  readonly messages: readonly Message[];
  readonly sent?: readonly SentEvent[] | undefined;
  readonly filler?: string | undefined;
  /**
   * The agent's state, as JSON text. Kept even if something else closed the turn, but an older run
   * cannot overwrite a newer run's state.
   */
  readonly agentState?: string | undefined;
  /** Where calls are recorded. */
  readonly figures?: TurnFigures | undefined;
}

const NO_CALLS: readonly ToolMessage[] = [];
const NO_TURNS: readonly TurnRecord[] = [];
const NO_RUNS: readonly RunElsewhere[] = [];

/**
 * Begins a turn: ends the open ones, cuts an older one to what was heard, and stores the caller's
 * words and a placeholder. Leaves a completed delivery alone. A delivery that was interrupted or
 * failed runs again in its old place, unless a newer turn is running.
 */
export function openTurn(
  conversation: Conversation,
  opening: TurnOpening,
  bounds: ConversationBounds,
): TurnOpeningResult {
  const { runId, text, running = [], isCallRunning = () => false } = opening;
  // If a turn with other words has taken the wire's id, this is an id of our own. A repeated
  // delivery has the same words and finds the same id.
  let { turnId } = opening;
  let known = findTurn(conversation, turnId);
  for (let n = 2; known !== undefined && !isBegunBy(known, text); n += 1) {
    turnId = idOfNth(opening.turnId, n);
    known = findTurn(conversation, turnId);
  }
  if (known?.state === 'completed') {
    settleForGood(conversation, known); // the newer delivery gets all of it
    return { kind: 'completed before', sent: sentEvents(known) };
  }
  if (known !== undefined && known.state !== 'open' && runsAfter(conversation, known, running))
    return { kind: 'stale' };
  if (opening.process !== undefined && opening.hasAsked !== true) {
    const elsewhere = callsElsewhere(conversation, opening.process);
    if (elsewhere !== undefined) return elsewhere;
  }

  const isResumed = conversation.turns.length > (known === undefined ? 0 : 1);
  const openElsewhere =
    opening.process === undefined ? NO_RUNS : openRunsElsewhere(conversation, opening.process);
  const takenOver = openElsewhere.find(({ runId: other }) => known?.runId === other);
  const closed = conversation.openTurns > 0 ? closeOpenTurns(conversation, running) : NO_TURNS;
  if (conversation.runningCalls > 0)
    for (const turn of conversation.turns) forgetLostCalls(conversation, turn, isCallRunning);
  const heard =
    opening.interruption === undefined
      ? undefined
      : noteHeard(conversation, opening.interruption, turnId);
  // Their runs may still be sending and know best what was sent, unless the platform has reported
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
    openElsewhere,
    takenOver,
  );
}

/**
 * Ends a run, once. False if the run no longer owns the turn: it was settled, cut to what was
 * heard, run again or cleared. A run whose turn was closed by a newer one still settles it,
 * because only that run knows what was sent.
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
  // `delete` is a slow call into V8, even if the property does not exist.
  else if (record.sent !== undefined) delete record.sent;
  add(conversation, record);
}

/** Appends a message to its turn if known, otherwise as a completed turn of its own. */
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

/** The turns that run in other processes, as far as the conversation knows. */
export function openRunsElsewhere(
  { turns, openTurns }: Conversation,
  own: string,
): readonly RunElsewhere[] {
  if (openTurns === 0) return NO_RUNS;
  return turns.flatMap(({ state, process, runId }) =>
    state === 'open' && process !== undefined && process !== own ? [{ process, runId }] : [],
  );
}

function callsElsewhere(
  { turns, runningCalls }: Conversation,
  own: string,
): Extract<TurnOpeningResult, { readonly kind: 'elsewhere' }> | undefined {
  if (runningCalls === 0) return undefined;
  const calls = new Map<string, string[]>();
  for (const turn of turns) {
    if (turn.process === undefined || turn.process === own) continue;
    const keys = toolMessagesOf(turn).flatMap(({ state, key }) =>
      state === 'running' && key !== undefined ? [key] : [],
    );
    if (keys.length > 0) calls.set(turn.process, [...(calls.get(turn.process) ?? []), ...keys]);
  }
  return calls.size === 0 ? undefined : { kind: 'elsewhere', calls };
}

/** Whether one of these runs belongs to a turn after this one. */
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
 * Closes the open turns because another one begins. Returns those that run in this process, whose
 * sent text so far is known.
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

/** The turn's run is gone, perhaps with its process, so what it sent is unknown here. */
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

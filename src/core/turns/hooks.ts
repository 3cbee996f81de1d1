// The hooks of an agent, and what they are told about their turn without exposing the engine.

import type { IncomingHttpHeaders } from 'node:http';

import { isThenable, type Awaitable } from '../../base/awaitable.ts';
import type { JsonObject } from '../../base/json.ts';
import type { Logger } from '../../base/log.ts';
import type { Agent, Spoken, Turn as AgentTurn, TurnJournal } from '../agents/agent.ts';
import { DEFAULT_APOLOGY, DEFAULT_LIMIT_REACHED } from '../agents/phrases.ts';
import type { Caller, CallerMessage, CallStart, TurnEvent } from '../calls/call-event.ts';
import type { CutTurn } from '../conversations/heard.ts';
import type { Message } from '../conversations/message.ts';
import { Journal } from './journal.ts';
import { TurnReply, type SpeakingTurn } from './reply.ts';
import { failureOf } from './report/failure-reason.ts';
import type { SpokenReply } from './spoken-reply.ts';
import type { TurnRun } from './turn-run.ts';

/** Calls the hook that answers the turn's event. Returns undefined if the agent has none. */
export function callAgent(
  agent: Agent,
  turn: TurnRun,
  isResumed: boolean,
): Awaitable<Spoken> {
  const { told: event } = turn;
  switch (event.type) {
    case 'start':
      return agent.onSessionStart?.(new StartTurnView(event, turn, isResumed), new TurnReply(turn));
    case 'message':
      return agent.onMessage(new MessageTurnView(event, turn), new TurnReply(turn));
    default:
      return event satisfies never;
  }
}

/**
 * Tells the agent that a call has begun, if the platform does the greeting. The reply is already
 * over. Never throws or rejects: a failure is logged.
 */
export function tellStarted(agent: Agent, start: CallStart, turn: TurnRun): Awaitable<void> {
  const failed = (error: unknown): void =>
    turn.log.error('onSessionStart failed', { agent: turn.host.speakers.nameOf(agent), error });
  const reply = new TurnReply(new OverTurn(turn));
  try {
    const told: unknown = agent.onSessionStart?.(new StartTurnView(start, turn, false), reply);
    if (isThenable(told)) return Promise.resolve(told).then(() => undefined, failed);
  } catch (error) {
    failed(error);
  }
}

/**
 * A turn in which nothing can be said. Not a literal with a getter: V8 would give each its own
 * hidden class, and keep the turn alive with it. See decision 5, "Objects that outlive a turn".
 */
class OverTurn implements SpeakingTurn {
  readonly isOver = true;
  readonly canTransfer = false;
  readonly spoken: SpokenReply;
  readonly #turn: TurnRun;

  constructor(turn: TurnRun) {
    this.spoken = turn.spoken;
    this.#turn = turn;
  }

  /** Created on first use. */
  get signal(): AbortSignal {
    return this.#turn.signal;
  }

  send(): boolean {
    return false;
  }

  end(): void {}
}

/** What the agent says when a turn fails. Never throws: a failure is logged. */
export function apologyOf(agent: Agent, turn: TurnRun, error: unknown): string {
  const { apology } = agent;
  const phrase = typeof apology === 'function'
    ? (view: AgentTurn) => apology(view, failureOf(error))
    : apology;
  return phraseOf(agent, phrase, turn, 'apology failed') ?? DEFAULT_APOLOGY;
}

/** What the agent says when the call has reached its limit. Never throws: a failure is logged. */
export function limitTextOf(agent: Agent, turn: TurnRun): string {
  return phraseOf(agent, agent.limitReached, turn, 'limitReached failed') ?? DEFAULT_LIMIT_REACHED;
}

/** Undefined if the agent has no such phrase, or a function that threw or returned no text. */
function phraseOf(
  agent: Agent,
  phrase: Agent['limitReached'],
  turn: TurnRun,
  failure: string,
): string | undefined {
  if (typeof phrase !== 'function') return phrase;
  const { told: event, log, host: { speakers } } = turn;
  try {
    const view = event.type === 'start'
      ? new StartTurnView(event, turn, true)
      : new MessageTurnView(event, turn);
    const text: unknown = phrase(view);
    if (typeof text === 'string') return text;
    log.error(failure, { agent: speakers.nameOf(agent), got: typeof text });
  } catch (error) {
    log.error(failure, { agent: speakers.nameOf(agent), error });
  }
  return undefined;
}

/**
 * Calls `onInterrupted` of the path's own agent, with what is kept of the reply. Never throws: a
 * failure is logged.
 */
export function tellInterrupted(turn: TurnRun, { turnId, text }: CutTurn): void {
  const { conversationId, log, host: { speakers } } = turn;
  const { own } = speakers;
  const failed = (error: unknown): void =>
    log.error('onInterrupted failed', { agent: speakers.nameOf(own), error });
  try {
    const told = own.onInterrupted?.({ conversationId, turnId, text });
    if (told instanceof Promise) told.catch(failed);
  } catch (error) {
    failed(error);
  }
}

/** Signal, log and history are created when read, because most agents read none of them. */
class TurnView<E extends TurnEvent> {
  declare readonly signal: AbortSignal;
  declare readonly log: Logger;
  declare readonly history: readonly Message[];
  declare readonly caller: Caller | undefined;
  declare readonly state: unknown;
  readonly event: E['raw'];
  readonly conversationId: string;
  readonly turnId: string;
  readonly wire: string;
  readonly language: string | undefined;
  readonly metadata: JsonObject;
  readonly headers: IncomingHttpHeaders;
  readonly journal: TurnJournal;
  readonly #turn: TurnRun;

  constructor(event: E, turn: TurnRun) {
    this.#turn = turn;
    // Own properties, because `{ ...turn }` leaves out the getters of a class. All views share the
    // descriptors: with its own getters, each would get its own hidden class.
    Object.defineProperty(this, 'signal', SIGNAL);
    Object.defineProperty(this, 'log', LOG);
    Object.defineProperty(this, 'history', HISTORY);
    this.event = event.raw;
    this.conversationId = event.conversationId;
    this.turnId = turn.turnId;
    this.wire = event.wire;
    this.language = event.language;
    this.metadata = event.metadata;
    this.headers = turn.delivery.headers;
    this.journal = new Journal(turn);
    // Set only if there is one, so that other streams do not keep the property.
    const { caller } = turn;
    if (caller !== undefined) this.caller = caller;
    if (turn.hasState) Object.defineProperty(this, 'state', STATE);
  }

  static turnOf(view: TurnView<TurnEvent>): TurnRun {
    return view.#turn;
  }
}

/** What `onSessionStart` is told. */
class StartTurnView extends TurnView<CallStart> {
  readonly isResumed: boolean;

  constructor(event: CallStart, turn: TurnRun, isResumed: boolean) {
    super(event, turn);
    this.isResumed = isResumed;
  }
}

/** What `onMessage` is told. */
class MessageTurnView extends TurnView<CallerMessage> {
  readonly text: string;

  constructor(event: CallerMessage, turn: TurnRun) {
    super(event, turn);
    this.text = event.text;
  }
}

function lazily<T>(read: (turn: TurnRun) => T): PropertyDescriptor {
  return {
    get(this: TurnView<TurnEvent>): T {
      return read(TurnView.turnOf(this));
    },
    enumerable: true,
    configurable: true,
  };
}

const SIGNAL = lazily(({ signal }) => signal);
const LOG = lazily(({ log }) => log);
const HISTORY = lazily(({ history }) => history);
const STATE = lazily(({ state }) => state);

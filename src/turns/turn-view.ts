// What an agent is told of its turn. It does not show the engine.

import type { IncomingHttpHeaders } from 'node:http';

import type { MessageTurn, StartTurn, TurnJournal } from '../agents/agent.ts';
import type { JsonObject } from '../base/json.ts';
import type { Caller, CallerMessage, CallStart, TurnEvent } from '../calls/call-event.ts';
import type { Message } from '../conversations/message.ts';
import type { Logger } from '../log.ts';
import type { Delivery } from './delivery.ts';
import { Journal, type JournalledTurn } from './journal.ts';

/** A turn as far as its agent may look at it. */
export interface ViewedTurn extends JournalledTurn {
  readonly delivery: Pick<Delivery, 'headers'>;
  readonly history: readonly Message[];
  readonly caller: Caller | undefined;
  /** Whether the agent has a state. */
  readonly hasState: boolean;
  readonly state: unknown;
  readonly log: Logger;
}

/** What `onSessionStart` is told. */
export function startTurn(
  event: CallStart,
  turn: ViewedTurn,
  isResumed: boolean,
): StartTurn {
  return new StartTurnView(event, turn, isResumed);
}

/** What `onMessage` is told. */
export function messageTurn(event: CallerMessage, turn: ViewedTurn): MessageTurn {
  return new MessageTurnView(event, turn);
}

/** Signal, log and history are created when they are read, as most agents read none of them. */
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
  readonly #turn: ViewedTurn;

  constructor(event: E, turn: ViewedTurn) {
    this.#turn = turn;
    // Own properties, because `{ ...turn }` leaves out the getters of a class. All views share the
    // descriptors: with getters of its own, each would get a hidden class of its own.
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
    // Set only if it has one, so that other streams do not keep the property.
    const { caller } = turn;
    if (caller !== undefined) this.caller = caller;
    if (turn.hasState) Object.defineProperty(this, 'state', STATE);
  }

  static turnOf(view: TurnView<TurnEvent>): ViewedTurn {
    return view.#turn;
  }
}

class StartTurnView extends TurnView<CallStart> {
  readonly isResumed: boolean;

  constructor(event: CallStart, turn: ViewedTurn, isResumed: boolean) {
    super(event, turn);
    this.isResumed = isResumed;
  }
}

class MessageTurnView extends TurnView<CallerMessage> {
  readonly text: string;

  constructor(event: CallerMessage, turn: ViewedTurn) {
    super(event, turn);
    this.text = event.text;
  }
}

function lazily<T>(read: (turn: ViewedTurn) => T): PropertyDescriptor {
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

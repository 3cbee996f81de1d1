// What an agent is told of its turn. The engine does not show in it.

import type { IncomingHttpHeaders } from 'node:http';

import type { MessageTurn, StartTurn, TurnJournal } from '../agents/agent.ts';
import type { Message } from '../conversations/message.ts';
import { metadataOf, type Caller } from '../layercode/events.ts';
import type { JsonObject } from '../layercode/fields.ts';
import type { Logger } from '../log.ts';
import type { Delivery, TurnEvent } from './delivery.ts';
import { Journal, type JournalledTurn } from './journal.ts';

/** A turn that an agent is told of. */
export interface ViewedTurn extends JournalledTurn {
  readonly delivery: Pick<Delivery, 'conversationId' | 'headers'>;
  readonly history: readonly Message[];
  readonly caller: Caller | undefined;
  /** Whether the agent has one. */
  readonly hasState: boolean;
  readonly state: unknown;
  readonly log: Logger;
}

/** What `onSessionStart` is told. */
export function startTurn(
  event: StartTurn['event'],
  turn: ViewedTurn,
  isResumed: boolean,
): StartTurn {
  return new StartTurnView(event, turn, isResumed) as StartTurnView & {
    readonly event: StartTurn['event'];
  };
}

/** What `onMessage` is told. */
export function messageTurn(
  event: MessageTurn['event'],
  turn: ViewedTurn,
  text: string,
): MessageTurn {
  return new MessageTurnView(event, turn, text) as MessageTurnView & {
    readonly event: MessageTurn['event'];
  };
}

/** Signal, log and history are read when they are looked at: most agents look at none of them. */
class TurnView {
  declare readonly signal: AbortSignal;
  declare readonly log: Logger;
  declare readonly history: readonly Message[];
  declare readonly caller: Caller | undefined;
  declare readonly state: unknown;
  readonly event: TurnEvent;
  readonly conversationId: string;
  readonly turnId: string;
  readonly metadata: JsonObject;
  readonly headers: IncomingHttpHeaders;
  readonly journal: TurnJournal;
  readonly #turn: ViewedTurn;

  constructor(event: TurnEvent, turn: ViewedTurn) {
    this.#turn = turn;
    // Own properties, as `{ ...turn }` leaves out the getters of a class. One descriptor serves all
    // turns: with a getter of its own, each view would get a hidden class of its own.
    Object.defineProperty(this, 'signal', SIGNAL);
    Object.defineProperty(this, 'log', LOG);
    Object.defineProperty(this, 'history', HISTORY);
    const { conversationId, headers } = turn.delivery;
    this.event = event;
    this.conversationId = conversationId;
    this.turnId = turn.turnId;
    this.metadata = metadataOf(event);
    this.headers = headers;
    this.journal = new Journal(turn);
    // Set only if there is one: an open stream does not pay for what it does not have.
    const { caller } = turn;
    if (caller !== undefined) this.caller = caller;
    if (turn.hasState) Object.defineProperty(this, 'state', STATE);
  }

  static turnOf(view: TurnView): ViewedTurn {
    return view.#turn;
  }
}

class StartTurnView extends TurnView {
  readonly isResumed: boolean;

  constructor(event: TurnEvent, turn: ViewedTurn, isResumed: boolean) {
    super(event, turn);
    this.isResumed = isResumed;
  }
}

class MessageTurnView extends TurnView {
  readonly text: string;

  constructor(event: TurnEvent, turn: ViewedTurn, text: string) {
    super(event, turn);
    this.text = text;
  }
}

function lazily<T>(read: (turn: ViewedTurn) => T): PropertyDescriptor {
  return {
    get(this: TurnView): T {
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

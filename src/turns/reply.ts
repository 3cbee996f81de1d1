// What an agent is given: a reply to speak through, and a turn that says what it is about. Neither
// shows the engine.

import type { IncomingHttpHeaders } from 'node:http';

import type {
  MessageTurn,
  ModelRequestFailure,
  ModelUsage,
  Reply,
  StartTurn,
  ToolCallOutcome,
  ToolOutcome,
  ToolRun,
  TurnJournal,
} from '../agents/agent.ts';
import type { Awaitable } from '../base/awaitable.ts';
import type { Message, ToolCall } from '../conversations/message.ts';
import { metadataOf, type Caller } from '../layercode/events.ts';
import type { Json, JsonObject } from '../layercode/fields.ts';
import type { Logger } from '../log.ts';
import type { TurnEvent } from './delivery.ts';

/** What the run of a turn does for its agent. */
export interface Run extends Reply, TurnJournal {
  readonly history: readonly Message[];
  readonly caller: Caller | undefined;
  /** Whether the agent has one. */
  readonly hasState: boolean;
  readonly state: unknown;
  readonly log: Logger;
}

/**
 * Its verbs can be taken out of it: `({ text }, { say }) => say(text)`. Each is bound when it is
 * first asked for.
 */
export class TurnReply implements Reply {
  readonly #run: Run;
  #say: Reply['say'] | undefined;

  constructor(run: Run) {
    this.#run = run;
  }

  get say(): Reply['say'] {
    return (this.#say ??= (text) => this.#run.say(text));
  }

  get data(): Reply['data'] {
    return (content: Json) => this.#run.data(content);
  }

  get hangup(): Reply['hangup'] {
    return (options) => this.#run.hangup(options);
  }

  get end(): Reply['end'] {
    return () => this.#run.end();
  }

  get isOver(): boolean {
    return this.#run.isOver;
  }

  get signal(): AbortSignal {
    return this.#run.signal;
  }
}

class Journal implements TurnJournal {
  readonly #run: Run;

  constructor(run: Run) {
    this.#run = run;
  }

  runTools(
    calls: readonly ToolCall[],
    toolFor: (call: ToolCall) => ToolRun,
  ): Promise<readonly ToolOutcome[]> {
    return this.#run.runTools(calls, toolFor);
  }

  rounds(): readonly Message[] {
    return this.#run.rounds();
  }

  noteToolCalls(calls: readonly ToolCall[]): Awaitable<void> {
    return this.#run.noteToolCalls(calls);
  }

  noteToolResult(toolCallId: string, content: string): void {
    this.#run.noteToolResult(toolCallId, content);
  }

  handOver(toolCallId: string, agent: string): Promise<void> {
    return this.#run.handOver(toolCallId, agent);
  }

  noteUsage(usage: ModelUsage): void {
    this.#run.noteUsage(usage);
  }

  noteFailedRequest(model: string, failure: ModelRequestFailure): void {
    this.#run.noteFailedRequest(model, failure);
  }

  noteToolOutcome(tool: string, outcome: ToolCallOutcome): void {
    this.#run.noteToolOutcome(tool, outcome);
  }

  sayFiller(text: string): void {
    this.#run.sayFiller(text);
  }
}

export interface TurnFacts<E extends TurnEvent = TurnEvent> {
  readonly event: E;
  readonly conversationId: string;
  readonly turnId: string;
  readonly headers: IncomingHttpHeaders;
}

/** Most agents ask for none of the three, and each costs something to make. */
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
  readonly #run: Run;

  constructor({ event, conversationId, turnId, headers }: TurnFacts, run: Run) {
    this.#run = run;
    // Own properties, or `{ ...turn }` would leave them out. One descriptor for all turns: a getter
    // of its own for each would give each a hidden class of its own.
    Object.defineProperty(this, 'signal', SIGNAL);
    Object.defineProperty(this, 'log', LOG);
    Object.defineProperty(this, 'history', HISTORY);
    this.event = event;
    this.conversationId = conversationId;
    this.turnId = turnId;
    this.metadata = metadataOf(event);
    this.headers = headers;
    this.journal = new Journal(run);
    // Most turns have neither, and an open stream is not to grow by what it does not have.
    const { caller } = run;
    if (caller !== undefined) this.caller = caller;
    if (run.hasState) Object.defineProperty(this, 'state', STATE);
  }

  static runOf(view: TurnView): Run {
    return view.#run;
  }
}

function lazily<T>(read: (run: Run) => T): PropertyDescriptor {
  return {
    get(this: TurnView): T {
      return read(TurnView.runOf(this));
    },
    enumerable: true,
    configurable: true,
  };
}

const SIGNAL = lazily(({ signal }) => signal);
const LOG = lazily(({ log }) => log);
const HISTORY = lazily(({ history }) => history);
const STATE = lazily(({ state }) => state);

class StartTurnView extends TurnView {
  readonly isResumed: boolean;

  constructor(facts: TurnFacts, run: Run, isResumed: boolean) {
    super(facts, run);
    this.isResumed = isResumed;
  }
}

class MessageTurnView extends TurnView {
  readonly text: string;

  constructor(facts: TurnFacts, run: Run, text: string) {
    super(facts, run);
    this.text = text;
  }
}

export function startTurn(
  facts: TurnFacts<StartTurn['event']>,
  run: Run,
  isResumed: boolean,
): StartTurn {
  return new StartTurnView(facts, run, isResumed) as StartTurnView & {
    readonly event: StartTurn['event'];
  };
}

export function messageTurn(
  facts: TurnFacts<MessageTurn['event']>,
  run: Run,
  text: string,
): MessageTurn {
  return new MessageTurnView(facts, run, text) as MessageTurnView & {
    readonly event: MessageTurn['event'];
  };
}

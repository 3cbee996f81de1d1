import type { Agent, EventContext, SessionEndContext } from '../agents/agent.ts';
import { TurnAbortedError } from '../agents/agent.ts';
import type { LiveStates } from '../agents/live-state.ts';
import type { Awaitable } from '../base/awaitable.ts';
import type { Channel } from '../base/channel.ts';
import { atMost } from '../base/time-limit.ts';
import { callerIn } from '../conversations/conversation.ts';
import type { ConversationManager, Snapshot } from '../conversations/manager.ts';
import type { RunElsewhere } from '../conversations/turn-record.ts';
import {
  callerOf, sessionIdOf, type CallEndedEvent, type SessionEndEvent,
} from '../layercode/events.ts';
import type { Logger } from '../log.ts';
import { isBeside, isSameTurn, type Delivery } from './delivery.ts';
import { OtherProcesses, type OwnTurns } from './other-processes.ts';
import { RunningCalls } from './running-calls.ts';
import { RunningTurns } from './running-turns.ts';
import { Speakers } from './speakers.ts';
import type { WorkObserver } from './turn-host.ts';
import { Turn, type TurnOwner } from './turn.ts';

export interface TurnsOptions {
  /** The way to the processes that share the conversations. Default: none does. */
  readonly others?: { readonly channel: Channel; readonly log: Logger } | undefined;
  readonly agent: Agent;
  /** The name that it is served under. Default: it is the only agent. */
  readonly ownName?: string | undefined;
  /** All agents of the server, by name. Default: none that a conversation can be handed over to. */
  readonly agents?: ReadonlyMap<string, Agent> | undefined;
  readonly conversations: ConversationManager;
  /** See `TurnHost`. */
  readonly turnTimeoutMs: number;
  /** See `TurnHost`. */
  readonly firstWordTimeoutMs: number;
  readonly observer?: WorkObserver;
  /** See `TurnHost`. Default false. */
  readonly recordsCalls?: boolean;
}

/** Time for the last writes of a shutdown. Longer than one write is tried again for. */
const LAST_WRITES_MS = 3_000;

/**
 * Decides which turn of a conversation runs. Which of two turns is the newer one is decided when
 * they arrive, not when a store answers.
 */
export class Turns implements TurnOwner, OwnTurns {
  readonly speakers: Speakers;
  readonly conversations: ConversationManager;
  readonly turnTimeoutMs: number;
  readonly firstWordTimeoutMs: number;
  readonly states: LiveStates | undefined;
  readonly observer: WorkObserver | undefined;
  readonly recordsCalls: boolean;
  readonly calls = new RunningCalls();
  readonly others: OtherProcesses | undefined;
  readonly #running = new RunningTurns();
  readonly #writes = new Set<Promise<unknown>>();
  #whenNoneRuns: (() => void) | undefined;

  constructor(options: TurnsOptions) {
    const { agent, ownName, agents, others } = options;
    this.speakers = new Speakers(agent, ownName, agents);
    this.conversations = options.conversations;
    this.turnTimeoutMs = options.turnTimeoutMs;
    this.firstWordTimeoutMs = options.firstWordTimeoutMs;
    this.states = agent.state?.open();
    this.observer = options.observer;
    this.recordsCalls = options.recordsCalls ?? false;
    this.others =
      others === undefined ? undefined : new OtherProcesses(others.channel, this, others.log);
  }

  /** How many turns' agents are at work. */
  get count(): number {
    return this.#running.count;
  }

  /** Begins the delivery's turn, or lets it take over the stream of the same turn that runs. */
  start(delivery: Delivery): void {
    if (isBeside(delivery)) return this.#running.begin(new Turn(delivery, this, undefined));
    const newest = this.#running.newestOf(delivery.conversationId);
    for (let turn = newest; turn !== undefined; turn = turn.older) {
      if (isSameTurn(turn.delivery, delivery)) return turn.takeOver(delivery);
    }
    this.#running.begin(new Turn(delivery, this, newest));
  }

  /** The delivery's connection closed before all of its stream had left. */
  drop(delivery: Delivery): void {
    this.#running.answeredOn(delivery)?.interrupt('the caller left or spoke over the reply');
  }

  /** All of the delivery's stream has left. */
  delivered(delivery: Delivery): void {
    this.#running.answeredOn(delivery)?.delivered();
  }

  /**
   * Ends a conversation's turns as interrupted; with `sessionId` only those of that session. False
   * if none runs in this process. Other processes are told to end theirs.
   */
  interrupt(conversationId: string, reason: string, sessionId?: string): boolean {
    const wasRunning = this.interruptOwn(conversationId, reason, { sessionId });
    const { others, conversations } = this;
    if (others !== undefined) {
      const open = (): Awaitable<readonly RunElsewhere[]> =>
        conversations.openRunsElsewhere(conversationId, others.ownAddress);
      this.track(others.interruptAll(conversationId, open, sessionId));
    }
    return wasRunning;
  }

  /** What `onSessionEnd` is told: the conversation, with the state that its turns have used. */
  toldAtEnd(
    context: EventContext<SessionEndEvent | CallEndedEvent>,
    conversation: Snapshot,
  ): SessionEndContext {
    const { event, conversationId } = context;
    return {
      ...context,
      history: conversation.history,
      caller: callerOf(event) ?? callerIn(conversation, sessionIdOf(event)),
      state: this.states?.peek(conversationId, conversation.state).value,
    };
  }

  // What other processes ask for.

  interruptOwn(
    conversationId: string,
    reason: string,
    { runId, sessionId }: Parameters<OwnTurns['interruptOwn']>[2],
  ): boolean {
    let wasRunning = false;
    for (const turn of this.#running.of(conversationId)) {
      const { event } = turn;
      if (runId !== undefined && turn.runId !== runId) continue;
      if (sessionId !== undefined && 'session_id' in event && event.session_id !== sessionId)
        continue;
      wasRunning = true;
      turn.interrupt(reason);
    }
    return wasRunning;
  }

  takeOverRun(conversationId: string, runId: number, make: (from: Delivery) => Delivery): boolean {
    const turn = this.#running.of(conversationId).find((running) => running.runId === runId);
    turn?.takeOver(make(turn.delivery));
    return turn !== undefined;
  }

  isCallRunning(key: string): boolean {
    return this.calls.isRunning(key);
  }

  // The shutdown.

  /** Ends all turns, and every tool call that runs, even those that are to finish. */
  interruptAll(reason: string): void {
    for (const turn of [...this.#running.all()]) turn.interrupt(reason);
    this.calls.abortAll(new TurnAbortedError(reason));
  }

  /**
   * Resolves when no tool call runs, and everything that turns have to store is stored, or given
   * up.
   */
  async settled(): Promise<void> {
    await this.calls.ended();
    while (this.#writes.size > 0) await Promise.allSettled(this.#writes);
  }

  /**
   * Waits at most `lastMs` for tool calls, and for turns whose streams other processes write. Then
   * it ends them. Resolves when what they returned is stored, but at most 3 s later.
   */
  async close(lastMs: number): Promise<void> {
    if (lastMs > 0) await atMost(lastMs, Promise.all([this.calls.ended(), this.#noneRuns()]));
    this.interruptAll('the server is shutting down');
    await atMost(LAST_WRITES_MS, this.settled());
  }

  track(write: Promise<unknown>): void {
    this.#writes.add(write);
    const done = (): boolean => this.#writes.delete(write);
    write.then(done, done); // its failure is the caller's to handle
  }

  ended(turn: Turn): void {
    this.#running.remove(turn);
    if (this.#whenNoneRuns !== undefined && this.count === 0) this.#whenNoneRuns();
  }

  #noneRuns(): Promise<void> {
    return new Promise((resolve) => {
      this.#whenNoneRuns = resolve;
      if (this.count === 0) resolve();
    });
  }
}

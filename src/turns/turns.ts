import type { Agent, EventContext, SessionEndContext } from '../agents/agent.ts';
import { TurnAbortedError } from '../agents/agent.ts';
import type { Channel } from '../base/channel.ts';
import type { Awaitable } from '../base/awaitable.ts';
import { atMost } from '../base/time-limit.ts';
import type { RunElsewhere } from '../conversations/turn-record.ts';
import type { Logger } from '../log.ts';
import type { LiveStates } from '../agents/live-state.ts';
import { callerIn } from '../conversations/conversation.ts';
import type { ConversationManager, Snapshot } from '../conversations/manager.ts';
import {
  callerOf, sessionIdOf, type CallEndedEvent, type SessionEndEvent,
} from '../layercode/events.ts';
import { isBeside, type Delivery } from './delivery.ts';
import { OtherProcesses, type OwnTurns } from './other-processes.ts';
import { RunningCalls } from './running-calls.ts';
import { Turn, type TurnHost, type WorkObserver } from './turn.ts';

export interface TurnsOptions {
  /** To the processes that share the conversations. Default: none does. */
  readonly others?: { readonly channel: Channel; readonly log: Logger } | undefined;
  readonly agent: Agent;
  /** See `TurnHost`. Default: it is the only one. */
  readonly ownName?: string | undefined;
  readonly agents?: ReadonlyMap<string, Agent> | undefined;
  readonly conversations: ConversationManager;
  /** See `TurnHost`. */
  readonly turnTimeoutMs: number;
  readonly firstWordTimeoutMs: number;
  readonly observer?: WorkObserver;
  /** See `TurnHost`. Default false. */
  readonly recordsCalls?: boolean;
}

/** Longer than a write is tried again for. */
const LAST_WRITES_MS = 3_000;

/**
 * The turns that run now. A conversation runs one; while a slow store opens a newer one, the older
 * still speaks, and the newer one knows it as `older`. Which of them came first is decided when
 * they arrive.
 */
export class Turns implements TurnHost, OwnTurns {
  readonly agent: Agent;
  readonly ownName: string | undefined;
  readonly agents: ReadonlyMap<string, Agent>;
  readonly conversations: ConversationManager;
  readonly turnTimeoutMs: number;
  readonly firstWordTimeoutMs: number;
  readonly states: LiveStates | undefined;
  readonly observer: WorkObserver | undefined;
  readonly recordsCalls: boolean;
  readonly calls = new RunningCalls();
  readonly others: OtherProcesses | undefined;
  /** The newest turn of each conversation. */
  readonly #newest = new Map<string, Turn>();
  /** Turns that stand beside their conversation. */
  readonly #beside = new Set<Turn>();
  readonly #writes = new Set<Promise<unknown>>();
  /** Begins just now: its connection may break before it is one of the others. */
  #beginning: Turn | undefined;
  #whenNoneRuns: (() => void) | undefined;

  constructor(options: TurnsOptions) {
    const { agent, conversations, turnTimeoutMs, firstWordTimeoutMs, others } = options;
    this.others =
      others === undefined ? undefined : new OtherProcesses(others.channel, this, others.log);
    this.agent = agent;
    this.ownName = options.ownName;
    this.agents = options.agents ?? new Map();
    this.conversations = conversations;
    this.turnTimeoutMs = turnTimeoutMs;
    this.firstWordTimeoutMs = firstWordTimeoutMs;
    this.states = agent.state?.open();
    this.observer = options.observer;
    this.recordsCalls = options.recordsCalls ?? false;
  }

  /** One whose state is the same, or that has none: its tools find nothing else. */
  readonly colleague = (name: string): Agent | undefined => {
    const agent = this.agents.get(name);
    return agent?.state === undefined || agent.state === this.agent.state ? agent : undefined;
  };

  /** How many turns' agents are at work. */
  get count(): number {
    let count = 0;
    for (const turn of this.#all()) if (!turn.isOver) count += 1;
    return count;
  }

  /** Begins the delivery's turn, or lets it take over the stream of the same turn that runs. */
  start(delivery: Delivery): void {
    if (isBeside(delivery)) return this.#startNew(new Turn(delivery, this, undefined));
    const newest = this.#newest.get(delivery.conversationId);
    for (let turn = newest; turn !== undefined; turn = turn.older) {
      if (turn.isDeliveredBy(delivery)) return turn.takeOver(delivery);
    }
    this.#startNew(new Turn(delivery, this, newest));
  }

  #startNew(turn: Turn): void {
    this.#beginning = turn;
    turn.begin();
    this.#beginning = undefined;
    // A turn that has ended by now was never there: a Map that is filled and emptied all the time
    // leaves tables behind that hold its turns until the next full garbage collection.
    if (turn.isSettled) return;
    if (turn.isStored) this.#newest.set(turn.conversationId, turn);
    else this.#beside.add(turn);
  }

  /** The delivery's connection closed before all of its stream had left. */
  drop(delivery: Delivery): void {
    this.#answeredOn(delivery)?.interrupt('the caller left or spoke over the reply');
  }

  /** All of the delivery's stream has left. */
  delivered(delivery: Delivery): void {
    this.#answeredOn(delivery)?.delivered();
  }

  /**
   * Ends the conversation's turns as interrupted; with `sessionId` only those of that session.
   * False when this process runs none. Other processes are told of theirs.
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

  interruptOwn(
    conversationId: string,
    reason: string,
    { runId, sessionId }: Parameters<OwnTurns['interruptOwn']>[2],
  ): boolean {
    let wasRunning = false;
    for (const turn of this.#chain(conversationId)) {
      const { event } = turn;
      if (runId !== undefined && turn.runId !== runId) continue;
      if (sessionId !== undefined && 'session_id' in event && event.session_id !== sessionId)
        continue;
      wasRunning = true;
      turn.interrupt(reason);
    }
    return wasRunning;
  }

  handOver(conversationId: string, runId: number, to: (from: Delivery) => Delivery): boolean {
    const turn = this.#chain(conversationId).find((running) => running.runId === runId);
    turn?.takeOver(to(turn.delivery));
    return turn !== undefined;
  }

  isCallRunning(key: string): boolean {
    return this.calls.isRunning(key);
  }

  /** Ends all turns, and every tool call that runs, whether it is to finish or not. */
  interruptAll(reason: string): void {
    for (const turn of [...this.#all()]) turn.interrupt(reason);
    this.calls.abortAll(new TurnAbortedError(reason));
  }

  /**
   * Resolves when no tool call runs and everything that turns have to store is stored, or given up.
   */
  async settled(): Promise<void> {
    await this.calls.ended();
    while (this.#writes.size > 0) await Promise.allSettled(this.#writes);
  }

  /**
   * Waits so long for tool calls, and for turns whose streams other processes write, then ends
   * them. Resolves when what they returned is stored, or a bounded time later.
   */
  async close(lastMs: number): Promise<void> {
    if (lastMs > 0) await atMost(lastMs, Promise.all([this.calls.ended(), this.#noneRuns()]));
    this.interruptAll('the server is shutting down');
    await atMost(LAST_WRITES_MS, this.settled());
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

  ended(turn: Turn): void {
    this.#forget(turn);
    if (this.#whenNoneRuns !== undefined && this.count === 0) this.#whenNoneRuns();
  }

  #noneRuns(): Promise<void> {
    return new Promise((resolve) => {
      this.#whenNoneRuns = resolve;
      if (this.count === 0) resolve();
    });
  }

  #forget(turn: Turn): void {
    if (this.#beside.delete(turn)) return;
    const { conversationId } = turn;
    const newest = this.#newest.get(conversationId);
    if (newest === turn) {
      if (turn.older === undefined) this.#newest.delete(conversationId);
      else this.#newest.set(conversationId, turn.older);
      return;
    }
    for (let newer = newest; newer !== undefined; newer = newer.older)
      if (newer.older === turn) newer.older = turn.older;
  }

  track(write: Promise<unknown>): void {
    this.#writes.add(write);
    const done = (): boolean => this.#writes.delete(write);
    write.then(done, done); // whoever hands a write in handles its failure
  }

  #answeredOn(delivery: Delivery): Turn | undefined {
    if (this.#beginning?.isAnsweredOn(delivery) === true) return this.#beginning;
    for (const turn of this.#chain(delivery.conversationId))
      if (turn.isAnsweredOn(delivery)) return turn;
    for (const turn of this.#beside) if (turn.isAnsweredOn(delivery)) return turn;
    return undefined;
  }

  #chain(conversationId: string): readonly Turn[] {
    const turns: Turn[] = [];
    for (let turn = this.#newest.get(conversationId); turn !== undefined; turn = turn.older)
      turns.push(turn);
    return turns;
  }

  *#all(): Generator<Turn, void, undefined> {
    for (const newest of this.#newest.values())
      for (let turn: Turn | undefined = newest; turn !== undefined; turn = turn.older) yield turn;
    yield* this.#beside;
  }
}

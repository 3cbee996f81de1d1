// The course of a turn:
//
//   Turns.start                which turn of the conversation runs
//     RunningTurn.begin        one run of it
//       machine.ts             what follows from what happens to it
//       openRecord             stores the caller's words and a placeholder for the reply
//       AgentRun.begin         calls the hook of the agent
//         TurnReply, AgentRun → RunningTurn.send → Delivery.send
//       RunningTurn.end        the machine says: the stream ends, the record is settled
//         storeSettlement      stores what was said
//         AgentRun.stop        aborts the agent and its tools
//
// A barge-in arrives as `RunningTurn.dropped`, when the connection closes, as a newer
// `Turns.start`, or as `Turns.interrupt`, when an event says so. All lead to
// `RunningTurn.interrupt`. A duplicate leads to `RunningTurn.takeOver` while the turn is running;
// after that `openRecord` says what becomes of it. A hand-over is `AgentRun.letNextSpeak`.

import type { Awaitable } from '../../base/awaitable.ts';
import type { Logger } from '../../base/log.ts';
import { atMost } from '../../base/time-limit.ts';
import {
  TurnAbortedError, type Agent, type EventContext, type SessionEndContext,
} from '../agents/agent.ts';
import { Speakers } from '../agents/speakers.ts';
import {
  isBeside, isSameTurn, type CallEnd, type CallEvent, type TurnEvent,
} from '../calls/call-event.ts';
import { callerIn, findTurn, historyOf, type Conversation } from '../conversations/conversation.ts';
import type { ConversationManager } from '../conversations/manager.ts';
import type { SealedTexts } from '../redaction/sealed-texts.ts';
import type { LiveStates } from '../state/live-state.ts';
import { RunningToolCalls } from '../tools/tool-calls-running.ts';
import type { CallLimits } from './call-limits.ts';
import type { Delivery } from './delivery.ts';
import { readForRecord } from './lost-calls.ts';
import type { OtherProcesses, OwnTurns } from './other-processes.ts';
import type { WorkObserver } from './report/turn-work.ts';
import { RunningTurn } from './running-turn.ts';
import type { RunOptions, TurnHost } from './turn-run.ts';
import type { AgentValues } from './values.ts';

export interface TurnsOptions extends RunOptions {
  /** Opens a channel to the processes that share the conversations. Default: there is none. */
  readonly others?: ((own: OwnTurns) => OtherProcesses) | undefined;
  /**
   * The address of this process. Default: none, because no other process shares the conversations.
   */
  readonly process?: string | undefined;
  readonly agent: Agent;
  /** The name that the agent is served under. Default: none, because it is the only one. */
  readonly ownName?: string | undefined;
  /** All agents of the server, by name. Default: none, so no conversation can be handed over. */
  readonly agents?: ReadonlyMap<string, Agent> | undefined;
  readonly conversations: ConversationManager;
  readonly observer?: WorkObserver;
  /** What the calls may use. Default: no limit. */
  readonly limits?: CallLimits | undefined;
  /** Called when a turn that leaves something in history is over. Must not throw. */
  readonly onTurnOver?: ((event: TurnEvent, process: string | undefined) => void) | undefined;
}

/** Time for the last writes of a shutdown. All attempts at one write take less. */
const LAST_WRITES_MS = 3_000;

/**
 * The turns of one path: decides which turn of a conversation runs. Which of two turns is newer is
 * decided when they arrive, not when a store answers.
 */
export class Turns implements TurnHost, OwnTurns {
  readonly options: TurnsOptions;
  readonly speakers: Speakers;
  readonly conversations: ConversationManager;
  readonly process: string | undefined;
  readonly states: LiveStates | undefined;
  readonly observer: WorkObserver | undefined;
  readonly calls = new RunningToolCalls();
  readonly others: OtherProcesses | undefined;
  readonly #values: AgentValues | undefined;
  readonly #running = new RunningTurns();
  /** Those waiting for the end of a turn in this process, by conversation. */
  readonly #awaiting = new Map<string, Set<() => void>>();
  /** How many writes are under way. */
  #writes = 0;
  #whenWritten: (() => void)[] = [];

  constructor(options: TurnsOptions) {
    const { agent, ownName, agents, values } = options;
    this.options = options;
    this.speakers = new Speakers(agent, ownName, agents, values?.redaction);
    this.conversations = options.conversations;
    this.process = options.process;
    this.states = agent.state?.open(
      values === undefined ? undefined : (id) => values.state(id),
    );
    this.observer = options.observer;
    this.#values = values;
    this.others = options.others?.(this);
  }

  /** How many turns are not over. */
  get count(): number {
    return this.#running.count;
  }

  // What the wires ask for.

  /**
   * An event without the values that the agent redacts. Every event passes through here as soon as
   * its wire has understood it. A long event takes a while, but the events of a conversation stay
   * in order. `sealed`: its texts, if some have already been looked at.
   */
  redacted<E extends CallEvent>(event: E, sealed?: SealedTexts): Awaitable<E> {
    return this.#values === undefined ? event : this.#values.redacted(event, sealed);
  }

  /** What becomes of the texts in a JSON value. Undefined if the agent redacts nothing. */
  sealed(conversationId: string, value: unknown): Awaitable<SealedTexts | undefined> {
    return this.#values?.sealed(conversationId, value);
  }

  /** The same event for a hook that does not speak: with numbers for its values. */
  told<E extends CallEvent>(event: E, log: Logger): Awaitable<E> {
    return this.#values === undefined ? event : this.#values.told(event, log);
  }

  /** Forgets the values of a conversation, because its session is over. */
  forgetValues({ conversationId, sessionId }: CallEnd): void {
    this.#values?.redaction.forget(conversationId, sessionId);
  }

  /**
   * Begins a turn. If the same turn is already running, the delivery takes over its stream instead.
   */
  start(delivery: Delivery): void {
    const { event } = delivery;
    if (isBeside(event)) return this.#begin(new RunningTurn(delivery, this, undefined));
    const newest = this.#running.newestOf(event.conversationId);
    for (let turn = newest; turn !== undefined; turn = turn.older) {
      if (isSameTurn(turn.event, event)) return turn.takeOver(delivery);
    }
    this.#begin(new RunningTurn(delivery, this, newest));
  }

  #begin(turn: RunningTurn): void {
    const { limits } = this.options;
    if (limits === undefined) this.#running.begin(turn);
    else limits.during(turn, () => this.#running.begin(turn));
  }

  /**
   * Interrupts the turns of a conversation; with `sessionId` only those of that session. Other
   * processes are told to interrupt theirs. Returns false if none is running in this process.
   */
  interrupt(conversationId: string, reason: string, sessionId?: string): boolean {
    const wasRunning = this.interruptOwn(conversationId, reason, sessionId);
    const { others } = this;
    if (others !== undefined) this.track(others.callerLeft(conversationId, sessionId));
    return wasRunning;
  }

  /**
   * Interrupts those turns of a conversation that have spoken: a caller cannot have spoken over any
   * other. Only in this process. Returns false if no turn is running.
   */
  interruptSpeaking(conversationId: string, reason: string): boolean {
    const turns = this.#running.of(conversationId);
    for (const turn of turns) if (turn.firstSpeechMs !== undefined) turn.interrupt(reason);
    return turns.length > 0;
  }

  /** See `readForRecord` in lost-calls.ts. */
  readForRecord(conversationId: string, log: Logger): Promise<Conversation | undefined> {
    return readForRecord(this, log, conversationId);
  }

  /** What `onSessionEnd` is told. The state is that of turns and tools still running, if any. */
  toldAtEnd(
    { conversationId, caller, sessionId }: CallEnd,
    context: EventContext<CallEnd['raw']>,
    conversation: Conversation | undefined,
  ): SessionEndContext {
    return {
      ...context,
      history: conversation === undefined ? [] : historyOf(conversation),
      caller: caller ?? callerIn(conversation ?? {}, sessionId),
      state: this.states?.peek(conversationId, conversation?.state).value,
    };
  }

  // What other processes ask for: see `OwnTurns`.

  interruptOwn(conversationId: string, reason: string, sessionId = ''): boolean {
    let wasRunning = false;
    for (const turn of this.#running.of(conversationId)) {
      if (sessionId !== '' && turn.event.sessionId !== sessionId) continue;
      wasRunning = true;
      turn.interrupt(reason);
    }
    return wasRunning;
  }

  isAnyRunning(conversationId: string): boolean {
    return this.#running.of(conversationId).length > 0;
  }

  compare(conversationId: string, conversation: Conversation | undefined): void {
    if (conversation === undefined) return; // it was erased: its turns go on, unrecorded
    for (const turn of this.#running.of(conversationId)) {
      const record = turn.isOver ? undefined : findTurn(conversation, turn.turnId);
      if (record === undefined || turn.opened === undefined) continue;
      if (record.runId !== turn.runId) turn.giveAway();
      else if (record.state !== 'open') turn.interrupt('a newer turn began');
    }
  }

  // The shutdown.

  /** Interrupts all turns and aborts all tool calls, even those that want to finish. */
  interruptAll(reason: string): void {
    for (const turn of [...this.#running.all()]) turn.interrupt(reason);
    this.calls.abortAll(new TurnAbortedError(reason));
  }

  /** Resolves when no tool call is running and all writes of turns are done, or given up. */
  async settled(): Promise<void> {
    await this.calls.ended();
    while (this.#writes > 0) await new Promise<void>((done) => this.#whenWritten.push(done));
  }

  /**
   * Waits at most `lastMs` for tool calls, then aborts them. Resolves when their results are
   * stored, but no more than 3 s later. What acts once and has not returned by then is reported.
   */
  async close(lastMs: number): Promise<void> {
    if (lastMs > 0) await atMost(lastMs, this.calls.ended());
    this.interruptAll('the server is shutting down');
    await atMost(LAST_WRITES_MS, this.settled());
    this.calls.leaveBehind();
  }

  track(write: Promise<unknown>): void {
    this.#writes += 1;
    const done = (): void => {
      this.#writes -= 1;
      if (this.#writes === 0) for (const written of this.#whenWritten.splice(0)) written();
    };
    write.then(done, done); // the caller handles its failure
  }

  delayed(turn: RunningTurn): void {
    this.#running.keepDelayed(turn);
  }

  awaitEnd(conversationId: string, listener: () => void): () => void {
    const listeners = this.#awaiting.get(conversationId) ?? new Set();
    this.#awaiting.set(conversationId, listeners.add(listener));
    return () => {
      listeners.delete(listener);
      if (listeners.size === 0) this.#awaiting.delete(conversationId);
    };
  }

  ended(turn: RunningTurn): void {
    this.#running.remove(turn);
    const { event, conversationId } = turn;
    for (const listener of this.#awaiting.get(conversationId) ?? []) listener();
    if (turn.isStored) this.options.onTurnOver?.(event, this.process);
    // An anonymous conversation has no other turn.
    if (event.type === 'message' && event.transcript?.isAnonymous === true)
      this.#values?.redaction.forget(event.conversationId, event.sessionId);
  }
}

/**
 * Where the newest turn of a conversation is found. It must not refer to a turn that has left: V8
 * keeps old tables of a Map for a long time, and with them all that they refer to.
 * docs/decisions/005-tuned-for-v8.md
 */
interface Place {
  newest: RunningTurn | undefined;
}

/**
 * The turns running in this process. A conversation has one, apart from turns that leave nothing in
 * its history. An older one keeps speaking only while a slow store opens a newer one, which has it
 * as `older`.
 */
class RunningTurns {
  /** By conversation. */
  readonly #places = new Map<string, Place>();
  /**
   * Turns that ended as they began, and whose replies wait to depart with others, in order. They
   * wait for less than a round of the event loop, so they are few.
   */
  readonly #departing: RunningTurn[] = [];
  /** Turns that run beside their conversation: see `isBeside`. */
  readonly #beside = new Set<RunningTurn>();

  /** Makes a complete reply of the conversation leave first, so that its turn has ended. */
  newestOf(conversationId: string): RunningTurn | undefined {
    for (const turn of this.#departing) {
      if (turn.conversationId !== conversationId) continue;
      this.keepDelayed(turn);
      break; // there is no other: it would have made this one leave
    }
    this.#newestOf(conversationId)?.leave();
    return this.#newestOf(conversationId);
  }

  /** The turns of a conversation, the newest first. */
  of(conversationId: string): readonly RunningTurn[] {
    return [...chainFrom(this.newestOf(conversationId))];
  }

  *all(): Generator<RunningTurn, void, undefined> {
    for (const { newest } of this.#places.values()) yield* chainFrom(newest);
    yield* this.#beside;
    yield* this.#departing;
  }

  /** How many turns are not over. */
  get count(): number {
    let count = 0;
    for (const turn of this.all()) if (!turn.isOver) count += 1;
    return count;
  }

  begin(turn: RunningTurn): void {
    turn.begin();
    if (turn.isAnswered) return;
    if (turn.isOver) this.#departing.push(turn);
    else this.#keep(turn);
  }

  /** The turn's reply should have departed, but the client has no room for it yet. */
  keepDelayed(turn: RunningTurn): void {
    if (this.#removeDeparting(turn)) this.#keep(turn);
  }

  #keep(turn: RunningTurn): void {
    if (!turn.isStored) return void this.#beside.add(turn);
    const place = this.#places.get(turn.conversationId);
    if (place !== undefined) place.newest = turn;
    else this.#places.set(turn.conversationId, { newest: turn });
  }

  #newestOf(conversationId: string): RunningTurn | undefined {
    return this.#places.get(conversationId)?.newest;
  }

  /** Usually the turn is the first. `shift` is cheaper than `splice`. */
  #removeDeparting(turn: RunningTurn): boolean {
    const index = this.#departing.indexOf(turn);
    if (index === 0) this.#departing.shift();
    else if (index > 0) this.#departing.splice(index, 1);
    return index !== -1;
  }

  remove(turn: RunningTurn): void {
    if (this.#removeDeparting(turn) || this.#beside.delete(turn)) return;
    const { conversationId, older } = turn;
    const place = this.#places.get(conversationId);
    if (place === undefined) return;
    if (place.newest !== turn) {
      for (const newer of chainFrom(place.newest)) if (newer.older === turn) newer.older = older;
      return;
    }
    place.newest = older;
    if (older === undefined) this.#places.delete(conversationId);
  }
}

function* chainFrom(newest: RunningTurn | undefined): Generator<RunningTurn, void, undefined> {
  for (let turn = newest; turn !== undefined; turn = turn.older) yield turn;
}

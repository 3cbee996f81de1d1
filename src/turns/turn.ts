import { AsyncResource } from 'node:async_hooks';
import { randomUUID } from 'node:crypto';

import { andThen, soon, type Awaitable } from '../base/awaitable.ts';
import { atMost } from '../base/time-limit.ts';
import type { SentEvent } from '../calls/reply-event.ts';
import type { KnownConversation } from '../conversations/manager.ts';
import { nextRunId } from '../conversations/run-id.ts';
import type {
  OpenedTurn, TurnClaim, TurnOpeningResult, TurnSettlement,
} from '../conversations/rules.ts';
import { AgentTurn } from './agent-turn.ts';
import { startClock, type TimedTurn } from './clock.ts';
import { textOf, type DeliveredTurn, type Delivery, type TurnOutcome } from './delivery.ts';
import { apologyOf, tellInterrupted } from './hooks.ts';
import { openRecord, type OpeningTurn } from './opening.ts';
import { OPENING_DELAYS_MS, persist } from './persist.ts';
import type { Answers } from './question.ts';
import { apologise, sendHalfCharacter } from './reply.ts';
import {
  correctSettlement, settlementOf, storeSettlement, type Ending, type SettlingTurn,
} from './settlement.ts';
import { MAX_REPLY_LENGTH, ReplyTooLong } from './spoken-reply.ts';
import { noteUnknown } from './turn-calls.ts';
import type { TurnHost } from './turn-host.ts';

/** A process that leaves so many questions unanswered is taken for dead. It may only be busy. */
const MAX_QUESTIONS = 3;

/** What turns share. It is told when one of them is settled and has nothing left to do. */
export interface TurnOwner extends TurnHost {
  ended(turn: Turn): void;
  /** Its complete reply should have departed, but the client has no room for it yet. */
  delayed(turn: Turn): void;
  /** Begins a turn. */
  start(delivery: Delivery): void;
}

type RunsElsewhere = Extract<TurnOpeningResult, { readonly kind: 'elsewhere' }>;

/**
 * The life of one run of a turn: it opens the record, lets the agent speak, ends once, and settles
 * the record. It knows nothing of HTTP.
 *
 * Once an agent was asked, every way out leads to `#end`. From then on nothing that the agent does
 * has an effect. The record is settled at once, except that a completed reply may still wait in
 * this process. Then it is settled when the last byte has left (completed), or when the turn is
 * interrupted before that.
 */
export class Turn
  extends AgentTurn
  implements OpeningTurn, TimedTurn, SettlingTurn, DeliveredTurn
{
  readonly runId = nextRunId();
  declare readonly host: TurnOwner;
  /**
   * The turn of this conversation that was running when this one arrived. It is interrupted as soon
   * as the record of this one is open, runs elsewhere, or cannot be opened, and stays here until it
   * is settled.
   */
  older: Turn | undefined;
  timer: NodeJS.Timeout | undefined;
  firstSpeechMs: number | undefined;
  /** The same without fillers. */
  firstWordMs: number | undefined;
  /** Set when the agent can do no more. */
  #ending: Ending | undefined;
  #isOpening = true;
  #settledAs: Ending | undefined;
  /** Set if it was stored before its last event left. */
  #storedAs: Ending | undefined;
  /** Whether that is being done, and the stream ends afterwards. */
  #isStoring = false;
  /**
   * The async context of its request, for `onInterrupted`: the turn is interrupted in the context
   * of another request, or of none. Undefined if the agent has no such hook.
   */
  readonly #scope: AsyncResource | undefined;

  constructor(delivery: Delivery, host: TurnOwner, older: Turn | undefined) {
    super(delivery, host, delivery.event.turnId ?? randomUUID());
    delivery.turn = this;
    this.older = older;
    if (host.speakers.own.onInterrupted !== undefined) this.#scope = new AsyncResource('Turn');
  }

  get isOver(): boolean {
    return this.#ending !== undefined;
  }

  /** Whether nothing of it is left to be done. */
  get isSettled(): boolean {
    return this.#settledAs !== undefined;
  }

  /** See `TurnReport`. */
  get speakers(): readonly string[] | undefined {
    return this.spoken.speakers(this.host.speakers.ownName);
  }

  /** What history would hold if the turn were interrupted now. */
  soFar(): TurnSettlement {
    return settlementOf(this, this.#ending === 'failed' ? 'failed' : 'interrupted', this.host);
  }

  // What comes from outside: the turn begins, is delivered again, has left, is interrupted.

  /** Never throws: any failure fails the turn. */
  begin(): void {
    this.attempt(() => this.#open());
    if (!this.isOver) startClock(this);
  }

  /**
   * The same turn was delivered again: the newer delivery gets what was said so far, then the rest.
   * The older one ends. Another process may have taken the turn over, and its message may be lost,
   * so a record that others can write is claimed first.
   */
  takeOver(delivery: Delivery): void {
    const { process, conversations } = this.host;
    if (process === undefined || this.opened === undefined) return this.#passTo(delivery);
    const { conversationId, turnId, runId } = this;
    const claim = { turnId, runId, process, text: textOf(this.event) };
    const claimed = andThen(
      persist(() => conversations.claimTurn(conversationId, claim), OPENING_DELAYS_MS),
      (outcome) => this.#claimed(outcome, delivery),
    );
    if (!(claimed instanceof Promise)) return;
    const failed = (error: unknown): void => {
      const message = 'a turn continues for another delivery, but could not be claimed';
      this.log.warn(message, { conversationId, error });
      this.#claimed('owned', delivery);
    };
    this.host.track(claimed.catch(failed));
  }

  #claimed(outcome: TurnClaim, delivery: Delivery): void {
    if (!delivery.isOpen) return delivery.onOutcome({ outcome: 'interrupted' });
    if (outcome === 'owned' && !this.isSettled) return this.#passTo(delivery);
    if (outcome === 'completed') this.giveAway();
    else this.interrupt('a newer turn began');
    this.host.start(delivery);
  }

  #passTo(delivery: Delivery): void {
    const older = this.delivery;
    older.turn = undefined;
    this.delivery = delivery;
    delivery.turn = this;
    older.end(); // what it was sent by now still leaves
    this.spoken.noteTakeOver(older.unsent);
    for (const event of this.spoken.events) void delivery.send(event);
    older.onOutcome({ outcome: 'taken over' });
    if (this.isOver && !this.#isStoring && delivery.end('with others')) this.delivered();
  }

  /** See `DeliveredTurn`. */
  dropped(): void {
    this.interrupt('the caller left or spoke over the reply');
  }

  /** See `DeliveredTurn`. */
  delayed(): void {
    this.host.delayed(this);
  }

  /** Everything that was sent has left this process. */
  delivered(): void {
    if (this.#ending === 'completed') this.#settle('completed');
  }

  /**
   * The caller left or spoke over the reply, a newer turn began, or the server interrupts the turn.
   * Does nothing once the turn is settled.
   */
  interrupt(reason: string): void {
    if (!this.isSettled) this.trace?.note({ type: 'interruption', reason });
    if (this.#ending === undefined) this.#end('interrupted', reason);
    else if (this.#ending === 'completed')
      this.#settle(this.delivery.end() ? 'completed' : 'interrupted');
  }

  /**
   * Another process runs the turn from now on. The stream ends, and nothing is stored, as the
   * record is that run's. Tool calls go on, so that the other run gets their results.
   */
  giveAway(): void {
    if (this.isSettled) return;
    const wasOver = this.isOver;
    this.#endUnstored('taken over');
    if (this.#storedAs === undefined) this.liveState?.leave();
    if (!wasOver) this.stopAgent('taken over', 'another process runs the turn');
  }

  /** A complete reply leaves now, if it still waits for others. */
  leave(): void {
    if (this.#ending === 'completed' && this.delivery.end()) this.delivered();
  }

  // The beginning: the record is opened, older turns are interrupted, the agent is called.

  /** `answers` of other processes: undefined before they are asked. */
  #open(answers?: Answers): Awaitable<void> {
    const opening = openRecord(this, this.host, answers);
    if (!(opening instanceof Promise)) return this.#afterOpening(opening);
    this.host.track(opening);
    const openedFromMs = performance.now();
    return opening.then((opened) => {
      this.waits.noteStore(performance.now() - openedFromMs);
      return this.#afterOpening(opened);
    });
  }

  #afterOpening(opened: TurnOpeningResult | KnownConversation | undefined): Awaitable<void> {
    if (opened === undefined || !('kind' in opened)) {
      this.#isOpening = false;
      this.restoreSpeaker(opened?.agent);
      return this.letBegin(opened !== undefined);
    }
    if (opened.kind === 'elsewhere') return this.#askOthers(opened);
    this.#isOpening = false;
    if (opened.kind === 'opened') return this.#run(opened);
    if (opened.kind === 'over') return this.#neverOpened();
    if (this.isOver) return;
    if (opened.kind === 'stale') return this.#endUnstored('stale');
    for (const event of opened.sent) void this.delivery.send(event);
    this.#endUnstored('replayed');
  }

  /** Other processes may run tools that would otherwise be taken for lost. */
  async #askOthers({ calls }: RunsElsewhere): Promise<void> {
    return this.#open(await this.host.others?.ask(this.conversationId, calls, MAX_QUESTIONS));
  }

  #run(opened: OpenedTurn): Awaitable<void> {
    const { conversationId, host } = this;
    const mayEndCalls = this.#interruptOlder();
    if (opened.turnId !== this.turnId) {
      const { turnId: storedAs } = opened;
      const message = 'turn id reused with different text; treating it as a new turn';
      // On a wire without ids, a turn that was discarded may simply come back.
      if (this.settlesAtMs === undefined)
        this.log.warn(message, { turnId: this.turnId, storedAs });
      this.turnId = storedAs;
    }
    this.opened = opened;
    for (const run of opened.endedElsewhere) host.others?.interrupt(conversationId, run);
    if (opened.takenOver !== undefined) host.others?.takeOver(conversationId, opened.takenOver);
    for (const { tool = 'unknown', idempotencyKey } of opened.lostCalls)
      noteUnknown(host, this.log, { conversationId, tool, idempotencyKey });
    this.liveState = host.states?.enter(conversationId, opened);
    this.restoreSpeaker(opened.agent);
    // The platform reports that a completed turn was cut. Any other cut was told at the time.
    if (opened.cut !== undefined) tellInterrupted(host.speakers.own, this, opened.cut);
    // From now on calls of earlier runs that still run are waited for.
    if (opened.earlierCalls.length > 0) void this.calls;
    if (this.#ending !== undefined) return this.#settleLate(this.#ending);
    // Calls that were just aborted get a moment to end. Otherwise the prompt would say that they
    // still run.
    if (mayEndCalls) return soon().then(() => this.letBegin(opened.isResumed));
    return this.letBegin(opened.isResumed);
  }

  /** It ended before its record could be opened, so it ends no turn of another process. */
  #neverOpened(): void {
    this.#interruptOlder();
    if (this.#ending !== undefined) this.#settleLate(this.#ending);
  }

  /** The turn ended while a slow store opened its record. At most it has said an apology. */
  #settleLate(ending: Ending): void {
    void storeSettlement(this, ending, this.host);
    if (ending !== 'interrupted') return;
    tellInterrupted(this.host.speakers.own, this, { turnId: this.turnId, text: '' });
  }

  /** Returns true if tool calls were aborted that have not ended yet. */
  #interruptOlder(): boolean {
    let mayEndCalls = false;
    // An interrupted turn is removed from the running turns, but keeps its own `older`.
    for (let older = this.older; older !== undefined; older = older.older) {
      mayEndCalls ||= older.callsSoFar?.canBeAborted === true;
      older.interrupt('a newer turn began');
    }
    this.older = undefined; // all are settled
    return mayEndCalls;
  }

  // What is sent.

  /** See `Reply.say`. A reply that is too long fails the turn. */
  send(event: SentEvent): Awaitable<boolean> {
    if (this.spoken.isTooLong) {
      this.fail(new ReplyTooLong(`the reply is longer than ${MAX_REPLY_LENGTH} characters`));
      return false;
    }
    if (this.firstWordMs === undefined && event.type === 'say' && /\S/.test(event.text)) {
      const ms = performance.now() - this.startedAtMs;
      this.firstSpeechMs ??= ms;
      if (event.isFiller !== true) this.firstWordMs = ms;
      this.trace?.note({ type: event.isFiller === true ? 'filler' : 'firstWord', afterMs: ms });
    }
    if (this.delivery.drops?.(event) === true) return true;
    const taken = this.delivery.send(event);
    if (taken === false) return false; // the connection is gone: `interrupt` follows
    this.spoken.note(event);
    // Not what the promise resolves with: if the delivery was taken over, the turn continues.
    return taken instanceof Promise ? taken.then(() => !this.isOver) : taken;
  }

  // The end: completed, failed or interrupted, and settled once.

  /** Completes the turn. Does nothing once it is over. */
  end(): void {
    if (this.isOver) return;
    sendHalfCharacter(this);
    this.#end('completed', 'the turn ended');
  }

  /** Fails the turn: logs the error, and speaks the apology. Once it is over, it only logs. */
  fail(error: unknown): void {
    const { agent, conversationId, turnId } = this;
    // The caller has spoken, even if none of it could be stored.
    if (this.#isOpening) this.#interruptOlder();
    if (!this.isOver) {
      this.log.error('turn failed', { agent: agent.name, conversationId, turnId, error });
      apologise(this, apologyOf(agent, this));
      this.trace?.note({ type: 'apology' });
      void this.delivery.send({ type: 'error' });
      this.#end('failed', 'the turn failed', error);
    } else if (this.#isOpening) {
      const message = 'turn lost: it ended before it could be stored';
      this.log.error(message, { conversationId, turnId, error });
    } else {
      // Usually its own abort. Any other error must not be lost.
      const message = 'agent failed after its turn was over';
      this.log.debug(message, { agent: agent.name, turnId, error });
    }
  }

  /** The end of a run whose agent was asked. */
  #end(ending: Ending, reason: string, error?: unknown): void {
    this.#ending = ending;
    clearTimeout(this.timer);
    const isShared = this.host.process !== undefined && this.opened !== undefined;
    if (isShared && ending !== 'interrupted') this.#storeFirst(ending, error);
    else this.#endStream(ending, error);
    this.stopAgent(ending, reason);
  }

  /**
   * Settles the record before the last event leaves: what the caller has heard must be in the next
   * prompt, whichever process gets it. A slow store delays the end no longer than its time-out.
   */
  #storeFirst(ending: Exclude<Ending, 'interrupted'>, error: unknown): void {
    const { host } = this;
    this.#storedAs = ending;
    const stored = storeSettlement(this, ending, host, true);
    if (!(stored instanceof Promise)) return this.#endStream(ending, error);
    this.#isStoring = true;
    void atMost(host.storeTimeoutMs, stored).then(() => {
      this.#isStoring = false;
      if (!this.isSettled) this.#endStream(ending, error);
    });
  }

  /** The stream decides which events have left. */
  #endStream(ending: Ending, error: unknown): void {
    const hasLeft = this.delivery.end(ending === 'completed' ? 'with others' : 'now');
    if (ending !== 'completed' || hasLeft || !this.isStored) this.#settle(ending, error);
  }

  /** It is known which events have left: stores the settlement, and reports the outcome. */
  #settle(ending: Ending, error?: unknown): void {
    if (this.isSettled) return;
    this.#settledAs = ending;
    const { host, firstSpeechMs, firstWordMs, usage, speakers, waitsSoFar: waits } = this;
    if (this.opened !== undefined) this.#store(ending);
    host.ended(this);
    this.delivery.turn = undefined;
    this.trace?.end({ outcome: ending, speakers, storeMs: waits?.storeMs, error });
    this.delivery.onOutcome({
      outcome: ending, firstSpeechMs, firstWordMs, usage, speakers, waits, error,
    });
    if (ending === 'interrupted' && this.opened !== undefined) {
      const text = this.spoken.text(this.spoken.countSent(this.delivery.unsent));
      const cut = { turnId: this.turnId, text };
      this.#scope?.runInAsyncScope(tellInterrupted, undefined, host.speakers.own, this, cut);
    }
  }

  #store(ending: Ending): void {
    if (this.#storedAs === undefined) void storeSettlement(this, ending, this.host);
    else if (this.#storedAs !== ending) correctSettlement(this, this.host);
  }

  /** Ends a run that stores nothing: what the caller gets, if anything, is another run's reply. */
  #endUnstored(outcome: Exclude<TurnOutcome, Ending>): void {
    this.#ending = 'completed';
    clearTimeout(this.timer);
    this.delivery.end();
    this.#settledAs = 'completed';
    this.host.ended(this);
    this.delivery.turn = undefined;
    this.trace?.end({ outcome });
    this.delivery.onOutcome({ outcome });
  }
}

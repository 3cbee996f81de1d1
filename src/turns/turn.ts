import { randomInt, randomUUID } from 'node:crypto';

import { DEFAULT_APOLOGY } from '../agents/phrases.ts';
import { andThen, soon, type Awaitable } from '../base/awaitable.ts';
import type { KnownConversation } from '../conversations/manager.ts';
import type { SentEvent } from '../conversations/message.ts';
import type { OpenedTurn, TurnOpeningResult, TurnSettlement } from '../conversations/rules.ts';
import { AgentTurn } from './agent-turn.ts';
import { startClock, type TimedTurn } from './clock.ts';
import type { Delivery, TurnOutcome } from './delivery.ts';
import type { FollowedRun, FollowingTurn } from './followed-run.ts';
import { tellInterrupted } from './hooks.ts';
import { NOBODY_ANSWERS, openRecord, type OpeningTurn } from './opening.ts';
import type { AnswerOfOthers } from './other-processes.ts';
import { apologise, sendHalfCharacter } from './reply.ts';
import {
  correctSettlement, settlementOf, storeProvisionally, storeSettlement, type Ending,
  type SettlingTurn,
} from './settlement.ts';
import { MAX_REPLY_LENGTH } from './spoken-reply.ts';
import type { TurnHost } from './turn-host.ts';

/** What turns share. It is told when one of them is settled and has nothing left to do. */
export interface TurnOwner extends TurnHost {
  ended(turn: Turn): void;
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
  implements OpeningTurn, TimedTurn, FollowingTurn, SettlingTurn
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
  /** Set when the agent can do no more. */
  #ending: Ending | undefined;
  #isOpening = true;
  /** Whether it is stored as completed until another process says how much has left. */
  #isProvisional = false;
  #settledAs: Ending | undefined;
  /** Set if the turn runs in another process, whose events this one writes. */
  #followed: FollowedRun | undefined;

  constructor(delivery: Delivery, host: TurnOwner, older: Turn | undefined) {
    super(delivery, host, delivery.turnId ?? randomUUID());
    this.older = older;
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
    return settlementOf(this, 'interrupted', this.host);
  }

  // What comes from outside: the turn begins, is delivered again, has left, is interrupted.

  /** Never throws: any failure fails the turn. */
  begin(): void {
    this.attempt(() => this.#open());
    if (!this.isOver) startClock(this);
  }

  /**
   * The same turn was delivered again: the newer delivery gets what was said so far, then the rest.
   * The older one ends.
   */
  takeOver(delivery: Delivery): void {
    const older = this.delivery;
    this.delivery = delivery;
    older.end(); // what it was sent by now still leaves
    this.spoken.noteTakeOver(older.unsent);
    for (const event of this.spoken.events) void delivery.send(event);
    older.onOutcome({ outcome: 'taken over' });
    if (this.isOver && this.#endComplete()) this.delivered();
  }

  /** Everything that was sent has left this process. */
  delivered(): void {
    if (this.#ending === 'completed') this.#settle('completed');
  }

  /**
   * The caller left or spoke over the reply, a newer turn began, or the server interrupts the turn.
   * Does nothing once the turn is settled, or while another process has its complete reply.
   */
  interrupt(reason: string): void {
    if (this.#ending === undefined) this.#end('interrupted', reason);
    else if (this.#ending === 'completed' && !this.delivery.isAwaited)
      this.#settle(this.delivery.end() ? 'completed' : 'interrupted');
  }

  /** A complete reply leaves now, if it still waits for others. */
  leave(): void {
    if (this.#ending === 'completed' && this.delivery.end()) this.delivered();
  }

  // The beginning: the record is opened, older turns are interrupted, the agent is called.

  /** `answer`: what other processes say that they run. Undefined before they are asked. */
  #open(answer?: Pick<AnswerOfOthers, 'isCallRunning'>): Awaitable<void> {
    const opening = openRecord(this, this.host, answer);
    if (!(opening instanceof Promise)) return this.#afterOpening(opening);
    this.host.track(opening);
    return opening.then((opened) => this.#afterOpening(opened));
  }

  #afterOpening(opened: TurnOpeningResult | KnownConversation | undefined): Awaitable<void> {
    if (opened === undefined || !('kind' in opened)) {
      this.#isOpening = false;
      this.restoreSpeaker(opened?.agent);
      return this.letSpeak(opened !== undefined);
    }
    if (opened.kind === 'elsewhere') return this.#askOthers(opened);
    this.#isOpening = false;
    if (opened.kind === 'opened') return this.#run(opened);
    if (this.isOver) return;
    if (opened.kind === 'stale') return this.#endWithoutAgent('stale');
    for (const event of opened.sent) void this.delivery.send(event);
    this.#endWithoutAgent('replayed');
  }

  /** Other processes may run this turn, or tools that would otherwise be taken for lost. */
  async #askOthers({ same, calls }: RunsElsewhere): Promise<void> {
    const answer = await this.host.others?.ask(this.conversationId, same, calls, this);
    if (answer?.followed === undefined) return this.#open(answer ?? NOBODY_ANSWERS);
    this.#isOpening = false;
    this.#followed = answer.followed;
    this.#interruptOlder();
    if (this.isSettled) this.#leaveFollowed(); // the caller left meanwhile, or has got all of it
  }

  #run(opened: OpenedTurn): Awaitable<void> {
    const { conversationId, host } = this;
    const mayEndCalls = this.#interruptOlder();
    if (opened.turnId !== this.turnId) {
      const { turnId: storedAs } = opened;
      const message = 'a known turn id came with other words: it begins another turn';
      this.log.warn(message, { turnId: this.turnId, storedAs });
      this.turnId = storedAs;
    }
    this.opened = opened;
    for (const run of opened.endedElsewhere) host.others?.interrupt(conversationId, run);
    this.liveState = host.states?.enter(conversationId, opened);
    this.restoreSpeaker(opened.agent);
    // The platform reports that a completed turn was cut. Any other cut was told at the time.
    if (opened.cut !== undefined) tellInterrupted(host.speakers.own, this, opened.cut);
    // From now on calls of earlier runs that still run are waited for.
    if (opened.earlierCalls.length > 0) void this.calls;
    if (this.#ending !== undefined) return this.#settleLate(this.#ending);
    // Calls that were just aborted get a moment to end. Otherwise the prompt would say that they
    // still run.
    if (mayEndCalls) return soon().then(() => this.letSpeak(opened.isResumed));
    return this.letSpeak(opened.isResumed);
  }

  /** The turn ended while a slow store opened its record. At most it has said an apology. */
  #settleLate(ending: Ending): void {
    storeSettlement(this, ending, this.host);
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
    // It stays if another process still has to say how much of its reply has left.
    while (this.older?.isSettled === true) this.older = this.older.older;
    return mayEndCalls;
  }

  // What is sent.

  /** See `Reply.say`. A reply that is too long fails the turn. */
  send(event: SentEvent): Awaitable<boolean> {
    if (this.spoken.isTooLong) {
      this.fail(new RangeError(`the reply is longer than ${MAX_REPLY_LENGTH} characters`));
      return false;
    }
    if (this.firstSpeechMs === undefined && event.type === 'say' && /\S/.test(event.text)) {
      this.firstSpeechMs = performance.now() - this.startedAtMs;
    }
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
      apologise(this, agent.apology ?? DEFAULT_APOLOGY);
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
    // The stream ends first: it decides which events have left.
    const hasLeft = ending === 'completed' ? this.#endComplete() : this.delivery.end();
    if (ending !== 'completed' || hasLeft || !this.isStored) this.#settle(ending, error);
    this.stopAgent(ending, reason);
  }

  /** Ends the stream of a complete reply. True if all of it has left. */
  #endComplete(): boolean {
    const hasLeft = this.delivery.end('with others');
    if (this.delivery.isAwaited && this.opened !== undefined) {
      this.#isProvisional = true;
      storeProvisionally(this, this.host);
    }
    return hasLeft;
  }

  /** It is known which events have left: stores the settlement, and reports the outcome. */
  #settle(ending: Ending, error?: unknown): void {
    if (this.isSettled) return;
    this.#settledAs = ending;
    const { host, firstSpeechMs, usage, speakers } = this;
    const isAccepted = this.#store(ending);
    this.#leaveFollowed();
    host.ended(this);
    this.delivery.onOutcome({ outcome: ending, firstSpeechMs, usage, speakers, error });
    if (ending === 'interrupted') this.#tellInterrupted(isAccepted);
  }

  /** False if there is no record, or what was heard of it has been decided. */
  #store(ending: Ending): Awaitable<boolean> {
    if (this.opened === undefined) return false;
    if (this.#isProvisional) return correctSettlement(this, ending, this.host);
    storeSettlement(this, ending, this.host);
    return true;
  }

  #tellInterrupted(isAccepted: Awaitable<boolean>): void {
    void andThen(isAccepted, (isSo) => {
      if (!isSo) return;
      const text = this.spoken.text(this.spoken.countSent(this.delivery.unsent));
      tellInterrupted(this.host.speakers.own, this, { turnId: this.turnId, text });
    });
  }

  /** Ends a turn that asked no agent: what the caller gets, if anything, is another run's reply. */
  #endWithoutAgent(outcome: Exclude<TurnOutcome, Ending>): void {
    this.#ending = 'completed';
    clearTimeout(this.timer);
    this.delivery.end();
    this.#settledAs = 'completed';
    this.host.ended(this);
    this.delivery.onOutcome({ outcome });
  }

  // The run in another process, if this turn follows one: see `FollowedRun`.

  endAs(outcome: TurnOutcome): void {
    if (outcome === 'completed' || outcome === 'interrupted' || outcome === 'failed')
      this.#end(outcome, 'the turn ended in another process');
    else this.#endWithoutAgent(outcome);
  }

  runHere(): void {
    this.#followed = undefined;
    const { conversationId, turnId } = this;
    const message = 'a turn runs again: the process that ran it is gone';
    this.log.warn(message, { conversationId, turnId });
    this.attempt(() => this.#open(NOBODY_ANSWERS));
  }

  #leaveFollowed(): void {
    const sent = this.spoken.countSent(this.delivery.unsent);
    this.#followed?.leave(sent, this.#settledAs === 'completed');
    this.#followed = undefined;
  }
}

const RUN_IDS = 2 ** 30;

let lastRunId = randomInt(RUN_IDS);

/**
 * Tells the runs of one turn apart. Several processes may share a store, so each counts from a
 * random number. V8 keeps a number below 2 ** 30 without an object.
 */
function nextRunId(): number {
  lastRunId = (lastRunId + 1) % RUN_IDS;
  return lastRunId;
}

import { randomInt, randomUUID } from 'node:crypto';

import { DEFAULT_APOLOGY } from '../agents/phrases.ts';
import { soon, type Awaitable } from '../base/awaitable.ts';
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
import { settle, settlementOf, type Ending, type SettlingTurn } from './settlement.ts';
import { MAX_REPLY_LENGTH } from './spoken-reply.ts';
import type { TurnHost } from './turn-host.ts';

/** Where turns run. Told when a turn is settled: nothing of it is left to be done. */
export interface TurnOwner extends TurnHost {
  ended(turn: Turn): void;
}

type RunsElsewhere = Extract<TurnOpeningResult, { readonly kind: 'elsewhere' }>;

/**
 * The life of one run of a turn: it opens the record, lets the agent speak, ends once, and settles
 * the record. Knows nothing of HTTP.
 *
 * It ends in `#end`: from then on what the agent does has no effect. The record is settled there
 * too, unless bytes of a completed reply still wait in this process. Then it is settled when they
 * have left (completed), or when the connection closes first (interrupted).
 */
export class Turn
  extends AgentTurn
  implements OpeningTurn, TimedTurn, FollowingTurn, SettlingTurn
{
  readonly runId = nextRunId();
  declare readonly host: TurnOwner;
  /**
   * The turn of this conversation that ran when this one arrived. It is interrupted when this one
   * is opened.
   */
  older: Turn | undefined;
  timer: NodeJS.Timeout | undefined;
  firstSpeechMs: number | undefined;
  /** Set when the agent can do no more. */
  #ending: Ending | undefined;
  #isOpening = true;
  #isSettled = false;
  /** The turn runs in another process, and this one writes what that says. */
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
    return this.#isSettled;
  }

  /** What history would hold if the turn were interrupted now. */
  soFar(): TurnSettlement {
    return settlementOf(this, 'interrupted', this.host);
  }

  // What the webhook, or a newer turn, does to it.

  /** Never throws or rejects: what fails, fails the turn. */
  begin(): void {
    this.attempt(() => this.#open());
    if (!this.isOver) startClock(this);
  }

  /**
   * The same turn was delivered again: the newer delivery gets what was said so far, and then the
   * rest.
   */
  takeOver(delivery: Delivery): void {
    const older = this.delivery;
    this.spoken.noteTakeOver(older.unsent);
    this.delivery = delivery;
    for (const event of this.spoken.events) void delivery.send(event);
    older.onOutcome({ outcome: 'taken over' });
    older.end();
    if (this.isOver && delivery.end()) this.delivered();
  }

  /** Everything that was sent has left this process. */
  delivered(): void {
    if (this.#ending === 'completed') this.#settle('completed');
  }

  /**
   * The caller left, spoke over the reply, or is interrupted by the server. Does nothing to a turn
   * that is settled.
   */
  interrupt(reason: string): void {
    if (this.#ending === undefined) this.#end('interrupted', reason);
    else if (this.#ending === 'completed') this.#settle('interrupted'); // not all of it had left
  }

  // The beginning.

  /** `answer`: what other processes said that they run. Undefined before they were asked. */
  #open(answer?: Pick<AnswerOfOthers, 'isCallRunning'>): Awaitable<void> {
    const opening = openRecord(this, this.host, answer);
    if (!(opening instanceof Promise)) return this.#afterOpening(opening);
    this.host.track(opening);
    return opening.then((opened) => this.#afterOpening(opened));
  }

  #afterOpening(opened: TurnOpeningResult | KnownConversation | undefined): Awaitable<void> {
    if (opened === undefined || !('kind' in opened)) {
      this.#isOpening = false;
      this.findSpeaker(opened?.agent);
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

  /** Other processes may run this turn, or tools that it would take for lost. */
  async #askOthers({ same, calls }: RunsElsewhere): Promise<void> {
    const answer = await this.host.others?.ask(this.conversationId, same, calls, this);
    if (answer?.followed === undefined) return this.#open(answer ?? NOBODY_ANSWERS);
    this.#isOpening = false;
    this.#followed = answer.followed;
    this.#interruptOlder();
    if (this.isOver) this.#leaveFollowed(); // the caller left meanwhile
  }

  #run(opened: OpenedTurn): Awaitable<void> {
    const { conversationId, host } = this;
    const mayEndCalls = this.#interruptOlder();
    if (opened.turnId !== this.turnId) {
      this.log.warn('the id of an older turn came with other words, and begins a turn of its own', {
        turnId: this.turnId,
        storedAs: opened.turnId,
      });
      this.turnId = opened.turnId;
    }
    this.opened = opened;
    for (const run of opened.endedElsewhere) host.others?.interrupt(conversationId, run);
    this.liveState = host.states?.enter(conversationId, opened);
    this.findSpeaker(opened.agent);
    // A turn that had been completed. Any other was reported when it was interrupted.
    if (opened.cut !== undefined) tellInterrupted(host.speakers.own, this, opened.cut);
    // Calls that still run are waited for from now on.
    if (opened.earlierCalls.length > 0) void this.calls;
    if (this.#ending !== undefined) return this.#settleLate(this.#ending);
    // Calls that were just aborted get a moment to end. Otherwise the model would be told that they
    // still run.
    if (mayEndCalls) return soon().then(() => this.letSpeak(opened.isResumed));
    return this.letSpeak(opened.isResumed);
  }

  /** The turn ended while a slow store opened its record. It has said an apology at the most. */
  #settleLate(ending: Ending): void {
    settle(this, ending, this.host);
    if (ending !== 'interrupted') return;
    tellInterrupted(this.host.speakers.own, this, { turnId: this.turnId, text: '' });
  }

  /** True when tool calls were aborted that have not ended yet. */
  #interruptOlder(): boolean {
    let mayEndCalls = false;
    // A turn that is interrupted is taken out of the chain, but keeps its own link to the next.
    for (let older = this.older; older !== undefined; older = older.older) {
      mayEndCalls ||= older.callsSoFar?.canBeAborted === true;
      older.interrupt('a newer turn began');
    }
    this.older = undefined;
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
    if (taken === false) return false; // the connection is gone, and the news of it on its way
    this.spoken.note(event);
    // Not what the delivery answers: if it was taken over meanwhile, the turn goes on.
    return taken instanceof Promise ? taken.then(() => !this.isOver) : taken;
  }

  // The end.

  end(): void {
    if (this.isOver) return;
    sendHalfCharacter(this);
    this.#end('completed', 'the turn ended');
  }

  fail(error: unknown): void {
    const { agent, conversationId, turnId } = this;
    // The caller has spoken, though nothing of it could be stored.
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
      // Mostly the abort that it was sent. Anything else must not vanish.
      const message = 'agent failed after its turn was over';
      this.log.debug(message, { agent: agent.name, turnId, error });
    }
  }

  /** The one end of what the agent can do. */
  #end(ending: Ending, reason: string, error?: unknown): void {
    this.#ending = ending;
    clearTimeout(this.timer);
    // The stream ends first: what it still lets through belongs to what was sent.
    const hasLeft = this.delivery.end();
    this.#leaveFollowed();
    if (ending !== 'completed' || hasLeft || !this.isStored) this.#settle(ending, error);
    this.stopAgent(ending, reason);
  }

  /** It is known what has left. Settles the record, and reports the outcome, once. */
  #settle(ending: Ending, error?: unknown): void {
    if (this.#isSettled) return;
    this.#isSettled = true;
    const { host, spoken, firstSpeechMs, usage } = this;
    if (this.opened !== undefined) settle(this, ending, host);
    host.ended(this);
    this.delivery.onOutcome({
      outcome: ending,
      firstSpeechMs,
      usage,
      speakers: spoken.speakers(host.speakers.ownName),
      error,
    });
    if (ending !== 'interrupted' || this.opened === undefined) return;
    const text = spoken.text(spoken.countSent(this.delivery.unsent));
    tellInterrupted(host.speakers.own, this, { turnId: this.turnId, text });
  }

  /** What the caller hears, if anything, is another run's. */
  #endWithoutAgent(outcome: Exclude<TurnOutcome, Ending>): void {
    this.#ending = 'completed';
    clearTimeout(this.timer);
    this.delivery.end();
    this.#isSettled = true;
    this.host.ended(this);
    this.delivery.onOutcome({ outcome });
  }

  // The run in another process, if this turn follows one.

  endAs(outcome: TurnOutcome): void {
    this.#followed = undefined;
    if (outcome === 'completed' || outcome === 'interrupted' || outcome === 'failed')
      this.#end(outcome, 'the turn ended in another process');
    else this.#endWithoutAgent(outcome);
  }

  runHere(): void {
    this.#followed = undefined;
    const { conversationId, turnId } = this;
    this.log.warn('the process that ran a turn is gone: it runs anew', { conversationId, turnId });
    this.attempt(() => this.#open(NOBODY_ANSWERS));
  }

  #leaveFollowed(): void {
    this.#followed?.leave(this.spoken.countSent(this.delivery.unsent));
    this.#followed = undefined;
  }
}

const RUN_IDS = 2 ** 30;

let lastRunId = randomInt(RUN_IDS);

/**
 * A number that no other run of the turn has. Several processes may share a store, so each counts
 * from a random number. Below 2 ** 30, V8 keeps it without an object.
 */
function nextRunId(): number {
  lastRunId = (lastRunId + 1) % RUN_IDS;
  return lastRunId;
}

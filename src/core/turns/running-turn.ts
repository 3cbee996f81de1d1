import { AsyncResource } from 'node:async_hooks';
import { randomUUID } from 'node:crypto';

import { andThen, soon, type Awaitable } from '../../base/awaitable.ts';
import type { Logger } from '../../base/log.ts';
import { atMost } from '../../base/time-limit.ts';
import type { Agent, ModelUsage } from '../agents/agent.ts';
import { isBeside, type Caller, type TurnEvent } from '../calls/call-event.ts';
import type { SentEvent } from '../calls/reply-event.ts';
import type { EarlierToolCall } from '../conversations/discarded-turns.ts';
import type { Message } from '../conversations/message.ts';
import type { OpenedTurn } from '../conversations/opened-turn.ts';
import { nextRunId } from '../conversations/turn-record.ts';
import type { TurnSettlement } from '../conversations/turn-settlement.ts';
import type { LiveState } from '../state/live-state.ts';
import type { ToolCalls } from '../tools/tool-calls.ts';
import { AgentRun, loadedWork } from './agent-run.ts';
import { startClock } from './clock.ts';
import type { DeliveredTurn, Delivery } from './delivery.ts';
import { apologyOf, tellInterrupted } from './hooks.ts';
import { noteLostCall } from './lost-calls.ts';
import {
  isAnswered, isOver, moveFor, type Effect, type Ending, type Happening, type RunState,
  type StreamEnd,
} from './machine.ts';
import {
  correctSettlement, openRecord, settlementOf, storeSettlement, type Asked, type Opening,
} from './record.ts';
import { replyLater } from './reply-later.ts';
import { apologise, sendHalfCharacter } from './reply.ts';
import { ReplyTooLong } from './report/failure-reason.ts';
import { traceOf, type TurnTrace } from './report/turn-trace.ts';
import type { TurnWork } from './report/turn-work.ts';
import { SpokenReply } from './spoken-reply.ts';
import type { TurnHost, TurnRun } from './turn-run.ts';
import type { Values } from './values.ts';

/** How long the end of a stream waits for a tool's result or a state to be stored. */
const HELD_BACK_MS = 3_000;
/**
 * How long a run waits for calls of earlier runs of its turn. Otherwise its model would be told
 * that they are still running.
 */
const CALLS_MS = 200;

/** The machine's event for each answer of the store. */
const HAPPENING_OF: Readonly<Record<Opening['kind'], Happening>> = {
  opened: 'opened',
  beside: 'opened',
  over: 'not opened',
  elsewhere: 'runs elsewhere',
  stale: 'stale',
  'completed before': 'replayed',
};

/**
 * One run of a turn. Tells the machine what happens to it, and does what the machine says with the
 * record, the stream, the agent and the clock. Knows nothing of HTTP.
 */
export class RunningTurn implements TurnRun, DeliveredTurn {
  readonly runId = nextRunId();
  readonly host: TurnHost;
  readonly spoken: SpokenReply;
  declare readonly values: Values | undefined;
  /** Undefined if the turn is not traced. */
  readonly trace: TurnTrace | undefined;
  readonly startedAtMs = performance.now();
  turnId: string;
  /** Replaced when the same turn is delivered again. */
  delivery: Delivery;
  /**
   * The turn of this conversation that was running when this one arrived. It is interrupted as soon
   * as the record of this one is open or cannot be opened, and stays here until it is settled.
   */
  older: RunningTurn | undefined;
  liveState: LiveState | undefined;
  timer: NodeJS.Timeout | undefined;
  firstSpeechMs: number | undefined;
  /** The same without fillers. */
  firstWordMs: number | undefined;
  /** Undefined if it has waited for nothing. */
  workSoFar: TurnWork | undefined;
  #state: RunState = 'opening';
  readonly #run = new AgentRun(this);
  /** What the store has answered. */
  #opening: Opening | undefined;
  /** The delivery that takes over the stream. */
  #newer: Delivery | undefined;
  /** Why it failed. */
  error: unknown;
  /** Whether aborted tool calls of older turns have not ended yet. */
  #areCallsEnding = false;
  /** Set if its settlement was stored before its last event left. */
  #storedAs: Ending | undefined;
  /** Set once a newer turn knows what this one has said so far, and may store that later. */
  #mayBeCut = false;
  /**
   * The async context of its request, for `onInterrupted`: the turn is interrupted in the context
   * of another request, or of none. Undefined if the agent has no such hook.
   */
  readonly #scope: AsyncResource | undefined;

  constructor(delivery: Delivery, host: TurnHost, older: RunningTurn | undefined) {
    this.delivery = delivery;
    this.host = host;
    this.turnId = delivery.event.turnId ?? randomUUID();
    delivery.turn = this;
    this.older = older;
    const { values, settings } = host.options;
    if (values !== undefined) this.values = values.of(this);
    this.spoken = new SpokenReply(this.values, settings.maxReplyWords);
    this.trace = traceOf(this);
    const { onInterrupted } = host.speakers.own;
    if (onInterrupted !== undefined) this.#scope = new AsyncResource('RunningTurn');
  }

  // What is known about it.

  /** Whether its agent can do no more. */
  get isOver(): boolean {
    return isOver(this.#state);
  }

  /** Whether it has nothing more to send its caller. */
  get isAnswered(): boolean {
    return isAnswered(this.#state);
  }

  get opened(): OpenedTurn | undefined {
    return this.#opening?.kind === 'opened' ? this.#opening : undefined;
  }

  get conversationId(): string {
    return this.delivery.event.conversationId;
  }

  get event(): TurnEvent {
    return this.delivery.event;
  }

  get told(): TurnEvent {
    return this.values === undefined ? this.event : this.values.told(this.event);
  }

  get log(): Logger {
    const { trace, delivery } = this;
    return trace === undefined ? delivery.log : trace.logOf(delivery);
  }

  /** See `TurnReport`. */
  get traceId(): string | undefined {
    return this.trace?.place?.traceId;
  }

  get canTransfer(): boolean {
    return this.delivery.canTransfer === true;
  }

  get hasBrowser(): boolean {
    return this.delivery.hasBrowser !== false;
  }

  /** False for a turn that leaves nothing in history. */
  get isStored(): boolean {
    return !isBeside(this.event);
  }

  get place(): string {
    return this.opened?.place ?? this.turnId;
  }

  get mayAct(): boolean {
    return this.opened?.mayAct !== false;
  }

  get erasedAt(): number {
    return this.opened?.erasedAt ?? 0;
  }

  get mayBeReplaced(): boolean {
    const { event } = this;
    return event.type === 'message' && event.transcript !== undefined;
  }

  get settlesAtMs(): number {
    return this.startedAtMs + this.host.options.settings.settleMs;
  }

  get caller(): Caller | undefined {
    return this.event.caller ?? this.opened?.callerIn(this.event.sessionId);
  }

  get hasState(): boolean {
    return this.host.states !== undefined;
  }

  /** A turn that leaves nothing in history gets a state that is not kept. */
  get state(): unknown {
    this.liveState ??= this.host.states?.peek(this.conversationId, undefined);
    return this.liveState?.value;
  }

  /** The agent that speaks. */
  get agent(): Agent {
    const { host: { speakers }, spoken: { speaker } } = this;
    return speaker === undefined ? speakers.own : speakers.named(speaker);
  }

  get history(): readonly Message[] {
    return this.#run.history;
  }

  get signal(): AbortSignal {
    return this.#run.signal;
  }

  get calls(): ToolCalls {
    return this.#run.calls;
  }

  get callsSoFar(): ToolCalls | undefined {
    return this.#run.callsSoFar;
  }

  /** Created on first use: many turns wait for nothing. */
  get work(): TurnWork {
    if (this.workSoFar === undefined) {
      const { TurnWork } = loadedWork(this);
      this.workSoFar = new TurnWork(this, this.host.observer, this.host.options.costOf);
    }
    return this.workSoFar;
  }

  get usage(): readonly ModelUsage[] | undefined {
    return this.workSoFar?.usage;
  }

  /** See `TurnReport`. */
  get speakers(): readonly string[] | undefined {
    return this.spoken.speakers(this.host.speakers.ownName);
  }

  /** Whether the turn has failed, and is only waiting for the store. */
  get #hasApologised(): boolean {
    return this.#state === 'storing a failure';
  }

  /** What history would hold if the turn were interrupted now. */
  soFar(): TurnSettlement {
    this.#mayBeCut = true;
    return settlementOf(this, this.#hasApologised ? 'failed' : 'interrupted');
  }

  // What happens to it.

  /** Never throws: any failure fails the turn. */
  begin(): void {
    if (this.trace === undefined) this.#open();
    else this.trace.run(() => this.#open());
    if (!this.isOver) startClock(this);
  }

  /**
   * The same turn has been delivered again: the newer delivery gets what has been said so far, then
   * the rest. The older one ends.
   */
  takeOver(delivery: Delivery): void {
    if (!delivery.isOpen) return delivery.onOutcome({ outcome: 'interrupted' });
    this.#newer = delivery;
    this.#happens('delivered again');
  }

  dropped(): void {
    this.interrupt('the caller left or spoke over the reply');
  }

  delayed(): void {
    this.host.delayed(this);
  }

  /** Everything that was sent has left this process. */
  delivered(): void {
    this.#happens('left');
  }

  /**
   * The caller left or spoke over the reply, a newer turn began, or the server interrupts the turn.
   * Does nothing once the turn is settled.
   */
  interrupt(reason: string): void {
    if (!this.isAnswered) this.trace?.note({ type: 'interruption', reason });
    this.#happens('interrupted', reason);
  }

  /**
   * Another process runs the turn from now on. The stream ends, and nothing is stored, because the
   * record is that run's. Tool calls go on, so that the other run gets their results.
   */
  giveAway(): void {
    this.#happens('taken over');
  }

  learn(calls: readonly EarlierToolCall[]): void {
    this.calls.learn(calls);
  }

  /** A complete reply leaves now, if it is still waiting for others. */
  leave(): void {
    this.#happens('must leave');
  }

  /** Completes the turn. Does nothing once it is over. */
  end(): void {
    if (this.isOver) return;
    sendHalfCharacter(this);
    this.#happens('completed');
  }

  handOver(): void {
    this.#happens('handed over');
  }

  /** Fails the turn: logs the error, and speaks the apology. Once it is over, it only logs. */
  fail(error: unknown): void {
    this.#happens('failed', error);
  }

  /** See `Reply.say`. A reply that is too long fails the turn. */
  send(event: SentEvent): Awaitable<boolean> {
    const { excess } = this.spoken;
    if (excess !== undefined) {
      this.fail(new ReplyTooLong(`the reply is longer than ${excess}`));
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
    if (taken === false) return false; // the connection is gone: `dropped` follows
    this.spoken.note(event);
    // Not what the promise resolves with: if the delivery was taken over, the turn continues.
    return taken instanceof Promise ? taken.then(() => !this.isOver) : taken;
  }

  // What follows.

  /** `cause`: the error of a failure, or the reason of an interruption. */
  #happens(happening: Happening, cause?: unknown): void {
    const isShared = this.host.process !== undefined && this.opened !== undefined;
    const move = moveFor(this.#state, happening, isShared);
    if (move === undefined) return;
    this.#state = move.to;
    if (this.isOver) clearTimeout(this.timer);
    for (const effect of move.effects) this.#perform(effect, cause);
  }

  #perform(effect: Effect, cause: unknown): void {
    switch (effect.do) {
      case 'interrupt older turns':
        return this.#interruptOlder();
      case 'take the record':
        return this.#takeRecord();
      case 'ask the agent':
        return this.#askAgent();
      case 'ask who lives':
        return void this.#askWhoLives();
      case 'let the next agent speak':
        return this.#run.letNextSpeak();
      case 'send what was sent':
        return this.#replay();
      case 'pass the stream on':
        return this.#passOn();
      case 'apologise':
        return this.#apologise(cause);
      case 'end the stream':
        return this.#endStream(effect.when);
      case 'store first':
        return this.#storeFirst(effect.as);
      case 'settle':
        return this.#settle(effect.as);
      case 'settle late':
        return this.#settleLate(effect.as);
      case 'end unstored':
        return this.#endUnstored(effect.as);
      case 'stop the agent':
        return this.#run.stop(effect.as, effect.as === 'interrupted' ? String(cause) : undefined);
      case 'log a lost turn':
        return this.#logLost(cause);
      case 'log a late failure':
        return this.#logLate(cause);
      default:
        effect satisfies never;
    }
  }

  // The beginning: the record is opened, older turns are interrupted, the agent is asked.

  /** `asked`: set once it is known which processes are alive. */
  #open(asked?: Asked): void {
    try {
      const opening = openRecord(this, asked);
      if (!(opening instanceof Promise)) return this.#openingIs(opening);
      const fromMs = performance.now();
      this.host.track(opening);
      const noted = opening.finally(() => this.work.noteStore('open', fromMs));
      const opened = noted.then((result) => this.#openingIs(result));
      opened.catch((error: unknown) => this.fail(error));
    } catch (error) {
      this.fail(error);
    }
  }

  #openingIs(opening: Opening): void {
    this.#opening = opening;
    if ('links' in opening && opening.links !== undefined) this.trace?.link(opening.links);
    this.#happens(HAPPENING_OF[opening.kind]);
  }

  /**
   * Processes that are alive may be running tool calls that would otherwise count as lost. Never
   * rejects.
   */
  async #askWhoLives(): Promise<void> {
    if (this.#opening?.kind !== 'elsewhere') return;
    const { processes, ofSameTurn, newest } = this.#opening;
    const { conversations, others } = this.host;
    const gone = await conversations.goneAmong(processes);
    const living = [...ofSameTurn].filter((process) => !gone.has(process));
    if (living.length > 0) await others?.callsEnded(this.conversationId, living, CALLS_MS);
    this.#open({ mayLive: (process) => !gone.has(process), newest });
  }

  #interruptOlder(): void {
    // An interrupted turn is removed from the running turns, but keeps its own `older`.
    for (let older = this.older; older !== undefined; older = older.older) {
      if (older.callsSoFar?.canBeAborted === true) this.#areCallsEnding = true;
      older.interrupt('a newer turn began');
    }
    this.older = undefined; // all are settled
  }

  #takeRecord(): void {
    if (this.#opening?.kind === 'beside') return this.#restoreSpeaker(this.#opening.agent);
    const { conversationId, host, opened } = this;
    if (opened === undefined) return;
    if (opened.turnId !== this.turnId) {
      const { turnId: storedAs } = opened;
      const message = 'turn id reused with different text; treating it as a new turn';
      // On a wire without ids, a turn that was discarded may simply come back.
      if (!this.mayBeReplaced)
        this.log.warn(message, { turnId: this.turnId, storedAs });
      this.turnId = storedAs;
    }
    if (opened.endedElsewhere.length > 0)
      host.others?.ended(conversationId, opened.endedElsewhere);
    for (const lost of opened.lostCalls) noteLostCall(host, this.log, lost, this);
    this.liveState = host.states?.enter(conversationId, opened);
    this.#restoreSpeaker(opened.agent);
    // The platform reports that a completed turn was cut. Any other cut was reported at the time.
    if (opened.cut !== undefined) tellInterrupted(this, opened.cut);
    // Begins to wait for calls of earlier runs that are still running.
    if (opened.earlierCalls.length > 0) void this.calls;
  }

  /** Continues with the agent that an earlier turn handed the conversation over to, if one did. */
  #restoreSpeaker(name: string | undefined): void {
    const { speakers } = this.host;
    if (name === undefined || name === speakers.ownName) return;
    if (speakers.find(name) !== undefined) return this.spoken.changeSpeaker(name);
    const { conversationId, turnId } = this;
    this.log.error(
      'the agent that has the conversation is no longer served, or has a different state',
      { conversationId, turnId, handedOverTo: name },
    );
  }

  /**
   * Calls that are ending get a moment. Otherwise the prompt would say that they are still running.
   */
  #askAgent(): void {
    const opening = this.#opening;
    if (opening?.kind !== 'opened' && opening?.kind !== 'beside') return;
    const { conversationId, host: { conversations } } = this;
    this.#run.begin(opening.isResumed, this.#awaitCalls()?.then(() =>
      this.opened?.seeLater(conversations.remembered(conversationId))));
  }

  /**
   * For calls that were just aborted, and those of earlier runs. Calls of a run in another process
   * had their time before this one took over.
   */
  #awaitCalls(): Promise<unknown> | undefined {
    if (this.#areCallsEnding) return soon();
    const isElsewhere = this.opened !== undefined && this.opened.endedElsewhere.length > 0;
    return isElsewhere ? undefined : this.callsSoFar?.earlierEnded(CALLS_MS);
  }

  #replay(): void {
    if (this.#opening?.kind !== 'completed before') return;
    for (const event of this.#opening.sent) void this.delivery.send(event);
  }

  // The same turn was delivered again.

  #passOn(): void {
    const [older, newer] = [this.delivery, this.#newer];
    this.#newer = undefined;
    if (newer === undefined) return;
    const wasUnheard = this.#isUnheard;
    older.turn = undefined;
    this.delivery = newer;
    newer.turn = this;
    if (!wasUnheard) older.end('cut short'); // anything already queued is still sent
    this.spoken.noteTakeOver(older.unsent);
    for (const event of this.spoken.events) void newer.send(event);
    if (this.#hasApologised) void newer.send({ type: 'error' });
    this.#lost(older, 'taken over', wasUnheard ? () => this.turnId : undefined);
  }

  // The end: the stream ends, the record is settled, the outcome is reported.

  #apologise(thrown: unknown): void {
    const { agent, conversationId, turnId, values, host: { speakers } } = this;
    const error = values === undefined ? thrown : values.error(thrown);
    this.error = error;
    this.log.error('turn failed', {
      agent: speakers.nameOf(agent), conversationId, turnId, error,
    });
    apologise(this, apologyOf(agent, this, error));
    this.trace?.note({ type: 'apology' });
    void this.delivery.send({ type: 'error' });
  }

  #endStream(when: StreamEnd): void {
    if (this.delivery.end(when) || !this.isStored) this.#happens('left');
  }

  /**
   * A slow store delays the end of the stream no longer than its time-out, unless the turn has
   * called a tool or changed the state: the next turn, anywhere, should begin with that.
   */
  #storeFirst(ending: Ending): void {
    this.#storedAs = ending;
    const fromMs = performance.now();
    const { host, callsSoFar, liveState } = this;
    const before = liveState?.revision;
    const settled = storeSettlement(this, ending, true);
    const hasChanged = callsSoFar !== undefined || liveState?.revision !== before;
    const stored = hasChanged
      ? andThen(settled, () => host.conversations.whenStored(this.conversationId))
      : settled;
    if (!(stored instanceof Promise)) return this.#happens('stored');
    const limitMs = Math.max(host.options.settings.storeTimeoutMs, hasChanged ? HELD_BACK_MS : 0);
    void atMost(limitMs, stored).then(() => {
      this.work.noteStore('end', fromMs);
      this.#happens('stored');
    });
  }

  #settle(as: Ending | 'as it left'): void {
    const ending = as !== 'as it left' ? as : this.delivery.end() ? 'completed' : 'interrupted';
    const { host, firstSpeechMs, firstWordMs, speakers, error, workSoFar: work } = this;
    if (this.opened !== undefined) this.#store(ending);
    host.ended(this);
    this.delivery.turn = undefined;
    this.trace?.end({ outcome: ending, speakers, error }, work);
    this.delivery.onOutcome({
      outcome: ending, firstSpeechMs, firstWordMs, speakers, work, error, traceId: this.traceId,
    });
    if (ending === 'interrupted' && this.opened !== undefined) {
      const text = this.spoken.text(this.spoken.countSent(this.delivery.unsent));
      const cut = { turnId: this.turnId, text };
      this.#scope?.runInAsyncScope(tellInterrupted, undefined, this, cut);
    }
  }

  #store(ending: Ending): void {
    if (this.#storedAs === undefined) void storeSettlement(this, ending);
    else if (this.#storedAs !== ending || this.#mayBeCut) correctSettlement(this, ending);
  }

  /** The turn ended while a slow store was opening its record. At most it has said an apology. */
  #settleLate(ending: Ending): void {
    void storeSettlement(this, ending);
    if (ending !== 'interrupted') return;
    tellInterrupted(this, { turnId: this.turnId, text: '' });
  }

  /** What the caller gets, if anything, is another run's reply. */
  #endUnstored(outcome: 'stale' | 'replayed' | 'taken over'): void {
    const goesOnAs = outcome === 'replayed' ? undefined : this.#goesOnAs();
    if (goesOnAs === undefined) this.delivery.end(outcome === 'taken over' ? 'cut short' : 'now');
    this.host.ended(this);
    this.delivery.turn = undefined;
    this.trace?.end({ outcome }, this.workSoFar);
    this.#lost(this.delivery, outcome, goesOnAs);
    if (this.#storedAs === undefined) this.liveState?.leave();
  }

  /** The id of the turn whose reply this delivery will get, although another run gives it. */
  #goesOnAs(): (() => string) | undefined {
    if (!this.isStored || !this.#isUnheard) return undefined;
    const { turnId } = this.#opening?.kind === 'stale' ? this.#opening : this;
    return turnId === undefined ? undefined : () => turnId;
  }

  /** Whether nothing has been sent to its delivery yet. */
  get #isUnheard(): boolean {
    return this.spoken.events.length === 0 && this.delivery.isOpen;
  }

  /** The delivery is no longer this run's. It may still get the reply of that turn. */
  #lost(
    delivery: Delivery,
    outcome: 'stale' | 'replayed' | 'taken over',
    turnId: (() => string) | undefined,
  ): void {
    const { traceId } = this;
    const over = (): void => delivery.onOutcome({ outcome, traceId });
    if (turnId === undefined) over();
    else void replyLater(delivery, turnId, this.host).then(over);
  }

  #logLost(error: unknown): void {
    const { conversationId, turnId } = this;
    const message = 'turn lost: it ended before it could be stored';
    this.log.error(message, { conversationId, turnId, error });
  }

  /** Usually the error is the turn's own abort. Any other error must not be lost. */
  #logLate(thrown: unknown): void {
    const { turnId, values, host: { speakers } } = this;
    const error = values === undefined ? thrown : values.error(thrown);
    const agent = speakers.nameOf(this.agent);
    this.log.debug('agent failed after its turn was over', { agent, turnId, error });
  }
}

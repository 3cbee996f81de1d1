import { randomInt, randomUUID } from 'node:crypto';

import {
  TurnAbortedError,
  type Agent,
  type ModelRequestFailure,
  type ModelUsage,
  type Spoken,
  type ToolCallOutcome,
  type ToolOutcome,
  type ToolRun,
} from '../agents/agent.ts';
import type { LiveState, LiveStates } from '../agents/live-state.ts';
import { DEFAULT_APOLOGY } from '../agents/phrases.ts';
import { andThen, isThenable, soon, type Awaitable } from '../base/awaitable.ts';
import type { KnownCaller } from '../conversations/conversation.ts';
import type { CutTurn } from '../conversations/heard.ts';
import type { KnownConversation } from '../conversations/manager.ts';
import {
  UNFINISHED_RESULTS,
  type Message,
  type SentEvent,
  type ToolCall,
} from '../conversations/message.ts';
import type {
  OpenedTurn,
  TurnOpening,
  TurnOpeningResult,
  TurnSettlement,
} from '../conversations/rules.ts';
import type { ReplyEvent } from '../layercode/dialect.ts';
import { callerOf, sessionIdOf, type Caller } from '../layercode/events.ts';
import type { Json } from '../layercode/fields.ts';
import type { Logger } from '../log.ts';
import { AgentText, type TextSpeaker } from './agent-text.ts';
import {
  interruptionOf,
  isBeside,
  isSameTurn,
  textOf,
  type Delivery,
  type TurnEvent,
  type TurnReport,
} from './delivery.ts';
import { figuresAtEnd, figuresAtStart } from './figures.ts';
import type { AnswerOfOthers, Follower, OtherProcesses } from './other-processes.ts';
import { messageTurn, startTurn, TurnReply, type Run } from './reply.ts';
import { OPENING_DELAYS_MS, persist, WRITE_DELAYS_MS } from './persist.ts';
import { MAX_REPLY_LENGTH, SpokenReply } from './spoken-reply.ts';
import { TurnCalls, type CallHost, type CallingRun } from './turn-calls.ts';

/** Told at once what models and tools did, also when their turn is over by then. For metrics. */
export interface WorkObserver {
  modelRequest(model: string, outcome: 'completed' | ModelRequestFailure): void;
  toolCall(tool: string, outcome: ToolCallOutcome): void;
}

/** What all turns of an app share. */
export interface TurnHost extends CallHost {
  /** The one of the path, which speaks unless the conversation was handed over. */
  readonly agent: Agent;
  /** The name that it is served under. Undefined for an app's only agent. */
  readonly ownName: string | undefined;
  /** All agents of the server, by their names. */
  readonly agents: ReadonlyMap<string, Agent>;
  /** The agent of that name, if a conversation can be handed over to it. */
  readonly colleague: (name: string) => Agent | undefined;
  /** From the verified event on. Then the agent is aborted and the apology spoken. */
  readonly turnTimeoutMs: number;
  /** The same, for a turn that has spoken nothing. */
  readonly firstWordTimeoutMs: number;
  /** Those that share the conversations. Undefined for a process that has them to itself. */
  readonly others?: OtherProcesses | undefined;
  /** Undefined for an agent without a state. */
  readonly states: LiveStates | undefined;
  readonly observer: WorkObserver | undefined;
  /** Whether the record of a call will say how its turns went. */
  readonly recordsCalls: boolean;
  /** The turn is settled: nothing of it is left to be done. */
  ended(turn: Turn): void;
}

type Ending = 'completed' | 'interrupted' | 'failed';

const RUN_IDS = 2 ** 30;

type RunsElsewhere = Extract<TurnOpeningResult, { readonly kind: 'elsewhere' }>;

/** The answer where nobody is left to answer. */
const NOBODY: AnswerOfOthers = { isFollowing: false, isCallRunning: () => false };

/**
 * One run of a turn: it opens the record, lets the agent speak, keeps the clocks, ends once, and
 * settles the record. Knows nothing of HTTP. The agent's reply and journal lead here.
 *
 * It ends in `#end`: from then on what the agent does is a no-op. The record is settled there too,
 * unless bytes of a completed reply still wait in this process. Then it is settled when they have
 * left (completed) or the connection has closed (interrupted).
 */
export class Turn implements Run, CallingRun, TextSpeaker, Follower {
  readonly runId = nextRunId();
  readonly spoken = new SpokenReply();
  /**
   * The turn of this conversation that ran when this one arrived. Interrupted when this one is
   * opened.
   */
  older: Turn | undefined;
  turnId: string;
  readonly #host: TurnHost;
  readonly #startedAtMs = performance.now();
  #delivery: Delivery;
  /** Set when the agent can do no more. */
  #ending: Ending | undefined;
  #isSettled = false;
  #isOpening = true;
  #opened: OpenedTurn | undefined;
  #history: readonly Message[] | undefined;
  #firstSpeechMs: number | undefined;
  #usage: ModelUsage[] | undefined;
  #calls: TurnCalls | undefined;
  /** Of an agent with a state. */
  #liveState: LiveState | undefined;
  #controller: AbortController | undefined;
  #abortReason: TurnAbortedError | undefined;
  /** What the agent's hook yields. */
  #text: AgentText | undefined;
  #isReading = false;
  #timer: NodeJS.Timeout | undefined;
  /** Another process runs it, and this one writes what that says. */
  #isFollowing = false;

  constructor(delivery: Delivery, host: TurnHost, older: Turn | undefined) {
    this.#delivery = delivery;
    this.#host = host;
    this.older = older;
    this.turnId = delivery.turnId ?? randomUUID();
  }

  get conversationId(): string {
    return this.#delivery.conversationId;
  }

  get event(): TurnEvent {
    return this.#delivery.event;
  }

  get agentName(): string {
    return this.#agent.name;
  }

  /** The one that speaks. */
  get #agent(): Agent {
    const { speaker } = this.spoken;
    const { agent, colleague } = this.#host;
    return (speaker === undefined ? undefined : colleague(speaker)) ?? agent;
  }

  /** False for a turn that leaves nothing in history. */
  get isStored(): boolean {
    return !isBeside(this.#delivery);
  }

  /** Whether nothing of it is left to be done. */
  get isSettled(): boolean {
    return this.#isSettled;
  }

  get delivery(): Delivery {
    return this.#delivery;
  }

  isAnsweredOn(delivery: Delivery): boolean {
    return this.#delivery === delivery;
  }

  isDeliveredBy(delivery: Delivery): boolean {
    return isSameTurn(this.#delivery, delivery);
  }

  /**
   * Opens the record and lets the agent speak. Never throws or rejects: what fails, fails the turn.
   */
  begin(): void {
    try {
      const opening = this.#open();
      if (opening instanceof Promise) this.#host.track(opening);
      this.#endAgentWith(andThen(opening, (opened) => this.#continue(opened)));
      if (this.#ending === undefined) this.#arm();
    } catch (error) {
      this.#agentFailed(error);
    }
  }

  /** As `begin`, for what comes later. */
  #speakOn(speak: () => Awaitable<void>): void {
    try {
      this.#endAgentWith(speak());
    } catch (error) {
      this.#agentFailed(error);
    }
  }

  #endAgentWith(begun: Awaitable<void>): void {
    if (!(begun instanceof Promise)) this.#agentEnded();
    else begun.then(() => this.#agentEnded(), (error: unknown) => this.#agentFailed(error));
  }

  #agentFailed(error: unknown): void {
    this.#fail(error);
    this.#agentEnded();
  }

  #agentEnded(): void {
    if (!this.#isReading) this.#calls?.agentEnded();
  }

  /**
   * The same turn was delivered again: the newer delivery gets what was said so far, and then the
   * rest.
   */
  takeOver(delivery: Delivery): void {
    const older = this.#delivery;
    this.spoken.noteTakeOver(older.unsent);
    this.#delivery = delivery;
    for (const event of this.spoken.events) void delivery.send(event);
    older.onOutcome({ outcome: 'taken over' });
    older.end();
    if (this.#ending !== undefined && delivery.end()) this.delivered();
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
    else if (this.#ending === 'completed') this.#settle('interrupted'); // unless all of it had left
  }

  /** What history would hold if the turn were interrupted now. */
  soFar(): TurnSettlement {
    return this.#settlementOf('interrupted');
  }

  // What the agent is told.

  get history(): readonly Message[] {
    return (this.#history ??= frozen(this.#opened?.history() ?? []));
  }

  get caller(): Caller | undefined {
    return callerOf(this.event) ?? this.#opened?.callerIn(sessionIdOf(this.event));
  }

  get hasState(): boolean {
    return this.#host.states !== undefined;
  }

  /** Of a turn that leaves nothing in history, one that is not kept. */
  get state(): unknown {
    this.#liveState ??= this.#host.states?.peek(this.conversationId, undefined);
    return this.#liveState?.value;
  }

  get liveState(): LiveState | undefined {
    return this.#liveState;
  }

  get log(): Logger {
    return this.#delivery.log;
  }

  get isOver(): boolean {
    return this.#ending !== undefined;
  }

  /** Made when it is asked for: an agent that answers at once needs none. */
  get signal(): AbortSignal {
    if (this.#controller === undefined) {
      this.#controller = new AbortController();
      if (this.#abortReason !== undefined) this.#controller.abort(this.#abortReason);
    }
    return this.#controller.signal;
  }

  // What the agent does.

  say(text: string): Awaitable<boolean> {
    if (this.#ending !== undefined) return false;
    if (typeof text !== 'string') throw new TypeError(`say takes a string, got ${typeof text}`);
    const event = this.spoken.say(text);
    return event === undefined ? true : this.#send(event);
  }

  data(content: Json): Awaitable<boolean> {
    if (this.#ending !== undefined) return false;
    const json = JSON.stringify(content) as string | undefined;
    if (json === undefined) throw new TypeError(`data must be a JSON value, got ${typeof content}`);
    return this.#send(this.spoken.sendData(json));
  }

  hangup({ say }: { readonly say?: string } = {}): void {
    if (this.#ending !== undefined) return;
    if (say !== undefined) void this.say(this.spoken.apart(say));
    this.#flushHalfCharacter();
    void this.#send({ type: 'hangup' });
    this.end();
  }

  end(): void {
    if (this.#ending !== undefined) return;
    this.#flushHalfCharacter();
    this.#end('completed', 'the turn ended');
  }

  // What the agent notes.

  sayFiller(text: string): void {
    if (this.#ending !== undefined) return;
    const event = this.spoken.sayFiller(text);
    if (event !== undefined) void this.#send(event);
  }

  noteUsage(usage: ModelUsage): void {
    this.#host.observer?.modelRequest(usage.model, 'completed');
    if (this.#ending === undefined) (this.#usage ??= []).push(usage);
  }

  noteFailedRequest(model: string, failure: ModelRequestFailure): void {
    this.#host.observer?.modelRequest(model, failure);
  }

  noteToolOutcome(tool: string, outcome: ToolCallOutcome): void {
    this.#host.observer?.toolCall(tool, outcome);
  }

  noteToolCalls(calls: readonly ToolCall[]): Awaitable<void> {
    if (this.#ending === undefined) return this.#turnCalls.note(calls);
  }

  noteToolResult(toolCallId: string, content: string): void {
    this.#calls?.noteResult(toolCallId, content);
  }

  async runTools(
    calls: readonly ToolCall[],
    toolFor: (call: ToolCall) => ToolRun,
  ): Promise<readonly ToolOutcome[]> {
    if (this.#ending === undefined) return this.#turnCalls.run(calls, toolFor);
    return calls.map((call) => ({ call, content: UNFINISHED_RESULTS.interrupted }));
  }

  rounds(): readonly Message[] {
    return this.spoken.rounds(this.turnId);
  }

  async handOver(toolCallId: string, agent: string): Promise<void> {
    const { checkHandOver } = await import('./hand-over.ts');
    const { agents, colleague, ownName } = this.#host;
    const { handOvers: count, isHandingOver: isUnderWay } = this.#turnCalls;
    const speaker = this.spoken.speaker ?? ownName;
    checkHandOver(agent, { agents, colleague, speaker, count, isUnderWay });
    this.#turnCalls.willHandOver(toolCallId, agent);
  }

  get #turnCalls(): TurnCalls {
    return (this.#calls ??= new TurnCalls(this, this.#host, this.#opened?.earlierCalls ?? []));
  }

  /** What is known of the conversation, for a turn that stands beside it. */
  #open(answer?: AnswerOfOthers): Awaitable<TurnOpeningResult | KnownConversation | undefined> {
    const { conversations, calls, others } = this.#host;
    if (!this.isStored) return conversations.known(this.conversationId);
    const opening: TurnOpening = {
      turnId: this.turnId,
      runId: this.runId,
      text: textOf(this.event),
      caller: knownCaller(this.event),
      interruption: interruptionOf(this.event),
      // They settle once more when this one interrupts them. That is refused where the platform has
      // decided by then what was heard.
      running: this.older === undefined ? undefined : settlementsOf(this.older),
      isCallRunning:
        answer === undefined
          ? calls.isRunning
          : (key) => calls.isRunning(key) || answer.isCallRunning(key),
      process: others?.ownAddress,
      hasAsked: answer !== undefined,
      figures: this.#host.recordsCalls
        ? figuresAtStart(this.event, this.#startedAtMs)
        : undefined,
    };
    return persist(() => conversations.openTurn(this.conversationId, opening), OPENING_DELAYS_MS);
  }

  #continue(opened: TurnOpeningResult | KnownConversation | undefined): Awaitable<void> {
    if (opened === undefined || !('kind' in opened)) {
      this.#isOpening = false;
      this.#findSpeaker(opened?.agent);
      return this.#letSpeak(opened !== undefined);
    }
    if (opened.kind === 'elsewhere') return this.#ask(opened);
    this.#isOpening = false;
    if (opened.kind !== 'opened') return this.#answerWithoutAgent(opened);
    const mayEndCalls = this.#interruptOlder();
    if (opened.turnId !== this.turnId) {
      this.log.warn('the id of an older turn came with other words, and begins a turn of its own', {
        turnId: this.turnId,
        storedAs: opened.turnId,
      });
      this.turnId = opened.turnId;
    }
    this.#opened = opened;
    for (const run of opened.endedElsewhere)
      this.#host.others?.interrupt(this.conversationId, run);
    this.#liveState = this.#host.states?.enter(this.conversationId, opened);
    this.#findSpeaker(opened.agent);
    // Of a turn that had been completed. Any other was reported when it was interrupted.
    if (opened.cut !== undefined) this.#tellInterrupted(opened.cut);
    // calls that still run are waited for from now on
    if (opened.earlierCalls.length > 0) void this.#turnCalls;
    // What was aborted gets the moment that it needs to end, so that a model is not told that it
    // still runs.
    if (this.#ending === undefined)
      return mayEndCalls
        ? soon().then(() => this.#letSpeak(opened.isResumed))
        : this.#letSpeak(opened.isResumed);
    // It ended while a slow store opened the record. What has been sent by now is an apology at the
    // most.
    this.#store(this.#ending);
    if (this.#ending === 'interrupted') this.#tellInterrupted({ turnId: this.turnId, text: '' });
  }

  /** Other processes may run this turn, or tools that it would take for lost. */
  async #ask({ same, calls }: RunsElsewhere): Promise<void> {
    const answer = await this.#host.others?.ask(this.conversationId, same, calls, this);
    if (answer?.isFollowing === true) {
      this.#isOpening = false;
      this.#isFollowing = true;
      this.#interruptOlder();
      // The caller may have left meanwhile.
      if (this.#ending !== undefined) this.#leaveOther();
      return;
    }
    return this.#continue(await this.#open(answer ?? NOBODY));
  }

  // What the process that runs the turn says.

  followed(event: ReplyEvent): void {
    if (this.#ending !== undefined) return;
    if (event.type === 'error') void this.#delivery.send(event);
    else void this.#send(event);
  }

  followEnded({
    outcome, usage, speakers,
  }: Pick<TurnReport, 'outcome' | 'usage' | 'speakers'>): void {
    if (this.#ending !== undefined) return;
    if (usage !== undefined) this.#usage = [...usage];
    for (const speaker of speakers ?? []) this.spoken.changeSpeaker(speaker);
    this.#isFollowing = false;
    if (outcome === 'completed' || outcome === 'interrupted' || outcome === 'failed')
      this.#end(outcome, 'the turn ended in another process');
    else this.#endWithoutAgent(outcome);
  }

  followLost(): void {
    this.#isFollowing = false;
    if (this.#ending !== undefined) return;
    const { conversationId, turnId } = this;
    this.log.warn('the process that ran a turn is gone: it runs anew', { conversationId, turnId });
    this.#speakOn(() => andThen(this.#open(NOBODY), (opened) => this.#continue(opened)));
  }

  /** The caller has left: that process is to end the turn. */
  #leaveOther(): void {
    this.#host.others?.leave(this, this.spoken.countSent(this.#delivery.unsent));
  }

  /** True when tool calls were aborted that have not ended yet. */
  #interruptOlder(): boolean {
    let mayEndCalls = false;
    // A turn that is interrupted leaves the chain, but keeps its own link to the next.
    for (let older = this.older; older !== undefined; older = older.older) {
      mayEndCalls ||= older.#calls?.canBeAborted === true;
      older.interrupt('a newer turn began');
    }
    this.older = undefined;
    return mayEndCalls;
  }

  /** The conversation may have been handed over in an earlier turn. */
  #findSpeaker(agent: string | undefined): void {
    const { ownName, colleague } = this.#host;
    if (agent === undefined || agent === ownName) return;
    if (colleague(agent) !== undefined) return this.spoken.changeSpeaker(agent);
    const { conversationId, turnId } = this;
    this.log.error('the agent of a conversation is not served any more, or keeps another state', {
      conversationId,
      turnId,
      handedOverTo: agent,
    });
  }

  /** The agent has no more to say: another one goes on, or the turn is over. */
  #agentIsDone(): Awaitable<void> {
    const next = this.#ending === undefined ? this.#calls?.takeNextAgent() : undefined;
    if (next === undefined) return this.end();
    this.#history = frozen([...this.history, ...this.spoken.messagesOfSpeaker(this.turnId)]);
    this.spoken.changeSpeaker(next === this.#host.ownName ? undefined : next);
    return this.#letSpeak(this.#opened?.isResumed ?? true);
  }

  #letSpeak(isResumed: boolean): Awaitable<void> {
    if (this.#ending !== undefined) return;
    const agent = this.#agent;
    const { event, turnId, conversationId } = this;
    const { headers } = this.#delivery;
    switch (event.type) {
      case 'session.start':
      case 'call_started':
        return this.#speak(
          agent.onSessionStart?.(
            startTurn({ event, turnId, conversationId, headers }, this, isResumed),
            new TurnReply(this),
          ),
        );
      case 'message':
      case 'transcript': {
        const text = textOf(event) ?? '';
        return this.#speak(
          agent.onMessage(
            messageTurn({ event, turnId, conversationId, headers }, this, text),
            new TurnReply(this),
          ),
        );
      }
      default:
        return event satisfies never;
    }
  }

  /** The delivery is not the first of its turn, and nothing is to be asked of the agent. */
  #answerWithoutAgent(opened: Exclude<TurnOpeningResult, OpenedTurn | RunsElsewhere>): void {
    if (this.#ending !== undefined) return;
    if (opened.kind === 'completed before')
      for (const event of opened.sent) void this.#delivery.send(event);
    this.#endWithoutAgent(opened.kind === 'stale' ? 'stale' : 'replayed');
  }

  #endWithoutAgent(outcome: 'stale' | 'replayed' | 'taken over'): void {
    this.#ending = 'completed';
    clearTimeout(this.#timer);
    this.#delivery.end();
    this.#isSettled = true;
    this.#host.ended(this);
    this.#delivery.onOutcome({ outcome });
  }

  #speak(spoken: Awaitable<Spoken>): Awaitable<void> {
    if (spoken === undefined) return this.#agentIsDone();
    if (typeof spoken === 'string') {
      void this.say(spoken);
      return this.#agentIsDone();
    }
    if (isThenable(spoken)) return Promise.resolve(spoken).then((value) => this.#speak(value));
    const isObject = typeof spoken === 'object' && spoken !== null;
    if (isObject && Symbol.asyncIterator in spoken)
      return this.#read(spoken[Symbol.asyncIterator]());
    if (isObject && Symbol.iterator in spoken) return this.#read(spoken[Symbol.iterator]());
    throw new TypeError(
      `agent "${this.agentName}" must return a string or an iterable of strings, got ${typeof spoken}`,
    );
  }

  #read(texts: Iterator<unknown> | AsyncIterator<unknown>): void {
    this.#text = new AgentText(texts, this);
    this.#isReading = true;
    void this.#text.speak();
  }

  textEnded(): void {
    if (this.#ending !== undefined) return;
    if (this.#calls?.isHandedOver === true) return; // the next agent speaks when it is released
    if (this.spoken.isEmpty) {
      throw new Error(
        `agent "${this.agentName}" ended its text without a word; to stay silent, return nothing or call reply.end()`,
      );
    }
    this.end();
  }

  textFailed(error: unknown): void {
    this.#fail(error);
  }

  textReleased(): void {
    this.#isReading = false;
    if (this.#ending === undefined && this.#calls?.isHandedOver === true)
      this.#speakOn(() => this.#agentIsDone());
    else this.#agentEnded();
  }

  #flushHalfCharacter(): void {
    const event = this.spoken.flush();
    if (event !== undefined) void this.#send(event);
  }

  #send(event: SentEvent): Awaitable<boolean> {
    if (this.spoken.isTooLong) {
      this.#fail(new RangeError(`the reply is longer than ${MAX_REPLY_LENGTH} characters`));
      return false;
    }
    if (this.#firstSpeechMs === undefined && event.type === 'say' && /\S/.test(event.text)) {
      this.#firstSpeechMs = performance.now() - this.#startedAtMs;
    }
    const taken = this.#delivery.send(event);
    if (taken === false) return false; // the connection is gone, and the news of it on its way
    this.spoken.note(event);
    // A delivery that was taken over while the agent waited for room has a successor: the turn goes
    // on.
    return taken instanceof Promise ? taken.then(() => this.#ending === undefined) : taken;
  }

  /** One clock for both bounds. */
  #arm(): void {
    const { turnTimeoutMs, firstWordTimeoutMs } = this.#host;
    const isSilent = !this.spoken.hasSpoken;
    const bound = isSilent ? Math.min(firstWordTimeoutMs, turnTimeoutMs) : turnTimeoutMs;
    const elapsed = performance.now() - this.#startedAtMs;
    const ms = Math.max(0, Math.ceil(bound - elapsed)); // a whole number needs no object of its own
    this.#timer = setTimeout(Turn.#timedOut, ms, this, isSilent, bound);
  }

  static #timedOut(this: void, turn: Turn, wasSilent: boolean, bound: number): void {
    if (wasSilent && turn.spoken.hasSpoken && bound < turn.#host.turnTimeoutMs) turn.#arm();
    else
      turn.#fail(
        new Error(
          wasSilent
            ? `nothing was spoken for ${bound} ms`
            : `the turn took longer than ${bound} ms`,
        ),
      );
  }

  #fail(error: unknown): void {
    const agent = this.#agent;
    // the caller has spoken, though nothing could be stored of it
    if (this.#isOpening) this.#interruptOlder();
    if (this.#ending !== undefined) {
      const { conversationId, turnId } = this;
      if (this.#isOpening)
        this.log.error('turn lost: it ended before it could be stored', {
          conversationId,
          turnId,
          error,
        });
      // Mostly the abort that it was sent. Anything else must not vanish.
      else
        this.log.debug('agent failed after its turn was over', {
          agent: agent.name,
          turnId: this.turnId,
          error,
        });
      return;
    }
    this.log.error('turn failed', {
      agent: agent.name,
      conversationId: this.conversationId,
      turnId: this.turnId,
      error,
    });
    // An event of its own: the apology must not run into a word that was cut off.
    const last = this.spoken.events.at(-1);
    if (last?.type === 'say' && last.isFiller !== true && /\S$/.test(last.text))
      this.#sendLast(' ');
    this.#sendLast(agent.apology ?? DEFAULT_APOLOGY);
    void this.#delivery.send({ type: 'error' });
    this.#end('failed', 'the turn failed', error);
  }

  /** Past the bound of a reply, which may be what failed. */
  #sendLast(text: string): void {
    const event: SentEvent = { type: 'say', text };
    this.spoken.note(event);
    void this.#delivery.send(event);
  }

  /**
   * The one end of what the agent can do. The stream ends first: what it still lets through belongs
   * to what was sent.
   */
  #end(ending: Ending, reason: string, error?: unknown): void {
    this.#ending = ending;
    clearTimeout(this.#timer);
    const hasLeft = this.#delivery.end();
    if (this.#isFollowing) this.#leaveOther();
    const aborted =
      ending !== 'completed' || this.#calls !== undefined
        ? new TurnAbortedError(reason)
        : undefined;
    if (ending !== 'completed' || hasLeft || !this.isStored) this.#settle(ending, error);
    if (aborted === undefined) return;
    this.#calls?.turnEnded(
      aborted,
      this.#host.turnTimeoutMs - (performance.now() - this.#startedAtMs),
    );
    if (ending === 'completed') return;
    this.#abortReason = aborted;
    this.#controller?.abort(aborted);
    this.#text?.release().catch((failure: unknown) => this.#fail(failure));
  }

  #settle(state: Ending, error?: unknown): void {
    if (this.#isSettled) return;
    this.#isSettled = true;
    if (this.#opened !== undefined) this.#store(state);
    this.#host.ended(this);
    this.#delivery.onOutcome({
      outcome: state,
      firstSpeechMs: this.#firstSpeechMs,
      usage: this.#usage,
      speakers: this.spoken.speakers(this.#host.ownName),
      error,
    });
    if (state === 'interrupted' && this.#opened !== undefined) {
      this.#tellInterrupted({
        turnId: this.turnId,
        text: this.spoken.text(this.spoken.countSent(this.#delivery.unsent)),
      });
    }
  }

  /**
   * What reached the socket counts, where the reply was interrupted: events that still waited here
   * were never sent.
   */
  #settlementOf(state: Ending): TurnSettlement {
    const { turnId, runId, spoken } = this;
    const count =
      state === 'interrupted' ? spoken.countSent(this.#delivery.unsent) : spoken.events.length;
    return {
      turnId,
      runId,
      state,
      messages: spoken.messages(turnId, state, count),
      filler: spoken.filler,
      sent: state === 'completed' ? spoken.replay() : undefined,
      figures: this.#host.recordsCalls
        ? figuresAtEnd(this.event, this.#startedAtMs, this.#firstSpeechMs, this.#usage)
        : undefined,
    };
  }

  #store(state: Ending): void {
    const { conversations } = this.#host;
    const settlement = this.#settlementOf(state);
    const live = this.#liveState;
    const settled = persist(
      () => conversations.settleTurn(this.conversationId, this.#withState(settlement)),
      WRITE_DELAYS_MS,
    );
    if (!(settled instanceof Promise)) return live?.leave();
    const lost = (error: unknown): void => this.#lose(settlement, error);
    this.#host.track(settled.catch(lost).then(() => live?.leave()));
  }

  /** With the state as it is now: a write may be made again after another turn has changed it. */
  #withState(settlement: TurnSettlement): TurnSettlement {
    if (this.#liveState === undefined) return settlement;
    return {
      ...settlement,
      agentState: this.#liveState.textToStore(this.log, this.conversationId),
    };
  }

  #lose({ state, messages }: TurnSettlement, error: unknown): void {
    const { conversationId, turnId } = this;
    const characters = messages.reduce((sum, { content }) => sum + content.length, 0);
    this.log.error('history not written', { conversationId, turnId, state, characters, error });
  }

  #tellInterrupted({ turnId, text }: CutTurn): void {
    const { agent } = this.#host;
    const failed = (error: unknown): void =>
      this.log.error('onInterrupted failed', { agent: agent.name, error });
    try {
      const told = agent.onInterrupted?.({ conversationId: this.conversationId, turnId, text });
      if (told instanceof Promise) told.catch(failed);
    } catch (error) {
      failed(error);
    }
  }
}

/** What the turns that run now would leave if they ended now, the newest first. */
function settlementsOf(newest: Turn): TurnSettlement[] {
  const settlements: TurnSettlement[] = [];
  for (let turn: Turn | undefined = newest; turn !== undefined; turn = turn.older)
    settlements.push(turn.soFar());
  return settlements;
}

function frozen(messages: readonly Message[]): readonly Message[] {
  return Object.freeze(messages.map((message) => Object.freeze(message)));
}

function knownCaller(event: TurnEvent): KnownCaller | undefined {
  const caller = callerOf(event);
  return caller === undefined ? undefined : { sessionId: sessionIdOf(event), ...caller };
}

let lastRunId = randomInt(RUN_IDS);

/**
 * Different for the runs of one turn, with the certainty of chance, though several processes may
 * share a store: each counts from a random number. Small enough for V8 to keep it without an object
 * of its own.
 */
function nextRunId(): number {
  lastRunId = (lastRunId + 1) % RUN_IDS;
  return lastRunId;
}

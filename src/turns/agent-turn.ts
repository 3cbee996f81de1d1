import { TurnAbortedError, type Agent, type ModelUsage, type Spoken } from '../agents/agent.ts';
import type { LiveState } from '../agents/live-state.ts';
import { andThen, isThenable, type Awaitable } from '../base/awaitable.ts';
import type { Caller, Transcript, TurnEvent } from '../calls/call-event.ts';
import type { SentEvent } from '../calls/reply-event.ts';
import type { Message } from '../conversations/message.ts';
import type { OpenedTurn } from '../conversations/rules.ts';
import type { Logger } from '../log.ts';
import { AgentText, textsOf, type TextSpeaker } from './agent-text.ts';
import type { CallingTurn } from './call-writes.ts';
import { isBeside, type Delivery } from './delivery.ts';
import { callAgent, tellStarted } from './hooks.ts';
import { say } from './reply.ts';
import type { Ending } from './settlement.ts';
import { SpokenReply } from './spoken-reply.ts';
import { TurnCalls } from './turn-calls.ts';
import type { TurnHost } from './turn-host.ts';
import { traceOf, type TurnTrace } from './turn-trace.ts';
import type { ViewedTurn } from './turn-view.ts';
import { Waits } from './waits.ts';

/**
 * The agent's side of a turn: what the agent is told, which agent speaks, how its words are spoken,
 * and how it is stopped. When the turn begins and ends is decided in `Turn`.
 */
export abstract class AgentTurn implements ViewedTurn, CallingTurn, TextSpeaker {
  abstract readonly runId: number;
  readonly spoken = new SpokenReply();
  readonly host: TurnHost;
  /** Undefined if nobody follows it. */
  readonly trace: TurnTrace | undefined;
  /** On the clock of `performance.now()`. */
  readonly startedAtMs = performance.now();
  turnId: string;
  /** Another one when the same turn is delivered again. */
  delivery: Delivery;
  usage: ModelUsage[] | undefined;
  #waits: Waits | undefined;
  liveState: LiveState | undefined;
  /** Undefined until the record is open. */
  protected opened: OpenedTurn | undefined;
  #history: readonly Message[] | undefined;
  #calls: TurnCalls | undefined;
  /** What the hook of an agent yields. Undefined when none runs. */
  #text: AgentText | undefined;
  #controller: AbortController | undefined;
  #abortReason: TurnAbortedError | undefined;

  constructor(delivery: Delivery, host: TurnHost, turnId: string) {
    this.delivery = delivery;
    this.host = host;
    this.turnId = turnId;
    this.trace = traceOf(this);
  }

  abstract readonly isOver: boolean;
  abstract send(event: SentEvent): Awaitable<boolean>;
  abstract end(): void;
  abstract interrupt(reason: string): void;
  abstract giveAway(): void;
  abstract fail(error: unknown): void;

  // What the agent is told.

  get conversationId(): string {
    return this.delivery.event.conversationId;
  }

  get event(): TurnEvent {
    return this.delivery.event;
  }

  get log(): Logger {
    return this.delivery.log;
  }

  get canTransfer(): boolean {
    return this.delivery.canTransfer === true;
  }

  /** False for a turn that leaves nothing in history. */
  get isStored(): boolean {
    return !isBeside(this.event);
  }

  get history(): readonly Message[] {
    return (this.#history ??= frozen(this.opened?.history() ?? toldBy(this.event, this.turnId)));
  }

  get #transcript(): Transcript | undefined {
    return this.event.type === 'message' ? this.event.transcript : undefined;
  }

  /** See `CallingTurn`. */
  get place(): string {
    return this.opened?.place ?? this.turnId;
  }

  /** See `CallingTurn`. */
  get mayAct(): boolean {
    return this.opened?.mayAct !== false;
  }

  /** See `CallingTurn`. */
  get settlesAtMs(): number | undefined {
    return this.#transcript === undefined ? undefined : this.startedAtMs + this.host.settleMs;
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

  /** Created when it is first asked for: an agent that answers at once needs none. */
  get signal(): AbortSignal {
    if (this.#controller === undefined) {
      this.#controller = new AbortController();
      if (this.#abortReason !== undefined) this.#controller.abort(this.#abortReason);
    }
    return this.#controller.signal;
  }

  /** See `TimedTurn`. */
  get isToolFinishing(): boolean {
    return this.#calls?.isFinishing === true;
  }

  /** Created when it is first asked for: most turns wait for nothing. */
  get waits(): Waits {
    return (this.#waits ??= new Waits());
  }

  /** Undefined if it has waited for nothing. */
  get waitsSoFar(): Waits | undefined {
    return this.#waits;
  }

  get callsSoFar(): TurnCalls | undefined {
    return this.#calls;
  }

  get calls(): TurnCalls {
    return (this.#calls ??= new TurnCalls(this, this.host, this.opened?.earlierCalls ?? []));
  }

  // Which agent speaks.

  get agent(): Agent {
    return this.host.speakers.named(this.spoken.speaker);
  }

  /** Continues with the agent that an earlier turn handed the conversation over to, if one did. */
  protected restoreSpeaker(name: string | undefined): void {
    const { speakers } = this.host;
    if (name === undefined || name === speakers.ownName) return;
    if (speakers.find(name) !== undefined) return this.spoken.changeSpeaker(name);
    const { conversationId, turnId } = this;
    this.log.error(
      'the agent that has the conversation is not served any more, or has another state',
      { conversationId, turnId, handedOverTo: name },
    );
  }

  /** The agent has no more to say: the next one continues, or the turn is over. */
  #agentIsDone(): Awaitable<void> {
    const next = this.isOver ? undefined : this.#calls?.takeNextAgent();
    if (next === undefined) return this.end();
    this.#history = frozen([...this.history, ...this.spoken.messagesOfSpeaker(this.turnId)]);
    this.spoken.changeSpeaker(next === this.host.speakers.ownName ? undefined : next);
    return this.letSpeak(this.opened?.isResumed ?? true);
  }

  // How it speaks.

  /** Takes a step in which an agent may speak. If the step fails, now or later, the turn fails. */
  protected attempt(step: () => Awaitable<void>): void {
    try {
      const done = this.trace === undefined ? step() : this.trace.run(step);
      if (!(done instanceof Promise)) this.#stepDone();
      else done.then(() => this.#stepDone(), (error: unknown) => this.#stepFailed(error));
    } catch (error) {
      this.#stepFailed(error);
    }
  }

  #stepFailed(error: unknown): void {
    this.fail(error);
    this.#stepDone();
  }

  /** Nothing of the agent runs any more, unless its texts are still being read. */
  #stepDone(): void {
    if (this.#text === undefined) this.#calls?.agentEnded();
  }

  /** The turn begins: the agent is told of a call that has no event for its start, and speaks. */
  protected letBegin(isResumed: boolean): Awaitable<void> {
    const start = isResumed ? undefined : this.#transcript?.start;
    const told = start === undefined ? undefined : tellStarted(this.agent, start, this);
    return andThen(told, () => this.letSpeak(isResumed));
  }

  /** Calls the hook of the agent, and speaks what it returns. */
  protected letSpeak(isResumed: boolean): Awaitable<void> {
    if (!this.isOver) return this.#speak(callAgent(this.agent, this, isResumed));
  }

  #speak(spoken: Awaitable<Spoken>): Awaitable<void> {
    if (spoken === undefined) return this.#agentIsDone();
    if (typeof spoken === 'string') {
      void say(this, spoken);
      return this.#agentIsDone();
    }
    if (isThenable(spoken)) return Promise.resolve(spoken).then((value) => this.#speak(value));
    this.#text = new AgentText(textsOf(spoken, this.agent.name), this);
    void this.#text.speak();
  }

  textEnded(): void {
    if (this.isOver) return;
    if (this.#calls?.isHandedOver === true) return; // the next one speaks when this is released
    if (!this.spoken.isEmpty) return this.end();
    throw new Error(
      `agent "${this.agent.name}" ended its text without a word; to stay silent, return nothing or call reply.end()`,
    );
  }

  textReleased(): void {
    this.#text = undefined;
    if (!this.isOver && this.#calls?.isHandedOver === true) this.attempt(() => this.#agentIsDone());
    else this.#stepDone();
  }

  // How it is stopped.

  /**
   * The turn is over: stops the agent. Its tool calls are aborted, or get the rest of the turn's
   * time if they want to finish, even if the turn has completed. If another process has taken the
   * turn over, all of them get it.
   */
  protected stopAgent(ending: Ending | 'taken over', reason: string): void {
    if (ending === 'completed' && this.#calls === undefined) return;
    const aborted = new TurnAbortedError(reason);
    const finishMs = this.host.turnTimeoutMs - (performance.now() - this.startedAtMs);
    this.#calls?.turnEnded(aborted, finishMs, ending === 'taken over');
    if (ending === 'completed') return;
    this.#abortReason = aborted;
    this.#controller?.abort(aborted);
    this.#text?.release().catch((error: unknown) => this.fail(error));
  }
}

/** The call up to the caller's words, for a turn that stands alone. */
function toldBy(event: TurnEvent, turnId: string): Message[] {
  if (event.type !== 'message' || event.transcript === undefined) return [];
  const lines = event.transcript.lines.map(({ role, text }, index): Message => {
    const line = { content: text, turnId: `told-${index}` };
    return role === 'user' ? { role, ...line } : { role, ...line, state: 'completed' };
  });
  return [...lines, { role: 'user', content: event.text, turnId }];
}

function frozen(messages: readonly Message[]): readonly Message[] {
  return Object.freeze(messages.map((message) => Object.freeze(message)));
}

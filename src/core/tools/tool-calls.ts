import { aborted } from '../../base/abort.ts';
import { andThen, soon, type Awaitable } from '../../base/awaitable.ts';
import { atMost } from '../../base/time-limit.ts';
import type { EarlierToolCall } from '../conversations/discarded-turns.ts';
import type { ToolCall } from '../conversations/message.ts';
import { failed, runHere } from './tool-call-here.ts';
import { outcomeInTurn, outcomeOfClaim } from './tool-call-made-before.ts';
import { storeCalls, storeResult } from './tool-call-writes.ts';
import type { ToolCallingTurn, ToolHost } from './tool-calling-turn.ts';
import { EarlierToolCalls, type KnownToolCall } from './tool-calls-earlier.ts';
import { BEGUN, NotedToolCalls, toolNameOf, type NotedToolCall } from './tool-calls-noted.ts';
import { INTERRUPTED, REFUSED, type ToolCallResult } from './tool-calls-running.ts';
import { hasEffects, type ToolOutcome, type ToolRun } from './tool-run.ts';

/**
 * The tool calls of one run of a turn. A call is stored before it runs, and its result when it
 * returns, even if the turn is over by then. A call that an earlier run of the turn has made is not
 * made again, and one that acts once per conversation is not made again by any turn.
 */
export class ToolCalls {
  readonly #turn: ToolCallingTurn;
  readonly #noted: NotedToolCalls;
  readonly #earlier: EarlierToolCalls;
  /** Name of the agent that speaks next. */
  #nextAgent: string | undefined;
  #handOvers = 0;

  constructor(turn: ToolCallingTurn, earlierCalls: readonly EarlierToolCall[]) {
    this.#turn = turn;
    this.#noted = new NotedToolCalls(turn, earlierCalls);
    this.#earlier = new EarlierToolCalls(turn.host.calls, earlierCalls);
  }

  get #host(): ToolHost {
    return this.#turn.host;
  }

  /** Stores calls and runs them, all at the same time. Never rejects. */
  async run(
    calls: readonly ToolCall[],
    toolFor: (call: ToolCall) => ToolRun,
  ): Promise<readonly ToolOutcome[]> {
    const noted = this.#note(calls);
    await this.#prepare(noted, toolFor);
    if (noted.some(mayHaveEffects)) await this.#settled(noted);
    if (this.#turn.mayBeReplaced && this.#turn.isOver) return this.#neverBegun(noted);
    await storeCalls(this.#turn, noted);
    const writes: (Promise<void> | undefined)[] = [];
    const outcomes = await Promise.all(
      noted.map(async (call) => {
        const outcome = await this.#outcomeOf(call);
        writes.push(this.#end(call, outcome));
        const { content, handOver } = outcome;
        return { call: call.spoken.call, content, handOver };
      }),
    );
    await this.#resultsStored(writes);
    return outcomes;
  }

  /** If the process dies, the model has been told nothing that the store does not know. */
  async #resultsStored(writes: readonly (Promise<void> | undefined)[]): Promise<void> {
    if (this.#turn.isOver || writes.every((write) => write === undefined)) return;
    const fromMs = performance.now();
    await Promise.all(writes);
    this.#turn.work.noteStore('tool_calls', fromMs);
  }

  /**
   * Stores calls that the agent runs itself, and logs what cannot be stored. Rejects with the
   * reason of the turn's signal if the platform has replaced the turn meanwhile.
   */
  note(calls: readonly ToolCall[]): Awaitable<void> {
    return andThen(this.#unchallenged(), () => {
      const { mayBeReplaced, isOver, signal } = this.#turn;
      if (mayBeReplaced && isOver) signal.throwIfAborted();
      const noted = this.#note(calls);
      for (const call of noted) {
        this.#acts(call);
        this.#turn.work.toolBegan(toolNameOf(call), call.spoken.call);
      }
      return storeCalls(this.#turn, noted);
    });
  }

  /** Calls of other runs of the turn that this one did not know of when it began. */
  learn(calls: readonly EarlierToolCall[]): void {
    this.#earlier.learn(calls, (key) => this.#noted.withKey(key)?.running);
  }

  /** See `EarlierToolCalls.ended`. */
  earlierEnded(ms: number): Promise<unknown> | undefined {
    return this.#earlier.ended(ms);
  }

  /** The result of a call that the agent ran itself. `givenId` is the model's id. */
  noteResult(givenId: string, content: string): void {
    const call = this.#noted.awaiting(givenId);
    if (call !== undefined) void this.#end(call, { state: 'completed', content });
  }

  /** The agent has ended. Calls that it runs itself and that have no result end as interrupted. */
  agentEnded(): void {
    for (const call of this.#noted.running)
      if (call.whenInterrupted === undefined && call.tool === undefined)
        void this.#end(call, INTERRUPTED);
  }

  /** Whether the end of the turn would abort a running call. */
  get canBeAborted(): boolean {
    return this.#noted.running.some(({ whenInterrupted }) => whenInterrupted === 'abort');
  }

  /** Whether a running call outlasts the turn, or one that waits for the same call. */
  get isFinishing(): boolean {
    return this.#noted.running.some(
      ({ isOnce, tool }) => isOnce || tool?.whenInterrupted === 'finish',
    );
  }

  /**
   * The turn is over. `finishMs`: how long calls that want to finish may go on, or all calls if
   * `mayAllFinish`.
   */
  turnEnded(reason: Error, finishMs: number, mayAllFinish: boolean): void {
    for (const { running, whenInterrupted } of this.#noted.running) {
      if (whenInterrupted === undefined) continue;
      if (whenInterrupted === 'abort' && !mayAllFinish) running.abort(reason);
      else running.abortAfter(finishMs, reason);
    }
  }

  // Handing over to another agent.

  /** How often the conversation has been handed over in this run. */
  get handOvers(): number {
    return this.#handOvers;
  }

  get isHandedOver(): boolean {
    return this.#nextAgent !== undefined;
  }

  /** Whether a call has handed the conversation over, or is about to. */
  get isHandingOver(): boolean {
    return this.isHandedOver || this.#noted.running.some(({ handOver }) => handOver !== undefined);
  }

  /** Hands the conversation over when the call returns. Throws if the call is not running. */
  willHandOver(toolCallId: string, agent: string): void {
    const call = this.#noted.running.find(({ spoken }) => spoken.call.id === toolCallId);
    if (call?.whenInterrupted === undefined) {
      throw new Error('only a call that runTools runs can hand the conversation over');
    }
    call.handOver = agent;
  }

  /** Name of the agent that the conversation has been handed over to. Cleared on read. */
  takeNextAgent(): string | undefined {
    const agent = this.#nextAgent;
    this.#nextAgent = undefined;
    return agent;
  }

  // The life of a call: noted, prepared, stored, run, ended.

  #note(calls: readonly ToolCall[]): readonly NotedToolCall[] {
    const noted = this.#noted.add(calls);
    for (const { key, running } of noted) {
      this.#host.calls.add(key, running);
      this.#turn.liveState?.enter();
    }
    this.#turn.spoken.noteCalls(noted.map(({ spoken }) => spoken));
    return noted;
  }

  /**
   * A platform that may replace the turn gets some time to do so before a call changes anything.
   * Resolves early if the turn ends.
   */
  #unchallenged(): Promise<void> | undefined {
    const { mayBeReplaced, settlesAtMs, signal, isOver } = this.#turn;
    const restMs = mayBeReplaced && !isOver ? settlesAtMs - performance.now() : 0;
    if (restMs <= 0) return undefined;
    const { work } = this.#turn;
    work.settlingBegan();
    return atMost(restMs, aborted(signal)).then(() => work.settlingEnded());
  }

  /**
   * Waits until the calls may have effects. Until then they have not begun, for history and for
   * other processes.
   */
  async #settled(calls: readonly NotedToolCall[]): Promise<void> {
    const waiting = this.#unchallenged();
    if (waiting === undefined) return;
    for (const { key, running: call, spoken } of calls) {
      this.#host.calls.remove(key, call);
      Object.assign(spoken, INTERRUPTED);
    }
    await waiting;
    for (const { key, running: call, spoken } of calls) {
      this.#host.calls.add(key, call);
      Object.assign(spoken, BEGUN);
    }
  }

  /** The turn ended while they waited: they claim nothing and wait for nothing. */
  #neverBegun(calls: readonly NotedToolCall[]): readonly ToolOutcome[] {
    return calls.map(({ key, running, spoken }) => {
      this.#host.calls.remove(key, running);
      Object.assign(spoken, INTERRUPTED);
      running.end(INTERRUPTED);
      this.#turn.liveState?.leave();
      return { call: spoken.call, content: INTERRUPTED.content };
    });
  }

  /** Finds out how to run each call, and which of them act once per conversation. */
  async #prepare(
    calls: readonly NotedToolCall[],
    toolFor: (call: ToolCall) => ToolRun,
  ): Promise<void> {
    for (const call of calls) {
      try {
        call.tool = toolFor(call.spoken.call);
        call.earlier = this.#earlierOf(call);
        const isJoining = call.earlier?.message.state === 'running';
        if (isJoining && call.tool.isOfTurn !== true) call.spoken.joins = true;
        const { mayBeReplaced } = this.#turn;
        if (mayBeReplaced && !hasEffects(call.tool)) call.spoken.isRepeatable = true;
        const { once } = call.tool;
        if (once === undefined) continue;
        call.keyNow = async () => {
          const text = await once(call.running.signal);
          return text === undefined ? undefined : this.#noted.onceKeyOf(call, text);
        };
        const key = await call.keyNow();
        if (key === undefined) continue;
        call.isOnce = true;
        delete call.spoken.joins;
        this.#host.calls.rename(call, key);
      } catch (error) {
        call.failure = { error };
      }
    }
  }

  async #outcomeOf(call: NotedToolCall): Promise<ToolCallResult> {
    const { tool, failure } = call;
    if (failure !== undefined || tool === undefined)
      return failed(this.#turn, call, failure?.error);
    if (!this.#turn.mayAct && mayHaveEffects(call)) return REFUSED;
    try {
      const known = await this.#outcomeBefore(call, tool);
      if (known !== undefined) {
        // It has changed nothing itself: see `joins`.
        if (known.state !== 'interrupted') call.spoken.joins = true;
        return known;
      }
      if (this.#turn.isOver) return INTERRUPTED; // it never began
      call.whenInterrupted = call.isOnce ? 'finish' : (tool.whenInterrupted ?? 'abort');
      if (hasEffects(tool)) this.#acts(call);
      return await runHere(this.#turn, call, tool);
    } catch (error) {
      return failed(this.#turn, call, error);
    }
  }

  /** The outcome of the same call, made before. Undefined if this one is to run now. */
  async #outcomeBefore(call: NotedToolCall, tool: ToolRun): Promise<ToolCallResult | undefined> {
    if (call.isOnce) return outcomeOfClaim(this.#turn, call);
    if (tool.isOfTurn === true) {
      await soon(); // other calls of the round begin first: this one may end the turn
      return undefined;
    }
    // The run may have learnt of one since.
    return outcomeInTurn(this.#turn, call, call.earlier ?? this.#earlierOf(call));
  }

  #earlierOf({ key, spoken: { call } }: NotedToolCall): KnownToolCall | undefined {
    return this.#earlier.take(key, call, this.#turn.spoken.speaker);
  }

  #acts(call: NotedToolCall): void {
    call.isActing = true;
    this.#turn.liveState?.callBegan();
  }

  /** Passes the result to whatever waits for it, and then stores it: see `storeResult`. */
  #end(call: NotedToolCall, outcome: ToolCallResult): Promise<void> | undefined {
    const { spoken, running, key } = call;
    if (call.isActing) this.#turn.liveState?.callEnded();
    call.isActing = false;
    spoken.state = outcome.state;
    spoken.content = outcome.content;
    if (outcome.handOver !== undefined) {
      spoken.handOver = this.#nextAgent = outcome.handOver;
      this.#handOvers += 1;
    }
    running.end(outcome);
    const { liveState, workSoFar } = this.#turn;
    const end = call.failure === undefined ? outcome.state : 'failed';
    if (end !== 'running') {
      const error: unknown = call.failure?.error ?? outcome.error;
      workSoFar?.toolEnded(spoken.call.id, end, outcome.content, error);
    }
    const done = (): void => {
      this.#host.calls.remove(key, running);
      this.#host.others?.callEnded(this.#turn.conversationId);
      liveState?.leave();
    };
    return storeResult(this.#turn, call, outcome, done);
  }
}

/** Whether the call may change something outside, as far as we know. */
function mayHaveEffects({ tool, failure }: NotedToolCall): boolean {
  return failure === undefined && (tool === undefined || hasEffects(tool));
}

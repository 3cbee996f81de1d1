import { aborted, isAbort } from '../base/abort.ts';
import { andThen, soon, type Awaitable } from '../base/awaitable.ts';
import { messageOf, withoutMessage } from '../base/thrown-values.ts';
import { atMost } from '../base/time-limit.ts';
import type { EarlierToolCall } from '../conversations/discarded-turns.ts';
import type { ToolCall, ToolMessage } from '../conversations/message.ts';
import type { OnceCall } from '../conversations/once-call.ts';
import { NOT_STARTED, UNFINISHED_RESULTS } from '../conversations/unfinished-tool-results.ts';
import { outcomeElsewhere, type ToolCallElsewhere } from './tool-call-elsewhere.ts';
import { storeCalls, storeResult } from './tool-call-writes.ts';
import type { ToolCallingTurn, ToolHost } from './tool-calling-turn.ts';
import { EarlierToolCalls, type KnownToolCall } from './tool-calls-earlier.ts';
import {
  BEGUN, NOT_BEGUN, NotedToolCalls, toolNameOf, type NotedToolCall,
} from './tool-calls-noted.ts';
import type { ToolCallResult } from './tool-calls-running.ts';
import { logFailure } from './tool-failure.ts';
import { NotDone } from './tool-not-done.ts';
import type { ToolOutcome, ToolRun } from './tool-run.ts';

const INTERRUPTED: ToolCallResult = NOT_BEGUN;
const UNKNOWN: ToolCallResult = { state: 'unknown', content: UNFINISHED_RESULTS.unknown };
const REFUSED: ToolCallResult = { state: 'interrupted', content: NOT_STARTED };

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
    const { runId, host: { process, conversations, calls } } = turn;
    this.#turn = turn;
    this.#noted = new NotedToolCalls(turn, { runId, process }, conversations, earlierCalls);
    this.#earlier = new EarlierToolCalls(calls, earlierCalls);
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
    await this.#store(noted);
    return Promise.all(
      noted.map(async (call) => {
        const outcome = await this.#outcomeOf(call);
        this.#end(call, outcome);
        const { content, handOver } = outcome;
        return { call: call.spoken.call, content, handOver };
      }),
    );
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
      for (const call of noted) this.#turn.work.toolBegan(toolNameOf(call), call.spoken.call);
      return this.#store(noted);
    });
  }

  #store(noted: readonly NotedToolCall[]): Awaitable<void> {
    const fromMs = performance.now();
    const stored = storeCalls(this.#turn, noted);
    if (!(stored instanceof Promise)) return;
    return stored.then(() => this.#turn.work.noteStore('tool_calls', fromMs)); // it never rejects
  }

  /** Calls of other runs of the turn that this one did not know of when it began. */
  learn(calls: readonly EarlierToolCall[]): void {
    this.#earlier.learn(calls, (key) => this.#noted.withKey(key)?.running);
  }

  /** The result of a call that the agent ran itself. `givenId` is the model's id. */
  noteResult(givenId: string, content: string): void {
    const call = this.#noted.awaiting(givenId);
    if (call !== undefined) this.#end(call, { state: 'completed', content });
  }

  /** The agent has ended. Calls that it runs itself and that have no result end as interrupted. */
  agentEnded(): void {
    for (const call of this.#noted.running)
      if (call.whenInterrupted === undefined && call.tool === undefined)
        this.#end(call, INTERRUPTED);
  }

  /** Whether a call runs that the end of the turn aborts. */
  get canBeAborted(): boolean {
    return this.#noted.running.some(({ whenInterrupted }) => whenInterrupted === 'abort');
  }

  /** Whether a call runs that the end of the turn does not abort, or waits for the same call. */
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

  /** How often the conversation was handed over in this run. */
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

  /** Hands the conversation over when the call returns. Throws if the call does not run. */
  willHandOver(toolCallId: string, agent: string): void {
    const call = this.#noted.running.find(({ spoken }) => spoken.call.id === toolCallId);
    if (call?.whenInterrupted === undefined) {
      throw new Error('only a call that runTools runs can hand the conversation over');
    }
    call.handOver = agent;
  }

  /** Name of the agent that the conversation was handed over to. Cleared on read. */
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
        if (mayBeReplaced && call.tool.repeatable === true) call.spoken.isRepeatable = true;
        if (call.tool.once === undefined) continue;
        const text = await call.tool.once(call.running.signal);
        if (text !== undefined) this.#becomeOnce(call, text);
      } catch (error) {
        call.failure = { error };
      }
    }
  }

  /** From now on its key names what it does, not the turn. */
  #becomeOnce(call: NotedToolCall, text: string): void {
    const { calls } = this.#host;
    calls.remove(call.key, call.running);
    call.key = call.spoken.key = this.#noted.onceKeyOf(call, text);
    call.isOnce = true;
    delete call.spoken.joins;
    calls.add(call.key, call.running);
  }

  async #outcomeOf(call: NotedToolCall): Promise<ToolCallResult> {
    const { tool, failure } = call;
    if (failure !== undefined || tool === undefined) return this.#failed(call, failure?.error);
    if (!this.#turn.mayAct && mayHaveEffects(call)) return REFUSED;
    try {
      const known = call.isOnce ? await this.#claimed(call) : await this.#madeBefore(call, tool);
      if (known !== undefined) {
        // It has changed nothing itself: see `joins`.
        if (known.state !== 'interrupted') call.spoken.joins = true;
        return known;
      }
      if (this.#turn.isOver) return INTERRUPTED; // it never began
      call.whenInterrupted = call.isOnce ? 'finish' : (tool.whenInterrupted ?? 'abort');
      return await this.#perform(call, tool);
    } catch (error) {
      return this.#failed(call, error);
    }
  }

  /** The outcome of the same call of an earlier run of the turn. Undefined if it is to run now. */
  async #madeBefore(call: NotedToolCall, tool: ToolRun): Promise<ToolCallResult | undefined> {
    const { key, running, spoken } = call;
    if (tool.isOfTurn === true) {
      await soon(); // other calls of the round begin first: this one may end the turn
      return undefined;
    }
    const earlier = call.earlier ?? this.#earlierOf(call); // one may have been learnt since
    const here =
      (await this.#host.calls.outcomeBefore(key, running)) ?? (await earlier?.outcome);
    // What was interrupted here says nothing of the same call in another process.
    const isKnown = here?.state === 'completed' || (here !== undefined && this.#isHere(earlier));
    const outcome = earlier === undefined || isKnown
      ? here
      : await this.#outcomeOfEarlier(call, earlier.message);
    const isFinal = outcome?.state === 'completed' || outcome?.state === 'running';
    if (isFinal || (outcome?.state === 'unknown' && tool.repeatable !== true)) return outcome;
    delete spoken.joins;
    return undefined;
  }

  /** Whether the call is one that this process runs, or ran when it was stored. */
  #isHere(known: KnownToolCall | undefined): boolean {
    if (known?.message.state !== 'running') return false;
    const { process } = known.message;
    return process === undefined || process === this.#host.process;
  }

  #earlierOf({ key, spoken: { call } }: NotedToolCall): KnownToolCall | undefined {
    return this.#earlier.take(key, call, this.#turn.spoken.speaker);
  }

  async #outcomeOfEarlier(call: NotedToolCall, earlier: ToolMessage): Promise<ToolCallResult> {
    const { state, content, handOver, process, runId, key = call.key } = earlier;
    if (state !== 'running') return { state, content, handOver };
    if (process === undefined || process === this.#host.process) return UNKNOWN;
    const { turnId, toolCallId } = earlier;
    const of = { turnId, runId, toolCallId, process, key, isOnce: false };
    return (await this.#waitElsewhere(call, of)) ?? UNKNOWN;
  }

  /** What the claim of a call that acts once says. Undefined if it is to run now. */
  async #claimed(call: NotedToolCall): Promise<ToolCallResult | undefined> {
    const { claim, key, running, spoken } = call;
    if (claim === undefined) return this.#turn.isOver ? INTERRUPTED : REFUSED;
    switch (claim.kind) {
      case 'claimed':
        return undefined;
      case 'refused':
        return REFUSED;
      case 'ended':
        return this.#endedBefore(claim.call);
      case 'lost':
        this.#tellUnknown(call);
        return UNKNOWN;
      case 'running': {
        if (this.#turn.isOver) return INTERRUPTED;
        const { turnId, runId, toolCallId, process } = claim.call;
        spoken.joins = true;
        if (process !== undefined) spoken.runner = process;
        const here = this.#host.calls.outcomeBefore(key, running);
        if (here !== undefined) return here;
        if (process === undefined) return UNKNOWN;
        const of = { turnId, runId, toolCallId, process, key, isOnce: true };
        const outcome = await this.#waitElsewhere(call, of);
        if (outcome === undefined) return this.#claimedAgain(call);
        if (outcome.state === 'unknown') {
          await this.#noteLost(call, claim.call);
          if (call.tool?.repeatable === true) return this.#claimedAgain(call);
        }
        if (outcome.state === 'interrupted') await this.#noteRefused(call);
        return outcome;
      }
    }
  }

  /** It waits no longer: what the other call still does is not its result any more. */
  #noteRefused({ spoken }: NotedToolCall): Awaitable<void> {
    delete spoken.joins;
    delete spoken.runner;
    return this.#store([]);
  }

  /** The call that it waited for has done nothing, or may be repeated. */
  async #claimedAgain(call: NotedToolCall): Promise<ToolCallResult | undefined> {
    if (call.running.signal.aborted) return INTERRUPTED;
    call.claim = undefined;
    delete call.spoken.joins;
    delete call.spoken.runner;
    await this.#store([call]);
    return this.#claimed(call);
  }

  /** The model is told that nothing was done now, unless it was this turn that did it. */
  #endedBefore({ state, content, turnId }: OnceCall): ToolCallResult {
    if (state !== 'completed') return UNKNOWN;
    if (turnId === this.#turn.turnId) return { state, content };
    return { state, content: `{"status":"done before","result":${content}}` };
  }

  async #waitElsewhere(
    call: NotedToolCall,
    of: Omit<ToolCallElsewhere, 'conversationId'>,
  ): Promise<ToolCallResult | undefined> {
    call.whenInterrupted = 'abort'; // only the waiting ends
    const { conversationId } = this.#turn;
    return outcomeElsewhere({ ...of, conversationId }, this.#host, call.running.signal);
  }

  /** The process of a claimed call is gone: its outcome is unknown for every process. */
  async #noteLost(call: NotedToolCall, lost: OnceCall): Promise<void> {
    const { conversationId } = this.#turn;
    if (await this.#host.conversations.loseClaim(conversationId, call.key, lost))
      this.#tellUnknown(call);
  }

  #tellUnknown(call: NotedToolCall): void {
    const { conversationId, log } = this.#turn;
    noteUnknown(this.#host, log, {
      conversationId,
      tool: toolNameOf(call),
      idempotencyKey: call.key,
    });
  }

  async #perform(noted: NotedToolCall, tool: ToolRun): Promise<ToolCallResult> {
    const { key, isOnce, running: { signal }, spoken: { call } } = noted;
    const { trace } = this.#turn;
    const run = (): Awaitable<string> =>
      tool.run({ signal, toolCallId: call.id, idempotencyKey: key });
    this.#turn.work.toolBegan(toolNameOf(noted), call);
    try {
      const content = await (trace === undefined ? run() : trace.runTool(call.id, run));
      return { state: 'completed', content, handOver: noted.handOver };
    } catch (error) {
      if (error instanceof NotDone) return { ...this.#failed(noted, error), isNotDone: true };
      if (isOnce) {
        const late = tool.late?.();
        if (late !== undefined)
          this.#host.calls.addLate((forgotten) => this.#endLate(noted, late, forgotten));
        return this.#unknown(noted, error);
      }
      if (signal.aborted && isAbort(error, signal.reason)) return INTERRUPTED;
      throw error;
    }
  }

  /** For a call that may have acted before it failed. */
  #unknown(call: NotedToolCall, error: unknown): ToolCallResult {
    const { conversationId, turnId, log } = this.#turn;
    const ids = { conversationId, turnId, tool: toolNameOf(call), idempotencyKey: call.key };
    noteUnknown(this.#host, log, { ...ids, error: withoutMessage(error) });
    return UNKNOWN;
  }

  /**
   * The time of a call that acts once was up, so its outcome is unknown until the tool ends after
   * all. Never rejects.
   */
  async #endLate(
    call: NotedToolCall,
    late: Promise<string>,
    forgotten: Promise<undefined>,
  ): Promise<void> {
    const { conversationId, turnId, log } = this.#turn;
    const ids = { conversationId, turnId, tool: toolNameOf(call), idempotencyKey: call.key };
    let outcome: ToolCallResult;
    try {
      const content = await Promise.race([late, forgotten]);
      if (content === undefined)
        return log.warn('a tool call whose outcome is unknown is not waited for any more', ids);
      outcome = { state: 'completed', content };
    } catch (error) {
      if (!(error instanceof NotDone)) {
        const message = 'a tool call whose outcome is unknown has failed';
        return log.error(message, { ...ids, error: withoutMessage(error) });
      }
      outcome = { ...this.#failed(call, error), isNotDone: true };
    }
    Object.assign(call.spoken, { state: outcome.state, content: outcome.content });
    storeResult(this.#turn, call, outcome, { liveState: undefined });
  }

  /** A failure is a result too: the model explains it to the caller. */
  #failed(call: NotedToolCall, error: unknown): ToolCallResult {
    const { conversationId, turnId, log } = this.#turn;
    call.failure ??= { error };
    logFailure(log, { conversationId, turnId, tool: toolNameOf(call) }, error);
    return {
      state: 'completed',
      content: JSON.stringify({ error: messageOf(error) }),
    };
  }

  /** Passes the result to whatever waits for it, and then stores it. */
  #end(call: NotedToolCall, outcome: ToolCallResult): void {
    const { spoken, running, key } = call;
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
      const error: unknown = call.failure?.error;
      workSoFar?.toolEnded(spoken.call.id, end, outcome.content, error);
    }
    const done = (): void => {
      this.#host.calls.remove(key, running);
      liveState?.leave();
    };
    storeResult(this.#turn, call, outcome, { liveState, done });
  }
}

/** Reports a call whose outcome is unknown: someone has to look into it. */
export function noteUnknown(
  { observer }: Pick<ToolHost, 'observer'>,
  log: ToolCallingTurn['log'],
  fields: Readonly<Record<string, unknown>> & { readonly tool: string },
): void {
  log.error('the outcome of a tool call is unknown', fields);
  observer?.unknownOutcome(fields.tool);
}

/** Whether it may change something outside, as far as is known. */
function mayHaveEffects({ tool, failure }: NotedToolCall): boolean {
  return failure === undefined && (tool?.once !== undefined || tool?.repeatable !== true);
}

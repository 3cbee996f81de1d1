import type { ToolOutcome, ToolRun, TurnAbortedError } from '../agents/agent.ts';
import { isAbort } from '../base/abort.ts';
import type { Awaitable } from '../base/awaitable.ts';
import { messageOf } from '../base/message-of.ts';
import { withoutMessage } from '../base/without-message.ts';
import { UNFINISHED_RESULTS, type ToolCall, type ToolMessage } from '../conversations/message.ts';
import { storeCalls, storeResult, type CallHost, type CallingTurn } from './call-writes.ts';
import { NotedCalls, type NotedCall } from './noted-calls.ts';
import type { CallOutcome, RunningCalls } from './running-calls.ts';

const INTERRUPTED: CallOutcome = { state: 'interrupted', content: UNFINISHED_RESULTS.interrupted };
const UNKNOWN: CallOutcome = { state: 'unknown', content: UNFINISHED_RESULTS.unknown };

/**
 * The tool calls of one run of a turn. A call is stored before it runs, and its result when it
 * returns, even if the turn is over by then. A call that an earlier run of the turn has made is not
 * made again.
 */
export class TurnCalls {
  readonly #turn: CallingTurn;
  readonly #host: CallHost;
  readonly #noted: NotedCalls;
  /** Outcomes of calls of earlier runs, by key. */
  readonly #earlier: ReadonlyMap<string, Awaitable<CallOutcome>>;
  /** Name of the agent that speaks next. */
  #nextAgent: string | undefined;
  #handOvers = 0;

  constructor(turn: CallingTurn, host: CallHost, earlierCalls: readonly ToolMessage[]) {
    this.#turn = turn;
    this.#host = host;
    this.#noted = new NotedCalls(turn, host.conversations, earlierCalls);
    this.#earlier = earlierOutcomes(earlierCalls, host.calls);
  }

  /** Stores calls and runs them, all at the same time. Never rejects. */
  async run(
    calls: readonly ToolCall[],
    toolFor: (call: ToolCall) => ToolRun,
  ): Promise<readonly ToolOutcome[]> {
    const noted = this.#note(calls);
    await storeCalls(this.#turn, this.#host);
    return Promise.all(
      noted.map(async (call) => {
        const outcome = await this.#outcomeOf(call, toolFor);
        this.#end(call, outcome);
        const { content, handOver } = outcome;
        return { call: call.spoken.call, content, handOver };
      }),
    );
  }

  /** Stores calls that the agent runs itself. Never rejects, as it logs what cannot be stored. */
  note(calls: readonly ToolCall[]): Awaitable<void> {
    this.#note(calls);
    return storeCalls(this.#turn, this.#host);
  }

  /** The result of a call that the agent ran itself. `givenId` is the model's id. */
  noteResult(givenId: string, content: string): void {
    const call = this.#noted.awaiting(givenId);
    if (call !== undefined) this.#end(call, { state: 'completed', content });
  }

  /**
   * Nothing of the agent runs any more. Calls that it runs itself and that have no result end as
   * interrupted.
   */
  agentEnded(): void {
    for (const call of this.#noted.running)
      if (call.whenInterrupted === undefined) this.#end(call, INTERRUPTED);
  }

  /** Whether a call runs that the end of the turn aborts. */
  get canBeAborted(): boolean {
    return this.#noted.running.some(({ whenInterrupted }) => whenInterrupted === 'abort');
  }

  /**
   * The turn is over. `finishMs`: how long calls that want to finish may go on, or all calls if
   * `mayAllFinish`.
   */
  turnEnded(reason: TurnAbortedError, finishMs: number, mayAllFinish: boolean): void {
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

  /** Name of the agent that the conversation was handed over to. Gives it once. */
  takeNextAgent(): string | undefined {
    const agent = this.#nextAgent;
    this.#nextAgent = undefined;
    return agent;
  }

  // The life of a call: noted, run, ended.

  #note(calls: readonly ToolCall[]): readonly NotedCall[] {
    const noted = this.#noted.add(calls);
    for (const { key, running } of noted) {
      this.#host.calls.add(key, running);
      this.#turn.liveState?.enter();
    }
    this.#turn.spoken.noteCalls(noted.map(({ spoken }) => spoken));
    return noted;
  }

  async #outcomeOf(call: NotedCall, toolFor: (call: ToolCall) => ToolRun): Promise<CallOutcome> {
    try {
      const tool = toolFor(call.spoken.call);
      const running = this.#host.calls.outcomeBefore(call.key, call.running);
      const outcome = await (running ?? this.#earlier.get(call.key));
      if (
        outcome?.state === 'completed' ||
        (outcome?.state === 'unknown' && tool.repeatable !== true)
      )
        return outcome;
      if (this.#turn.isOver) return INTERRUPTED; // it never began
      call.whenInterrupted = tool.whenInterrupted ?? 'abort';
      return await this.#perform(call, tool);
    } catch (error) {
      return this.#failed(call, error);
    }
  }

  async #perform(noted: NotedCall, tool: ToolRun): Promise<CallOutcome> {
    const { key, running: { signal }, spoken: { call } } = noted;
    try {
      const content = await tool.run({ signal, toolCallId: call.id, idempotencyKey: key });
      return { state: 'completed', content, handOver: noted.handOver };
    } catch (error) {
      if (signal.aborted && isAbort(error, signal.reason)) return INTERRUPTED;
      throw error;
    }
  }

  /** A failure is a result too: the model explains it to the caller. */
  #failed({ spoken: { call } }: NotedCall, error: unknown): CallOutcome {
    this.#turn.log.warn('tool failed', { tool: call.name, error: withoutMessage(error) });
    return {
      state: 'completed',
      content: JSON.stringify({ error: messageOf(error) }),
    };
  }

  /** Gives the result to all who wait for it, and then stores it. */
  #end({ spoken, running, key }: NotedCall, outcome: CallOutcome): void {
    spoken.state = outcome.state;
    spoken.content = outcome.content;
    if (outcome.handOver !== undefined) {
      spoken.handOver = this.#nextAgent = outcome.handOver;
      this.#handOvers += 1;
    }
    running.end(outcome);
    const { liveState } = this.#turn;
    storeResult(this.#turn, this.#host, spoken.call, outcome, () => {
      this.#host.calls.remove(key, running);
      liveState?.leave();
    });
  }
}

/**
 * The outcomes of calls of earlier runs, by key. A call that still runs here is waited for from now
 * on: it may be gone from the running calls before the new run asks for it.
 */
function earlierOutcomes(
  earlierCalls: readonly ToolMessage[],
  calls: RunningCalls,
): ReadonlyMap<string, Awaitable<CallOutcome>> {
  const outcomes = new Map<string, Awaitable<CallOutcome>>();
  for (const { key, state, content, handOver } of earlierCalls) {
    if (key === undefined) continue;
    if (state === 'running') outcomes.set(key, calls.outcomeBefore(key) ?? UNKNOWN);
    else outcomes.set(key, { state, content, handOver });
  }
  return outcomes;
}

import type { ToolOutcome, ToolRun, TurnAbortedError } from '../agents/agent.ts';
import type { LiveState } from '../agents/live-state.ts';
import { isAbort } from '../base/abort.ts';
import { andThen, type Awaitable } from '../base/awaitable.ts';
import type { ConversationManager } from '../conversations/manager.ts';
import { UNFINISHED_RESULTS, type ToolCall, type ToolMessage } from '../conversations/message.ts';
import type { Ownership } from '../conversations/tool-call-rules.ts';
import type { Logger } from '../log.ts';
import { callKey, canonicalArguments, uniqueKey } from './call-key.ts';
import { persist, WRITE_DELAYS_MS } from './persist.ts';
import type { SpokenCall, SpokenReply } from './spoken-reply.ts';
import { withoutMessage } from '../base/without-message.ts';
import { RunningCall, type CallOutcome, type RunningCalls } from './running-calls.ts';

/** The run that calls belong to. */
export interface CallingRun {
  readonly conversationId: string;
  readonly turnId: string;
  readonly runId: number;
  /** False for a turn that leaves nothing in history. */
  readonly isStored: boolean;
  readonly isOver: boolean;
  readonly spoken: SpokenReply;
  /** Of an agent with a state, which calls may change. */
  readonly liveState: LiveState | undefined;
  readonly log: Logger;
  /** Ends it, if it is not over. */
  interrupt(reason: string): void;
}

export interface CallHost {
  readonly conversations: ConversationManager;
  readonly calls: RunningCalls;
  /** Has a shutdown wait for a write. */
  track(write: Promise<unknown>): void;
}

/** A call that was written down. */
interface NotedCall {
  readonly spoken: SpokenCall;
  /** The id that the model gave it, which may not be unique. */
  readonly givenId: string;
  /** Of the idempotency key. */
  readonly key: string;
  readonly round: number;
  readonly running: RunningCall;
  /** Undefined before it begins, and for a call that the agent runs itself. */
  whenInterrupted: 'abort' | 'finish' | undefined;
  /** Set while it runs, if it is to hand the conversation over to that agent. */
  handOver: string | undefined;
}

const INTERRUPTED: CallOutcome = { state: 'interrupted', content: UNFINISHED_RESULTS.interrupted };
const UNKNOWN: CallOutcome = { state: 'unknown', content: UNFINISHED_RESULTS.unknown };

/**
 * The tool calls of one run of a turn. Each is written down before it runs, and its result when it
 * returns, though the run may be over by then. A call that an earlier run of the turn has made is
 * not made again.
 */
export class TurnCalls {
  readonly #run: CallingRun;
  readonly #host: CallHost;
  readonly #noted: NotedCall[] = [];
  /** How calls of earlier runs ended, by their keys. */
  readonly #earlier: ReadonlyMap<string, Awaitable<CallOutcome>>;
  readonly #ids = new Set<string>();
  readonly #occurrences = new Map<string, number>();
  #rounds = 0;
  /** The agent that is to speak next: see `takeNextAgent`. */
  #nextAgent: string | undefined;
  #handOvers = 0;

  constructor(run: CallingRun, host: CallHost, earlierCalls: readonly ToolMessage[]) {
    this.#run = run;
    this.#host = host;
    this.#earlier = earlierOutcomes(earlierCalls, host.calls);
    for (const { toolCallId } of earlierCalls) this.#ids.add(toolCallId);
  }

  /** Writes down calls that the agent runs itself. Resolves when they are stored, or cannot be. */
  note(calls: readonly ToolCall[]): Awaitable<void> {
    this.#note(calls);
    return this.#store();
  }

  /** The result of a call that the agent ran itself. */
  noteResult(givenId: string, content: string): void {
    // Some vendors count ids anew in each reply: the newest round of that id is meant, and in it
    // the first without a result.
    const open = this.#noted.filter(
      (call) =>
        call.givenId === givenId &&
        call.whenInterrupted === undefined &&
        call.spoken.state !== 'completed',
    );
    const call = open.find(({ round }) => round === open.at(-1)?.round);
    if (call !== undefined) this.#end(call, { state: 'completed', content });
  }

  /** Writes calls down and runs them. */
  async run(
    calls: readonly ToolCall[],
    toolFor: (call: ToolCall) => ToolRun,
  ): Promise<readonly ToolOutcome[]> {
    const noted = this.#note(calls);
    await this.#store();
    return Promise.all(
      noted.map(async (call) => {
        const outcome = await this.#outcomeOf(call, toolFor);
        this.#end(call, outcome);
        const { content, handOver } = outcome;
        return { call: call.spoken.call, content, handOver };
      }),
    );
  }

  /** How often the conversation was handed over in this run. */
  get handOvers(): number {
    return this.#handOvers;
  }

  get isHandedOver(): boolean {
    return this.#nextAgent !== undefined;
  }

  /** Whether a call has handed the conversation over, or is about to. */
  get isHandingOver(): boolean {
    return this.isHandedOver || this.#noted.some(isHandingOver);
  }

  /** The call hands the conversation over if it returns. Throws for one that does not run. */
  willHandOver(toolCallId: string, agent: string): void {
    const call = this.#noted.find(({ spoken }) => spoken.call.id === toolCallId);
    if (call?.spoken.state !== 'running' || call.whenInterrupted === undefined) {
      throw new Error('only a call that runTools runs can hand the conversation over');
    }
    call.handOver = agent;
  }

  /** The agent that a call has handed the conversation over to, once. */
  takeNextAgent(): string | undefined {
    const agent = this.#nextAgent;
    this.#nextAgent = undefined;
    return agent;
  }

  /** Whether a call runs that the turn's end aborts. */
  get canBeAborted(): boolean {
    return this.#noted.some(
      ({ spoken, whenInterrupted }) =>
        spoken.state === 'running' && whenInterrupted === 'abort',
    );
  }

  /** The turn is over. `finishMs`: how long a call that is to finish may go on. */
  turnEnded(reason: TurnAbortedError, finishMs: number): void {
    for (const { spoken, running, whenInterrupted } of this.#noted) {
      if (spoken.state !== 'running') continue;
      if (whenInterrupted === 'abort') running.abort(reason);
      else if (whenInterrupted === 'finish') running.abortAfter(finishMs, reason);
    }
  }

  /**
   * Nothing of the agent runs any more: calls that it ran itself and gave no result have ended
   * without one.
   */
  agentEnded(): void {
    for (const call of this.#noted)
      if (call.whenInterrupted === undefined && call.spoken.state === 'running')
        this.#end(call, INTERRUPTED);
  }

  #note(calls: readonly ToolCall[]): readonly NotedCall[] {
    this.#rounds += 1;
    const noted = calls.map((given): NotedCall => {
      const call = { id: this.#uniqueId(given.id), name: given.name, args: given.args };
      const key = this.#keyOf(call);
      return {
        spoken: { call, key, state: 'running', content: UNFINISHED_RESULTS.running },
        givenId: given.id,
        key: key ?? uniqueKey(),
        round: this.#rounds,
        running: new RunningCall(),
        whenInterrupted: undefined,
        handOver: undefined,
      };
    });
    for (const { key, running } of noted) {
      this.#host.calls.add(key, running);
      this.#run.liveState?.enter();
    }
    this.#noted.push(...noted);
    this.#run.spoken.noteCalls(noted.map(({ spoken }) => spoken));
    return noted;
  }

  #uniqueId(given: string): string {
    let id = given || 'call';
    for (let count = 2; this.#ids.has(id); count++) id = `${given || 'call'}-${count}`;
    this.#ids.add(id);
    return id;
  }

  /** Undefined for arguments that are not JSON: such a call is like no other. */
  #keyOf({ name, args }: ToolCall): string | undefined {
    const canonical = canonicalArguments(args);
    if (canonical === undefined) return undefined;
    const alike = JSON.stringify([name, canonical]);
    const occurrence = this.#occurrences.get(alike) ?? 0;
    this.#occurrences.set(alike, occurrence + 1);
    const conversation = this.#host.conversations.keyOf(this.#run.conversationId);
    return callKey(conversation, this.#run.turnId, name, canonical, occurrence);
  }

  /** Never rejects: a call that cannot be protected runs all the same. */
  #store(): Awaitable<void> {
    const { conversationId, turnId, runId, isStored, spoken } = this.#run;
    if (!isStored) return;
    const failed = (error: unknown): void => {
      this.#run.log.error('tool calls could not be stored and run unprotected', {
        conversationId,
        turnId,
        error,
      });
    };
    const noted = (ownership: Ownership): void => {
      // The news of it is on its way, or the newer turn runs elsewhere: what has not begun is not
      // to begin.
      if (ownership === 'closed') this.#run.interrupt('a newer turn began');
    };
    try {
      const stored = this.#host.conversations.noteProgress(conversationId, {
        turnId,
        runId,
        messages: spoken.messages(turnId, 'open'),
      });
      if (stored instanceof Promise) return stored.then(noted, failed);
      noted(stored);
    } catch (error) {
      failed(error);
    }
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
      if (this.#run.isOver) return INTERRUPTED; // it never began
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

  /** A failure is a result too: it is the model's to explain. */
  #failed({ spoken: { call } }: NotedCall, error: unknown): CallOutcome {
    this.#run.log.warn('tool failed', { tool: call.name, error: withoutMessage(error) });
    return {
      state: 'completed',
      content: JSON.stringify({ error: error instanceof Error ? error.message : String(error) }),
    };
  }

  /** The result goes to whoever waits for it at once, and to the store as soon as that can be. */
  #end(call: NotedCall, outcome: CallOutcome): void {
    const { spoken, running, key } = call;
    spoken.state = outcome.state;
    spoken.content = outcome.content;
    if (outcome.handOver !== undefined) {
      spoken.handOver = this.#nextAgent = outcome.handOver;
      this.#handOvers += 1;
    }
    running.end(outcome);
    const { conversationId, turnId, liveState, log, isStored } = this.#run;
    const done = (): void => {
      this.#host.calls.remove(key, running);
      liveState?.leave();
    };
    if (!isStored) return done();
    const tool = spoken.call.name;
    const result = { turnId, toolCallId: spoken.call.id, ...outcome };
    const write = persist(() => {
      const agentState = liveState?.textToStore(log, conversationId);
      return this.#host.conversations.noteToolResult(conversationId, { ...result, agentState });
    }, WRITE_DELAYS_MS);
    const written = andThen(write, (isKnown) => {
      done();
      if (isKnown) return;
      this.#run.log.info('a tool result came too late to be kept', {
        conversationId,
        turnId,
        tool,
      });
    });
    if (!(written instanceof Promise)) return;
    this.#host.track(
      written.catch((error: unknown) => {
        done();
        this.#run.log.error('tool result lost', { conversationId, turnId, tool, error });
      }),
    );
  }
}

function isHandingOver({ handOver, spoken }: NotedCall): boolean {
  return handOver !== undefined && spoken.state === 'running';
}

/**
 * A call that still runs here is waited for from now on: it may end, and be forgotten, before the
 * new run asks for it.
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

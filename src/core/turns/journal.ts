import type { Awaitable } from '../../base/awaitable.ts';
import type { JsonObject } from '../../base/json.ts';
import type {
  ModelRequestFailure, ModelUsage, RequestEvent, ToolCallOutcome, ToolOutcome, ToolRun, TurnJournal,
} from '../agents/agent.ts';
import { checkHandOver } from '../agents/hand-over-rules.ts';
import type { Message, ToolCall } from '../conversations/message.ts';
import { UNFINISHED_RESULTS } from '../conversations/unfinished-tool-results.ts';
import { StateError } from '../state/state-error.ts';
import type { TurnRun } from './turn-run.ts';

/** What an agent notes about its turn: see `TurnJournal`. */
export class Journal implements TurnJournal {
  readonly #turn: TurnRun;

  get mayActOnce(): boolean {
    return this.#turn.isStored;
  }

  constructor(turn: TurnRun) {
    this.#turn = turn;
  }

  async runTools(
    calls: readonly ToolCall[],
    toolFor: (call: ToolCall) => ToolRun,
  ): Promise<readonly ToolOutcome[]> {
    const turn = this.#turn;
    const { values } = turn;
    if (values === undefined || turn.isOver) return this.#run(calls, toolFor);
    const redacted = await values.calls(calls, turn.spoken.text());
    return this.#run(redacted, (call) => values.run(toolFor(call)));
  }

  async #run(
    calls: readonly ToolCall[],
    toolFor: (call: ToolCall) => ToolRun,
  ): Promise<readonly ToolOutcome[]> {
    if (!this.#turn.isOver) return this.#turn.calls.run(calls, toolFor);
    return calls.map((call) => ({ call, content: UNFINISHED_RESULTS.interrupted }));
  }

  rounds(): readonly Message[] {
    return this.#turn.spoken.rounds(this.#turn.turnId);
  }

  noteToolCalls(calls: readonly ToolCall[]): Awaitable<void> {
    if (this.#turn.isOver) return;
    const { values } = this.#turn;
    if (values === undefined) return this.#turn.calls.note(calls);
    return values.ownCalls(calls, this.#turn.spoken.text()).then((redacted) => {
      if (!this.#turn.isOver) return this.#turn.calls.note(redacted);
    });
  }

  noteToolResult(toolCallId: string, content: string): void {
    const { values, callsSoFar } = this.#turn;
    callsSoFar?.noteResult(toolCallId, values === undefined ? content : values.json(content));
  }

  async handOver(toolCallId: string, agent: string): Promise<void> {
    const { calls, spoken, host: { speakers } } = this.#turn;
    checkHandOver(agent, speakers, {
      speaker: spoken.speaker ?? speakers.ownName,
      count: calls.handOvers,
      isUnderWay: calls.isHandingOver,
    });
    calls.willHandOver(toolCallId, agent);
  }

  async saveState(): Promise<void> {
    const { conversationId, turnId, host, isStored, liveState, work, erasedAt } = this.#turn;
    if (!isStored) throw new StateError('this turn stores nothing, not even its state');
    if (liveState === undefined) throw new StateError('the agent has no state');
    const agentState = liveState.validChanges();
    if (agentState === undefined) return; // erased
    const fromMs = performance.now();
    const change = { agentState, erasedAt };
    const saved = host.conversations.saveState(conversationId, turnId, change);
    if (saved instanceof Promise) await saved.finally(() => work.noteStore('state', fromMs));
  }

  async bring(value: unknown): Promise<void> {
    await this.#turn.values?.bring(value);
  }

  reveal<T>(value: T): T {
    const { values } = this.#turn;
    return values === undefined ? value : values.reveal(value);
  }

  conceal<T>(value: T): T {
    const { values } = this.#turn;
    return values === undefined ? value : values.conceal(value);
  }

  noteRequest(event: RequestEvent): void {
    const { values, work } = this.#turn;
    work.noteRequest(values === undefined ? event : values.request(event));
  }

  runRequest<T>(request: number, step: () => T): T {
    const { trace } = this.#turn;
    return trace === undefined ? step() : trace.runRequest(request, step);
  }

  noteUsage(usage: ModelUsage): void {
    this.#turn.work.noteUsage(usage);
  }

  noteFailedRequest(model: string, failure: ModelRequestFailure): void {
    this.#turn.work.noteFailure(model, failure);
  }

  noteToolOutcome(
    tool: string,
    outcome: ToolCallOutcome,
    durationMs?: number,
    toolCallId?: string,
  ): void {
    this.#turn.work.noteToolOutcome(tool, outcome, durationMs, toolCallId);
  }

  tellBrowser(report: JsonObject): void {
    const { isOver, hasBrowser, spoken } = this.#turn;
    if (isOver || !hasBrowser) return;
    void this.#turn.send(spoken.sendData(JSON.stringify(report)));
  }

  sayFiller(text: string): boolean {
    if (this.#turn.isOver || this.#turn.spoken.hasSpoken) return false;
    const event = this.#turn.spoken.sayFiller(text);
    if (event === undefined) return true;
    const { work, values } = this.#turn;
    work.noteFiller(values === undefined ? text : values.text(text));
    void this.#turn.send(event);
    return true;
  }
}

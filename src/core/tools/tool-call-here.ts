// Runs a tool call in this process.

import { isAbort } from '../../base/abort.ts';
import type { Awaitable } from '../../base/awaitable.ts';
import { messageOf, withoutMessage } from '../../base/thrown-values.ts';
import { storeResult } from './tool-call-writes.ts';
import { noteUnknown, type ToolCallingTurn } from './tool-calling-turn.ts';
import { toolNameOf, type NotedToolCall } from './tool-calls-noted.ts';
import { INTERRUPTED, UNKNOWN, type ToolCallResult } from './tool-calls-running.ts';
import { logFailure } from './tool-failure.ts';
import { NotDone } from './tool-not-done.ts';
import type { ToolRun } from './tool-run.ts';

/** Runs the call. What it throws is its outcome. */
export async function runHere(
  turn: ToolCallingTurn,
  call: NotedToolCall,
  tool: ToolRun,
): Promise<ToolCallResult> {
  const { key, isOnce, claim, running, spoken } = call;
  const { signal } = running;
  const { trace } = turn;
  const run = (): Awaitable<string> =>
    tool.run({
      signal,
      toolCallId: spoken.call.id,
      idempotencyKey: key,
      attempt: claim?.kind === 'claimed' ? claim.attempt : undefined,
    });
  turn.work.toolBegan(toolNameOf(call), spoken.call);
  if (isOnce) running.leftBehind = () => reportLeftBehind(turn, call);
  try {
    const content = await (trace === undefined ? run() : trace.runTool(spoken.call.id, run));
    return { state: 'completed', content, handOver: call.handOver };
  } catch (error) {
    if (error instanceof NotDone) return notDone(turn, call, error);
    if (isOnce) {
      const late = tool.late?.();
      if (late !== undefined)
        turn.host.calls.addLate((forgotten) => endLate(turn, call, late, forgotten));
      return unknown(turn, call, error);
    }
    if (signal.aborted && isAbort(error, signal.reason)) {
      const isOwnEnd = turn.isOver && !turn.signal.aborted; // it has completed
      if (isOwnEnd && call.whenInterrupted === 'abort')
        turn.log.warn('a tool was aborted: its own reply ended the turn', namesOf(turn, call));
      return INTERRUPTED;
    }
    return failed(turn, call, error);
  }
}

/** A failure is a result too: the model explains it to the caller. */
export function failed(
  turn: ToolCallingTurn,
  call: NotedToolCall,
  error: unknown,
): ToolCallResult {
  const { conversationId, turnId, log } = turn;
  call.failure ??= { error };
  logFailure(log, { conversationId, turnId, tool: toolNameOf(call) }, error);
  return { state: 'completed', content: JSON.stringify({ error: messageOf(error) }) };
}

function notDone(turn: ToolCallingTurn, call: NotedToolCall, error: NotDone): ToolCallResult {
  return { ...failed(turn, call, error), isNotDone: true };
}

/** For a call that may have acted before it failed. */
function unknown(turn: ToolCallingTurn, call: NotedToolCall, error: unknown): ToolCallResult {
  noteUnknown(turn.host, turn.log, { ...namesOf(turn, call), error: withoutMessage(error) });
  return { ...UNKNOWN, error };
}

/** Only logged: nobody reads this process's metrics any more. Whoever finds the claim counts it. */
function reportLeftBehind(turn: ToolCallingTurn, call: NotedToolCall): void {
  turn.log.error('the outcome of a tool call is unknown', namesOf(turn, call));
}

/**
 * A call that acts once has run out of time, so its outcome is unknown until the tool ends after
 * all. Never rejects.
 */
async function endLate(
  turn: ToolCallingTurn,
  call: NotedToolCall,
  late: Promise<string>,
  forgotten: Promise<undefined>,
): Promise<void> {
  const { liveState } = turn;
  liveState?.enter(); // what it changes by then counts, too
  const done = (): void => liveState?.leave();
  const outcome = await lateOutcome(turn, call, late, forgotten);
  if (outcome === undefined) return done();
  Object.assign(call.spoken, { state: outcome.state, content: outcome.content });
  void storeResult(turn, call, outcome, done);
}

/** Undefined if there is none: the log says why. */
async function lateOutcome(
  turn: ToolCallingTurn,
  call: NotedToolCall,
  late: Promise<string>,
  forgotten: Promise<undefined>,
): Promise<ToolCallResult | undefined> {
  const { log } = turn;
  const names = namesOf(turn, call);
  try {
    const content = await Promise.race([late, forgotten]);
    if (content !== undefined) return { state: 'completed', content };
    log.warn('no longer waiting for a tool call whose outcome is unknown', names);
  } catch (error) {
    if (error instanceof NotDone) return notDone(turn, call, error);
    const message = 'a tool call whose outcome is unknown has failed';
    log.error(message, { ...names, error: withoutMessage(error) });
  }
  return undefined;
}

/** How the log names the call. */
function namesOf(
  { conversationId, turnId }: ToolCallingTurn,
  call: NotedToolCall,
): Readonly<Record<'conversationId' | 'turnId' | 'tool' | 'idempotencyKey', string>> {
  return { conversationId, turnId, tool: toolNameOf(call), idempotencyKey: call.key };
}

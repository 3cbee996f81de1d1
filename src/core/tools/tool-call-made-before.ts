// The outcome of a tool call that was made before, so that it is not made again.

import type { Awaitable } from '../../base/awaitable.ts';
import type { ToolMessage } from '../conversations/message.ts';
import type { OnceCall } from '../conversations/once-call.ts';
import { outcomeElsewhere, type ToolCallElsewhere } from './tool-call-elsewhere.ts';
import { storeCalls } from './tool-call-writes.ts';
import { noteUnknown, type ToolCallingTurn, type ToolHost } from './tool-calling-turn.ts';
import type { KnownToolCall } from './tool-calls-earlier.ts';
import { toolNameOf, type NotedToolCall } from './tool-calls-noted.ts';
import { INTERRUPTED, REFUSED, UNKNOWN, type ToolCallResult } from './tool-calls-running.ts';

/**
 * The outcome of the same call in this turn: of one running here, or of `earlier`, which another
 * run made. Undefined if the call is to run now.
 */
export async function outcomeInTurn(
  { conversationId, host }: ToolCallingTurn,
  call: NotedToolCall,
  earlier: KnownToolCall | undefined,
): Promise<ToolCallResult | undefined> {
  const { key, running, spoken, tool } = call;
  const here = (await host.calls.outcomeBefore(key, running)) ?? (await earlier?.outcome);
  // What was interrupted here says nothing about the same call in another process.
  const isKnown = here?.state === 'completed' || (here !== undefined && isOwnCall(host, earlier));
  const outcome = earlier === undefined || isKnown
    ? here
    : await outcomeOfEarlier(earlier.message, call, conversationId, host);
  const isFinal = outcome?.state === 'completed' || outcome?.state === 'running';
  if (isFinal || (outcome?.state === 'unknown' && tool?.repeatable !== true)) return outcome;
  delete spoken.joins;
  return undefined;
}

/** Whether this process is running the call, or was when the call was stored. */
function isOwnCall({ process: own }: ToolHost, known: KnownToolCall | undefined): boolean {
  if (known?.message.state !== 'running') return false;
  const { process } = known.message;
  return process === undefined || process === own;
}

async function outcomeOfEarlier(
  earlier: ToolMessage,
  call: NotedToolCall,
  conversationId: string,
  host: ToolHost,
): Promise<ToolCallResult> {
  const { state, content, handOver, process, runId, key = call.key } = earlier;
  if (state !== 'running') return { state, content, handOver };
  if (process === undefined || process === host.process) return UNKNOWN;
  const { turnId, toolCallId } = earlier;
  const of = { conversationId, turnId, runId, toolCallId, process, key, isOnce: false };
  return (await waitElsewhere(call, of, host)) ?? UNKNOWN;
}

/**
 * The outcome of a call that acts once per conversation, as its claim says. Undefined if the call
 * is to run now.
 */
export async function outcomeOfClaim(
  turn: ToolCallingTurn,
  call: NotedToolCall,
): Promise<ToolCallResult | undefined> {
  const { claim } = call;
  if (claim === undefined) return turn.isOver ? INTERRUPTED : REFUSED;
  switch (claim.kind) {
    case 'claimed':
    case 'free':
      return undefined;
    case 'refused':
      return REFUSED;
    case 'ended':
      return endedBefore(turn, claim.call);
    case 'lost':
      tellUnknown(turn, call);
      return UNKNOWN;
    case 'running':
      return outcomeOfClaimer(turn, call, claim.call);
  }
}

/** The model is told that nothing was done now, unless it was this turn that did it. */
function endedBefore(turn: ToolCallingTurn, { state, content, turnId }: OnceCall): ToolCallResult {
  if (state !== 'completed') return UNKNOWN;
  if (turnId === turn.turnId) return { state, content };
  return { state, content: `{"status":"done before","result":${content}}` };
}

async function outcomeOfClaimer(
  turn: ToolCallingTurn,
  call: NotedToolCall,
  claimer: OnceCall,
): Promise<ToolCallResult | undefined> {
  if (turn.isOver) return INTERRUPTED;
  const { conversationId, host } = turn;
  const { key, running, spoken, tool } = call;
  const { turnId, runId, toolCallId, process } = claimer;
  spoken.joins = true;
  spoken.process = process ?? host.process;
  const here = host.calls.outcomeBefore(key, running);
  if (here !== undefined) return here;
  if (process === undefined) return UNKNOWN;
  const of = { conversationId, turnId, runId, toolCallId, process, key, isOnce: true };
  const outcome = await waitElsewhere(call, of, host);
  if (outcome === undefined) return claimAgain(turn, call);
  if (outcome.state === 'unknown') {
    // The process that made the claim is gone: the outcome is unknown for every process.
    if (await host.conversations.loseClaim(conversationId, key, claimer)) tellUnknown(turn, call);
    if (tool?.repeatable === true) return claimAgain(turn, call);
  }
  if (outcome.state === 'interrupted') await stopJoining(turn, call, []);
  return outcome;
}

/** The call that this one waited for has done nothing, or may be repeated. */
async function claimAgain(
  turn: ToolCallingTurn,
  call: NotedToolCall,
): Promise<ToolCallResult | undefined> {
  if (call.running.signal.aborted) return INTERRUPTED;
  call.claim = undefined;
  await stopJoining(turn, call, [call]);
  return outcomeOfClaim(turn, call);
}

/** The call stops waiting: what the other one still does is no longer its result. */
function stopJoining(
  turn: ToolCallingTurn,
  { spoken }: NotedToolCall,
  claiming: readonly NotedToolCall[],
): Awaitable<void> {
  delete spoken.joins;
  spoken.process = turn.host.process;
  return storeCalls(turn, claiming);
}

function waitElsewhere(
  call: NotedToolCall,
  of: ToolCallElsewhere,
  host: ToolHost,
): Promise<ToolCallResult | undefined> {
  call.whenInterrupted = 'abort'; // only the waiting ends
  return outcomeElsewhere(of, host, call.running.signal);
}

function tellUnknown({ conversationId, host, log }: ToolCallingTurn, call: NotedToolCall): void {
  noteUnknown(host, log, { conversationId, tool: toolNameOf(call), idempotencyKey: call.key });
}

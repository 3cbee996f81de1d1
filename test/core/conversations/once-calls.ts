import type { Conversation } from '../../../src/core/conversations/conversation.ts';
import type { OnceCall } from '../../../src/core/conversations/once-call.ts';

/** A key that looks like a hash. */
export function onceKey(n: number): string {
  return n.toString(16).padStart(64, '0');
}

export function onceCall(more: Partial<OnceCall> = {}): OnceCall {
  return {
    state: 'running',
    tool: 'pay',
    runId: 1,
    turnId: 't1',
    toolCallId: 'call-1',
    claimedAt: 1_764_000_000_000,
    content: '{"status":"still running"}',
    ...more,
  };
}

/** Frees a key, as a call that had no effect does. */
export function freeKey(conversation: Conversation, key: string): void {
  const { [key]: _freed, ...others } = conversation.onceCalls ?? {};
  if (Object.keys(others).length > 0) conversation.onceCalls = others;
  else delete conversation.onceCalls;
}

import { createHash, randomUUID } from 'node:crypto';

import { canonicalJson } from '../../base/canonical-json.ts';

/**
 * The idempotency key of a tool call: 64 hex digits. The same call of the same turn has the same
 * key on any machine. `place` is the turn's id, or its number: see `TurnRecord.number`.
 * `occurrence` counts the identical calls of one run, from 0. `agent` names the agent that a
 * hand-over has brought in: agents may have different tools with the same name.
 */
export function callKey(
  conversationId: string,
  place: string,
  tool: string,
  args: string,
  occurrence: number,
  agent?: string,
): string {
  const parts = [conversationId, place, tool, args, occurrence];
  return hashOf(JSON.stringify(agent === undefined ? parts : [...parts, agent]));
}

/** The key of a call that acts once per conversation. `text` says what it does. */
export function onceKey(conversationId: string, tool: string, text: string): string {
  return hashOf(JSON.stringify(['once', conversationId, tool, text]));
}

/** A key for a call that is not identical to any other. */
export function uniqueKey(): string {
  return hashOf(randomUUID());
}

function hashOf(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}

/**
 * Arguments as JSON text with sorted keys, so that equal values have equal texts. Undefined if they
 * are not JSON.
 */
export function canonicalArguments(args: string): string | undefined {
  try {
    return args.trim() === '' ? '{}' : canonicalJson(JSON.parse(args));
  } catch {
    return undefined; // not JSON, or nested too deeply for the stack
  }
}

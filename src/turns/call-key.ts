import { createHash, randomUUID } from 'node:crypto';

import { canonicalJson } from '../base/canonical-json.ts';

/**
 * The idempotency key of a call: 64 hex digits, the same for the same call of a turn that is
 * delivered again, on any machine. `occurrence` counts calls of one run that are alike.
 */
export function callKey(
  conversationId: string,
  turnId: string,
  tool: string,
  args: string,
  occurrence: number,
): string {
  return hashOf(JSON.stringify([conversationId, turnId, tool, args, occurrence]));
}

/** A key that no other call has. */
export function uniqueKey(): string {
  return hashOf(randomUUID());
}

function hashOf(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}

/**
 * Arguments as JSON text with sorted keys: equal values are equal texts. Undefined for what is not
 * JSON.
 */
export function canonicalArguments(args: string): string | undefined {
  try {
    return args.trim() === '' ? '{}' : canonicalJson(JSON.parse(args));
  } catch {
    return undefined; // not JSON, or nested deeper than the stack
  }
}

// A tool call as every vendor takes it back. A strict one answers 400 to a broken call, and again
// in every later turn, as the call stays in history.

import type { ToolCall } from '../conversations/message.ts';
import { asRecord, type JsonRecord } from './json.ts';

/** What the vendors' own schemas allow. */
const NAME = /^[A-Za-z0-9_-]{1,64}$/;

export function isToolName(name: unknown): name is string {
  return typeof name === 'string' && NAME.test(name);
}

/** The name of a call that came with one that no vendor takes back. */
export const INVALID_NAME = 'invalid_call';

/**
 * The arguments a model wrote, or undefined where they are not a JSON object: cut off, fenced, two
 * objects in a row. A call without arguments has an empty text at some vendors.
 */
export function parseArguments(args: string): JsonRecord | undefined {
  if (args.trim() === '') return {};
  try {
    return asRecord(JSON.parse(args));
  } catch {
    return undefined; // not JSON: what the caller asks
  }
}

/** The call with nothing in it that a vendor refuses. What was wrong is for its result to say. */
export function wellFormedCall({ id, name, args }: ToolCall): ToolCall {
  const isEmpty = args.trim() === '' || parseArguments(args) === undefined;
  return { id, name: isToolName(name) ? name : INVALID_NAME, args: isEmpty ? '{}' : args };
}

// Makes a tool call acceptable to every vendor. A strict vendor answers 400 to a broken call, and
// does so again in every later turn, because the call stays in history.

import { parseJson } from '../../base/json.ts';
import type { ToolCall } from '../conversations/message.ts';
import { asRecord, type JsonRecord } from './json.ts';

/** The names that the vendors' own schemas allow. */
const NAME = /^[A-Za-z0-9_-]{1,64}$/;

export function isToolName(name: unknown): name is string {
  return typeof name === 'string' && NAME.test(name);
}

/** Replaces a name that vendors would refuse. */
export const INVALID_NAME = 'invalid_call';

/**
 * The arguments that a model wrote, or undefined if they are not a JSON object: cut off, fenced, or
 * two objects in a row. Some vendors send '' for a call without arguments; it counts as `{}`.
 */
export function parseArguments(args: string): JsonRecord | undefined {
  return args.trim() === '' ? {} : asRecord(parseJson(args));
}

/** The call without anything that a vendor refuses. Its result must say what was wrong. */
export function wellFormedCall({ id, name, args }: ToolCall): ToolCall {
  const isEmpty = args.trim() === '' || parseArguments(args) === undefined;
  return { id, name: isToolName(name) ? name : INVALID_NAME, args: isEmpty ? '{}' : args };
}

// What an agent may choose for each turn.

import type { Awaitable } from '../../base/awaitable.ts';
import { withoutMessage } from '../../base/thrown-values.ts';

/** A value, or a function that makes it for a turn. */
export type PerTurn<T, Turn> = T | ((turn: Turn) => Awaitable<T>);

/**
 * Calls a function of the turn. Rejects with an error that names the field. It leaves out the
 * original message, which may quote the caller.
 */
export async function makeForTurn<T, Turn>(
  place: string,
  make: (turn: Turn) => Awaitable<T>,
  turn: Turn,
): Promise<T> {
  try {
    return await make(turn);
  } catch (error) {
    throw new Error(`${place} failed`, { cause: withoutMessage(error) });
  }
}

/** Throws if a function returned something other than text. */
export function checkText(place: string, value: unknown): string {
  if (typeof value === 'string') return value;
  throw new TypeError(`${place} must return a string, got ${typeof value}`);
}

// What an agent may choose anew for each turn.

import type { Awaitable } from '../base/awaitable.ts';
import { withoutMessage } from '../base/without-message.ts';

/** A value, or a function of the turn that makes it. */
export type PerTurn<T, Turn> = T | ((turn: Turn) => Awaitable<T>);

/**
 * What a function of the turn makes. Rejects with an error that names the field, and keeps the
 * message of what was thrown to itself: it may quote the caller.
 */
export async function makeForTurn<T, Turn>(
  place: string, make: (turn: Turn) => Awaitable<T>, turn: Turn,
): Promise<T> {
  try {
    return await make(turn);
  } catch (error) {
    throw new Error(`${place} failed`, { cause: withoutMessage(error) });
  }
}

/** Fails for what a function returned instead of text. */
export function checkText(place: string, value: unknown): string {
  if (typeof value === 'string') return value;
  throw new TypeError(`${place} must make a string, got ${typeof value}`);
}

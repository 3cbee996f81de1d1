// What is said while there is nothing to say yet.

import { withoutMessage } from '../../base/thrown-values.ts';
import type { MessageTurn } from './agent.ts';

/** A filler, or a function that chooses one for a turn. */
export type Filler<S = unknown> = string | ((turn: MessageTurn<S>) => string);

/** From the first filler to the second. Each later pause is twice as long. */
const FIRST_PAUSE_MS = 5_000;

/**
 * Says the filler if `speak` has not spoken within `afterMs` milliseconds, and again after longer
 * and longer pauses until it has. 0 turns it off.
 */
export async function withFiller<S>(
  turn: MessageTurn<S>,
  filler: Filler<S>,
  afterMs: number,
  speak: () => Promise<void>,
): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const sayAfter = (ms: number, pauseMs: number): void => {
    timer = setTimeout(() => {
      if (sayFiller(turn, filler)) sayAfter(pauseMs, 2 * pauseMs);
    }, ms);
  };
  if (afterMs > 0) sayAfter(afterMs, FIRST_PAUSE_MS);
  try {
    await speak();
  } finally {
    clearTimeout(timer);
  }
}

/** False if there is nothing left to wait for. */
function sayFiller<S>(turn: MessageTurn<S>, filler: Filler<S>): boolean {
  try {
    return turn.journal.sayFiller(typeof filler === 'string' ? filler : filler(turn));
  } catch (error) {
    turn.log.error('filler failed', { error: withoutMessage(error) });
    return false;
  }
}

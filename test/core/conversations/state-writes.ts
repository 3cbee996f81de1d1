// Changes to an agent's state, as a run gives them to the store.

import { merge } from '../../../src/base/json-difference.ts';
import type { StateWrite } from '../../../src/core/conversations/agent-state.ts';

const NOTHING_FAILS = {
  timesMade: 0, failed: () => undefined, refused: () => undefined,
};

/** The whole state, whatever the conversation has. */
export function setTo(text: string): StateWrite {
  const merged = { from: text, text, collisions: [], misses: [] };
  return { onto: () => merged, ...NOTHING_FAILS };
}

/** What turns one state into the other. */
export function change(from: string, to: string, mayBeOfCall = false): StateWrite {
  return {
    onto: (stored) => ({ from, ...merge(from, to, stored ?? from) }),
    mayBeOfCall,
    ...NOTHING_FAILS,
  };
}

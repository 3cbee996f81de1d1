import type { PlayedTurn } from '../../../src/kit/eval/result.ts';

/** A turn that went as it should. */
export function playedTurn(fields: Partial<PlayedTurn> = {}): PlayedTurn {
  return {
    lineNumber: 1, conversation: 0, said: 'Hi', isAgain: false, heard: 'Hello.', ending: 'whole',
    state: 'completed', hangsUp: false, data: [], tools: [], prompts: [], firstWordMs: undefined,
    durationMs: 2, tokens: undefined, isCut: false, log: [], ...fields,
  };
}

// A turn that is added late, while others have changed its conversation.

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { emptyConversation } from '../../src/conversations/conversation.ts';
import { openTurn } from '../../src/conversations/turn-opening.ts';

const BOUNDS = { maxMessages: 200, maxTextLength: 1_048_576 };
const HOUR_MS = 3_600_000;

describe('a turn that is over before it can be added', () => {
  // Seed 65005645 of the fleet: it had asked other processes meanwhile.
  const CASES = [
    ['was erased since it was read, by a clock an hour fast', HOUR_MS, 0, 0],
    ['was erased since it was read, by a clock an hour slow', -HOUR_MS, 0, 0],
    ['was erased since the turn arrived, and not read before', -10, undefined, 0],
    ['was erased before it was read, by a clock an hour fast', HOUR_MS, Infinity, 1],
    ['was erased before the turn arrived', -HOUR_MS, undefined, 1],
    ['was erased by a clock in the future, and not read before', HOUR_MS, undefined, 1],
  ] as const;

  for (const [what, agoMs, readAs, turns] of CASES)
    it(`is ${turns === 0 ? 'not added' : 'added'} if its conversation ${what}`, () => {
      const conversation = emptyConversation('c');
      conversation.erasedAt = Date.now() + agoMs;
      const result = openTurn(conversation, {
        turnId: 't', runId: 1, text: 'Hello', process: 'a', isOver: () => true,
        waitedMs: () => 60_000, erasedAt: readAs === Infinity ? conversation.erasedAt : readAs,
      }, BOUNDS);
      assert.equal(result.kind, 'over');
      assert.equal(conversation.turns.length, turns);
    });
});

describe('a turn that has waited', () => {
  // Seed 81011473 of the fleet: five turns asked a process that was gone, and the first one was
  // delivered again before the last ones had their answers.
  for (const again of ['a', 'b'])
    it(`stands behind an older one that has waited, too, and has run again in ${again}`, () => {
      const conversation = emptyConversation('c');
      const open = (text: string, runId: number, process: string, waited: number): void => {
        const opening = { turnId: text, text, runId, process, waitedMs: () => waited };
        assert.equal(openTurn(conversation, opening, BOUNDS).kind, 'opened');
      };
      open('first', 1, 'a', 450);
      const [first] = conversation.turns;
      assert.ok(first !== undefined);
      first.state = 'interrupted';
      conversation.openTurns = 0;
      open('first', 3, again, 0);
      open('second', 2, 'a', 400);
      assert.deepEqual(conversation.turns.map(({ words }) => words), ['first', 'second']);
      assert.deepEqual(conversation.turns.map(({ state }) => state), ['interrupted', 'open']);
    });
});

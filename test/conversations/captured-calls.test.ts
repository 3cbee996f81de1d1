import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import type { JsonObject } from '../../src/base/json.ts';
import {
  exchangesIn, MAX_CAPTURED_PER_CALL,
} from '../../src/conversations/captured-calls.ts';
import { captured, type CapturedTurn } from '../../src/conversations/captured-requests.ts';
import {
  clearTurns, emptyConversation, lengthOf, tally, type Conversation,
} from '../../src/conversations/conversation.ts';
import type { TurnFigures } from '../../src/conversations/turn-figures.ts';
import { openTurn } from '../../src/conversations/turn-opening.ts';
import { settleTurn } from '../../src/conversations/turn-settlement.ts';

const BOUNDS = { maxMessages: 200, maxTextLength: 100_000 };
const SYSTEM = { role: 'system', content: 'You sell bread. '.repeat(100) };

type Body = { readonly messages: readonly JsonObject[] };

function said(content: string): JsonObject {
  return { role: 'user', content };
}

/** A turn that has sent these bodies, of a session. */
function turn(
  conversation: Conversation, turnId: string, bodies: readonly Body[],
  { runId = 1, bounds = BOUNDS, sessionId = 's' } = {},
): CapturedTurn | undefined {
  const sent = bodies.map((body) => ({ body: JSON.stringify(body), answer: { text: turnId } }));
  const figures: TurnFigures = { sessionId, startedAt: 1, captured: captured(sent) };
  const atStart = { sessionId, startedAt: 1 };
  openTurn(conversation, { turnId, runId, text: 'Hi', figures: atStart }, bounds);
  settleTurn(conversation, { turnId, runId, state: 'completed', messages: [], figures }, bounds);
  return conversation.turns.find(({ id }) => id === turnId)?.figures?.captured;
}

/** The request of the nth turn of a call, in which the prompt grows. */
function bodyOf(n: number): Body {
  return { messages: [SYSTEM, ...Array.from({ length: n }, (_, index) => said(`line ${index}`))] };
}

function sentIn({ turns }: Conversation): readonly unknown[] {
  return exchangesIn(turns).map(({ sent }) => sent);
}

describe('what was captured of a call', () => {
  it('is kept as the difference from the last request of the turn before', () => {
    const conversation = emptyConversation('c');
    turn(conversation, 't-1', [bodyOf(1), bodyOf(2)]);
    const second = turn(conversation, 't-2', [bodyOf(3)]);
    assert.equal(second?.after?.turnId, 't-1');
    assert.deepEqual(second.requests, [
      { request: 0, sameMessages: 3, messages: [said('line 2')], answer: { text: 't-2' } },
    ]);
    assert.ok(second.bytes < 200);
    assert.deepEqual(sentIn(conversation), [bodyOf(1), bodyOf(2), bodyOf(3)]);
  });

  it('is whole again if the turns before it are trimmed', () => {
    const conversation = emptyConversation('c');
    const bounds = { ...BOUNDS, maxMessages: 8 };
    for (let n = 1; n <= 9; n += 1) turn(conversation, `t-${n}`, [bodyOf(n)], { bounds });
    const [oldest, ...others] = conversation.turns.map(({ figures }) => figures?.captured);
    assert.ok(oldest !== undefined && others.length > 1);
    assert.equal(oldest.after, undefined);
    assert.ok(others.every((each) => each?.after !== undefined));
    const left = conversation.turns.map(({ id }) => bodyOf(Number(id.slice(2))));
    assert.deepEqual(sentIn(conversation), left);
    const bytes = lengthOf(conversation) - conversation.textLength;
    tally(conversation);
    assert.equal(lengthOf(conversation) - conversation.textLength, bytes);
  });

  it('is left out if there is no room for it, and what follows is never only half there', () => {
    const conversation = emptyConversation('c');
    const bounds = { ...BOUNDS, maxMessages: 6 };
    const [long, longer] = [said('x'.repeat(200_000)), said('y'.repeat(100_000))];
    turn(conversation, 't-1', [{ messages: [long] }], { bounds });
    for (const n of [2, 3, 4, 5])
      turn(conversation, `t-${n}`, [{ messages: [long, longer, said(`${n}`)] }], { bounds });
    turn(conversation, 't-6', [{ messages: [long, said('short')] }], { bounds });
    assert.deepEqual(conversation.turns.map(({ id }) => id), ['t-4', 't-5', 't-6']);
    assert.deepEqual(sentIn(conversation), [{ messages: [long, said('short')] }]);
    const leftOut = conversation.turns.map(({ figures }) => figures?.captured?.leftOut);
    assert.deepEqual(leftOut, [1, 1, undefined]);
  });

  it('is whole again if the turn before it runs again', () => {
    const conversation = emptyConversation('c');
    turn(conversation, 't-1', [bodyOf(1)]);
    turn(conversation, 't-2', [bodyOf(2)]);
    const [first] = conversation.turns;
    assert.ok(first !== undefined);
    first.state = 'interrupted';
    turn(conversation, 't-1', [{ messages: [said('something else')] }], { runId: 2 });
    assert.deepEqual(sentIn(conversation), [{ messages: [said('something else')] }, bodyOf(2)]);
  });

  it('does not reach into another session', () => {
    const conversation = emptyConversation('c');
    turn(conversation, 't-1', [bodyOf(1)]);
    const second = turn(conversation, 't-2', [bodyOf(2)], { sessionId: 's-2' });
    assert.equal(second?.after, undefined);
    assert.deepEqual(second?.requests[0]?.messages, bodyOf(2).messages);
  });

  it('lacks what it shared with the turn before if a store lost or changed that', () => {
    const conversation = emptyConversation('c');
    turn(conversation, 't-1', [bodyOf(1)]);
    turn(conversation, 't-2', [bodyOf(2)]);
    const [, second] = conversation.turns;
    assert.ok(second !== undefined);
    const rest = { messages: [said('line 1')] };
    assert.deepEqual(exchangesIn([second]).map(({ sent }) => sent), [rest]);
    const other = { id: 't-1', figures: { captured: captured([{ body: '{"a":1}', answer: {} }]) } };
    assert.deepEqual(exchangesIn([other, second]).map(({ sent }) => sent).at(1), rest);
  });

  it('of older versions is read as before', () => {
    const older = [1, 2].map((n) => ({
      id: `t-${n}`,
      figures: { captured: { bytes: 9, requests: [{ request: 0, messages: bodyOf(n).messages }] } },
    }));
    assert.deepEqual(exchangesIn(older).map(({ sent }) => sent), [bodyOf(1), bodyOf(2)]);
  });

  it('is not rebuilt from an incomplete turn, even if that has the hash of what was sent', () => {
    const conversation = emptyConversation('c');
    for (const n of [1, 2, 3]) turn(conversation, `t-${n}`, [bodyOf(n)]);
    const [, second, third] = conversation.turns;
    assert.ok(second !== undefined && third !== undefined);
    assert.deepEqual(exchangesIn([second, third]).map(({ sent }) => sent), [
      { messages: [said('line 1')] }, { messages: [said('line 2')] },
    ]);
  });

  it('goes on after turns of a version that stored no hash', () => {
    const conversation = emptyConversation('c');
    for (const n of [1, 2]) {
      turn(conversation, `t-${n}`, [bodyOf(n)]);
      const record = conversation.turns.at(-1);
      assert.ok(record?.figures?.captured !== undefined);
      const { hash, ...older } = record.figures.captured;
      assert.ok(hash !== undefined);
      record.figures = { ...record.figures, captured: older };
    }
    const [, second] = conversation.turns;
    assert.deepEqual(second?.figures?.captured?.after, { turnId: 't-1', hash: '7LeB5PwnzzPY' });
    const third = turn(conversation, 't-3', [bodyOf(3)]);
    assert.equal(third?.requests[0]?.sameMessages, 3);
    assert.deepEqual(sentIn(conversation), [bodyOf(1), bodyOf(2), bodyOf(3)]);
  });

  it('takes as much work at the end of a long call as at its beginning', (t) => {
    const conversation = emptyConversation('c');
    const stringify = t.mock.method(JSON, 'stringify');
    const counts = Array.from({ length: 40 }, (_, n) => {
      const before = stringify.mock.callCount();
      turn(conversation, `t-${n}`, [{ messages: [SYSTEM, said(`line ${n}`)] }]);
      return stringify.mock.callCount() - before;
    });
    assert.equal(counts.at(-1), counts[1]);
  });

  it('has room for a long prompt in every turn', () => {
    const conversation = emptyConversation('c');
    const long = { role: 'system', content: 'x'.repeat(200_000) };
    for (let n = 1; n <= 50; n += 1)
      turn(conversation, `t-${n}`, [{ messages: [long, said(`line ${n}`)] }]);
    const kept = conversation.turns.map(({ figures }) => figures?.captured?.bytes ?? 0);
    assert.ok(kept.every((bytes) => bytes > 0));
    assert.ok(lengthOf(conversation) < 220_000);
  });

  it('is bounded over all its turns, and counts for the store', () => {
    const conversation = emptyConversation('c');
    for (let n = 1; n <= 25; n += 1) {
      const content = String(n % 10).repeat(200_000);
      turn(conversation, `t-${n}`, [{ messages: [said(content)] }]);
    }
    const kept = conversation.turns.map((record) => record.figures?.captured?.bytes ?? 0);
    const sum = kept.reduce((all, bytes) => all + bytes, 0);
    assert.ok(sum <= MAX_CAPTURED_PER_CALL && sum > MAX_CAPTURED_PER_CALL - 250_000, String(sum));
    assert.equal(conversation.turns.at(-1)?.figures?.captured?.leftOut, 1);
    assert.equal(lengthOf(conversation) - conversation.textLength, sum);
    tally(conversation);
    assert.equal(lengthOf(conversation) - conversation.textLength, sum);
  });

  it('is deleted with the conversation', () => {
    const conversation = emptyConversation('c');
    turn(conversation, 't-1', [bodyOf(1)]);
    clearTurns(conversation);
    const second = turn(conversation, 't-2', [{ messages: [said('new')] }]);
    assert.equal(second?.after, undefined);
    assert.doesNotMatch(JSON.stringify(conversation), /bread/);
  });
});

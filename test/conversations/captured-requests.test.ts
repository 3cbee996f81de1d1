import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import {
  captured, MAX_CAPTURED_PER_CALL, MAX_CAPTURED_PER_TURN, wholeRequests, type SentRequest,
} from '../../src/conversations/captured-requests.ts';
import { emptyConversation, lengthOf, tally } from '../../src/conversations/conversation.ts';
import { openTurn, settleTurn } from '../../src/conversations/rules.ts';

const BOUNDS = { maxMessages: 200, maxTextLength: 100_000 };
const SYSTEM = { role: 'system', content: 'Be brief.' };
const USER = { role: 'user', content: 'Rye?' };
const RESULT = { role: 'tool', content: '3' };

function sent(body: object, answer?: object): SentRequest {
  return { body: JSON.stringify(body), answer };
}

describe('captured', () => {
  const first = { model: 'm', temperature: 1, messages: [SYSTEM, USER] };
  const second = { model: 'm', tools: [], messages: [SYSTEM, USER, RESULT] };

  it('keeps each request as the difference from the one before', () => {
    const turn = captured([sent(first, { text: 'Hm', calls: [] }), sent(second)]);
    assert.deepEqual(turn?.requests, [
      {
        request: 0, fields: { model: 'm', temperature: 1 }, messages: [SYSTEM, USER],
        answer: { text: 'Hm', calls: [] },
      },
      {
        request: 1, fields: { tools: [] }, withoutFields: ['temperature'], sameMessages: 2,
        messages: [RESULT],
      },
    ]);
  });

  it('loses nothing: the whole bodies can be told again', () => {
    const cut = { model: 'm', messages: [SYSTEM] };
    const odd = { model: 'm', ['__proto__x']: 1, messages: [USER, SYSTEM, USER] };
    const bodies = [first, second, cut, odd, first];
    const turn = captured(bodies.map((body) => sent(body)));
    assert.ok(turn !== undefined);
    assert.deepEqual(wholeRequests(turn), bodies);
  });

  it('skips what was not told, or is no object', () => {
    const requests = [{ body: undefined, answer: undefined }, { body: '[', answer: undefined }];
    assert.equal(captured(requests), undefined);
    assert.equal(captured([...requests, sent(first)])?.requests[0]?.request, 2);
  });

  it('leaves out what a turn has no room for, and says how much', () => {
    const long = { messages: [{ ...USER, content: 'ä'.repeat(MAX_CAPTURED_PER_TURN / 2) }] };
    const turn = captured([sent(first), sent(long), sent(second)]);
    assert.deepEqual(turn?.requests.map(({ request }) => request), [0, 2]);
    assert.equal(turn?.leftOut, 1);
    assert.ok(turn.bytes <= MAX_CAPTURED_PER_TURN);
  });
});

describe('what was captured of a call', () => {
  it('is bounded over all its turns, and counts for the store', () => {
    const conversation = emptyConversation('c');
    const content = 'x'.repeat(200_000);
    const turn = captured([sent({ messages: [{ ...USER, content }] })]);
    assert.ok(turn !== undefined);
    const figures = { sessionId: 's', startedAt: 1, captured: turn };
    for (let n = 1; n <= 25; n += 1) {
      const turnId = `t-${n}`;
      openTurn(conversation, { turnId, runId: n, text: 'Hi', figures: { ...figures } }, BOUNDS);
      const settlement = { turnId, runId: n, state: 'completed', messages: [], figures } as const;
      settleTurn(conversation, settlement, BOUNDS);
    }
    const kept = conversation.turns.map((record) => record.figures?.captured?.bytes ?? 0);
    const sum = kept.reduce((all, bytes) => all + bytes, 0);
    assert.ok(sum <= MAX_CAPTURED_PER_CALL && sum > MAX_CAPTURED_PER_CALL - 250_000, String(sum));
    assert.equal(conversation.turns.at(-1)?.figures?.captured?.leftOut, 1);
    assert.equal(lengthOf(conversation) - conversation.textLength, sum);
    tally(conversation);
    assert.equal(lengthOf(conversation) - conversation.textLength, sum);
  });
});

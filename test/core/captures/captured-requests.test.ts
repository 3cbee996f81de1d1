import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import {
  captured, capturedTurn, MAX_CAPTURED_PER_TURN, wholeRequests, type SentRequest,
} from '../../../src/core/captures/captured-requests.ts';

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

  it('loses nothing: the whole bodies can be rebuilt', () => {
    const cut = { model: 'm', messages: [SYSTEM] };
    const odd = { model: 'm', ['__proto__x']: 1, messages: [USER, SYSTEM, USER] };
    const bodies = [first, second, cut, odd, first];
    const turn = captured(bodies.map((body) => sent(body)));
    assert.ok(turn !== undefined);
    const whole = wholeRequests(turn, undefined).map(({ body }) => body);
    assert.deepEqual(whole.map(({ fields, messages }) => ({ ...fields, messages })), bodies);
  });

  it('skips what is missing or not an object', () => {
    const requests = [{ body: undefined, answer: undefined }, { body: '[', answer: undefined }];
    assert.equal(captured(requests), undefined);
    assert.equal(captured([...requests, sent(first)])?.requests[0]?.request, 2);
  });

  it('leaves out what does not fit into a turn, and says how much', () => {
    const long = { messages: [{ ...USER, content: 'ä'.repeat(MAX_CAPTURED_PER_TURN / 2) }] };
    const all = captured([sent(first), sent(long), sent(second)]);
    assert.ok(all !== undefined);
    const turn = capturedTurn(wholeRequests(all, undefined), undefined, MAX_CAPTURED_PER_TURN);
    assert.deepEqual(turn.requests.map(({ request }) => request), [0, 2]);
    assert.equal(turn.leftOut, 1);
    assert.ok(turn.bytes <= MAX_CAPTURED_PER_TURN);
  });
});

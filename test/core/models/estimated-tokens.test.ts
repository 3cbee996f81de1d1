import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import {
  charactersAnswered, charactersSent, estimatedTokens, tokensOfCut,
} from '../../../src/core/models/estimated-tokens.ts';
import type { RequestFailure } from '../../../src/core/models/model.ts';

describe('estimatedTokens', () => {
  it('is a quarter of the characters, rounded up', () => {
    assert.deepEqual([0, 1, 4, 5, 400].map(estimatedTokens), [0, 1, 1, 2, 100]);
  });
});

describe('charactersSent', () => {
  it('counts texts, calls and tools', () => {
    const call = { id: 'ignored', name: 'look', args: '{"a":1}' };
    const messages = [
      { role: 'system', content: 'Be.' },
      { role: 'assistant', content: 'Hm', toolCalls: [call] },
      { role: 'tool', content: '42', toolCallId: 'ignored' },
    ] as const;
    assert.equal(charactersSent(messages), 3 + 2 + 4 + 7 + 2);
    const tool = { name: 'look', description: 'Looks', parameters: { type: 'object' } };
    assert.equal(charactersSent([], [tool]), 4 + 5 + '{"type":"object"}'.length);
    assert.equal(charactersAnswered({ text: 'Hi', calls: [call] }), 2 + 4 + 7);
  });
});

describe('tokensOfCut', () => {
  const cut = { charactersSent: 40, charactersAnswered: 8 };

  it('estimates a request that was cut off', () => {
    assert.deepEqual(tokensOfCut({ ...cut, failure: 'interrupted' }), {
      inputTokens: 10, outputTokens: 2, isEstimated: true,
    });
  });

  it('trusts what the vendor reported', () => {
    const tokens = { inputTokens: 7, outputTokens: 3, cachedTokens: 5 };
    assert.deepEqual(tokensOfCut({ ...cut, failure: 'interrupted', tokens }), {
      ...tokens, isEstimated: false,
    });
    const half = { inputTokens: 7, outputTokens: undefined };
    assert.deepEqual(tokensOfCut({ ...cut, failure: 'interrupted', tokens: half }), {
      inputTokens: 7, outputTokens: 2, isEstimated: true,
    });
  });

  const REFUSED: readonly RequestFailure[] = [
    'rate_limited', 'http_error', 'key_refused', 'connect_timeout', 'connection_failed', 'failed',
  ];
  for (const failure of REFUSED)
    it(`counts a request that failed with ${failure} as refused, unless answered`, () => {
      assert.equal(tokensOfCut({ ...cut, charactersAnswered: 0, failure }), undefined);
      assert.equal(tokensOfCut({ ...cut, failure })?.outputTokens, 2);
    });

  for (const failure of ['first_delta_timeout', 'content_filter', 'connection_dropped'] as const)
    it(`counts a request that failed with ${failure} as read`, () => {
      const used = tokensOfCut({ ...cut, charactersAnswered: 0, failure });
      assert.deepEqual(used, { inputTokens: 10, outputTokens: 0, isEstimated: true });
    });
});

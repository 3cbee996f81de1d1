import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import type { ModelUsage } from '../../src/agents/agent.ts';
import type { TurnEvent } from '../../src/calls/call-event.ts';
import { figuresAtEnd, figuresAtStart } from '../../src/turns/figures.ts';

const EVENT = { type: 'message', sessionId: 's-1' } as TurnEvent; // all that is read of it

function usageOf(model: string, fields: Partial<ModelUsage>): ModelUsage {
  return {
    type: 'usage', model, inputTokens: undefined, outputTokens: undefined, firstDeltaMs: 1,
    ...fields,
  };
}

function assertNear(actual: number | undefined, expected: number): void {
  assert.ok(Math.abs((actual ?? NaN) - expected) < 1_000, `${actual}, not ${expected}`);
}

describe('figuresAtStart', () => {
  it('names the session, and when the turn began, though that was a while ago', () => {
    const { sessionId, startedAt } = figuresAtStart(EVENT, performance.now() - 60_000);
    assert.equal(sessionId, 's-1');
    assertNear(startedAt, Date.now() - 60_000);
  });
});

describe('figuresAtEnd', () => {
  it('counts from the beginning of the turn to now', () => {
    const figures = figuresAtEnd(EVENT, performance.now() - 60_000, 123.4, undefined);
    assertNear(figures.durationMs, 60_000);
    assertNear(figures.startedAt, Date.now() - 60_000);
    assert.deepEqual(
      [figures.firstSpeechMs, figures.firstTokenMs, figures.models],
      [123, undefined, undefined],
    );
  });

  it("has the time of the first request's first token", () => {
    const usage = [250.4, 90].map((firstDeltaMs) => usageOf('a', { firstDeltaMs }));
    assert.equal(figuresAtEnd(EVENT, 0, undefined, usage).firstTokenMs, 250);
  });

  it('adds up the requests and tokens of each model, in the order of their first requests', () => {
    const usage = [
      usageOf('a', { inputTokens: 5, outputTokens: 7 }),
      usageOf('b', { outputTokens: 1, cachedTokens: 0 }),
      usageOf('a', { inputTokens: 20, cachedTokens: 3 }),
    ];
    assert.deepEqual(figuresAtEnd(EVENT, 0, undefined, usage).models, [
      { model: 'a', requests: 2, inputTokens: 25, outputTokens: 7, cachedTokens: 3 },
      { model: 'b', requests: 1, inputTokens: undefined, outputTokens: 1, cachedTokens: 0 },
    ]);
  });
});

import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { pathToFileURL } from 'node:url';

import type { ModelTokens, ModelUsage } from '../../../src/agents/agent.ts';
import type { TurnEvent } from '../../../src/calls/call-event.ts';
import {
  figuresAtEnd, figuresAtStart, MAX_FIGURES, type MeasuredTurn,
} from '../../../src/turns/report/figures.ts';
import { TurnWork } from '../../../src/turns/report/turn-work.ts';
import { jumpingClock } from '../../fixtures/clock.ts';
import { ROOT } from '../../fixtures/source-files.ts';

const CHUNKS = join(ROOT, 'dist/chunks');
const WITHOUT_BUILD = existsSync(CHUNKS) ? false : 'needs npm run build';
const EVENT = { type: 'message', sessionId: 's-1' } as TurnEvent; // all that is read of it

function usageOf(model: string, fields: Partial<ModelUsage>): ModelUsage {
  return {
    type: 'usage', model, inputTokens: undefined, outputTokens: undefined, firstDeltaMs: 1,
    ...fields,
  };
}

function turnOf(fields: Partial<MeasuredTurn> = {}): MeasuredTurn {
  const nothing = { firstSpeechMs: undefined, firstWordMs: undefined, workSoFar: undefined };
  return { event: EVENT, startedAtMs: performance.now(), ...nothing, error: undefined, ...fields };
}

function workOf(...usage: readonly ModelUsage[]): TurnWork {
  const startedAtMs = performance.now();
  const ids = { conversationId: 'c', turnId: 't', runId: 1 };
  const turn = { ...ids, startedAtMs, isOver: false, trace: undefined };
  const work = new TurnWork(turn, undefined);
  for (const used of usage) work.noteUsage(used);
  return work;
}

function assertNear(actual: number | undefined, expected: number): void {
  assert.ok(Math.abs((actual ?? NaN) - expected) < 1_000, `${actual}, not ${expected}`);
}

describe('figuresAtStart', () => {
  it('names the session, and when the turn began, even if that was a while ago', () => {
    const { sessionId, startedAt } = figuresAtStart(EVENT, performance.now() - 60_000);
    assert.equal(sessionId, 's-1');
    assertNear(startedAt, Date.now() - 60_000);
  });
});

describe('figuresAtEnd', () => {
  it('counts from the beginning of the turn to now', () => {
    const times = { startedAtMs: performance.now() - 60_000, firstSpeechMs: 123.4 };
    const figures = figuresAtEnd(turnOf({ ...times, firstWordMs: 456.7 }), false);
    assertNear(figures.durationMs, 60_000);
    assertNear(figures.startedAt, Date.now() - 60_000);
    const { firstSpeechMs, firstWordMs, firstTokenMs, models, requests } = figures;
    assert.deepEqual([firstSpeechMs, firstWordMs], [123, 457]);
    assert.deepEqual([firstTokenMs, models, requests], [undefined, undefined, undefined]);
  });

  it("has the time of the first answer's first token", () => {
    const workSoFar = workOf(usageOf('a', { firstDeltaMs: 250.4 }), usageOf('a', {}));
    assert.equal(figuresAtEnd(turnOf({ workSoFar }), false).firstTokenMs, 250);
  });

  it('says why a request ended if its answer was cut, and only then', () => {
    const workSoFar = workOf(
      usageOf('a', { finishReason: 'length' }), usageOf('a', { finishReason: 'stop' }),
    );
    const { requests = [] } = figuresAtEnd(turnOf({ workSoFar }), false);
    assert.deepEqual(requests.map(({ finishReason }) => finishReason), ['length', undefined]);
  });

  it('adds up the requests and tokens of each model, in the order of their first requests', () => {
    const workSoFar = workOf(
      usageOf('a', { inputTokens: 5, outputTokens: 7 }),
      usageOf('b', { outputTokens: 1, cachedTokens: 0 }),
      usageOf('a', { inputTokens: 20, cachedTokens: 3 }),
    );
    assert.deepEqual(figuresAtEnd(turnOf({ workSoFar }), false).models, [
      { model: 'a', requests: 2, inputTokens: 25, outputTokens: 7, cachedTokens: 3 },
      { model: 'b', requests: 1, inputTokens: undefined, outputTokens: 1, cachedTokens: 0 },
    ]);
  });

  it('counts a running request as interrupted, and leaves a running tool open', () => {
    const work = workOf();
    work.noteRequest({ type: 'sent', request: 1, model: 'a:b', attempt: 2, body: '{}' });
    work.toolBegan('look', { id: 'x', name: 'look', args: '{}' });
    const { requests, tools } = figuresAtEnd(turnOf({ workSoFar: work }), false);
    assert.deepEqual(
      requests?.map(({ attempt, failure }) => [attempt, failure]), [[2, 'interrupted']],
    );
    assert.deepEqual(tools?.map(({ tool, outcome }) => [tool, outcome]), [['look', undefined]]);
  });

  it('says that a model was asked again only if it was', () => {
    const work = workOf();
    const retry = { type: 'retry', model: 'a:b', failure: 'rate_limited', afterMs: 3_000 } as const;
    const retried = (): unknown => {
      const { requests = [] } = figuresAtEnd(turnOf({ workSoFar: work }), false);
      return requests.map(({ retriedAfterMs }) => retriedAfterMs);
    };
    work.noteFailure('a:b', 'rate_limited');
    work.noteRequest(retry);
    assert.deepEqual(retried(), [undefined]); // the turn ends while it waits
    work.noteRequest({ type: 'sent', request: 2, model: 'a:b', attempt: 2, body: '{}' });
    assert.deepEqual(retried(), [3_000, undefined]);
  });

  it('says since when tools have waited for SETTLE_MS, and how long', (t) => {
    const pass = jumpingClock(t);
    const work = workOf();
    pass(11);
    work.settlingBegan();
    pass(600);
    const waiting = figuresAtEnd(turnOf({ workSoFar: work }), false); // replaced meanwhile
    pass(90);
    work.settlingEnded();
    pass(1_000);
    const waited = figuresAtEnd(turnOf({ workSoFar: work }), false);
    const all = [waiting.settlingFromMs, waiting.settleMs, waited.settlingFromMs, waited.settleMs];
    for (const [index, ms] of [11, 600, 11, 690].entries())
      assert.ok(Math.abs((all[index] ?? NaN) - ms) < 10, all.join(' '));
  });

  it('keeps fillers, the wait for the store, and only the first requests', () => {
    const work = workOf(...Array.from({ length: MAX_FIGURES + 1 }, () => usageOf('a', {})));
    work.noteFiller('One moment. ');
    work.storeMs = 40.2;
    const { fillers, storeMs, requests } = figuresAtEnd(turnOf({ workSoFar: work }), false);
    assert.deepEqual([fillers?.[0]?.text, storeMs, requests?.length], ['One moment.', 40, 100]);
  });

  it('says why and where a turn failed, and never quotes an error', () => {
    const error = new TypeError('secret words');
    const { failure } = figuresAtEnd(turnOf({ error }), true);
    assert.equal(failure?.reason, 'agent');
    assert.match(failure.detail ?? '', /^TypeError at .*figures\.test/);
    assert.equal(figuresAtEnd(turnOf({ error }), false).failure, undefined);
  });

  it('names the place in the source, as the log does', { skip: WITHOUT_BUILD }, () => {
    const functions = readdirSync(CHUNKS).filter((name) => name.endsWith('.js')).flatMap((name) => {
      const lines = readFileSync(join(CHUNKS, name), 'utf8').split('\n');
      const line = lines.findIndex((text) => text.startsWith('function ')) + 1;
      return line > 0 ? [`${pathToFileURL(join(CHUNKS, name)).href}:${line}:10`] : [];
    });
    const error = new TypeError('x');
    error.stack = `TypeError: x\n    at pick (${functions[0]})`;
    const { failure } = figuresAtEnd(turnOf({ error }), true);
    assert.match(failure?.detail ?? '', /^TypeError at pick \(src\/[\w/-]+\.ts:\d+:\d+\)$/);
  });

  it('gives the code of an error that has one', () => {
    const error = Object.assign(new Error('secret'), { name: 'ModelError', code: 'rate_limited' });
    const { failure } = figuresAtEnd(turnOf({ error }), true);
    assert.equal(failure?.reason, 'model');
    assert.match(failure.detail ?? '', /^ModelError rate_limited/);
  });

  it('says what requests cost, and which tokens are estimated', () => {
    const turn = {
      conversationId: 'c', turnId: 't', runId: 1, startedAtMs: performance.now(), isOver: false,
      trace: undefined,
    };
    const costOf = (model: string, { inputTokens = 0 }: ModelTokens): number | undefined =>
      model === 'a' ? inputTokens / 10 : undefined;
    const work = new TurnWork(turn, undefined, costOf);
    work.noteUsage(usageOf('a', { inputTokens: 1, outputTokens: 5 }));
    work.noteUsage(usageOf('a', {}));
    work.noteUsage(usageOf('b', { inputTokens: 1 }));
    const used = { inputTokens: 2, outputTokens: 3, isEstimated: true };
    const sent = { type: 'sent', model: 'a', attempt: 1, body: '{}' } as const;
    work.noteRequest({ ...sent, request: 1, usedSoFar: () => used });
    const { models, requests = [] } = figuresAtEnd(turnOf({ workSoFar: work }), false);
    assert.deepEqual(models, [
      {
        model: 'a', requests: 3, inputTokens: 3, outputTokens: 8, cachedTokens: undefined,
        cost: 0.3, isEstimated: true,
      },
      {
        model: 'b', requests: 1, inputTokens: 1, outputTokens: undefined, cachedTokens: undefined,
      },
    ]);
    assert.deepEqual(requests.map(({ cost }) => cost), [0.1, undefined, undefined, 0.2]);
    const running = requests.at(-1);
    assert.deepEqual(
      [running?.failure, running?.inputTokens, running?.outputTokens, running?.isEstimated],
      ['interrupted', 2, 3, true],
    );
  });

  it('does not list requests that used nothing among those of models', () => {
    const work = workOf();
    work.noteRequest({ type: 'sent', request: 1, model: 'a', attempt: 1, body: '{}' });
    work.noteRequest({
      type: 'failed', request: 1, model: 'a', failure: 'rate_limited', reason: undefined,
      durationMs: 1, tokens: { inputTokens: undefined, outputTokens: undefined },
      answer: { text: '', calls: [] },
    });
    const { models, requests } = figuresAtEnd(turnOf({ workSoFar: work }), false);
    assert.equal(models, undefined);
    assert.equal(requests?.length, 1);
  });
});

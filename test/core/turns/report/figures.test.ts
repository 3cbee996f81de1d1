import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { pathToFileURL } from 'node:url';

import type { ModelTokens, ModelUsage } from '../../../../src/core/agents/agent.ts';
import type { TurnEvent } from '../../../../src/core/calls/call-event.ts';
import type { TurnFigures } from '../../../../src/core/conversations/turn-figures.ts';
import {
  FigureTaker, MAX_FIGURES, type MeasuredTurn,
} from '../../../../src/core/turns/report/figures.ts';
import { TurnWork } from '../../../../src/core/turns/report/turn-work.ts';
import { ROOT } from '../../../fixtures/source-files.ts';
import { measured, usageOf } from './measured-turns.ts';

const CHUNKS = join(ROOT, 'dist/chunks');
const WITHOUT_BUILD = existsSync(CHUNKS) ? false : 'needs npm run build';
const EVENT = { type: 'message', sessionId: 's-1' } as TurnEvent; // all that is read of it
const SENT = { type: 'sent', request: 1, model: 'a', attempt: 1, body: '{}' } as const;

const TAKER = new FigureTaker({ ofAllTurns: true, ofRequests: false });

function turnWith(fields: Partial<MeasuredTurn>): MeasuredTurn {
  const nothing = { firstSpeechMs: undefined, firstWordMs: undefined, workSoFar: undefined };
  const turn = { event: EVENT, startedAtMs: performance.now(), ...nothing, error: undefined };
  return { ...turn, ...fields };
}

function figuresOf(fields: Partial<MeasuredTurn>, hasFailed = false): TurnFigures {
  return TAKER.atEnd(turnWith(fields), hasFailed) ?? assert.fail();
}

function workOf(...usage: readonly ModelUsage[]): TurnWork {
  const work = new TurnWork(measured(), undefined);
  for (const used of usage) work.noteUsage(used);
  return work;
}

function failureOf(error: unknown): TurnFigures['failure'] {
  return figuresOf({ error }, true).failure;
}

function assertNear(actual: number | undefined, expected: number): void {
  assert.ok(Math.abs((actual ?? NaN) - expected) < 1_000, `${actual}, not ${expected}`);
}

describe('FigureTaker.atStart', () => {
  it('names the session, and says when the turn began, even if that was a while ago', () => {
    const figures = TAKER.atStart(turnWith({ startedAtMs: performance.now() - 60_000 }));
    assert.equal(figures?.sessionId, 's-1');
    assertNear(figures.startedAt, Date.now() - 60_000);
  });
});

describe('FigureTaker.atEnd', () => {
  it('measures the time from the beginning of the turn to now', () => {
    const startedAtMs = performance.now() - 60_000;
    const figures = figuresOf({ startedAtMs, firstSpeechMs: 123.4, firstWordMs: 456.7 });
    assertNear(figures.durationMs, 60_000);
    assertNear(figures.startedAt, Date.now() - 60_000);
    const { firstSpeechMs, firstWordMs, firstTokenMs, models, requests } = figures;
    assert.deepEqual([firstSpeechMs, firstWordMs], [123, 457]);
    assert.deepEqual([firstTokenMs, models, requests], [undefined, undefined, undefined]);
  });

  it("has the time of the first answer's first token", () => {
    const workSoFar = workOf(usageOf('a', { firstDeltaMs: 250.4 }), usageOf('a', {}));
    assert.equal(figuresOf({ workSoFar }).firstTokenMs, 250);
  });

  it('says why a request ended if its answer was cut, and only then', () => {
    const reasons = ['length', 'stop'] as const;
    const workSoFar = workOf(...reasons.map((finishReason) => usageOf('a', { finishReason })));
    const { requests = [] } = figuresOf({ workSoFar });
    assert.deepEqual(requests.map(({ finishReason }) => finishReason), ['length', undefined]);
  });

  it('adds up the requests and tokens of each model, in the order of their first requests', () => {
    const workSoFar = workOf(
      usageOf('a', { inputTokens: 5, outputTokens: 7 }),
      usageOf('b', { outputTokens: 1, cachedTokens: 0 }),
      usageOf('a', { inputTokens: 20, cachedTokens: 3 }),
    );
    assert.deepEqual(figuresOf({ workSoFar }).models, [
      { model: 'a', requests: 2, inputTokens: 25, outputTokens: 7, cachedTokens: 3 },
      { model: 'b', requests: 1, inputTokens: undefined, outputTokens: 1, cachedTokens: 0 },
    ]);
  });

  it('counts a running request as interrupted, and leaves a running tool open', () => {
    const workSoFar = workOf();
    workSoFar.noteRequest({ ...SENT, attempt: 2 });
    workSoFar.toolBegan('look', { id: 'x', name: 'look', args: '{}' });
    const { requests = [], tools = [] } = figuresOf({ workSoFar });
    const ends = requests.map(({ attempt, failure }) => [attempt, failure]);
    assert.deepEqual(ends, [[2, 'interrupted']]);
    assert.deepEqual(tools.map(({ tool, outcome }) => [tool, outcome]), [['look', undefined]]);
  });

  it('says that a model was asked again only if it was', () => {
    const workSoFar = workOf();
    const failure = 'rate_limited';
    const retried = (): unknown =>
      figuresOf({ workSoFar }).requests?.map(({ retriedAfterMs }) => retriedAfterMs);
    workSoFar.noteFailure('a', failure);
    workSoFar.noteRequest({ type: 'retry', model: 'a', failure, afterMs: 3_000 });
    assert.deepEqual(retried(), [undefined]); // as if the turn ended during the wait
    workSoFar.noteRequest({ ...SENT, request: 2, attempt: 2 });
    assert.deepEqual(retried(), [3_000, undefined]);
  });

  it('says since when and for how long tools have waited because of SETTLE_MS', (t) => {
    let now = performance.now();
    t.mock.method(performance, 'now', () => now);
    const pass = (ms: number): void => void (now += ms);
    const workSoFar = workOf();
    const found = (from: number, ms: number): void => {
      const { settlingFromMs, settleMs } = figuresOf({ workSoFar });
      assert.deepEqual([settlingFromMs, settleMs], [from, ms]);
    };
    pass(11);
    workSoFar.settlingBegan();
    pass(600);
    found(11, 600); // as if replaced meanwhile
    pass(90);
    workSoFar.settlingEnded();
    pass(1_000);
    found(11, 690);
  });

  it('keeps fillers, the wait for the store, and only the first requests', () => {
    const workSoFar = workOf(...Array.from({ length: MAX_FIGURES + 1 }, () => usageOf('a', {})));
    workSoFar.noteFiller('One moment. ');
    workSoFar.storeMs = 40.2;
    const { fillers, storeMs, requests } = figuresOf({ workSoFar });
    assert.deepEqual([fillers?.[0]?.text, storeMs, requests?.length], ['One moment.', 40, 100]);
  });

  it('says why and where a turn failed, without quoting the error', () => {
    const error = new TypeError('secret words');
    const failure = failureOf(error);
    assert.equal(failure?.reason, 'agent');
    assert.match(failure.detail ?? '', /^TypeError at .*figures\.test/);
    assert.equal(figuresOf({ error }).failure, undefined);
  });

  it('names the place in the source, as the log does', { skip: WITHOUT_BUILD }, () => {
    const functions = readdirSync(CHUNKS).filter((name) => name.endsWith('.js')).flatMap((name) => {
      const lines = readFileSync(join(CHUNKS, name), 'utf8').split('\n');
      const line = lines.findIndex((text) => text.startsWith('function ')) + 1;
      return line > 0 ? [`${pathToFileURL(join(CHUNKS, name)).href}:${line}:10`] : [];
    });
    const error = new TypeError('x');
    error.stack = `TypeError: x\n    at pick (${functions[0]})`;
    const detail = failureOf(error)?.detail ?? '';
    assert.match(detail, /^TypeError at pick \(src\/[\w/-]+\.ts:\d+:\d+\)$/);
  });

  it('gives the code of an error that has one', () => {
    const error = Object.assign(new Error('secret'), { name: 'ModelError', code: 'rate_limited' });
    const failure = failureOf(error);
    assert.equal(failure?.reason, 'model');
    assert.match(failure.detail ?? '', /^ModelError rate_limited/);
  });

  it('says what requests cost, and which tokens are estimated', () => {
    const costOf = (model: string, { inputTokens = 0 }: ModelTokens): number | undefined =>
      model === 'a' ? inputTokens / 10 : undefined;
    const workSoFar = new TurnWork(measured(), undefined, costOf);
    workSoFar.noteUsage(usageOf('a', { inputTokens: 1, outputTokens: 5 }));
    workSoFar.noteUsage(usageOf('a', {}));
    workSoFar.noteUsage(usageOf('b', { inputTokens: 1 }));
    const used = { inputTokens: 2, outputTokens: 3, isEstimated: true };
    workSoFar.noteRequest({ ...SENT, usedSoFar: () => used });
    const { models, requests = [] } = figuresOf({ workSoFar });
    const cachedTokens = undefined;
    assert.deepEqual(models, [
      {
        model: 'a', requests: 3, inputTokens: 3, outputTokens: 8, cachedTokens, cost: 0.3,
        isEstimated: true,
      },
      { model: 'b', requests: 1, inputTokens: 1, outputTokens: undefined, cachedTokens },
    ]);
    assert.deepEqual(requests.map(({ cost }) => cost), [0.1, undefined, undefined, 0.2]);
    const { failure, inputTokens, outputTokens, isEstimated } = requests.at(-1) ?? {};
    assert.deepEqual([failure, { inputTokens, outputTokens, isEstimated }], ['interrupted', used]);
  });

  it("does not count requests that used no tokens in a model's total", () => {
    const workSoFar = workOf();
    workSoFar.noteRequest(SENT);
    workSoFar.noteRequest({
      type: 'failed', request: 1, model: 'a', failure: 'rate_limited', reason: undefined,
      durationMs: 1, tokens: { inputTokens: undefined, outputTokens: undefined },
      answer: { text: '', calls: [] },
    });
    const { models, requests = [] } = figuresOf({ workSoFar });
    assert.deepEqual([models, requests.length], [undefined, 1]);
  });
});

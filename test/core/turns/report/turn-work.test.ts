import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { TurnWork, type WorkEvent } from '../../../../src/core/turns/report/turn-work.ts';
import { measured, usageOf } from './measured-turns.ts';

const usage = usageOf('a:b', { inputTokens: 5, outputTokens: 7, durationMs: 90 });
const sent = { type: 'sent', request: 1, model: 'a:b', attempt: 1, body: '{}' } as const;
const answer = { text: 'Hi.', calls: [] };
const failed = {
  type: 'failed', request: 1, model: 'a:b', failure: 'http_error', reason: 'a:b: HTTP 500',
  durationMs: 40, tokens: { inputTokens: undefined, outputTokens: undefined },
  answer: { text: '', calls: [] },
} as const;

interface Watched {
  readonly work: TurnWork;
  readonly counted: readonly string[];
  readonly events: readonly WorkEvent[];
  end(): void;
}

function watched(): Watched {
  const counted: string[] = [];
  const events: WorkEvent[] = [];
  const turn = measured();
  const work = new TurnWork(turn, {
    modelRequest: (model, outcome) => void counted.push(`${model} ${outcome}`),
    toolCall: (tool, outcome) => void counted.push(`${tool} ${outcome}`),
    unknownOutcome: () => undefined,
    limitReached: () => undefined,
    happened: (event) => void events.push(event),
  });
  return { work, counted, events, end: () => void (turn.isOver = true) };
}

describe('TurnWork', () => {
  it('counts a request once, even if both its events and its usage report it', () => {
    const { work, counted } = watched();
    work.noteRequest(sent);
    work.noteRequest({ type: 'completed', request: 1, usage, answer });
    work.noteUsage(usage);
    assert.deepEqual([counted, work.usage], [['a:b completed'], [usage]]);
    assert.equal(work.requests.length, 1);
  });

  it('knows the requests of a model that reports only usage and failures', () => {
    const { work, counted } = watched();
    work.noteUsage(usage);
    work.noteFailure('a:b', 'rate_limited');
    assert.deepEqual(counted, ['a:b completed', 'a:b rate_limited']);
    assert.deepEqual(work.requests.map(({ failure }) => failure), [undefined, 'rate_limited']);
  });

  it('measures an answer whose model does not say how long it took', () => {
    const { work } = watched();
    work.noteRequest(sent);
    work.noteRequest({ type: 'completed', request: 1, usage: usageOf('a:b', {}), answer });
    const [request] = work.requests;
    assert.equal(request?.failure, undefined);
    assert.ok((request?.durationMs ?? -1) >= 0);
  });

  it('keeps what was done about a failed request', () => {
    const { work } = watched();
    work.noteRequest(sent);
    work.noteRequest(failed);
    work.noteRequest({ type: 'retry', model: 'a:b', failure: 'http_error', afterMs: 200 });
    work.noteRequest({ ...sent, request: 2, attempt: 2 });
    work.noteRequest({ ...failed, request: 2 });
    work.noteRequest({ type: 'fallback', model: 'a:b', failure: 'http_error', to: 'c:d' });
    const done = work.requests.map(({ attempt, retriedAfterMs, fellBackTo }) =>
      [attempt, retriedAfterMs, fellBackTo]);
    assert.deepEqual(done, [[1, 200, undefined], [2, undefined, 'c:d']]);
  });

  it('reports everything to the observer, even after the turn, but adds no usage then', () => {
    const { work, counted, events, end } = watched();
    work.noteRequest(sent);
    end();
    work.noteRequest({ type: 'completed', request: 1, usage, answer });
    assert.deepEqual(events.map(({ type }) => type), ['sent', 'completed']);
    assert.deepEqual([counted, work.usage], [['a:b completed'], undefined]);
  });

  it('knows how long a tool call took, and how it ended', () => {
    const { work, events } = watched();
    work.toolEnded('call_1', 'interrupted', ''); // it never began
    work.toolBegan('look', { id: 'call_1', name: 'look', args: '{}' });
    work.noteToolOutcome('look', 'failed', undefined, 'call_1');
    work.toolEnded('call_1', 'completed', '{"error":"no"}');
    work.toolEnded('call_1', 'interrupted', 'late');
    assert.deepEqual(work.calls.map(({ outcome }) => outcome), ['failed']);
    assert.deepEqual(events.map(({ type }) => type), ['toolBegan', 'toolEnded']);
    assert.ok((work.calls[0]?.durationMs ?? -1) >= 0);
  });
});

import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { describe, it } from 'node:test';

import { callPage } from '../../../src/kit/commands/call-page.ts';
import type { CallRecord, RecordedTurn } from '../../../src/server/records/call-record.ts';

const HOSTILE = `</td><script>alert(1)</script><img src=x onerror="alert('2')">&lt;\u202e`;

const TURN: RecordedTurn = {
  turnId: 't', outcome: 'completed', startedAt: '2026-11-25T12:00:07.120Z', durationMs: 1_000,
  firstSpeechMs: 500, firstWordMs: 500,
  requests: [{ model: 'a:b', startedMs: 100, firstTokenMs: 200, durationMs: 400 }],
  messages: [{ role: 'user', content: 'Rye?' }, { role: 'assistant', content: 'Yes.' }],
};

function recordOf(turn: RecordedTurn, more: Partial<CallRecord> = {}): CallRecord {
  const time = '2026-11-25T12:00:00.000Z';
  return {
    format: 2, conversationId: 'c', sessionId: 's', agent: 'bakery', startedAt: time,
    endedAt: time, durationMs: 0, outcome: 'ended', tokens: {}, turns: [turn], ...more,
  };
}

/** The names of all elements of a page. */
function elementsIn(page: string): ReadonlySet<string> {
  return new Set([...page.matchAll(/<([a-z0-9]+)/gi)].map(([, name = '']) => name));
}

describe('the page of a call', () => {
  it('shows each turn with a timeline', () => {
    const page = callPage([recordOf(TURN)], false);
    assert.match(page, /<tr class="caller">.*Rye\?/);
    const model = /<tr class="model">.*a:b, first token.*<rect x="200" y="0" width="800".*400 ms/;
    assert.match(page, model);
    assert.match(page, /<li>.*400 ms {2}model a:b, in the turn at 12:00:07<\/li>/);
  });

  it('shows hostile words as text, wherever they are', () => {
    const words = { role: 'user', content: HOSTILE } as const;
    const turn: RecordedTurn = {
      ...TURN,
      fillers: [{ text: HOSTILE, afterMs: 1 }],
      failure: { reason: 'other', detail: HOSTILE },
      requests: [{ model: HOSTILE, startedMs: 0 }],
      messages: [words, { role: 'assistant', content: HOSTILE, agent: HOSTILE }],
    };
    const more = { conversationId: HOSTILE, agent: HOSTILE, from: HOSTILE, state: HOSTILE };
    const page = callPage([recordOf(turn, more)], true);
    const plain = elementsIn(callPage([recordOf(TURN, { state: 1 })], true));
    assert.deepEqual([...elementsIn(page)].filter((name) => !plain.has(name)), []);
    assert.equal(page.includes('\u202e'), false);
    assert.match(page, /&lt;script&gt;alert\(1\)&lt;\/script&gt;/);
  });

  it('does not let invalid figures become HTML: a file may hold anything', () => {
    const turn = { ...TURN, requests: [{ model: 'a', startedMs: '"><b>', durationMs: '<b>' }] };
    const page = callPage([recordOf(turn as unknown as RecordedTurn)], false);
    assert.equal(elementsIn(page).has('b'), false);
  });

  it('allows only its own style sheet', () => {
    const page = callPage([recordOf(TURN)], false);
    const [, style = ''] = /<style>([^]*)<\/style>/.exec(page) ?? [];
    const hash = createHash('sha256').update(style).digest('base64');
    const policy = `default-src 'none'; style-src 'sha256-${hash}'; base-uri 'none'`;
    assert.ok(page.includes(`content="${policy}; form-action 'none'"`));
    assert.doesNotMatch(page, / style=| on\w+=|javascript:|<script/);
  });

  it('shows what models were sent only if asked to', () => {
    const requests = [{ request: 0, messages: [{ role: 'user', content: 'sent words' }] }];
    const turn = { ...TURN, captured: { requests } } as unknown as RecordedTurn;
    assert.match(callPage([recordOf(turn)], true), /<pre>.*sent words/);
    assert.doesNotMatch(callPage([recordOf(turn)], false), /sent words/);
  });
});

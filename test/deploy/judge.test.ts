import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import type { Message } from '../../src/core/conversations/message.ts';
import { replyTo } from './agent-words.ts';
import type { SeenTurn } from './call.ts';
import { judge, wordsLost, type Verdict } from './judge.ts';
import { Nginx, nginxIsMissing } from './machines.ts';

function seen(turnId: string, fields: Partial<SeenTurn> = {}): SeenTurn {
  const words = fields.words ?? `talk ${turnId}`;
  return {
    turnId,
    words,
    expected: replyTo(words),
    heard: replyTo(words),
    firstWordMs: 5,
    usesTool: false,
    end: { kind: 'whole' },
    ...fields,
  };
}

function kept({ turnId, words, expected }: SeenTurn): Message[] {
  return [
    { role: 'user', content: words ?? '', turnId },
    { role: 'assistant', content: expected, turnId, state: 'completed' },
  ];
}

/** How many things are wrong: lost messages, wrong replies, faults. */
function counts(turns: readonly SeenTurn[], history: readonly Message[]): number[] {
  const verdict: Verdict = judge({ conversationId: 'c', turns }, history);
  return [verdict.lostMessages.length, verdict.wrongReplies.length, verdict.faults.length];
}

describe('the judge of a deploy test', () => {
  const [a, b] = [seen('a'), seen('b')];

  it('finds nothing wrong with a history that matches what was heard', () => {
    assert.deepEqual(counts([a, b], [...kept(a), ...kept(b)]), [0, 0, 0]);
  });

  it('finds lost words, and words that occur twice', () => {
    assert.deepEqual(counts([a, b], [...kept(a), ...kept(b).slice(1)]), [1, 0, 0]);
    assert.deepEqual(counts([a], [...kept(a).slice(0, 1), ...kept(a)]), [1, 0, 0]);
  });

  it('finds a reply that was heard but is missing or different in the history', () => {
    assert.deepEqual(counts([a], kept(a).slice(0, 1)), [0, 1, 0]);
    assert.deepEqual(counts([a], kept({ ...a, expected: 'Another.' })), [0, 1, 0]);
  });

  it('finds an interrupted reply that is longer than what was heard', () => {
    const cut = seen('a', { heard: 'You said ', end: { kind: 'interrupted' } });
    const short: Message = {
      role: 'assistant', content: 'You said', turnId: 'a', state: 'interrupted',
    };
    assert.deepEqual(counts([cut, b], [...kept(cut), ...kept(b)]), [0, 1, 0]);
    assert.deepEqual(counts([cut, b], [...kept(cut).slice(0, 1), short, ...kept(b)]), [0, 0, 0]);
  });

  it('accepts any beginning of a reply that broke off', () => {
    const broken = seen('a', { heard: 'You ', end: { kind: 'failed', failure: 'terminated' } });
    assert.deepEqual(counts([broken], kept(broken).slice(0, 1)), [0, 0, 0]);
    assert.deepEqual(counts([broken], kept({ ...broken, expected: 'Else.' })), [0, 1, 0]);
    assert.equal(wordsLost(broken), 9);
    assert.equal(wordsLost(a), 0);
  });

  it('finds turns out of order, and turns that nobody took', () => {
    assert.deepEqual(counts([a, b], [...kept(b), ...kept(a)]), [0, 0, 1]);
    assert.deepEqual(counts([a], [...kept(a), ...kept(b).slice(1)]), [0, 0, 1]);
  });

  it('finds a missing tool result, and one too many', () => {
    const result: Message = {
      role: 'tool', content: '{}', turnId: 'a', toolCallId: 'x', state: 'completed', key: 'one',
    };
    const counting = seen('a', { usesTool: true });
    assert.deepEqual(counts([counting], kept(counting)), [0, 0, 1]);
    assert.deepEqual(counts([counting], [...kept(counting), result]), [0, 0, 0]);
    const other = { ...result, key: 'other' };
    assert.deepEqual(counts([counting], [...kept(counting), result, result]), [0, 0, 0]);
    assert.deepEqual(counts([counting], [...kept(counting), result, other]), [0, 0, 1]);
    assert.deepEqual(counts([a], [...kept(a), result]), [0, 0, 1]);
  });
});

describe('examples/deploy/nginx.conf', () => {
  it('is accepted by nginx', { skip: nginxIsMissing() ?? false }, async () => {
    assert.equal(await Nginx.check(), '');
  });
});

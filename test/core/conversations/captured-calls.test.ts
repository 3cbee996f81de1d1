import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import type { JsonObject } from '../../../src/base/json.ts';
import { captured, type CapturedTurn } from '../../../src/core/captures/captured-requests.ts';
import {
  exchangesIn, MAX_CAPTURED_PER_CALL,
} from '../../../src/core/conversations/captured-calls.ts';
import { clearTurns, lengthOf, tally } from '../../../src/core/conversations/conversation.ts';
import { Talk } from './talk.ts';

const SYSTEM = { role: 'system', content: 'You sell bread. '.repeat(100) };

type Body = { readonly messages: readonly JsonObject[] };

function said(content: string): JsonObject {
  return { role: 'user', content };
}

/** The request of the nth turn of a call, in which the prompt grows. */
function bodyOf(n: number): Body {
  return { messages: [SYSTEM, ...Array.from({ length: n }, (_, index) => said(`line ${index}`))] };
}

function asked(...messages: readonly JsonObject[]): Body {
  return { messages };
}

class Call extends Talk {
  /** A turn of a session that has sent these bodies. */
  send(turnId: string, bodies: readonly Body[], sessionId = 's'): CapturedTurn | undefined {
    const sent = bodies.map((body) => ({ body: JSON.stringify(body), answer: { text: turnId } }));
    const figures = { sessionId, startedAt: 1 };
    this.open(turnId, { figures });
    this.settle(turnId, 'completed', '', { figures: { ...figures, captured: captured(sent) } });
    return this.capturedOf(turnId);
  }

  /** The first turns of a call. */
  sendFirst(turns: number): this {
    for (let n = 1; n <= turns; n += 1) this.send(`t-${n}`, [bodyOf(n)]);
    return this;
  }

  capturedOf(turnId: string): CapturedTurn | undefined {
    return this.turns.find(({ id }) => id === turnId)?.figures?.captured;
  }

  get captured(): readonly (CapturedTurn | undefined)[] {
    return this.turns.map(({ figures }) => figures?.captured);
  }

  get sent(): readonly unknown[] {
    return sentIn(this.turns);
  }

  /** What counts towards the store's limit besides texts. */
  get bytes(): number {
    return lengthOf(this.conversation) - this.conversation.textLength;
  }
}

function sentIn(turns: Parameters<typeof exchangesIn>[0]): readonly unknown[] {
  return exchangesIn(turns).map(({ sent }) => sent);
}

describe('what was captured of a call', () => {
  it("is kept as the difference from the previous turn's last request", () => {
    const call = new Call();
    call.send('t-1', [bodyOf(1), bodyOf(2)]);
    const second = call.send('t-2', [bodyOf(3)]);
    assert.equal(second?.after?.turnId, 't-1');
    assert.deepEqual(second.requests, [
      { request: 0, sameMessages: 3, messages: [said('line 2')], answer: { text: 't-2' } },
    ]);
    assert.ok(second.bytes < 200);
    assert.deepEqual(call.sent, [bodyOf(1), bodyOf(2), bodyOf(3)]);
  });

  it('is whole again if the turns before it are trimmed', () => {
    const call = new Call({ maxMessages: 8 }).sendFirst(9);
    const [oldest, ...others] = call.captured;
    assert.ok(oldest !== undefined && others.length > 1);
    assert.equal(oldest.after, undefined);
    assert.ok(others.every((each) => each?.after !== undefined));
    assert.deepEqual(call.sent, call.turns.map(({ id }) => bodyOf(Number(id.slice(2)))));
    const { bytes } = call;
    tally(call.conversation);
    assert.equal(call.bytes, bytes);
  });

  it('is left out if there is no room for it, and what follows is never only half there', () => {
    const call = new Call({ maxMessages: 6 });
    const [long, longer] = [said('x'.repeat(200_000)), said('y'.repeat(100_000))];
    call.send('t-1', [asked(long)]);
    for (const n of [2, 3, 4, 5]) call.send(`t-${n}`, [asked(long, longer, said(`${n}`))]);
    call.send('t-6', [asked(long, said('short'))]);
    assert.deepEqual(call.turns.map(({ id }) => id), ['t-4', 't-5', 't-6']);
    assert.deepEqual(call.sent, [asked(long, said('short'))]);
    assert.deepEqual(call.captured.map((turn) => turn?.leftOut), [1, 1, undefined]);
  });

  it('is whole again if the turn before it runs again', () => {
    const call = new Call().sendFirst(2);
    call.turn('t-1').state = 'interrupted';
    call.send('t-1', [asked(said('something else'))]);
    assert.deepEqual(call.sent, [asked(said('something else')), bodyOf(2)]);
  });

  it('does not build on another session', () => {
    const second = new Call().sendFirst(1).send('t-2', [bodyOf(2)], 's-2');
    assert.equal(second?.after, undefined);
    assert.deepEqual(second?.requests[0]?.messages, bodyOf(2).messages);
  });

  it('lacks what it shared with the turn before if a store lost or changed that turn', () => {
    const second = new Call().sendFirst(2).turn('t-2');
    const rest = asked(said('line 1'));
    assert.deepEqual(sentIn([second]), [rest]);
    const other = { id: 't-1', figures: { captured: captured([{ body: '{"a":1}', answer: {} }]) } };
    assert.deepEqual(sentIn([other, second]).at(1), rest);
  });

  it('is not rebuilt from an incomplete turn, even if its hash is that of what was sent', () => {
    const [, ...others] = new Call().sendFirst(3).turns;
    assert.deepEqual(sentIn(others), [asked(said('line 1')), asked(said('line 2'))]);
  });

  it('goes on after an incomplete turn', () => {
    const call = new Call().sendFirst(2);
    delete call.turn('t-1').figures;
    tally(call.conversation);
    assert.match(String(call.send('t-3', [bodyOf(3)])?.after?.hash), /^[\w-]{12}$/);
    assert.deepEqual(call.sent, [asked(said('line 1')), bodyOf(3)]);
  });

  it('takes as much work at the end of a long call as at its beginning', (t) => {
    const call = new Call();
    t.mock.method(call, 'check', () => undefined);
    const stringify = t.mock.method(JSON, 'stringify');
    const counts = Array.from({ length: 40 }, (_, n) => {
      const before = stringify.mock.callCount();
      call.send(`t-${n}`, [asked(SYSTEM, said(`line ${n}`))]);
      return stringify.mock.callCount() - before;
    });
    assert.equal(counts.at(-1), counts[1]);
  });

  it("is limited across all turns of the call, and counts towards the store's limit", () => {
    const call = new Call();
    for (let n = 1; n <= 25; n += 1)
      call.send(`t-${n}`, [asked(said(String(n % 10).repeat(200_000)))]);
    const sum = call.captured.reduce((all, turn) => all + (turn?.bytes ?? 0), 0);
    assert.ok(sum <= MAX_CAPTURED_PER_CALL && sum > MAX_CAPTURED_PER_CALL - 250_000, String(sum));
    assert.equal(call.captured.at(-1)?.leftOut, 1);
    assert.equal(call.bytes, sum);
    tally(call.conversation);
    assert.equal(call.bytes, sum);
  });

  it('is deleted with the conversation', () => {
    const call = new Call().sendFirst(1);
    clearTurns(call.conversation);
    assert.equal(call.send('t-2', [asked(said('new'))])?.after, undefined);
    assert.doesNotMatch(JSON.stringify(call.conversation), /bread/);
  });
});

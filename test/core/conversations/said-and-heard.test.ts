// What a run says about its turn, and what the platform reports on it, in either order.

import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';

import { soon } from '../../../src/base/awaitable.ts';
import { emptyConversation, lengthOf } from '../../../src/core/conversations/conversation.ts';
import { hearWaiting, mayBeOfNewer, noteHeard } from '../../../src/core/conversations/heard.ts';
import { openTurn } from '../../../src/core/conversations/turn-opening.ts';
import type { TurnSettlement } from '../../../src/core/conversations/turn-settlement.ts';
import { mockTimers } from '../../fixtures/clock.ts';
import { DOWN, machine, two, written, type Machine } from './stores/machines.ts';
import { BOUNDS, inTalk, no, repliesOf, Talk, yes } from './talk.ts';

const RUN = { process: 'p', isAlive: yes };

interface Account {
  readonly state: TurnSettlement['state'];
  readonly said?: string;
  readonly filler?: string;
}

/** `t1` has said "First of all.", `t2` runs in another process, and `t3` brings a report. */
class ReportedTalk extends Talk {
  readonly #account: Account;
  readonly #textHeard: string | undefined;

  constructor(account: Account, textHeard: string | undefined) {
    super();
    this.#account = account;
    this.#textHeard = textHeard;
    this.exchange('t1', 'First of all.', RUN);
    this.open('t2', RUN);
  }

  /** `t2` has ended, but its last events are still leaving. */
  leave(): this {
    return this.#end(true);
  }

  end(): this {
    return this.#end();
  }

  #end(isLeaving?: true): this {
    const { state, said = '', filler } = this.#account;
    this.settle('t2', state, said, { process: 'p', filler, isLeaving });
    return this;
  }

  report(): this {
    this.open('t3', { ...RUN, interruption: { turnId: 't2', textHeard: this.#textHeard } });
    return this;
  }
}

describe('a run that says how it ended, and a report of what was heard of it', () => {
  const first = 't1: First of all.';
  for (const [title, account, textHeard, replies] of [
    ['a beginning', { state: 'completed', said: 'It is ten.' }, 'It is', [first, 't2: It is *']],
    ['all of it', { state: 'completed', said: 'It is ten.' }, 'It is ten.',
      [first, 't2: It is ten. *']],
    ['a beginning of what was cut', { state: 'interrupted', said: 'It is te' }, 'It',
      [first, 't2: It *']],
    ['more than was sent', { state: 'interrupted', said: 'It' }, 'It is', [first, 't2: It is *']],
    ['an apology', { state: 'failed', said: 'Sorry.' }, 'Sor', [first, 't2: Sor *']],
    ['nothing of it', { state: 'completed', said: 'It is ten.' }, '', [first]],
    ['the words after a filler', { state: 'completed', said: 'It is ten.', filler: 'Hm.' },
      'Hm. It', [first, 't2: It *']],
    ['a filler', { state: 'interrupted', filler: 'One moment.' }, 'One mo', [first]],
    ['that it was cut, somewhere', { state: 'completed', said: 'It is ten.' }, undefined,
      [first, 't2: It is ten. *']],
    ['that it was cut, though it said nothing', { state: 'completed' }, undefined, [first]],
    ['words of the turn before, since it said nothing', { state: 'interrupted' }, 'First of',
      ['t1: First of *']],
    ['words of the turn before, after a filler', { state: 'interrupted', filler: 'Hm.' }, 'First',
      ['t1: First *']],
    ['other words, though it said nothing', { state: 'interrupted' }, 'Zero', [first]],
    ['nothing, since it said nothing', { state: 'interrupted' }, '', [first]],
  ] as const satisfies readonly (readonly [
    string, Account, string | undefined, readonly string[],
  ])[]) {
    it(`come to the same result in any order: ${title}`, () => {
      const talk = (): ReportedTalk => new ReportedTalk(account, textHeard);
      for (const order of [
        talk().end().report(), talk().leave().report(), talk().leave().end().report(),
        talk().leave().report().end(), talk().report().end(), talk().report().leave().end(),
        talk().report().end().end(),
      ])
        assert.deepEqual(order.replies, replies);
    });
  }

  // Seed 200047 of the fleet: the report came with a delivery that an even newer turn overtook.
  it('come to the same result if the delivery that brings the report is over', () => {
    const talk = new ReportedTalk({ state: 'completed', said: 'It is ten.' }, 'It is').end();
    const interruption = { turnId: 't2', textHeard: 'It is' };
    assert.equal(talk.ask('t3', { process: 'p', interruption, isOver: yes }).kind, 'over');
    assert.deepEqual(talk.replies, [first, 't2: It is *']);
  });

  it('keep a report with words if another one without words follows', () => {
    const talk = new ReportedTalk({ state: 'completed', said: 'It is ten.' }, 'It is').report();
    talk.hear(undefined, 't2', 't3');
    assert.deepEqual(talk.end().replies, [first, 't2: It is *']);
  });

  it('say nothing about a later run of the turn', () => {
    const talk = new ReportedTalk({ state: 'completed', said: 'It is ten.' }, 'It is').report();
    const again = { turnId: 't2', runId: 4, text: 't2', process: 'p', isAlive: no };
    assert.equal(openTurn(talk.conversation, again, BOUNDS).kind, 'opened');
    assert.deepEqual(talk.end().replies, [first]); // the run has lost its turn
  });
});

describe('a report on a turn that is not known yet', () => {
  const report = { textHeard: 'reply', turnId: 't2' };

  it('waits for the turn, and no more than sixteen reports wait', inTalk((talk) => {
    talk.conversation.isBehind = true;
    for (let n = 1; n <= 20; n++) talk.hear('x', `t${n}`, 'next');
    const { reports } = talk.conversation;
    assert.deepEqual([reports?.length, reports?.[0]?.turnId], [16, 't5']);
    assert.equal(lengthOf(talk.conversation), 16);
  }));

  // Seed 100239 of the fleet: it was mistaken for a report on the last known turn.
  it('waits if the store is too slow to say whether it has the turn', async (t) => {
    const timers = mockTimers(t, ['setTimeout']);
    const a = machine(t);
    await a.turns('t1');
    a.parts.hold();
    const update = a.update((conversation) => noteHeard(conversation, report), {
      needsLatest: (conversation) => mayBeOfNewer(conversation, report), isPatient: false,
    });
    await soon();
    timers.tick(250);
    assert.equal(await update, undefined);
    assert.deepEqual(a.store.remembered('c')?.reports, [report]);
    a.parts.release();
  });

  it('is taken over from another copy only once', () => {
    const [conversation, other] = [emptyConversation('c'), emptyConversation('c')];
    other.isBehind = true;
    noteHeard(other, report, 't3');
    for (let n = 0; n < 2; n++) hearWaiting(conversation, other);
    assert.deepEqual(conversation.reports, [report]);
  });

  // Seed 300438 of the fleet: the words of one run ended up in the reply of the next.
  it('does not apply to a later run of its turn', () => {
    const talk = new ReportedTalk({ state: 'completed', said: 'It is ten.' }, 'It is').end();
    const other = { ...emptyConversation('c'), reports: [{ turnId: 't2', textHeard: 'Zero' }] };
    talk.turn('t2').runs = 2;
    hearWaiting(talk.conversation, other);
    assert.deepEqual(talk.replies, ['t1: First of all.', 't2: It is ten.']);
    assert.equal(talk.conversation.reports, undefined);
  });

  /** Both know `t1`. Without the store, `t2` runs in one, and its report arrives at the other. */
  async function talkApart(t: TestContext): Promise<readonly [Machine, Machine]> {
    const [a, b] = two(t);
    await a.turns('t1');
    await b.read();
    for (const { parts } of [a, b]) parts.failWith = DOWN;
    await a.turns('t2');
    const opening = { turnId: 't3', runId: 1_000_003, text: 't3', interruption: report };
    await b.update((conversation) => openTurn(conversation, opening, BOUNDS), {
      needsLatest: (conversation) => mayBeOfNewer(conversation, report),
    });
    return [a, b];
  }

  for (const first of ['the turn', 'the report'] as const)
    it(`meets its turn once the store is back and gets ${first} first`, async (t) => {
      const timers = mockTimers(t, ['setTimeout']);
      const [a, b] = await talkApart(t);
      for (const machine of first === 'the turn' ? [a, b] : [b, a]) {
        machine.parts.failWith = undefined;
        timers.tick(10_000);
        await written(machine.store);
      }
      for (const process of [a, b]) {
        const conversation = (await process.read()) ?? assert.fail();
        assert.deepEqual(repliesOf(conversation), ['t1: reply to t1', 't2: reply *']);
        assert.deepEqual(conversation.reports ?? [], []);
      }
    });
});

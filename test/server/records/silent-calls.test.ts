// Calls whose end the platform never reports.

import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';

import { noLog } from '../../../src/base/log.ts';
import { emptyConversation } from '../../../src/core/conversations/conversation.ts';
import { callRecorder } from '../../../src/server/records/call-recorder.ts';
import { until } from '../../fixtures/app.ts';
import { mockTimers } from '../../fixtures/clock.ts';
import {
  addTurn, beginTurn, callOf, openRecorder, spoken, type Opened,
} from './recorded-calls.ts';

function open(t: TestContext, idleMs = 5): Opened {
  const opened = openRecorder({ idleMs });
  t.after(() => opened.recorder.close());
  return opened;
}

describe('a call whose end is never reported', () => {
  it('gets a record after some silence, which says that no end was reported', async (t) => {
    const { recorder, archive } = open(t);
    recorder.turnEnded(callOf('s-1'), undefined, () => spoken());
    const { outcome, endedAt, turns } = await archive.kept.next();
    assert.deepEqual([outcome, turns.length], ['not reported', 1]);
    assert.equal(endedAt, new Date(5_700).toISOString());
  });

  // Another process remembered half of the turns, and wrote them right after the record was made.
  it('is recorded once the store is back, with what other processes then write', async (t) => {
    const { recorder, archive } = open(t);
    const conversation = spoken();
    let asked = 0;
    const isAway = (): boolean => {
      asked += 1;
      if (asked === 2) addTurn(conversation, 't-2', 's-1');
      return asked === 1;
    };
    recorder.turnEnded(callOf('s-1'), undefined, () => conversation, isAway);
    const { turns } = await archive.kept.next();
    assert.deepEqual([turns.length, asked], [2, 3]);
  });

  it('gets no record while its end may still be reported, but one when it is', async (t) => {
    const { recorder, archive } = open(t, 60_000);
    recorder.turnEnded(callOf('s-1'), undefined, () => spoken());
    const ended = { ...callOf('s-1'), startedAt: undefined, endedAt: 9_000 };
    recorder.ended(ended, () => spoken());
    assert.equal((await archive.kept.next()).outcome, 'ended');
  });

  it('gets no second record if its end is reported after all', async (t) => {
    const { recorder, archive } = open(t);
    recorder.turnEnded(callOf('s-1'), undefined, () => spoken());
    await archive.kept.next();
    const ended = { ...callOf('s-1'), startedAt: undefined, endedAt: 9_000 };
    recorder.ended(ended, () => spoken());
    recorder.ended({ ...ended, sessionId: 's-2' }, () => {
      const conversation = spoken();
      addTurn(conversation, 't-2', 's-2');
      return conversation;
    });
    assert.equal((await archive.kept.next()).sessionId, 's-2');
    assert.equal(archive.kept.all.length, 2);
  });

  // On a store that processes share, the first record was once the last.
  for (const process of [undefined, 'here'])
    it(`gets a longer record if the caller comes back: ${process ?? 'in memory'}`, async (t) => {
      const { recorder, archive } = open(t);
      const conversation = spoken('s-1', process);
      recorder.turnEnded(callOf('s-1'), process, () => conversation);
      await archive.kept.next();
      addTurn(conversation, 't-2', 's-1', process === undefined ? {} : { process });
      recorder.turnEnded(callOf('s-1'), process, () => conversation);
      assert.equal((await archive.kept.next()).turns.length, 2);
    });

  it('is recorded by the process that ran its last turn, and by no other', async (t) => {
    const { recorder, archive } = open(t);
    recorder.turnEnded(callOf('s-1'), 'here', () => spoken('s-1', 'elsewhere'));
    recorder.turnEnded(callOf('s-2'), 'here', () => {
      const conversation = spoken('s-1', 'elsewhere');
      addTurn(conversation, 't-2', 's-2', { process: 'here' });
      return conversation;
    });
    assert.equal((await archive.kept.next()).sessionId, 's-2');
    await until(() => recorder.counts().waiting === 0, 'the other one');
    assert.equal(archive.kept.all.length, 1);
  });

  it('is not recorded if another process has received its end', async (t) => {
    const { recorder, archive } = open(t);
    const other = callRecorder({ archive, log: noLog() });
    other.ended({ ...callOf('s-1'), startedAt: 1, endedAt: 2 }, () => spoken('s-1', 'here'));
    await archive.kept.next();
    let reads = 0;
    recorder.turnEnded(callOf('s-1'), 'here', () => ((reads += 1), spoken('s-1', 'here')));
    await until(() => reads === 1 && recorder.counts().waiting === 0, 'its silence');
    assert.equal(archive.kept.all.length, 1);
  });

  // A server that shuts down records the calls of its callers, who then speak to another one.
  it('is recorded again if another process has recorded only its silence', async (t) => {
    const { recorder, archive } = open(t);
    const conversation = spoken('s-1', 'elsewhere');
    const other = callRecorder({ archive, log: noLog(), idleMs: 60_000 });
    other.turnEnded(callOf('s-1'), 'elsewhere', () => conversation);
    await other.close();
    addTurn(conversation, 't-2', 's-1', { process: 'here' });
    recorder.turnEnded(callOf('s-1'), 'here', () => conversation);
    await archive.kept.next();
    assert.equal((await archive.kept.next()).turns.length, 2);
  });

  // It was once given up at the first attempt.
  it('waits while the archive fails, and is tried again every 2 s', async (t) => {
    const clock = mockTimers(t, ['setTimeout']);
    const { recorder, archive } = open(t);
    archive.failWith = new Error('no archive');
    recorder.turnEnded(callOf('s-1'), 'here', () => spoken('s-1', 'here'));
    clock.tick(5);
    for (let n = 0; n < 3; n += 1) {
      await new Promise((resolve) => setImmediate(resolve));
      assert.deepEqual(recorder.counts(), { written: 0, lost: 0, waiting: 1 });
      clock.tick(2_000);
    }
    archive.failWith = undefined;
    await new Promise((resolve) => setImmediate(resolve));
    clock.tick(2_000);
    assert.equal((await archive.kept.next()).outcome, 'not reported');
    await until(() => recorder.counts().written === 1, 'it to count as written');
    assert.equal(recorder.counts().lost, 0);
  });

  it('is left alone if its end turns up in the archive while the record waits', async (t) => {
    const clock = mockTimers(t, ['setTimeout']);
    const { recorder, archive, logged } = open(t);
    const conversation = spoken('s-1', 'here');
    archive.failWith = new Error('no archive');
    recorder.turnEnded(callOf('s-1'), 'here', () => conversation);
    clock.tick(5);
    await until(() => logged().length === 1, 'a failed attempt');
    archive.failWith = undefined;
    const other = callRecorder({ archive, log: noLog() });
    other.ended({ ...callOf('s-1'), startedAt: 0, endedAt: 1 }, () => conversation);
    await other.close();
    clock.tick(2_000);
    await until(() => recorder.counts().waiting === 0, 'the end to be found');
    assert.deepEqual([recorder.counts().written, archive.kept.all.length], [0, 1]);
  });

  it('waits for another silence, and is logged, if its conversation cannot be read', async (t) => {
    const { recorder, archive, logged } = open(t);
    let reads = 0;
    recorder.turnEnded(callOf('s-1'), undefined, () => {
      reads += 1;
      if (reads <= 2) throw new Error('no database');
      return spoken();
    });
    assert.equal((await archive.kept.next()).turns.length, 1);
    assert.equal(recorder.counts().lost, 0);
    await until(() => recorder.counts().written === 1, 'it to count as written');
    assert.deepEqual(logged(), [
      'error call records cannot be written', 'info call records can be written again',
    ]);
  });

  it('is not recorded if the conversation has been erased meanwhile', async (t) => {
    const { recorder, archive } = open(t);
    let reads = 0;
    recorder.turnEnded(callOf('s-1'), undefined, () => ((reads += 1), emptyConversation('c-1')));
    await until(() => reads === 1 && recorder.counts().waiting === 0, 'its silence');
    assert.equal(archive.kept.all.length, 0);
  });
});

// All of these once had no record, and nothing said so.
describe('a call that is silent when the process closes', () => {
  const LONG = 60_000;

  for (const process of [undefined, 'here'])
    it(`gets its record then: ${process ?? 'in memory'}`, async (t) => {
      const { recorder, archive } = open(t, LONG);
      recorder.turnEnded(callOf('s-1'), process, () => spoken('s-1', process));
      await recorder.close();
      const found = archive.kept.all.map(({ outcome, turns }) => [outcome, turns.length]);
      assert.deepEqual(found, [['not reported', 1]]);
      assert.deepEqual(recorder.counts(), { written: 1, lost: 0, waiting: 0 });
    });

  it('gets it as it is if its last turn is still running', async (t) => {
    const { recorder, archive } = open(t, LONG);
    const conversation = spoken();
    beginTurn(conversation, 't-2', 's-1');
    recorder.turnEnded(callOf('s-1'), undefined, () => conversation);
    await recorder.close();
    const [record] = archive.kept.all;
    assert.deepEqual(record?.turns.map(({ outcome }) => outcome), ['completed', 'open']);
  });

  it('is left to the process that ran its last turn or recorded its end', async (t) => {
    const { recorder, archive } = open(t, LONG);
    const other = callRecorder({ archive, log: noLog() });
    other.ended(callOf('s-1'), () => spoken('s-1', 'here'));
    await archive.kept.next();
    recorder.turnEnded(callOf('s-1'), 'here', () => spoken('s-1', 'here'));
    recorder.turnEnded(callOf('s-2'), 'here', () => spoken('s-2', 'elsewhere'));
    await recorder.close();
    assert.deepEqual(archive.kept.all.map(({ outcome }) => outcome), ['ended']);
    assert.equal(recorder.counts().lost, 0);
  });

  for (const isReportedAgain of [false, true])
    it(`gets only the record of its end if that has just come: ${isReportedAgain}`, async (t) => {
      const { recorder, archive } = open(t, LONG);
      const conversation = spoken();
      const settle = beginTurn(conversation, 't-2', 's-1');
      recorder.ended({ ...callOf('s-1'), isReportedAgain }, () => conversation);
      // The end interrupts the turn, which is over a moment later.
      settle();
      recorder.turnEnded(callOf('s-1'), undefined, () => conversation);
      await recorder.close();
      assert.deepEqual(archive.kept.all.map(({ outcome }) => outcome), ['ended']);
    });

  it('is not given up because there are many of them', async (t) => {
    const { recorder, archive } = openRecorder({ idleMs: LONG, maxWaiting: 2 });
    t.after(() => recorder.close());
    const ids = ['s-1', 's-2', 's-3', 's-4', 's-5'];
    for (const id of ids) recorder.turnEnded(callOf(id), undefined, () => spoken(id));
    await recorder.close();
    assert.deepEqual(archive.kept.all.map(({ sessionId }) => sessionId), ids);
  });

  for (const what of ['archive', 'conversation'])
    it(`is lost, and counted, if its ${what} does not answer in time`, async (t) => {
      const clock = mockTimers(t, ['setTimeout']);
      const { recorder, archive, logged } = openRecorder({ idleMs: LONG });
      if (what === 'archive') archive.keep = () => new Promise(() => undefined);
      recorder.turnEnded(callOf('s-1'), undefined, () =>
        what === 'archive' ? spoken() : new Promise<never>(() => undefined));
      const closed = recorder.close();
      await new Promise((resolve) => setImmediate(resolve));
      clock.tick(2_000);
      await closed;
      assert.deepEqual(recorder.counts(), { written: 0, lost: 1, waiting: 0 });
      assert.deepEqual(logged(), ['error call record lost']);
    });

  it('is lost if an ended call does not settle in time', async (t) => {
    const clock = mockTimers(t, ['setTimeout']);
    const { recorder } = openRecorder({ idleMs: LONG });
    recorder.ended(callOf('s-1'), () => new Promise<never>(() => undefined));
    recorder.turnEnded(callOf('s-2'), undefined, () => spoken('s-2'));
    const closed = recorder.close();
    await new Promise((resolve) => setImmediate(resolve));
    clock.tick(2_000);
    await closed;
    assert.deepEqual(recorder.counts(), { written: 0, lost: 2, waiting: 0 });
  });

  it('counts as lost once, even if a shorter record of it was waiting', async (t) => {
    const clock = mockTimers(t, ['setTimeout']);
    const { recorder, archive } = openRecorder({ idleMs: LONG });
    archive.failWith = new Error('disk full');
    const conversation = spoken();
    recorder.turnEnded(callOf('s-1'), undefined, () => conversation);
    clock.tick(LONG);
    await until(() => recorder.counts().waiting === 1 && archive.tries === 1, 'the first record');
    addTurn(conversation, 't-2', 's-1');
    recorder.turnEnded(callOf('s-1'), undefined, () => conversation);
    await recorder.close();
    assert.deepEqual(recorder.counts(), { written: 0, lost: 1, waiting: 0 });
  });
});

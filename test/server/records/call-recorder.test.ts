import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';

import {
  clearTurns, emptyConversation, type Conversation,
} from '../../../src/core/conversations/conversation.ts';
import { deferred, until } from '../../fixtures/app.ts';
import { mockTimers } from '../../fixtures/clock.ts';
import { addTurn, beginTurn, callOf, openRecorder as open, spoken } from './recorded-calls.ts';

/** A conversation whose only turn is running, and what settles it. */
function running(): { readonly conversation: Conversation; settle(): void } {
  const conversation = emptyConversation('c-1');
  return { conversation, settle: beginTurn(conversation, 't-1', 's-1') };
}

/** Reads a conversation in which that session has said something. */
function said(sessionId: string): () => Conversation {
  const conversation = spoken(sessionId);
  return () => conversation;
}

const FULL = Object.assign(new Error('no space left on device'), { code: 'ENOSPC' });

/** Lets promises settle, while timers are mocked. */
async function settled(isTrue: () => boolean): Promise<void> {
  await until(isTrue, 'promises to settle');
  await new Promise((resolve) => setImmediate(resolve));
}

/** Moves mocked timers on, once promises that may set one have settled. */
async function ticked(clock: ReturnType<typeof mockTimers>, ms: number): Promise<void> {
  await new Promise((resolve) => setImmediate(resolve));
  clock.tick(ms);
  await new Promise((resolve) => setImmediate(resolve));
}

describe('callRecorder', () => {
  it('writes the record of a finished call at once', async () => {
    const { recorder, archive } = open();
    recorder.ended(callOf('s-1'), said('s-1'));
    assert.equal((await archive.kept.next()).sessionId, 's-1');
    await settled(() => recorder.counts().written === 1);
    assert.deepEqual(recorder.counts(), { written: 1, lost: 0, waiting: 0 });
    await recorder.close();
  });

  it('leaves no record waiting if it arrives just as the previous one is written', async () => {
    for (let ticks = 0; ticks < 25; ticks += 1) {
      const { recorder } = open();
      recorder.ended(callOf('s-1'), said('s-1'));
      for (let tick = 0; tick < ticks; tick += 1) await undefined;
      recorder.ended(callOf('s-2'), said('s-2'));
      await settled(() => recorder.counts().written === 2);
      await recorder.close();
    }
  });

  it('writes no record of a call without turns', async () => {
    const { recorder, archive } = open();
    recorder.ended(callOf('s-2'), () => undefined);
    recorder.ended(callOf('s-2'), said('s-1'));
    await recorder.close();
    assert.deepEqual([archive.kept.all, recorder.counts()], [
      [], { written: 0, lost: 0, waiting: 0 },
    ]);
  });

  it('waits until the last turn of the call is settled', async (t: TestContext) => {
    const clock = mockTimers(t, ['setTimeout']);
    const { recorder, archive } = open();
    const { conversation, settle } = running();
    let reads = 0;
    recorder.ended(callOf('s-1'), () => ((reads += 1), conversation));
    await settled(() => reads === 1 && recorder.counts().waiting === 1);
    clock.tick(50);
    await settled(() => reads === 2);
    assert.equal(archive.tries, 0);
    settle();
    clock.tick(250);
    assert.equal((await archive.kept.next()).turns[0]?.outcome, 'completed');
  });

  // Another process remembered half of the turns, and wrote them right after the record was made.
  for (const isReportedAgain of [false, true])
    it(`waits for a store, then for other processes; told twice: ${isReportedAgain}`, async (t) => {
      const clock = mockTimers(t, ['setTimeout']);
      const { recorder, archive } = open();
      const { conversation, settle } = running();
      settle();
      let reads = 0;
      let isAway = true;
      const read = (): Conversation => ((reads += 1), conversation);
      recorder.ended({ ...callOf('s-1'), isReportedAgain }, read, () => isAway);
      if (isReportedAgain) recorder.completed(callOf('s-1'));
      await settled(() => reads === 1 && recorder.counts().waiting === 1);
      isAway = false;
      clock.tick(50);
      await settled(() => reads === 2);
      assert.equal(archive.tries, 0);
      addTurn(conversation, 't-2', 's-1');
      clock.tick(250);
      assert.equal((await archive.kept.next()).turns.length, 2);
    });

  it('writes a call as it is if its turn has not ended half a minute later', async (t) => {
    const clock = mockTimers(t, ['setTimeout']);
    const { recorder, archive } = open();
    let reads = 0;
    recorder.ended(callOf('s-1'), () => ((reads += 1), running().conversation));
    for (const [index, ms] of [50, 250, 1_000, 5_000, 30_000].entries()) {
      await settled(() => reads === index + 1);
      clock.tick(ms);
    }
    assert.equal((await archive.kept.next()).turns[0]?.outcome, 'open');
  });

  it('waits for the last turns of 10,000 calls, and of no more', async (t) => {
    mockTimers(t, ['setTimeout']);
    const { recorder, archive } = open({ maxWaiting: 20_000 });
    const { conversation } = running();
    for (let n = 0; n < 10_000; n += 1) recorder.ended(callOf('s-1'), () => conversation);
    for (let n = 0; n < 3; n += 1) await new Promise((resolve) => setImmediate(resolve));
    assert.equal(archive.tries, 0);
    recorder.ended(callOf('s-1'), () => conversation);
    assert.equal((await archive.kept.next()).turns[0]?.outcome, 'open');
  });

  it('waits for many calls without a warning about leaking listeners', async (t) => {
    const warnings: string[] = [];
    const onWarning = ({ name }: Error): void => void warnings.push(name);
    process.on('warning', onWarning);
    t.after(() => process.off('warning', onWarning));
    const { recorder } = open();
    const { conversation } = running();
    for (let count = 1; count <= 12; count++) recorder.ended(callOf('s-1'), () => conversation);
    await new Promise((resolve) => setImmediate(resolve)); // Node warns in a tick of its own
    await recorder.close();
    assert.deepEqual(warnings, []);
  });

  it('does not wait for a call that is settling when the process ends', async (t) => {
    mockTimers(t, ['setTimeout']); // so that no pause ends by itself
    const { recorder, archive } = open();
    let reads = 0;
    recorder.ended(callOf('s-1'), () => ((reads += 1), running().conversation));
    await settled(() => reads === 1);
    await recorder.close();
    assert.equal(archive.kept.all[0]?.turns[0]?.outcome, 'open');
  });

  it('retries a record until it is written, in the order of the calls', async (t) => {
    const clock = mockTimers(t, ['setTimeout']);
    const { recorder, archive, logged } = open();
    archive.failWith = FULL;
    for (const id of ['s-1', 's-2']) recorder.ended(callOf(id), said(id));
    await settled(() => archive.tries === 1 && recorder.counts().waiting === 2);
    clock.tick(2_000);
    await settled(() => archive.tries === 2);
    archive.failWith = undefined;
    clock.tick(2_000);
    await settled(() => recorder.counts().written === 2);
    assert.deepEqual(archive.kept.all.map(({ sessionId }) => sessionId), ['s-1', 's-2']);
    assert.deepEqual(logged(), [
      'error call records cannot be written', 'info call records can be written again',
    ]);
  });

  describe('with an erased conversation', () => {
    /** An ended turn, and what erases it. */
    function ended(): { readonly conversation: Conversation; erase(): void } {
      const { conversation, settle } = running();
      settle();
      return { conversation, erase: () => clearTurns(conversation) };
    }

    it('does not write the record, even if it has tried to before', async (t) => {
      const clock = mockTimers(t, ['setTimeout']);
      const { recorder, archive } = open();
      archive.failWith = FULL;
      const { conversation, erase } = ended();
      recorder.ended(callOf('s-1'), () => conversation);
      await settled(() => archive.tries === 1);
      erase();
      archive.failWith = undefined;
      clock.tick(2_000);
      await settled(() => recorder.counts().waiting === 0);
      assert.deepEqual([archive.kept.all, recorder.counts().written], [[], 0]);
    });

    it('records what has been said since', async () => {
      const { recorder, archive } = open();
      const { conversation, erase } = ended();
      erase();
      addTurn(conversation, 't-2', 's-1');
      recorder.ended(callOf('s-1'), () => conversation);
      const { turns } = await archive.kept.next();
      assert.deepEqual(turns.map(({ turnId }) => turnId), ['t-2']);
    });

    // The memory store has neither conversation nor mark then.
    it('does not write the record if it is told and the store keeps no mark', async (t) => {
      const clock = mockTimers(t, ['setTimeout']);
      const { recorder, archive } = open();
      archive.failWith = FULL;
      let { conversation }: { conversation: Conversation | undefined } = ended();
      recorder.ended(callOf('s-1'), () => conversation);
      recorder.ended({ ...callOf('s-2'), conversationKey: 'c-2' }, said('s-2'));
      await settled(() => archive.tries === 1 && recorder.counts().waiting === 2);
      conversation = undefined;
      recorder.erased('c-1', 3_000);
      assert.deepEqual(recorder.counts(), { written: 0, lost: 0, waiting: 1 });
      archive.failWith = undefined;
      await ticked(clock, 2_000);
      assert.equal((await archive.kept.next()).sessionId, 's-2');
      await recorder.close();
      assert.equal(archive.kept.all.length, 1);
    });

    it('writes no record if it is told while the conversation is being read', async () => {
      const { recorder, archive } = open();
      const before = deferred<Conversation>();
      let reads = 0;
      recorder.ended(callOf('s-1'), () => ((reads += 1) === 1 ? before.promise : undefined));
      recorder.erased('c-1', 3_000);
      before.resolve(ended().conversation);
      await settled(() => recorder.counts().waiting === 0);
      assert.deepEqual(archive.kept.all, []);
    });

    // A store tells of an erasure again once it has its mark.
    it('records what has been said since, even if it is told again', async (t) => {
      const clock = mockTimers(t, ['setTimeout']);
      const { recorder, archive } = open();
      archive.failWith = FULL;
      recorder.erased('c-1', 500);
      recorder.ended(callOf('s-1'), () => ended().conversation);
      await settled(() => archive.tries === 1);
      recorder.erased('c-1', 500);
      archive.failWith = undefined;
      await ticked(clock, 2_000);
      assert.equal((await archive.kept.next()).turns.length, 1);
    });

    it('writes the record again even if it has as many turns as before', async (t) => {
      const { recorder, archive } = open({ idleMs: 60_000 });
      t.after(() => recorder.close());
      const { conversation, erase } = ended();
      recorder.ended(callOf('s-1'), () => conversation);
      await archive.kept.next();
      erase();
      addTurn(conversation, 't-1', 's-1');
      recorder.ended(callOf('s-1'), () => conversation);
      assert.equal((await archive.kept.next()).turns.length, 1);
    });

    it('writes no record if nothing has been said in the call since', async () => {
      const { recorder, archive } = open();
      const { conversation, erase } = ended();
      erase();
      const call = { ...callOf('s-2'), endedAt: Date.now() + 1_000 };
      recorder.ended(call, () => conversation);
      recorder.ended({ ...call, startedAt: undefined }, () => conversation);
      await settled(() => recorder.counts().waiting === 0);
      assert.deepEqual(archive.kept.all, []);
    });
  });

  for (const [kind, read] of [
    ['fails', () => Promise.reject(new Error('no database'))],
    ['never answers', () => new Promise<never>(() => undefined)],
  ] as const)
    it(`writes what it has of a call whose store then ${kind}, and says so`, async (t) => {
      const clock = mockTimers(t, ['setTimeout']);
      const { recorder, archive, logged } = open();
      const { conversation, settle } = running();
      settle();
      let reads = 0;
      recorder.ended(callOf('s-1'), () => ((reads += 1) === 1 ? conversation : read()));
      recorder.ended(callOf('s-2'), said('s-2'));
      await settled(() => reads === 2);
      await ticked(clock, 1_000);
      await settled(() => recorder.counts().written === 2);
      assert.equal(archive.kept.all[0]?.turns.length, 1);
      assert.deepEqual(logged(), ['warn call record not checked for erasure']);
    });

  it('records a call again if as many turns have been dropped as added', async (t) => {
    const { recorder, archive } = open({ idleMs: 60_000 });
    t.after(() => recorder.close());
    const { conversation, settle } = running();
    settle();
    recorder.ended(callOf('s-1'), () => conversation);
    await archive.kept.next();
    conversation.turns.length = 0;
    addTurn(conversation, 't-2', 's-1');
    recorder.ended(callOf('s-1'), () => conversation);
    assert.equal((await archive.kept.next()).turns[0]?.turnId, 't-2');
  });

  it('gives up the oldest of too many records, and counts and logs that', async (t) => {
    mockTimers(t, ['setTimeout']);
    const { recorder, archive, logged } = open({ maxWaiting: 2 });
    archive.failWith = FULL;
    for (const id of ['s-1', 's-2', 's-3']) recorder.ended(callOf(id), said(id));
    await settled(() => recorder.counts().lost === 1);
    assert.deepEqual(recorder.counts(), { written: 0, lost: 1, waiting: 2 });
    assert.ok(logged().includes('error call record lost'));
    archive.failWith = undefined;
    await recorder.close();
    assert.deepEqual(archive.kept.all.map(({ sessionId }) => sessionId), ['s-2', 's-3']);
  });

  it('holds no more characters than allowed, but always one record', async (t) => {
    mockTimers(t, ['setTimeout']);
    const { recorder, archive } = open({ maxCharactersWaiting: 10 });
    archive.failWith = FULL;
    for (const id of ['s-1', 's-2']) recorder.ended(callOf(id), said(id));
    await settled(() => recorder.counts().lost === 1);
    assert.equal(recorder.counts().waiting, 1);
  });

  it('loses what cannot be written when it is closed, and logs the loss', async () => {
    const { recorder, archive, logged } = open();
    archive.failWith = FULL;
    recorder.ended(callOf('s-1'), said('s-1'));
    await recorder.close();
    assert.deepEqual(recorder.counts(), { written: 0, lost: 1, waiting: 0 });
    assert.deepEqual(logged(), ['error call records cannot be written', 'error call record lost']);
  });

  it('loses a record whose conversation cannot be read, and no other', async () => {
    const { recorder, archive } = open();
    recorder.ended(callOf('s-1'), () => {
      throw new Error('no database');
    });
    recorder.ended(callOf('s-2'), said('s-2'));
    assert.equal((await archive.kept.next()).sessionId, 's-2');
    assert.equal(recorder.counts().lost, 1);
    await recorder.close();
  });
});

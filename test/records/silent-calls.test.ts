// Calls whose end the platform never reports.

import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';

import { emptyConversation } from '../../src/conversations/conversation.ts';
import { noLog } from '../../src/log.ts';
import { callRecorder } from '../../src/records/call-recorder.ts';
import { until } from '../fixtures/app.ts';
import { addTurn, callOf, openRecorder, spoken, type Opened } from './recorded-calls.ts';

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

  it('is not recorded if the conversation has been erased meanwhile', async (t) => {
    const { recorder, archive } = open(t);
    let reads = 0;
    recorder.turnEnded(callOf('s-1'), undefined, () => ((reads += 1), emptyConversation('c-1')));
    await until(() => reads === 1 && recorder.counts().waiting === 0, 'its silence');
    assert.equal(archive.kept.all.length, 0);
  });
});

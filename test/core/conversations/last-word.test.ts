// Who may overwrite what a turn says: every cell of the table is tried, with and without a report,
// and must be what the page says.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, it } from 'node:test';

import type { Conversation } from '../../../src/core/conversations/conversation.ts';
import { noteHeard } from '../../../src/core/conversations/heard.ts';
import {
  accountOf, ACCOUNTS, verdictOn, WRITERS, type Account, type Verdict, type Writer,
} from '../../../src/core/conversations/last-word.ts';
import { mergeTurns } from '../../../src/core/conversations/merge-turns.ts';
import { noteProgress } from '../../../src/core/conversations/tool-call-rules.ts';
import { openTurn } from '../../../src/core/conversations/turn-opening.ts';
import { replyText, type TurnRecord } from '../../../src/core/conversations/turn-record.ts';
import { endOpenTurns, settleTurn } from '../../../src/core/conversations/turn-settlement.ts';
import { BOUNDS, check, holding, reply as replyOf, round } from './talk.ts';

const PAGE = readFileSync(new URL('../../../docs/turns.md', import.meta.url), 'utf8');

/** What a run has said in turn `t`, and what the platform has reported of it: it heard "One". */
function turn(account: Account, reply: string, isReported: boolean): TurnRecord {
  const record: TurnRecord = { id: 't', state: 'failed', runId: 1, words: 'Hi', reply };
  record.process = 'a';
  record.addedAt = 1;
  if (account === 'running') return { ...record, state: 'open' };
  if (account !== 'final') record.said = account === 'closed' ? 'nothing' : 'leaving';
  if (!isReported) return record;
  const heard = account === 'final' ? { runId: 1 } : { runId: 1, text: 'One' };
  return { ...record, state: 'interrupted', reply: 'One', heard };
}

/** The writer writes, with the words "One, two." */
function come(writer: Writer, conversation: Conversation, isReported: boolean): void {
  const run = { turnId: 't', runId: 1, process: 'a' };
  const content = 'One, two.';
  const complete = { state: 'completed', messages: [replyOf('t', content)] } as const;
  const copy = writer.startsWith('a copy, ') ? writer.slice('a copy, '.length) : undefined;
  if (copy !== undefined) {
    const account = ACCOUNTS.find((one) => one === copy) ?? assert.fail(copy);
    return mergeTurns(conversation, [turn(account, content, isReported)]);
  }
  switch (writer) {
    case 'its calls': {
      const messages = round('t', 'x', {
        said: content, saidState: 'open', state: 'running', runId: 1,
      });
      return void noteProgress(conversation, { ...run, messages }, BOUNDS);
    }
    case 'its end':
      return void settleTurn(conversation, { ...run, ...complete }, BOUNDS);
    case 'a newer turn': {
      const messages = [replyOf('t', content, 'interrupted')];
      return endOpenTurns(conversation, [{ ...run, state: 'interrupted', messages }]);
    }
    case 'a report':
      return void noteHeard(conversation, { textHeard: content, turnId: 't' });
    case 'another run':
      return void settleTurn(conversation, { ...complete, ...run, runId: 2, process: 'b' }, BOUNDS);
    default:
      assert.fail(writer);
  }
}

/** What the turn then says: "Zero." is what it said before. */
function wordsAfter(
  writer: Writer, account: Account, isReported: boolean, isCopyReported: boolean,
): string {
  const conversation = holding(turn(account, account === 'running' ? '' : 'Zero.', isReported));
  come(writer, conversation, isCopyReported);
  check(conversation);
  const [record] = conversation.turns;
  return record === undefined ? '' : replyText(record);
}

const VERDICT_WORDS: Readonly<Record<Verdict, string>> = {
  takes: 'One, two.', stays: 'Zero.', 'unless reported': 'One, two.', 'if reported': 'Zero.',
  'its report': 'Zero.',
};

describe('the table of who may overwrite what a turn says', () => {
  it('is in a file that imports nothing', () => {
    const source = new URL('../../../src/core/conversations/last-word.ts', import.meta.url);
    assert.doesNotMatch(readFileSync(source, 'utf8'), /^import /m);
  });

  for (const writer of WRITERS) {
    const row = ACCOUNTS.map((account) => verdictOn(account, writer));

    it(`is the same on the page, for "${writer}"`, () => {
      const line = PAGE.split('\n').find((text) => text.startsWith(`| *${writer}*`));
      const [, , ...cells] = line?.split('|').map((cell) => cell.trim()) ?? [];
      assert.deepEqual(cells.slice(0, -1), row);
    });

    if (writer === 'a replay') continue;
    for (const [index, account] of ACCOUNTS.entries()) {
      const verdict = row[index] ?? assert.fail();
      const before = account === 'running' ? '' : 'Zero.';

      it(`says "${verdict}" for "${writer}" when the run is "${account}"`, () => {
        const expected = VERDICT_WORDS[verdict];
        assert.equal(
          wordsAfter(writer, account, false, false), expected === 'Zero.' ? before : expected,
        );
      });

      it(`says "${verdict}" for "${writer}" when the run is "${account}" and reported on`, () => {
        if (verdict === 'if reported' || verdict === 'its report')
          assert.equal(wordsAfter(writer, account, false, true), 'One');
        if (account === 'running') return; // a report ends it
        const isRead = writer === 'a report' ? 'One, two.' : 'One';
        assert.equal(wordsAfter(writer, account, true, false), isRead);
        assert.equal(wordsAfter(writer, account, true, true), isRead);
      });
    }
  }
});

describe('a complete reply that is leaving', () => {
  it('is final once its turn is delivered again: all of it is sent', () => {
    const leaving: TurnRecord = { ...turn('leaving', 'Zero.', false), state: 'completed' };
    const conversation = holding(leaving);
    const opening = { turnId: 't', runId: 2, text: 'Hi', process: 'b' };
    assert.equal(openTurn(conversation, opening, BOUNDS).kind, 'completed before');
    assert.deepEqual(conversation.turns.map(accountOf), ['final']);
  });
});

// What a turn takes from the answers of other processes.

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { Question } from '../../src/tools/tool-question.ts';

describe('a question to other processes', () => {
  it('is answered by all: a call that nobody runs is lost', async () => {
    const question = new Question(new Map([['a', ['k1']], ['b', ['k2']]]));
    for (const [from, calls] of [['a', ['k1']], ['b', []]] as const)
      question.answer({ from, calls });
    await question.answered();
    assert.equal(question.isCallRunning('k1', 'a'), true);
    assert.equal(question.isCallRunning('k2', 'b'), false);
  });

  it('waits for the last answer, and no longer', async (t) => {
    t.mock.timers.enable({ apis: ['setTimeout'] }); // so the time to answer never ends
    const question = new Question(new Map([['a', ['k1']], ['b', ['k2']]]));
    let isAnswered = false;
    const answered = question.answered().then(() => (isAnswered = true));
    question.answer({ from: 'a', calls: [] });
    await new Promise((resolve) => setImmediate(resolve));
    assert.equal(isAnswered, false);
    question.answer({ from: 'b', calls: [] });
    await answered;
  });

  it('takes a process that does not answer for dead', async () => {
    const question = new Question(new Map([['a', ['k1']]]));
    await question.answered();
    assert.deepEqual([question.isAlive('a'), question.isCallRunning('k1', 'a')], [false, false]);
  });

  // Two turns ask a process that is gone. One of them opens, and calls a tool, before the other.
  it('takes nothing from a process for what it began meanwhile', async () => {
    const question = new Question(new Map([['a', ['k1']]]));
    question.answer({ from: 'a', calls: [] });
    await question.answered();
    assert.deepEqual(
      [question.isCallRunning('k2', 'a'), question.isCallRunning('k2', 'b'), question.isAlive('b')],
      [true, true, true],
    );
    assert.equal(question.isCallRunning('k2', undefined), false);
  });

  // Seed 93004847 of the fleet: several runs had made the call, and another one had its claim now.
  it('takes nothing from a process for a call about which another one was asked', async () => {
    const question = new Question(new Map([['a', ['k1']], ['b', []]]));
    for (const from of ['a', 'b']) question.answer({ from, calls: [] });
    await question.answered();
    assert.deepEqual(['a', 'b', 'c'].map((from) => question.isCallRunning('k1', from)), [
      false, true, true,
    ]);
  });

  it('that went to everyone is answered by those that were not known, too', async () => {
    const question = new Question(new Map([['a', ['k1']]]), ['k1']);
    question.answer({ from: 'a', calls: [] });
    await question.answered();
    assert.equal(question.isCallRunning('k1', 'b'), false);
  });
});

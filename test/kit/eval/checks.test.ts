import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import type { PlayedTurn, ToolRunSeen } from '../../../src/kit/eval/result.ts';
import { parseScript } from '../../../src/kit/eval/script.ts';
import { playedTurn } from './played-turn.ts';

const PAID: ToolRunSeen = {
  tool: 'pay', args: { cents: 5 }, state: 'completed', result: 'ok', onceKey: 'a', hasActed: true,
};

/** What the line finds wrong with these turns. */
function fault(line: string, ...turns: readonly Partial<PlayedTurn>[]): unknown {
  const [step] = parseScript(line, 'a.txt');
  const played = turns.map(playedTurn);
  const last = played.at(-1);
  assert.ok(step !== undefined && 'faultIn' in step && last !== undefined);
  return step.faultIn({ turns: played, last, state: undefined });
}

describe('a check', () => {
  it('finds a tool that acted twice for the same thing, in any turn', () => {
    const again = ['again     pay {"cents":5} → "ok"'];
    assert.equal(fault('never-acts-twice', { tools: [PAID] }, {}), undefined);
    assert.deepEqual(fault('never-acts-twice', { tools: [PAID] }, { tools: [PAID] }), again);
    const other = { ...PAID, onceKey: 'b' };
    assert.equal(fault('never-acts-twice', { tools: [PAID, other] }), undefined);
    const declined = { ...PAID, state: 'failed', hasActed: false } as const;
    assert.equal(fault('never-acts-twice', { tools: [declined, PAID] }), undefined);
    const free = { ...PAID, onceKey: undefined };
    assert.equal(fault('never-acts-twice', { tools: [free, free] }), undefined);
    assert.deepEqual(fault('never-acts-twice pay', { tools: [free, free] }), again);
    assert.deepEqual(fault('never-acts-twice pay', { tools: [PAID, PAID] }), again);
    assert.equal(fault('never-acts-twice look', { tools: [PAID, PAID] }), undefined);
    const six = { ...free, args: { cents: 6 } };
    assert.equal(fault('never-acts-twice pay', { tools: [free, six] }), undefined);
    // The text of its `once` holds the turn's id.
    assert.deepEqual(fault('never-acts-twice pay', { tools: [PAID] }, { tools: [other] }), again);
    const cut = { ...PAID, key: 'k', isCut: true } as const;
    for (const line of ['never-acts-twice', 'never-acts-twice pay'])
      assert.equal(fault(line, { tools: [cut] }, { tools: [{ ...PAID, key: 'k' }] }), undefined);
    const anew = { ...other, key: 'another' };
    assert.deepEqual(fault('never-acts-twice pay', { tools: [cut] }, { tools: [anew] }), again);
    const stranger = { tools: [free], conversation: 1 };
    assert.equal(fault('never-acts-twice pay', { tools: [free] }, stranger), undefined);
  });

  it('counts runs in all deliveries of a turn, or, with "in all", in the whole call', () => {
    const before = { tools: [PAID] };
    const turn = [{ tools: [PAID] }, { tools: [PAID], isAgain: true }];
    assert.equal(fault('expect-tool pay twice', before, ...turn), undefined);
    assert.equal(fault('expect-tool pay 3 times in all', before, ...turn), undefined);
    assert.deepEqual(fault('expect-tool pay once', before, ...turn), [
      'expected  pay once, but matching runs: 2',
      'ran       pay {"cents":5} → "ok"', 'ran       pay {"cents":5} → "ok"',
    ]);
  });

  it('does not count refused calls, unless it asks for them', () => {
    const refused = { ...PAID, state: 'refused', hasActed: false } as const;
    assert.equal(fault('expect-no-tool pay', { tools: [refused] }), undefined);
    assert.deepEqual(fault('expect-no-tool pay', { tools: [PAID] }), [
      'expected  pay never, but matching runs: 1', 'ran       pay {"cents":5} → "ok"',
    ]);
    assert.equal(fault('expect-tool pay once refused', { tools: [refused] }), undefined);
  });

  it('finds turns that failed, with what the log says about them', () => {
    const failed = { state: 'failed', log: ['turn failed: broken'] } as const;
    assert.deepEqual(fault('never-fails', failed, {}), ['failed    line 1: Hi', ...failed.log]);
    assert.equal(fault('never-fails', { state: 'interrupted' }), undefined);
  });

  it('fails if it is about a prompt and the model was not asked', () => {
    const silent = ['the model was not asked'];
    assert.deepEqual(fault('expect-no-prompt Ada', {}), silent);
    assert.deepEqual(fault('expect-prompt Ada', {}), silent);
  });

  it('adds up the tokens of a turn, or of the call', () => {
    const turns = [[90, 10], [40, 10]].map(([input = 0, output = 0]) =>
      ({ tokens: { input, output, cost: undefined } }));
    assert.equal(fault('within 50 tokens', ...turns), undefined);
    assert.deepEqual(fault('within 49 tokens', ...turns), ['the model used 50 tokens']);
    assert.equal(fault('within 150 tokens in all', ...turns), undefined);
    assert.deepEqual(fault('within 149 tokens in all', ...turns), ['the model used 150 tokens']);
    assert.deepEqual(fault('within 9 tokens', {}), ['the model reported no tokens']);
  });

  it('finds sentences that a caller hears twice, but not those of another delivery', () => {
    const turn = { heard: 'This is the corner shop. Yes.' };
    assert.deepEqual(fault('never-repeats', turn, turn), ['again     This is the corner shop.']);
    assert.equal(fault('never-repeats', turn, { ...turn, isAgain: true }), undefined);
    assert.equal(fault('never-repeats', turn, { ...turn, conversation: 1 }), undefined);
  });

  it('says that there were no words if a time was expected', () => {
    assert.deepEqual(fault('within 1 s', { firstWordMs: undefined }), ['the reply had no words']);
    assert.deepEqual(fault('within 1 s', { firstWordMs: 1_001 }), ['the first word took 1001 ms']);
    assert.equal(fault('within 1 s', { firstWordMs: 1_000 }), undefined);
  });

  it('accepts data that has at least the fields of the expected object', () => {
    const data = [{ tool: 'pay', status: 'running', args: { list: [1, 2] } }];
    assert.equal(fault('expect-data {"args": {"list": [1, 2]}}', { data }), undefined);
    assert.notEqual(fault('expect-data {"args": {"list": [1]}}', { data }), undefined);
    assert.equal(fault('expect-data "status":"running"', { data }), undefined);
    assert.equal(fault('expect-data [1, null]', { data: [[1, null]] }), undefined);
    assert.equal(fault('expect-data [card 1]', { data: ['[card 1]'] }), undefined);
    assert.notEqual(fault('expect-no-data "status":"running"', { data }), undefined);
  });
});

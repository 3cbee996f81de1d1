import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it, type TestContext } from 'node:test';

import { Notebook } from '../../../src/kit/eval/notebook.ts';
import { stageProcess } from '../../../src/kit/eval/stage-process.ts';
import { newFolder } from '../../fixtures/folder.ts';
import { WITHOUT_SQLITE } from '../../fixtures/sqlite.ts';

/**
 * A stage that keeps its answers, reports a request on `release`, and never uses its store again.
 */
const PROGRAM = `
let answers = [];
let aheadMs;
const methods = {
  begin: (access) => void (aheadMs = access.aheadMs),
  prepare: (given) => void (answers = given),
  answersLeft: () => answers.length,
  isStoreAway: () => true,
  release: () => void process.send({
    type: 'note', name: 'asked', args: [[], ''],
  }),
  open: () => ({ origin: String(process.pid), route: '/' + aheadMs }),
};
process.on('message', ({ id, method, args }) =>
  process.send({ type: 'answer', id, value: methods[method]?.(...args) }));
`;

function open(t: TestContext) {
  const program = join(newFolder(), 'stage.mjs');
  writeFileSync(program, PROGRAM);
  const notes = new Notebook();
  // The process gets the same Node flags, which may name files in this directory.
  const directory = process.cwd();
  const stage = stageProcess({
    program, argv: [], directory, access: { secret: 's', key: 'k' }, aheadMs: 60_000, notes,
  });
  t.after(() => stage.close());
  return { stage, notes };
}

describe('stageProcess', () => {
  // On its return, the first process still had the answers from before it was left.
  it('gives the remaining answers to the process to which it returns', async (t) => {
    const { stage } = open(t);
    const { origin } = await stage.open();
    await stage.prepare(['One.', 'Two.', 'Three.'].map((say) => [say]));
    await stage.own.switch();
    await stage.prepare(['Four.', 'Five.'].map((say) => [say]));
    await stage.release();
    assert.equal((await stage.own.switch()).origin, origin);
    assert.equal(await stage.answersLeft(), 1);
  });

  it('says which process it kills', async (t) => {
    const { stage, notes } = open(t);
    const { mock } = t.mock.method(notes, 'killed');
    await stage.open();
    const { origin } = await stage.own.switch();
    await stage.own.kill();
    assert.deepEqual(mock.calls.map((call) => call.arguments), [[Number(origin)]]);
  });

  // With `at 23:30` the clock said 23:30 again in each new process.
  it('has one clock in all processes', async (t) => {
    const { stage } = open(t);
    const routes = [await stage.open(), await stage.own.switch(), await stage.own.kill()];
    assert.deepEqual(routes.map(({ route }) => route), ['/60000', '/60000', '/60000']);
  });

  it('says so if the agent does not use its store again after a stall', {
    skip: WITHOUT_SQLITE,
  }, async (t) => {
    const { stage } = open(t);
    await stage.open();
    await assert.rejects(stage.own.stall(0), {
      name: 'StageLost', message: 'the agent does not use the store again after 5 s',
    });
  });
});

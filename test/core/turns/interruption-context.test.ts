import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { serve, until } from '../../fixtures/app.ts';
import { wireBody } from '../../fixtures/wire.ts';
import { dropHeld, heard, hold, holding } from './held-turns.ts';

const HELD = ['user: hold', 'interrupted: It rains in Spain.'];

describe('interruption_context', () => {
  /** What the caller said before ("hold" was dropped), the report, and what history then has. */
  const CASES: readonly (readonly [
    what: string, said: readonly string[], report: object, history: readonly string[],
  ])[] = [
    ['cuts the interrupted turn to what was heard', ['hold'], heard('It rains'),
      ['user: hold', 'interrupted: It rains']],
    ['cuts a completed turn whose text was sent but not fully spoken', ['One two'], heard('One'),
      ['user: One two', 'interrupted: One']],
    ['cuts the turn that assistant_turn_id names, and keeps the newer one',
      ['On Tuesday', 'Any more'], heard('On Tue', { assistant_turn_id: 't-0' }),
      ['user: On Tuesday', 'interrupted: On Tue', 'user: Any more', 'completed: Any more!']],
    ['with an empty text_heard keeps no message of the reply', ['hold'], heard(''), ['user: hold']],
    ['without text_heard keeps what was sent, marked as interrupted', ['One'], heard(undefined),
      ['user: One', 'interrupted: One!']],
    ['that reports no interruption cuts nothing',
      ['hold'], heard('It', { previous_turn_interrupted: false }), HELD],
  ];
  for (const [what, said, report, history] of CASES)
    it(what, async (t) => {
      const served = holding(t);
      for (const [index, words] of said.entries())
        if (words === 'hold') await dropHeld(served);
        else await served.says(words, { turn_id: `t-${index}` });
      const before = served.interrupted.all.length;
      assert.equal(await served.says('next', { ...report }), 'next!');
      const shown = (await served.history()).map(
        ([role, content, state = role]) => `${state}: ${content}`,
      );
      assert.deepEqual(shown, [...history, 'user: next', 'completed: next!']);
      const cut = history.find((line) => line.startsWith('interrupted: '));
      const told = served.interrupted.all.slice(before).map(({ text }) => `interrupted: ${text}`);
      assert.deepEqual(told, said.includes('hold') || cut === undefined ? [] : [cut]);
    });

  it('cuts a turn that is still running because its drop is noticed only afterwards', async (t) => {
    const served = holding(t);
    const { drop } = await hold(served);
    await served.says('next', heard('It rains'));
    assert.deepEqual((await served.history())[1], ['assistant', 'It rains', 'interrupted']);
    drop();
    await until(() => served.metric('layercode_open_streams') === 0, 'the streams to be closed');
    assert.deepEqual((await served.history())[1], ['assistant', 'It rains', 'interrupted']);
  });

  it("in the platform's own form cuts the previous turn", async (t) => {
    const { client, history } = serve(t, {
      onMessage: () => 'It rains in Zürich, as it does so often.',
    });
    await (await client.post(wireBody('message'))).text();
    await (await client.post(wireBody('message-after-interruption'))).text();
    assert.deepEqual((await history('conv_xyz789'))[1], ['assistant', 'It rains', 'interrupted']);
  });
});

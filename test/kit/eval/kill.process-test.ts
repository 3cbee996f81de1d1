// A scenario that kills its agent's process, played by the built command.

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { ROOT } from '../../fixtures/source-files.ts';
import { WITHOUT_SQLITE } from '../../fixtures/sqlite.ts';
import { evalAt, evalIn } from './played-by-command.ts';

const killed = (moment: string): string => `agent bakery
real make_order
say A rye bread for Bo. Yes.
  model says One moment.
  model calls make_order {"items": [{"id": "seeded-rye", "quantity": 1}], "name": "Bo"}
kill ${moment}
deliver-again
  model says I can't tell whether it worked.
expect can't tell
expect-tool make_order once
expect-prompt outcome unknown
kill
say Hello again.
  model says Hello, Bo.
expect-prompt A rye bread for Bo
expect-tool make_order once in all
never-fails
`;

const PACKAGE = new URL('../../../dist/index.js', import.meta.url).href;
const SHOP = `import { defineAgent, tool } from '${PACKAGE}';
const pay = tool({
  name: 'pay', description: 'Pays.', parameters: { type: 'object', properties: {} }, once: true,
  run: () => ({ paid: true }),
});
export default defineAgent({ name: 'shop', prompt: 'You take money.', tools: [pay] });
`;

const SUICIDE = 'export default { name: "gone", onMessage: () => process.exit(7) };\n';

const ELSEWHERE = `agent ../shop.mjs
mock pay after 1 s returns {"receipt": 7}
say Pay.
  model says One moment.
  model calls pay
interrupt as pay begins
elsewhere
say Have you paid?
  model calls pay
  model says Yes, it is receipt 7.
expect receipt 7
expect-prompt "receipt":7
expect-tool pay once in all
elsewhere
say Thank you.
  model says Goodbye.
expect-prompt Have you paid?
never-fails
never-acts-twice
`;

const AWAY = `agent ../shop.mjs
mock pay returns {"receipt": 7}
store is away
say Pay.
  model calls pay
  model says I could not pay.
expect could not
expect-prompt not started
expect-no-tool pay
store is back
store stalls 300 ms
say Try again.
  model calls pay
  model says It is receipt 7.
expect-tool pay once in all
never-fails
`;

function play(script: string): ReturnType<typeof evalIn> {
  const files = { 'shop.mjs': SHOP, 'suicide.mjs': SUICIDE, 'evals/kill.txt': script };
  return evalIn(files, '--process');
}

describe('eval --process', () => {
  for (const [what, script] of [
    ["kills the agent's process while a tool is running", killed('during make_order')],
    ["kills the agent's process as a tool begins", killed('as make_order begins')],
    ['continues in another process on the same store, and comes back', ELSEWHERE],
    ['makes no payment while the store is away, but makes it during a stall', AWAY],
  ] as const) {
    it(what, { skip: WITHOUT_SQLITE }, async () => {
      const { code, stdout, stderr } = await play(script);
      assert.equal(code, 0, stdout + stderr);
      assert.match(stdout, /^1 of 1 scenarios passed\.$/m);
    });
  }

  it('plays the example of a price that changes elsewhere', { skip: WITHOUT_SQLITE }, async () => {
    const argv = ['--process', 'examples/evals/cashier-elsewhere.txt'];
    const { code, stdout, stderr } = await evalAt({
      directory: ROOT, argv, execArgv: ['--import', 'tsx'], // the agent is in TypeScript
    });
    assert.equal(code, 0, stdout + stderr);
  });

  it("says so if the agent's process ends by itself", { skip: WITHOUT_SQLITE }, async () => {
    const script = 'agent ../suicide.mjs\nsay Hi\nexpect Hi\n';
    const { code, stdout } = await play(script);
    assert.equal(code, 1);
    assert.match(stdout, /the process of the agent ended: code 7/);
  });

  it('needs a Node that has SQLite', { skip: WITHOUT_SQLITE === false }, async () => {
    const { code, stderr } = await play(killed('during make_order'));
    assert.equal(code, 2);
    assert.match(stderr, /--process needs Node 22\.13 or later, for SQLite; this is Node \d/);
  });
});

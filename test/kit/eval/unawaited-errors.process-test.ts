// Agents with errors that nobody awaits, played by the built command.

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { WITHOUT_SQLITE } from '../../fixtures/sqlite.ts';
import { evalIn } from './played-by-command.ts';

/**
 * Plays a scenario to each of these agents, given by what they do before they say "Hi". Each may
 * call `atLoad`, which fails as if it had been begun when the module was loaded.
 */
function play(
  agents: Readonly<Record<string, string>>, ...argv: string[]
): ReturnType<typeof evalIn> {
  const files = Object.entries(agents).flatMap(([name, code]) => [
    [`${name}.mjs`, `
      const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
      const fail = async (ms) => { await pause(ms); throw new Error('out of order'); };
      let atLoad;
      void new Promise((resolve) => { atLoad = resolve; }).then(() => fail(0));
      export default { name: '${name}', async onMessage() { ${code}; return 'Hi'; } };
    `],
    [`${name}.txt`, `agent ./${name}.mjs\nsay Hi\nexpect Hi\n`],
  ]);
  return evalIn(Object.fromEntries(files) as Record<string, string>, ...argv, '.');
}

describe('eval after an error that nobody awaits', () => {
  // The first such error ended the run, and the process.
  it('fails the scenario in which it happened, and plays the others', async () => {
    const { code, stdout } = await play({
      fine: 'await pause(40)',
      rejects: 'void fail(0); await pause(20)',
      throws: "setTimeout(() => { throw new Error('out of order'); }); await pause(20)",
      late: 'void fail(20)',
      later: 'await pause(200)',
      aborts: 'void Promise.reject(AbortSignal.abort().reason)',
    });
    assert.equal(code, 1);
    assert.match(stdout, /^3 of 6 scenarios passed\.$/m);
    for (const name of ['rejects', 'throws', 'late'])
      assert.match(stdout, new RegExp(
        `✗ ${name}\\.txt\\n  the agent\\n`
        + `    an error that nobody awaits: out of order, at .*/${name}\\.mjs:\\d+`,
      ));
  });

  it("fails everything that is being played if the error's origin is unknown", async () => {
    const { code, stdout } = await play({
      other: 'await pause(100)', rejects: 'atLoad(); await pause(100)',
    });
    assert.equal(code, 1);
    assert.match(stdout, /^0 of 2 scenarios passed\.$/m);
  });

  it("says what ended the agent's own process", { skip: WITHOUT_SQLITE }, async () => {
    const { code, stdout } = await play({
      fine: '', rejects: 'void fail(0); await pause(2_000)',
    }, '--process');
    assert.equal(code, 1);
    assert.match(stdout, /^1 of 2 scenarios passed\.$/m);
    assert.match(stdout, /the process of the agent ended: .* out of order, at .*\/rejects\.mjs:\d+/);
  });
});

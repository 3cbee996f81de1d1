// Agents with errors that nobody awaits, played by the built command.

import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it, type TestContext } from 'node:test';

import { Workplace } from '../../fixtures/spawned-server.ts';
import { WITHOUT_SQLITE } from '../../fixtures/sqlite.ts';

const CLI = join(import.meta.dirname, '../../../dist/cli.js');

/**
 * Plays a scenario to each of these agents, given by what they do before they say "Hi". Each may
 * call `atLoad`, which fails as if it had been begun when the module was loaded.
 */
async function play(
  t: TestContext, agents: Readonly<Record<string, string>>, ...argv: string[]
): Promise<{ readonly code: number | null; readonly stdout: string }> {
  const workplace = new Workplace();
  t.after(() => workplace.clear());
  for (const [name, code] of Object.entries(agents)) {
    writeFileSync(join(workplace.directory, `${name}.mjs`), `
      const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
      const fail = async (ms) => { await pause(ms); throw new Error('out of order'); };
      let atLoad;
      void new Promise((resolve) => { atLoad = resolve; }).then(() => fail(0));
      export default { name: '${name}', async onMessage() { ${code}; return 'Hi'; } };
    `);
    const scenario = `agent ./${name}.mjs\nsay Hi\nexpect Hi\n`;
    writeFileSync(join(workplace.directory, `${name}.txt`), scenario);
  }
  const server = workplace.spawn({ argv: ['eval', ...argv, '.'], server: CLI });
  const { code } = await server.exit;
  return { code, stdout: server.stdout };
}

describe('eval of an agent with an error that nobody awaits', () => {
  // Was: the first of them ended the run, and the process.
  it('fails the scenario in which it happened, and plays the others', async (t) => {
    const { code, stdout } = await play(t, {
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

  it('fails everything that is being played if nothing says where it comes from', async (t) => {
    const { code, stdout } = await play(t, {
      other: 'await pause(100)', rejects: 'atLoad(); await pause(100)',
    });
    assert.equal(code, 1);
    assert.match(stdout, /^0 of 2 scenarios passed\.$/m);
  });

  it('says what it was in a process of its own', { skip: WITHOUT_SQLITE }, async (t) => {
    const { code, stdout } = await play(t, {
      fine: '', rejects: 'void fail(0); await pause(2_000)',
    }, '--process');
    assert.equal(code, 1);
    assert.match(stdout, /^1 of 2 scenarios passed\.$/m);
    assert.match(stdout, /the process of the agent ended: .* out of order, at .*\/rejects\.mjs:\d+/);
  });
});

import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it, type TestContext } from 'node:test';
import { pathToFileURL } from 'node:url';

import { getAgent } from '../../../src/agents/built-in/registry.ts';
import { createApp } from '../../../src/app/create-app.ts';
import { runScenario, ScenarioError } from '../../../src/kit/eval/run-scenario.ts';
import { parseSettings } from '../../../src/settings/parse-settings.ts';

const app = createApp(parseSettings({ LAYERCODE_WEBHOOK_SECRET: 'any' }, []), getAgent('echo'));

/** A file with this scenario, gone with the test. */
function file(t: TestContext, ...lines: readonly string[]): string {
  const folder = mkdtempSync(join(tmpdir(), 'run-scenario-'));
  t.after(() => rmSync(folder, { recursive: true }));
  writeFileSync(join(folder, 'a.txt'), lines.join('\n'));
  return join(folder, 'a.txt');
}

describe('runScenario', () => {
  it('resolves with the outcome of a scenario that passes, by path or URL', async (t) => {
    const path = file(t, 'agent echo', 'say Hello there', 'expect You said: Hello there');
    for (const given of [path, pathToFileURL(path)]) {
      const { outcome, turns } = await runScenario(given, app);
      assert.deepEqual([outcome, turns.length], ['passed', 2]);
    }
  });

  it('rejects with the report of a scenario that fails', async (t) => {
    const error = await runScenario(file(t, 'say Hi', 'expect Bye'), app).catch((e: unknown) => e);
    assert.ok(error instanceof ScenarioError);
    assert.match(error.message, /a\.txt failed\nline 2: expect Bye\n {2}expected {2}Bye\n/);
    assert.equal(error.result.failures[0]?.lineNumber, 2);
  });

  const impossible: readonly (readonly [lines: readonly string[], message: RegExp])[] = [
    [['say Hi'], /it expects nothing, so it could never fail/],
    [['agent bakery', 'expect Hi'], /line 1: the scenario is for bakery, and the app serves echo/],
    [['expect-tool pay'], /line 1: the agent has no tool pay; it has none/],
    [['say Hi', 'kill', 'expect Hi'], /line 2: kill needs a process of its own/],
  ];
  for (const [lines, message] of impossible) {
    it(`refuses ${lines.join(' · ')}`, async (t) => {
      await assert.rejects(runScenario(file(t, ...lines), app), { name: 'ScriptError', message });
    });
  }

  it('rejects with the name of a missing file', async () => {
    await assert.rejects(runScenario('nowhere.txt', app), /nowhere\.txt: it cannot be read: ENOENT/);
  });
});

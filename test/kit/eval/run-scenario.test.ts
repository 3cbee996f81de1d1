import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { pathToFileURL } from 'node:url';

import { getAgent } from '../../../src/core/agents/built-in/registry.ts';
import { defineAgent } from '../../../src/core/agents/define-agent.ts';
import { ModelRecorder } from '../../../src/kit/eval/model-recorder.ts';
import { formatRecording } from '../../../src/kit/eval/recording.ts';
import { runScenario, ScenarioError } from '../../../src/kit/eval/run-scenario.ts';
import { scriptedModel } from '../../../src/kit/scripted-model.ts';
import { createApp } from '../../../src/server/app/create-app.ts';
import { parseSettings } from '../../../src/server/settings/parse-settings.ts';
import { read } from '../../core/models/reading.ts';
import { newFolder } from '../../fixtures/folder.ts';

const SETTINGS = parseSettings({ LAYERCODE_WEBHOOK_SECRET: 'any' }, []);
const app = createApp(SETTINGS, getAgent('echo'));

/** A file with this scenario. */
function file(...lines: readonly string[]): string {
  const path = join(newFolder(), 'a.txt');
  writeFileSync(path, lines.join('\n'));
  return path;
}

describe('runScenario', () => {
  it('resolves with the outcome of a passing scenario, given by path or URL', async () => {
    const path = file('agent echo', 'say Hello there', 'expect You said: Hello there');
    for (const given of [path, pathToFileURL(path)]) {
      const { outcome, turns } = await runScenario(given, app);
      assert.deepEqual([outcome, turns.length], ['passed', 2]);
    }
  });

  it('rejects with the report of a failing scenario', async () => {
    const error = await runScenario(file('say Hi', 'expect Bye'), app).catch((e: unknown) => e);
    assert.ok(error instanceof ScenarioError);
    assert.match(error.message, /a\.txt failed\nline 2: expect Bye\n {2}expected {2}Bye\n/);
    assert.equal(error.result.failures[0]?.lineNumber, 2);
  });

  const impossible: readonly (readonly [lines: readonly string[], message: RegExp])[] = [
    [['agent bakery', 'expect Hi'], /line 1: the scenario is for bakery, and the app serves echo/],
    [['expect-tool pay'], /line 1: the agent has no tool pay; it has none/],
  ];
  for (const [lines, message] of impossible) {
    it(`refuses ${lines.join(' · ')}`, async () => {
      await assert.rejects(runScenario(file(...lines), app), { name: 'ScriptError', message });
    });
  }

  it('replays the recording beside the file unless told to ask the model', async () => {
    const live = scriptedModel(['Live.']);
    const recorder = new ModelRecorder();
    await read(recorder.record(scriptedModel(['Recorded.'])), { toolChoice: undefined });
    const path = file('say Hello', 'expect Recorded');
    const { replies } = await recorder.heard();
    writeFileSync(path.replace('.txt', '.recorded.json'), formatRecording(replies));
    const asking = createApp(
      SETTINGS, defineAgent({ name: 'a', prompt: 'Be brief.', model: live }),
    );
    assert.equal((await runScenario(path, asking)).outcome, 'passed');
    assert.equal(live.requests.length, 0);
    await assert.rejects(runScenario(path, asking, { live: true }), {
      name: 'ScenarioError', message: /heard {5}Live\./,
    });
    assert.equal(live.requests.length, 1);
  });

  it('rejects with the name of a missing file', async () => {
    await assert.rejects(runScenario('nowhere.txt', app), /nowhere\.txt: it cannot be read: ENOENT/);
  });
});

// `runScenario` with a recording beside the file.

import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it, type TestContext } from 'node:test';

import { defineAgent } from '../../../src/agents/define-agent.ts';
import { createApp } from '../../../src/app/create-app.ts';
import { ModelRecorder } from '../../../src/kit/eval/model-recorder.ts';
import { formatRecording } from '../../../src/kit/eval/recording.ts';
import { scriptedModel } from '../../../src/kit/scripted-model.ts';
import type { ChatModel } from '../../../src/models/model.ts';
import { parseSettings } from '../../../src/settings/parse-settings.ts';
import { runScenario } from '../../../src/testing.ts';
import { read } from '../../models/reading.ts';

const SETTINGS = parseSettings({ LAYERCODE_WEBHOOK_SECRET: 'whsec_of-a-test' }, []);

function appOf(model?: ChatModel) {
  const agent = defineAgent({ name: 'a', prompt: 'Be brief.', ...(model ? { model } : {}) });
  return createApp(SETTINGS, agent);
}

/** A scenario whose recording has one reply, that to "Hello" of a model of this name. */
async function recorded(t: TestContext, name: string): Promise<string> {
  const directory = mkdtempSync(join(tmpdir(), 'recorded-'));
  t.after(() => rmSync(directory, { recursive: true }));
  const recorder = new ModelRecorder();
  await read(recorder.record({ ...scriptedModel(['Recorded.']), name }), { toolChoice: undefined });
  const { replies } = await recorder.heard();
  writeFileSync(join(directory, 'a.recorded.json'), formatRecording(replies));
  writeFileSync(join(directory, 'a.txt'), 'say Hello\nexpect Recorded\n');
  return join(directory, 'a.txt');
}

describe('runScenario', () => {
  it('replays the recording beside the file, without a key', async (t) => {
    const { outcome } = await runScenario(await recorded(t, 'openai:gpt-6-luna'), appOf());
    assert.equal(outcome, 'passed');
  });

  it('does not ask the app\'s model unless told to', async (t) => {
    const live = scriptedModel(['Live.']);
    const file = await recorded(t, live.name);
    assert.equal((await runScenario(file, appOf(live))).outcome, 'passed');
    assert.equal(live.requests.length, 0);
    await assert.rejects(runScenario(file, appOf(live), { live: true }), {
      name: 'ScenarioError', message: /heard {5}Live\./,
    });
    assert.equal(live.requests.length, 1);
  });

  it('refuses a scenario that is not recorded and whose model has no key', async (t) => {
    const file = await recorded(t, 'openai:gpt-6-luna');
    rmSync(file.replace('.txt', '.recorded.json'));
    await assert.rejects(runScenario(file, appOf()), {
      name: 'ScriptError', message: /OPENAI_API_KEY is not set/,
    });
  });
});

// What the server loads for its agents. `createApp` has everything from the start.

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import type { Agent } from '../../../src/core/agents/agent.ts';
import { echo } from '../../../src/core/agents/built-in/echo.ts';
import { defineAgent } from '../../../src/core/agents/define-agent.ts';
import { assembleApp } from '../../../src/server/app/assemble-app.ts';
import { loadCode } from '../../../src/server/app/code-on-demand.ts';
import { parseSettings } from '../../../src/server/settings/parse-settings.ts';
import type { Settings } from '../../../src/server/settings/settings.ts';
import { SECRET } from '../../fixtures/app.ts';

const settings = parseSettings({ LAYERCODE_WEBHOOK_SECRET: SECRET });
const limited = parseSettings({ LAYERCODE_WEBHOOK_SECRET: SECRET, MAX_TOKENS_PER_CALL: '9' });
const own = defineAgent({ name: 'own', onMessage: () => 'Yes.' });
const redacting = defineAgent({ name: 'redacting', onMessage: () => 'Yes.', redact: 'cards' });
const asking = defineAgent({ name: 'asking', prompt: 'Be kind.' });

async function loadedFor(
  settings: Settings,
  agents: readonly Agent[],
  options: Parameters<typeof loadCode>[2],
): Promise<readonly string[]> {
  const code = await loadCode(settings, agents, options);
  return Object.entries(code).flatMap(([name, part]) => (part === undefined ? [] : [name]));
}

describe('loadCode', () => {
  for (const [what, given, agents, options, expected] of [
    ['nothing for the echo agent', settings, [echo], {}, []],
    ['what your own agents may need', settings, [echo, own], {}, ['work']],
    ['models for a prompt', settings, [asking], {}, ['work']],
    ['redaction', settings, [echo, redacting], {}, ['work', 'redaction']],
    ['what counts turns towards a limit', limited, [echo], {}, ['work']],
    ['what another process may have left in the store', settings, [echo], { store: 1 }, ['work']],
    ['what sends messages to other processes', settings, [echo], { channel: 1 }, ['work']],
    ['what a record takes from turns', settings, [echo], { records: 1 }, ['work']],
    ['what a page shows about requests', settings, [echo], { platform: 1 }, ['work']],
  ] as const) {
    it(`loads ${what}`, async () =>
      assert.deepEqual(await loadedFor(given, agents, options), expected));
  }

  it('loads spans if an OpenTelemetry SDK is running', async (t) => {
    const place = Symbol.for('opentelemetry.js.api.1');
    Reflect.set(globalThis, place, { trace: {} });
    t.after(() => Reflect.deleteProperty(globalThis, place));
    assert.deepEqual(await loadedFor(settings, [echo], {}), ['spans']);
  });
});

describe('assembleApp', () => {
  it('does not serve an agent with redact without the code that redacts', () => {
    const assemble = (): unknown => assembleApp(settings, redacting, {}, {});
    assert.throws(assemble, { message: 'the code for redaction is not loaded' });
  });
});

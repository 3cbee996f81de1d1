import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';

import { getAgent } from '../../../src/core/agents/built-in/registry.ts';
import { openAgents } from '../../../src/server/app/open-agents.ts';
import { parseSettings } from '../../../src/server/settings/parse-settings.ts';

const environment = { ...process.env };
let directory = '';
const opened = (variables: Readonly<Record<string, string>>): ReturnType<typeof openAgents> =>
  openAgents(parseSettings({ SHOP: 'florist', ...variables }, []), directory);

describe('openAgents', () => {
  before(() => {
    directory = mkdtempSync(join(tmpdir(), 'open-agents-'));
    const source = "export default { name: process.env.SHOP, onMessage: () => 'Yes.' };";
    writeFileSync(join(directory, 'shop.mjs'), source);
  });
  after(() => {
    for (const name of Object.keys(process.env)) delete process.env[name];
    Object.assign(process.env, environment);
    rmSync(directory, { recursive: true, force: true });
  });

  it('opens the agent in the settings, by a path relative to the directory', async () => {
    // The name comes from a variable that the agent reads itself, and which .env may set.
    assert.equal((await opened({ AGENT: './shop.mjs' })).name, 'florist');
  });

  it('opens several agents by name', async () => {
    const agents = await opened({ AGENTS: 'one=echo,two=slow' });
    assert.deepEqual(agents, { one: getAgent('echo'), two: getAgent('slow') });
  });

  it('opens the starter in production or if a model has a key, else the echo agent', async () => {
    assert.equal((await opened({})).name, 'echo');
    assert.equal((await opened({ OPENAI_API_KEY: 'sk-1' })).name, 'starter');
    const secret = 'whsec_0123456789';
    const production = { NODE_ENV: 'production', LAYERCODE_WEBHOOK_SECRET: secret };
    assert.equal((await opened(production)).name, 'starter');
  });

  it('reports what is wrong with each of several agents', async () => {
    await assert.rejects(opened({ AGENTS: 'one=./none.mjs,two=nobody' }), (error: Error) => {
      assert.equal(error.name, 'SettingsError');
      assert.match(error.message, /agent one: cannot read .*agent two: .*nobody/s);
      return true;
    });
  });
});

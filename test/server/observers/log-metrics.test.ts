import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { createLogger, type Logger } from '../../../src/base/log.ts';
import { createTestClient } from '../../../src/kit/test-client.ts';
import { createApp } from '../../../src/server/app/create-app.ts';
import { parseSettings } from '../../../src/server/settings/parse-settings.ts';
import { SECRET } from '../../fixtures/app.ts';

const NAME = 'layercode_log_lines_dropped_total';
const settings = parseSettings({ LAYERCODE_WEBHOOK_SECRET: SECRET }, []);

describe('a log that cannot be written', () => {
  it('loses lines, which /metrics counts, but no calls', async (t) => {
    const log = createLogger({
      write: () => {
        throw new Error('ENOSPC');
      },
    });
    const agent = { name: 'tested', onMessage: () => Promise.reject(new Error('no')) };
    const client = createTestClient(createApp(settings, agent, { log }), { secret: SECRET });
    t.after(() => client.close());
    assert.match(await (await client.say('Hello.')).text(), /Sorry/);
    const text = await (await fetch(`${await client.origin()}/metrics`)).text();
    // The turn that failed, and its request. The line of this request is not written yet.
    assert.match(text, new RegExp(`^${NAME} 2$`, 'm'));
  });
});

describe('a log that does not count', () => {
  it('has no metric', async () => {
    const nothing = (): void => undefined;
    const log: Logger = {
      debug: nothing, info: nothing, warn: nothing, error: nothing,
      isEnabled: () => false,
      child: () => log,
    };
    const app = createApp(settings, { name: 'tested', onMessage: () => 'Yes.' }, { log });
    assert.doesNotMatch(app.metrics.text(), new RegExp(NAME));
    await app.close();
  });
});

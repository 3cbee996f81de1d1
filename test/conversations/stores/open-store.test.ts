import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { openStore } from '../../../src/conversations/stores/open-store.ts';
import { createLogger } from '../../../src/log.ts';
import { parseSettings } from '../../../src/settings/settings.ts';

const log = createLogger({ level: 'silent', write: () => undefined });

describe('openStore', () => {
  it('refuses a misspelt option, and names what was meant', async () => {
    const options = { log, redisSubscriebr: undefined };
    await assert.rejects(openStore(parseSettings({}, []), options), {
      name: 'TypeError',
      message:
        'the options of openStore: unknown field "redisSubscriebr"; '
        + 'did you mean "redisSubscriber"?',
    });
  });
});

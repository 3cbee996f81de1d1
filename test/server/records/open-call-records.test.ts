import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it, type TestContext } from 'node:test';

import { createLogger } from '../../../src/base/log.ts';
import { openCallRecords } from '../../../src/server/records/open-call-records.ts';
import { parseSettings } from '../../../src/server/settings/parse-settings.ts';

/** The delays of all timers that a turn of a recorded call sets, in milliseconds. */
async function delaysAfterTurn(
  t: TestContext, environment: Readonly<Record<string, string>>,
): Promise<readonly unknown[]> {
  const directory = mkdtempSync(join(tmpdir(), 'open-call-records-'));
  t.after(() => rmSync(directory, { recursive: true, force: true }));
  const settings = parseSettings({ CALL_RECORDS: 'file:calls.jsonl', ...environment }, []);
  const log = createLogger({ level: 'silent', write: () => undefined });
  const records = await openCallRecords(settings, { log, directory });
  assert.ok(records?.turnEnded !== undefined);
  const timers = t.mock.method(globalThis, 'setTimeout');
  const call = {
    sessionId: 's-1', conversationId: 'c-1', conversationKey: 'c-1', agent: 'bakery',
    wire: 'layercode', caller: undefined,
  };
  records.turnEnded(call, undefined, () => undefined);
  const delays = timers.mock.calls.map(({ arguments: [, delay] }) => delay);
  await records.close();
  return delays;
}

describe('openCallRecords', () => {
  for (const [what, environment, delays] of [
    ['900 s', {}, [900_000]],
    ['half of a short conversation lifetime', { CONVERSATION_TTL_SECONDS: '100' }, [50_000]],
    ['the configured time', { CALL_RECORDS_IDLE_SECONDS: '7' }, [7_000]],
    ['nothing, if set to 0,', { CALL_RECORDS_IDLE_SECONDS: '0' }, []],
  ] as const) {
    it(`takes ${what} as the silence that ends a call`, async (t) => {
      assert.deepEqual(await delaysAfterTurn(t, environment), delays);
    });
  }
});

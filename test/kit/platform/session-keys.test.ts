import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { KEY_LIFETIME_MS, SessionKeys } from '../../../src/kit/platform/session-keys.ts';

const GRANT = {
  agentId: 'ag-1',
  conversationId: 'conv-1',
  metadata: undefined,
  customMetadata: undefined,
  customHeaders: {},
};

describe('SessionKeys', () => {
  it('finds the conversation that a key is for', () => {
    const keys = new SessionKeys();
    assert.equal(keys.find(keys.issue(GRANT))?.conversationId, 'conv-1');
  });

  it('forgets a key when its time is up, and not before', (t) => {
    let now = 0;
    t.mock.method(performance, 'now', () => now);
    const keys = new SessionKeys();
    const key = keys.issue(GRANT);
    now = KEY_LIFETIME_MS - 1;
    assert.notEqual(keys.find(key), undefined);
    now = KEY_LIFETIME_MS;
    assert.equal(keys.find(key), undefined);
  });

  it('keeps a thousand keys, the newest ones if there are more', () => {
    const keys = new SessionKeys();
    const all = Array.from({ length: 1_001 }, () => keys.issue(GRANT));
    assert.deepEqual(
      [keys.find(all[0] ?? ''), keys.find(all[1] ?? '') !== undefined],
      [undefined, true],
    );
  });
});

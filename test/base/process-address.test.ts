import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { hostname } from 'node:os';
import { describe, it } from 'node:test';

import { mayLive, processAddress } from '../../src/base/process-address.ts';

describe('mayLive', () => {
  const { pid: gone } = spawnSync(process.execPath, ['-e', '']);

  for (const [address, isAlive] of [
    [processAddress(), true],
    [`${process.pid}@${hostname()}#of-a-process-before-this-one`, false],
    [`${gone}@${hostname()}#x`, false],
    [`${process.ppid}@${hostname()}#x`, true],
    [`${gone}@another-machine#x`, true],
    ['an address of a channel', true],
  ] as const) {
    it(`is ${isAlive} for ${address.replace(/^\d+/, 'N')}`, () =>
      assert.equal(mayLive(address), isAlive));
  }
});

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { hostname } from 'node:os';
import { describe, it } from 'node:test';

import { mayLive, processAddress } from '../../src/base/process-address.ts';

describe('mayLive', () => {
  const { pid: gone } = spawnSync(process.execPath, ['-e', '']);

  for (const [what, address, isAlive] of [
    ['an address of this process', processAddress(), true],
    ['an earlier process with its id', `${process.pid}@${hostname()}#x`, false],
    ['a process that has ended', `${gone}@${hostname()}#x`, false],
    ['another process that runs', `${process.ppid}@${hostname()}#x`, true],
    ['a process of another machine', `${gone}@another-machine#x`, true],
    ['an address of another form', 'a channel', true],
  ] as const) {
    it(`is ${isAlive} for ${what}`, () => assert.equal(mayLive(address), isAlive));
  }
});

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { describe, it } from 'node:test';

import { mayLive, processAddress } from '../../src/base/process-address.ts';

describe('mayLive', () => {
  const { pid: gone } = spawnSync(process.execPath, ['-e', '']);
  /** Another process on this machine. */
  const withId = (id: number): string => processAddress().replace(/^\d+(.*#).*/, `${id}$1x`);

  for (const [what, address, isAlive] of [
    ['an address of this process', processAddress(), true],
    ['an earlier process with its id', withId(process.pid), false],
    ['a process that has ended', withId(gone), false],
    ['another running process', withId(process.ppid), true],
    ['a process on another machine', `${gone}@another-machine#x`, true],
    ['an address of another form', 'a channel', true],
  ] as const) {
    it(`is ${isAlive} for ${what}`, () => assert.equal(mayLive(address), isAlive));
  }
});

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { reasonNotCreated } from '../../../../src/core/conversations/stores/file-failure.ts';

describe('reasonNotCreated', () => {
  const reasons: readonly (readonly [code: unknown, reason: RegExp])[] = [
    ['ENOENT', /^the folder \/data does not exist; create it$/],
    ['ENOTDIR', /^\/data is not a folder$/],
    ['EACCES', /^this user cannot create files in \/data; change its owner, or name another/],
    ['EPERM', /^this user cannot create files in \/data; change its owner, or name another/],
    ['EROFS', /^\/data is on a read-only file system; mount a volume there$/],
    ['ENOSPC', /^the disk is full$/],
    ['EMFILE', /^it cannot be created \(EMFILE\)$/],
    [undefined, /^it cannot be created \(undefined\)$/],
  ];
  for (const [code, reason] of reasons) {
    it(`says what to do about ${String(code)}`, () =>
      assert.match(reasonNotCreated('/data/calls.db', code), reason));
  }
});

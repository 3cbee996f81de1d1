import assert from 'node:assert/strict';
import fs, { readdirSync, readFileSync, writeFileSync, type WriteFileOptions } from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';
import { dirname } from 'node:path';
import { describe, it } from 'node:test';

import { ReplacedWebhooks } from '../../../src/kit/tunnel/replaced-webhooks.ts';
import { newFolder } from '../../fixtures/folder.ts';

const URL = 'https://voice.example/api/agent';

function open(): ReplacedWebhooks {
  return new ReplacedWebhooks(newFolder());
}

// What a run keeps and forgets: test/kit/tunnel/borrowed-webhook.test.ts.
describe('ReplacedWebhooks', () => {
  for (const text of ['', 'no JSON', 'null', '[]', '{"ag-1":1}', '{"ag-1":"javascript:x"}',
    '{"ag-1":"https://a b"}', '{"ag-1":" https://a"}', `{"ag-1":"https://${'x'.repeat(70_000)}"}`]) {
    it(`ignores a file that says "${text.slice(0, 30)}", and can overwrite that`, () => {
      const kept = open();
      kept.set('ag-2', null);
      writeFileSync(kept.file, text);
      assert.equal(kept.get('ag-1'), undefined);
      kept.set('ag-1', URL);
      assert.equal(kept.get('ag-1'), URL);
    });
  }

  it('keeps the old file when the disk is full, and nothing of the new one', (t) => {
    const kept = open();
    kept.set('ag-1', URL);
    const before = readFileSync(kept.file, 'utf8');
    const { writeFileSync: write } = fs;
    const writeHalf = (path: string, text: string, options: WriteFileOptions): never => {
      write(path, text.slice(0, text.length / 2), options);
      throw new Error('ENOSPC');
    };
    t.mock.method(fs, 'writeFileSync', writeHalf);
    syncBuiltinESMExports();
    try {
      assert.throws(() => kept.set('ag-2', URL), /ENOSPC/);
    } finally {
      t.mock.restoreAll();
      syncBuiltinESMExports();
    }
    assert.equal(readFileSync(kept.file, 'utf8'), before);
    const files = readdirSync(dirname(kept.file)).filter((name) => name.includes('webhook'));
    assert.deepEqual(files, ['webhook-url']);
  });
});

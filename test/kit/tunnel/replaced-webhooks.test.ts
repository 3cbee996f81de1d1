import assert from 'node:assert/strict';
import fs, {
  existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync,
  type WriteFileOptions,
} from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, it } from 'node:test';

import { ReplacedWebhooks } from '../../../src/kit/tunnel/replaced-webhooks.ts';

let directory: string;
let kept: ReplacedWebhooks;

/** Call it in a `describe`, for each of its tests. */
function useFolder(): void {
  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), 'replaced-webhooks-'));
    kept = new ReplacedWebhooks(directory);
  });
  afterEach(() => rmSync(directory, { recursive: true, force: true }));
}

const URL = 'https://voice.example/api/agent';

function filesOfWebhooks(): string[] {
  return readdirSync(dirname(kept.file)).filter((name) => name.includes('webhook'));
}

describe('ReplacedWebhooks', () => {
  useFolder();

  it('knows nothing of an agent whose webhook was never set', () => {
    assert.equal(kept.get('ag-1'), undefined);
    assert.equal(existsSync(join(directory, '.layercode')), false);
  });

  it('keeps the webhook of each agent for the next process, in a file of its user', () => {
    kept.set('ag-1', URL);
    kept.set('ag-2', null);
    const next = new ReplacedWebhooks(directory);
    const found = ['ag-1', 'ag-2', 'ag-3'].map((agent) => next.get(agent));
    assert.deepEqual(found, [URL, null, undefined]);
    assert.equal(statSync(kept.file).mode & 0o777, 0o600);
    assert.deepEqual(filesOfWebhooks(), ['webhook-url']);
  });

  it('forgets the webhook of one agent, and removes the file with the last one', () => {
    kept.set('ag-1', URL);
    kept.set('ag-2', null);
    kept.delete('ag-3');
    kept.delete('ag-1');
    assert.deepEqual([kept.get('ag-1'), kept.get('ag-2')], [undefined, null]);
    kept.delete('ag-2');
    assert.equal(existsSync(kept.file), false);
  });

  for (const text of ['', 'no JSON', 'null', '[]', '{"ag-1":1}', '{"ag-1":"javascript:x"}',
    '{"ag-1":"https://a b"}', '{"ag-1":" https://a"}', `{"ag-1":"https://${'x'.repeat(70_000)}"}`]) {
    it(`puts nothing back from a file that says ${text.slice(0, 30)}, and can be written again`, () => {
      kept.set('ag-2', null);
      writeFileSync(kept.file, text);
      assert.equal(kept.get('ag-1'), undefined);
      kept.set('ag-1', URL);
      assert.equal(kept.get('ag-1'), URL);
    });
  }

  it('keeps the old file when the disk is full, and nothing of the new one', (t) => {
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
    assert.deepEqual(filesOfWebhooks(), ['webhook-url']);
  });
});

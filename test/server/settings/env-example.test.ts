import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';

import { loadSettings } from '../../../src/server/settings/load-settings.ts';
import { parseSettings } from '../../../src/server/settings/parse-settings.ts';
import { newFolder } from '../../fixtures/folder.ts';
import { envExample } from '../../fixtures/settings-pages.ts';

const text = readFileSync(new URL('../../../.env.example', import.meta.url), 'utf8');
const assignments = [...text.matchAll(/^# ([A-Z][A-Z0-9_]*)=(.*)$/gm)].map(
  ([, variable = '', value = '']) => ({ variable, value }),
);

describe('.env.example', () => {
  it('is what `npm run settings` writes', () => assert.equal(text, envExample(text)));

  for (const other of ['AGENT', 'AGENTS']) {
    it(`has valid values, which are read once every # but that of ${other} is removed`, () => {
      const rows = assignments.filter(({ variable }) => variable !== other);
      const { environment } = parseSettings(
        Object.fromEntries(rows.map(({ variable, value }) => [variable, value])),
        [],
      );
      assert.deepEqual(
        Object.keys(environment).toSorted(),
        rows.map(({ variable }) => variable).toSorted(),
      );
    });
  }

  it('changes nothing as it stands: every line is a comment, for every reader', () => {
    for (const line of text.split('\n')) assert.match(line, /^(#.*)?$/);
    const directory = newFolder();
    writeFileSync(join(directory, '.env'), text);
    assert.deepEqual(loadSettings({ directory, environment: {}, argv: [] }), parseSettings({}, []));
  });
});

import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'node:test';

import { loadSettings } from '../../src/settings/load-settings.ts';
import { parseSettings } from '../../src/settings/parse-settings.ts';
import { settingRows } from '../../src/settings/table.ts';

const text = readFileSync(new URL('../../.env.example', import.meta.url), 'utf8');
const assignments = [...text.matchAll(/^# ([A-Z][A-Z0-9_]*)=(.*)$/gm)].map(
  ([, variable = '', value = '']) => ({ variable, value }),
);

describe('.env.example', () => {
  it('lists exactly the variables of the settings, in their order', () => {
    assert.deepEqual(
      assignments.map(({ variable }) => variable),
      settingRows.map(({ variable }) => variable),
    );
  });

  it('groups them as the settings do', () => {
    const groups = [...text.matchAll(/^# ---- (.*) ----$|^# ([A-Z][A-Z0-9_]*)=/gm)];
    let group = '';
    const found: (readonly [string, string])[] = [];
    for (const [, title, variable] of groups) {
      if (title !== undefined) group = title;
      else if (variable !== undefined) found.push([group, variable]);
    }
    assert.deepEqual(
      found,
      settingRows.map((row) => [row.group, row.variable]),
    );
  });

  it('says of each what it means, in the words of --help', () => {
    const lines = text.split('\n');
    for (const { variable, meaning } of settingRows) {
      const index = lines.findIndex((line) => line.startsWith(`# ${variable}=`));
      assert.ok(
        lines[index - 1]?.startsWith(`# ${meaning}`),
        `${variable}: ${String(lines[index - 1])}`,
      );
    }
  });

  it('shows the default where that is a value', () => {
    for (const [index, { variable, default: shown }] of settingRows.entries()) {
      if (!/[ –]/.test(shown) && shown !== 'any agent')
        assert.equal(assignments[index]?.value, shown, variable);
    }
  });

  for (const other of ['AGENT', 'AGENTS']) {
    it(`shows values that are right: with every # but that of ${other} taken off it is read without a problem`, () => {
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

  it('changes nothing as it is: every line is a comment, for every reader', () => {
    for (const line of text.split('\n')) assert.match(line, /^(#.*)?$/);
    const directory = mkdtempSync(join(tmpdir(), 'env-example-'));
    writeFileSync(join(directory, '.env'), text);
    const settings = loadSettings({ directory, environment: {}, argv: [] });
    rmSync(directory, { recursive: true });
    assert.deepEqual(settings, parseSettings({}, []));
  });
});

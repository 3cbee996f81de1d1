import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { settingsHelp } from '../../../src/server/settings/help.ts';
import { modelProviders, rows, settingRows } from '../../../src/server/settings/table.ts';

describe('settingRows', () => {
  it('gives each setting a name of its own in Settings, unless only models read it', () => {
    const names = [...Object.keys(rows), ...Object.keys(modelProviders)];
    assert.equal(names.length, settingRows.length);
  });

  it('documents each variable once, in one sentence', () => {
    const variables = settingRows.map(({ variable }) => variable);
    assert.equal(new Set(variables).size, variables.length);
    for (const { variable, meaning, takes, default: shownDefault, group } of settingRows) {
      assert.match(variable, /^[A-Z][A-Z_]+$/);
      assert.match(meaning, /^[A-Z].{10,90}\.$/, variable);
      assert.notEqual(takes, '', variable);
      assert.notEqual(shownDefault, '', variable);
      assert.notEqual(group, '', variable);
    }
  });

  it('marks as secret exactly those whose names suggest it', () => {
    for (const { variable, secret: isSecret } of settingRows)
      assert.equal(isSecret, /_(API_KEY|SECRET|COMPLETIONS_KEYS)$|^REDACTION_KEY$/.test(variable), variable);
  });
});

// What it says about each setting is tested in help.test.ts.
describe('settingsHelp', () => {
  const lines = settingsHelp().split('\n');

  it('has a heading for each group, and a line for each flag that is not a setting', () => {
    for (const { group } of settingRows) assert.ok(lines.includes(group), group);
    for (const flag of ['--settings-file', '--help', '--version'])
      assert.ok(settingsHelp().includes(flag), flag);
  });

  it('has its second column aligned, and no line ending in a space', () => {
    const column = lines.find((line) => line.includes('Port to listen'))?.indexOf('Port') ?? 0;
    for (const line of lines) {
      assert.equal(line, line.trimEnd());
      if (line.startsWith('  --')) assert.match(line.slice(column - 2), /^  \S/, line);
      else if (line.startsWith(' ')) assert.match(line, new RegExp(`^ {${column}}\\S`));
    }
  });
});

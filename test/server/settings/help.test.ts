import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { run } from '../../../src/kit/commands/run.ts';
import { settingsHelp } from '../../../src/server/settings/help.ts';
import { settingRows } from '../../../src/server/settings/table.ts';

/** By variable: what a setting means, takes and defaults to, as an operator reads it. */
type Shown = Readonly<Record<string, readonly string[]>>;

/** What a help text prints, with its lines joined. A variable is named after its last flag. */
function printed(help: string): Shown {
  const entries = help
    .slice(help.indexOf('\nServer\n'), help.indexOf('\nOther\n'))
    .replaceAll(/\n {5,}/g, ' ')
    .matchAll(/^ {2}(?:--[a-z-]+, )?--([a-z-]+) +(.*) \[(.*?)(?:; default (.*))?\]$/gm);
  return Object.fromEntries(
    [...entries].map(([, flag = '', meaning = '', takes = '', shown = '–']) => [
      flag.toUpperCase().replaceAll('-', '_'),
      [meaning, takes, shown],
    ]),
  );
}

describe('--help', () => {
  // So does docs/settings.md, which `npm run check` compares with the table.
  it('says about each setting what the table says: meaning, limits, unit, default', () => {
    const table = Object.fromEntries(settingRows.map(
      ({ variable, meaning, takes, default: shown }) => [variable, [meaning, takes, shown]]));
    assert.deepEqual(printed(settingsHelp()), table);
    assert.deepEqual(printed(run.help), table);
  });

  for (const { variable, takes, meaning } of settingRows) {
    const [, unit] = /_(MS|SECONDS|DAYS|BYTES|TOKENS|CHARACTERS)$/.exec(variable) ?? [];
    if (unit === undefined) continue;
    it(`names the unit of ${variable} beside its limits, and only there`, () => {
      const name = unit === 'MS' ? 'milliseconds' : unit.toLowerCase();
      assert.ok(takes.endsWith(` ${name}`), takes);
      assert.doesNotMatch(meaning.toLowerCase(), new RegExp(`\\b${name}\\b`));
    });
  }

  it('ends its lines by column 100', () => {
    assert.deepEqual(run.help.split('\n').filter((line) => [...line].length > 100), []);
  });
});

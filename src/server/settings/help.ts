import { settingsFileFlag } from './command-line.ts';
import { groups } from './table.ts';

const helpWidth = 100;

/** What `--help` prints: every flag by group, at most 100 columns wide. */
export function settingsHelp(): string {
  const own: readonly (readonly [flag: string, meaning: string])[] = [
    [`${settingsFileFlag} PATH`, 'Read variables from this file instead of .env.'],
    ['--help, -h', 'Print this page.'],
    ['--version', 'Print the version.'],
  ];
  const sections = groups.map(([title, settings]) => {
    const entries = Object.values(settings).map((row): readonly [string, string] => [
      row.flags.join(', '),
      `${row.meaning} [${row.takes}${row.default === '–' ? '' : `; default ${row.default}`}]`,
    ]);
    return [title, entries] as const;
  });
  const all = [...sections, ['Other', own] as const];
  const indent =
    4 + Math.max(...all.flatMap(([, entries]) => entries.map(([flag]) => flag.length)));
  const intro =
    'Every flag is also an environment variable: --max-streams is MAX_STREAMS, and --model is '
    + 'DEFAULT_MODEL. docs/settings.md lists both. Flags win over the environment. The environment '
    + 'wins over the file .env of the working directory. If a flag is repeated, the last one wins. '
    + 'The brackets show what a flag takes.';
  const entry = ([flag, meaning]: readonly [string, string]): string =>
    `  ${flag}`.padEnd(indent) + wrap(meaning, indent);
  const paragraphs = [
    'Usage: layercode-microserver run [--flag value | --flag=value]...',
    wrap(intro, 0),
    ...all.map(([title, entries]) => [title, ...entries.map(entry)].join('\n')),
  ];
  return `${paragraphs.join('\n\n')}\n`;
}

function wrap(words: string, indent: number): string {
  const lines: string[] = [];
  let line = '';
  for (const next of words.split(' ')) {
    if (line !== '' && indent + line.length + 1 + next.length > helpWidth) {
      lines.push(line);
      line = next;
    } else line = line === '' ? next : `${line} ${next}`;
  }
  return [...lines, line].join(`\n${' '.repeat(indent)}`);
}

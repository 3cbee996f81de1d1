import util from 'node:util';

import { nearestName } from '../../base/nearest-name.ts';
import { shorten } from './shown-value.ts';
import { settingRows } from './table.ts';

const rowsByFlag = new Map(
  settingRows.flatMap((row) => row.flags.map((flag) => [flag, row] as const)),
);
export const settingsFileFlag = '--settings-file';
const allFlags: readonly string[] = [...rowsByFlag.keys(), settingsFileFlag, '--help', '--version'];
/** Begins with `./`, `../../` or `/`, or ends like a module's file. */
const MODULE_PATH = /^\.{0,2}[/\\]|\.[cm]?[jt]s$/;

interface CommandLine {
  /**
   * Keyed by variable: the flag as written, and its value. If a flag is repeated, the last one
   * wins.
   */
  readonly flags: ReadonlyMap<string, { readonly name: string; readonly value: string }>;
  readonly settingsFile: string | undefined;
  readonly wantsHelp: boolean;
  readonly wantsVersion: boolean;
  readonly problems: readonly string[];
}

/** Reads the arguments. Never throws: `problems` says what is wrong. */
export function parseCommandLine(argv: readonly string[]): CommandLine {
  const flags = new Map<string, { name: string; value: string }>();
  const problems = new Set<string>();
  let settingsFile: string | undefined;
  let wantsHelp = false;
  let wantsVersion = false;
  let unknownAt: number | undefined;
  let unknownValueAt: number | undefined;
  for (const token of tokensOf(argv)) {
    if (token.kind === 'positional') {
      // After an unknown flag this is probably the flag's value, which may be a secret.
      if (token.index !== unknownValueAt) {
        problems.add(describeStray(argv[token.index] ?? token.value, argv));
      }
    } else if (token.kind === 'option') {
      const row = rowsByFlag.get(token.rawName);
      const value = token.value?.trim() ?? '';
      if (token.name === 'help') wantsHelp = true;
      else if (token.name === 'version') wantsVersion = true;
      else if (row === undefined && token.rawName !== settingsFileFlag) {
        // The letters of `-abc` share one index, and one problem is enough.
        if (token.index !== unknownAt) problems.add(describeUnknown(token.rawName));
        unknownAt = token.index;
        unknownValueAt = token.inlineValue === true ? undefined : token.index + 1;
      } else if (value === '') problems.add(`${token.rawName} needs a value`);
      else if (row === undefined) settingsFile = value;
      else flags.set(row.variable, { name: token.rawName, value });
    }
  }
  return { flags, settingsFile, wantsHelp, wantsVersion, problems: [...problems] };
}

function tokensOf(argv: readonly string[]) {
  // Most servers start this way. Reading `util.parseArgs` loads the parser.
  if (argv.length === 0) return [];
  const texts = [...rowsByFlag.keys(), settingsFileFlag].map(
    (flag) => [flag.slice(2), { type: 'string' as const }] as const,
  );
  // Not `strict`: that throws at the first problem, with the value in its message.
  const { tokens } = util.parseArgs({
    args: argv.map(closeValuelessFlag),
    options: {
      ...Object.fromEntries(texts),
      help: { type: 'boolean', short: 'h' },
      version: { type: 'boolean' },
    },
    strict: false,
    tokens: true,
  });
  return tokens;
}

/**
 * `--port --host x` is a port without a value, not a port named "--host". Only a secret may begin
 * with dashes of its own.
 */
function closeValuelessFlag(argument: string, index: number, argv: readonly string[]): string {
  const row = rowsByFlag.get(argument);
  if (row === undefined && argument !== settingsFileFlag) return argument;
  const next = argv[index + 1] ?? '--';
  const isFlag =
    row?.secret === true
      ? next === '--' || allFlags.includes(next.replace(/=.*/s, ''))
      : next.startsWith('--');
  return isFlag ? `${argument}=` : argument;
}

function describeStray(value: string, argv: readonly string[]): string {
  // Next to a secret's flag it may be the second half of a secret that was not quoted.
  const mayBeSecret = argv.some((argument) => rowsByFlag.get(argument.replace(/=.*/s, ''))?.secret);
  const what = mayBeSecret ? 'an argument' : JSON.stringify(shorten(value));
  const remedy = !mayBeSecret && MODULE_PATH.test(value)
    ? `did you mean --agent ${shorten(value)}?`
    : 'settings are given as --flag value or --flag=value';
  return `${what} is not a flag; ${remedy}`;
}

function describeUnknown(flag: string): string {
  const name = flag.toLowerCase().replaceAll('_', '-');
  const wholeWords = allFlags.filter(
    (known) => flag.startsWith('--') && `${known}-`.includes(`-${name.slice(2)}-`),
  );
  const [only, ...others] = wholeWords;
  const nearest = others.length === 0 && only !== undefined
    ? only
    : nearestName(name, allFlags, name.length / 3);
  const remedy = nearest === undefined ? '--help lists them all' : `did you mean ${nearest}?`;
  return `${shorten(flag)} is not a flag; ${remedy}`;
}

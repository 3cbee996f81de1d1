import { UsageError } from './command.ts';
import { oneLine } from './text.ts';

/** The default of `--timeout`. */
export const TIMEOUT_SECONDS = 30;
const MAX_TIMEOUT_SECONDS = 86_400;

/** Values by the names of their flags, including the dashes. */
export type Flags<Flag extends string> = Readonly<Partial<Record<Flag, string>>>;

export interface Arguments<Flag extends string, Switch extends string = never> {
  readonly flags: Flags<Flag>;
  /** The flags without a value that were given. */
  readonly switches: ReadonlySet<Switch>;
  readonly words: readonly string[];
}

/**
 * Reads `--flag value`, `--flag=value` and `--switch`. If a flag is repeated, the last one counts.
 * After `--` there are only words. Throws a `UsageError` that shows no value, because it may be a
 * secret or part of one. `example` follows "needs a value" in its message.
 */
export function parseFlags<Flag extends string, Switch extends string = never>(
  command: string,
  argv: readonly string[],
  known: readonly Flag[],
  knownSwitches: readonly Switch[] = [],
  example = '',
): Arguments<Flag, Switch> {
  const all: readonly (Flag | Switch)[] = [...known, ...knownSwitches];
  const flags: Partial<Record<Flag, string>> = {};
  const switches = new Set<Switch>();
  const words: string[] = [];
  for (let index = 0; index < argv.length; index++) {
    const argument = argv[index] ?? '';
    if (argument === '--') return { flags, switches, words: [...words, ...argv.slice(index + 1)] };
    if (!argument.startsWith('-')) {
      words.push(argument);
      continue;
    }
    const option = knownSwitches.find((name) => nameIn(argument, [name]) !== undefined);
    if (option !== undefined) {
      if (argument !== option) throw new UsageError(`${option} takes no value`);
      switches.add(option);
      continue;
    }
    const flag = nameIn(argument, known);
    if (flag === undefined) throw new UsageError(describeUnknown(command, argument, all));
    let value = argument.slice(flag.length + 1);
    if (argument === flag) {
      value = argv[++index] ?? '';
      if (nameIn(value, all) !== undefined) value = '';
    }
    if (value.trim() === '') throw new UsageError(`${flag} needs a value${example}`);
    flags[flag] = value.trim();
  }
  return { flags, switches, words };
}

function nameIn<Flag extends string>(argument: string, known: readonly Flag[]): Flag | undefined {
  return known.find((flag) => argument === flag || argument.startsWith(`${flag}=`));
}

function describeUnknown(command: string, argument: string, known: readonly string[]): string {
  const name = oneLine(argument.replace(/=.*/s, ''), 40);
  const takes = known.length === 0 ? 'it takes none' : `it takes ${known.join(', ')}`;
  return `${name} is not a flag of ${command}; ${takes}. Put words that begin with a dash after --`;
}

/** `2 s`, `1.5s` or `800 ms` in milliseconds. Undefined if it is not a time, or if it is 0. */
export function parseTime(written: string): number | undefined {
  const [, amount, unit] = /^(\d{1,6}(?:\.\d{1,3})?) ?(m?s)$/.exec(written) ?? [];
  if (amount === undefined || Number(amount) === 0) return undefined;
  return Number(amount) * (unit === 's' ? 1_000 : 1);
}

/** The value of `--timeout`, which is in seconds, as milliseconds. Throws a `UsageError`. */
export function parseTimeout(value: string = String(TIMEOUT_SECONDS)): number {
  const ms = parseTime(`${value}s`);
  if (ms !== undefined && ms <= MAX_TIMEOUT_SECONDS * 1_000) return ms;
  const rule = `must be a number of seconds above 0 and up to ${MAX_TIMEOUT_SECONDS}`;
  throw wrongValue('--timeout', rule, value);
}

/** Shows the value, so it is not for flags that may hold a secret. */
export function wrongValue(flag: string, rule: string, value: string, remedy = ''): UsageError {
  return new UsageError(`${flag} ${rule}, got ${JSON.stringify(oneLine(value, 40))}${remedy}`);
}

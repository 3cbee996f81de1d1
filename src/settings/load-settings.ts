// Loads settings from flags, the environment and the settings file, in this order of precedence.

import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { parseEnv } from 'node:util';

import type { Environment } from '../base/environment.ts';
import { codeOf } from '../base/thrown-values.ts';
import { version } from '../base/version.ts';
import { parseCommandLine } from './command-line.ts';
import { checkSettings, type ReadSettings } from './parse-settings.ts';
import { SettingsError, type Settings } from './settings.ts';

/** Options of `loadSettings`. */
export interface LoadSettingsOptions {
  /** Flags. Default: the process's arguments. */
  readonly argv?: readonly string[];
  /** Default: the process's environment. It is not changed. */
  readonly environment?: Environment;
  /** The folder of `.env`; `--settings-file` is relative to it. Default: the working directory. */
  readonly directory?: string;
}

/**
 * Reads and checks every setting. Throws one `SettingsError` with all problems. A settings file
 * that cannot be read is a problem; `.env` may be absent. If a variable is empty in the
 * environment, the file's value is used.
 */
export function loadSettings(options: LoadSettingsOptions = {}): Settings {
  const { settings, problems } = readSettings(options);
  if (problems.length > 0) throw new SettingsError(problems);
  return settings;
}

/**
 * Like `loadSettings`, but returns the problems, for a caller that has more to check before it
 * reports them. Throws a `SettingsError` only for a settings file that cannot be read.
 */
export function readSettings(options: LoadSettingsOptions = {}): ReadSettings {
  const {
    argv = process.argv.slice(2),
    environment = process.env,
    directory = process.cwd(),
  } = options;
  const { settingsFile } = parseCommandLine(argv);
  const fromFile = readSettingsFile(
    resolve(directory, settingsFile ?? '.env'),
    settingsFile !== undefined,
  );
  const fromEnvironment = Object.fromEntries(
    Object.entries(environment).filter(([, value]) => (value ?? '').trim() !== ''),
  );
  const nameOf = (variable: string): string =>
    variable in fromFile && !(variable in fromEnvironment)
      ? `${variable} in ${settingsFile ?? '.env'}`
      : variable;
  return checkSettings({ ...fromFile, ...fromEnvironment }, argv, nameOf);
}

/** The text for `--help` or `--version`; undefined if the server should start. */
export async function informationFor(
  argv: readonly string[] = process.argv.slice(2),
): Promise<string | undefined> {
  const { wantsHelp, wantsVersion } = parseCommandLine(argv);
  if (wantsHelp) {
    const { settingsHelp } = await import('./help.ts');
    return settingsHelp();
  }
  return wantsVersion ? `${version}\n` : undefined;
}

function readSettingsFile(file: string, isRequired: boolean): Environment {
  let content: string;
  try {
    content = readFileSync(file, 'utf8');
  } catch (error) {
    const code = String(codeOf(error) ?? error);
    if (code === 'ENOENT' && !isRequired) return {};
    throw new SettingsError(
      [`settings file ${file} ${reasons[code] ?? `cannot be read (${code})`}`],
      { cause: error },
    );
  }
  // Windows' `echo … > .env` writes UTF-16, in which the parser would find no variable.
  if (/[\0\uFFFD]/.test(content)) {
    throw new SettingsError([`settings file ${file} is not UTF-8 text; save it as UTF-8`]);
  }
  // A byte-order mark would become part of the first variable's name.
  const text = content.replace(/^\uFEFF/, '');
  checkLines(file, text);
  return parseVariables(text);
}

/** The parser passes over a line that sets nothing. No line is shown: it may be a secret. */
function checkLines(file: string, text: string): void {
  const withoutQuoted = text
    .replace(/^[ \t]*#.*$/gm, '')
    .replace(/=[ \t]*(["'`])[^]*?\1/g, (quoted) => `=${quoted.replace(/[^\n]/g, '')}`);
  const problems = withoutQuoted.split('\n').flatMap((line, index) =>
    line.trim() === '' || line.includes('=')
      ? []
      : [`settings file ${file}: line ${index + 1} must be NAME=value, a comment or blank`]);
  if (problems.length > 0) throw new SettingsError(problems);
}

/**
 * Node 20 reads `# PORT=1` as a setting. Comment lines are removed only there, because other
 * versions allow them inside quoted text.
 */
function parseVariables(content: string): Environment {
  const readsComments = Object.keys(parseEnv('# A=1')).length > 0;
  return parseEnv(readsComments ? content.replace(/^[ \t]*#.*$/gm, '') : content);
}

const reasons: Readonly<Record<string, string>> = {
  ENOENT: 'does not exist',
  EISDIR: 'is a directory, not a file',
  EACCES: 'cannot be read: permission denied',
};

/** Settings from the outside world: flags over environment over the settings file. */
import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { parseEnv } from 'node:util';
import { parseCommandLine } from './command-line.ts';
import { settingsHelp } from './help.ts';
import type { Environment } from '../base/environment.ts';
import { checkSettings, SettingsError, type ReadSettings, type Settings } from './settings.ts';
import { version } from '../base/version.ts';

export interface LoadSettingsOptions {
  /** Flags. Default: the process's arguments. */
  readonly argv?: readonly string[];
  /** Default: the process's environment. It is not changed. */
  readonly environment?: Environment;
  /**
   * Where `.env` is looked for and `--settings-file` starts from. Default: the working directory.
   */
  readonly directory?: string;
}

/**
 * Reads and checks every setting. Throws one `SettingsError` that holds all problems; a file that
 * cannot be read is one too, except that `.env` may be absent. A variable that is empty in the
 * environment is taken from the file.
 */
export function loadSettings(options: LoadSettingsOptions = {}): Settings {
  const { settings, problems } = readSettings(options);
  if (problems.length > 0) throw new SettingsError(problems);
  return settings;
}

/**
 * As `loadSettings`, for a caller who has more to check before all problems are told at once.
 * Throws only for a settings file that cannot be read.
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

/** The text that `--help` or `--version` asks for, undefined when the server is to start. */
export function informationFor(
  argv: readonly string[] = process.argv.slice(2),
): string | undefined {
  const { wantsHelp, wantsVersion } = parseCommandLine(argv);
  if (wantsHelp) return settingsHelp();
  return wantsVersion ? `${version}\n` : undefined;
}

function readSettingsFile(file: string, isRequired: boolean): Environment {
  let content: string;
  try {
    content = readFileSync(file, 'utf8');
  } catch (error) {
    const code = codeOf(error);
    if (code === 'ENOENT' && !isRequired) return {};
    throw new SettingsError(
      [`settings file ${file} ${reasons[code] ?? `cannot be read (${code})`}`],
      { cause: error },
    );
  }
  // Windows' `echo … > .env` writes UTF-16, of which the parser would see no variable at all.
  if (/[\0\uFFFD]/.test(content)) {
    throw new SettingsError([`settings file ${file} is not UTF-8 text; save it as UTF-8`]);
  }
  // A byte-order mark would become part of the first variable's name.
  return parseVariables(content.replace(/^\uFEFF/, ''));
}

/**
 * Node 20.12.0 takes `# PORT=1` for a setting. Only there are comment lines cut out first:
 * elsewhere they may be part of a quoted text.
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

function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error ? String(error.code) : String(error);
}

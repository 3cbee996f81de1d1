// Loads settings from flags, the environment and the settings file, in this order of precedence.

import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { parseEnv } from 'node:util';

import type { Environment } from '../../base/environment.ts';
import { codeOf } from '../../base/thrown-values.ts';
import { version } from '../../base/version.ts';
import { parseCommandLine } from './command-line.ts';
import { checkSettings, type ReadSettings } from './parse-settings.ts';
import { SettingsError, type Settings } from './settings.ts';
import { modelProviders, settingRows } from './table.ts';

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
  const file = resolve(directory, settingsFile ?? '.env');
  const text = readSettingsFile(file, settingsFile !== undefined);
  const fromFile = parseVariables(text);
  const fromEnvironment = Object.fromEntries(
    Object.entries(environment).filter(([, value]) => (value ?? '').trim() !== ''),
  );
  const nameOf = (variable: string): string =>
    variable in fromFile && !(variable in fromEnvironment)
      ? `${variable} in ${settingsFile ?? '.env'}`
      : variable;
  const read = checkSettings({ ...fromFile, ...fromEnvironment }, argv, nameOf);
  const unset = unsetBy(text, fromFile).map((reason) => `settings file ${file}: ${reason}`);
  return { ...read, problems: [...unset, ...read.problems] };
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

function readSettingsFile(file: string, isRequired: boolean): string {
  let content: string;
  try {
    content = readFileSync(file, 'utf8');
  } catch (error) {
    const code = String(codeOf(error) ?? error);
    if (code === 'ENOENT' && !isRequired) return '';
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
  return content.replace(/^\uFEFF/, '');
}

/** A name, then a colon or a space where `=` should be, and something after that. */
const LIKE_A_SETTING =
  /^[ \t]*(?:export[ \t]+)?([A-Z][A-Z0-9_]*)(?:[ \t]*:|[ \t])[ \t]*[^\s=]/;

/**
 * Lines that look like a setting and set nothing, as in `PORT 8000` or `PORT: 8000`: the parser
 * skips them. Other lines may belong to a quoted value or to another program. None is shown,
 * because it may contain a secret.
 */
function unsetBy(text: string, parsed: Environment): readonly string[] {
  const variables = new Set([...settingRows, ...Object.values(modelProviders)]
    .map(({ variable }) => variable));
  return text.split('\n').flatMap((line, index) => {
    const [, name = ''] = LIKE_A_SETTING.exec(line) ?? [];
    const setsNothing = variables.has(name) && parsed[name] === undefined;
    return setsNothing ? [`line ${index + 1} must be ${name}=value`] : [];
  });
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

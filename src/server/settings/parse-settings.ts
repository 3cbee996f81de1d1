// Checks the settings. Reads nothing itself: environment and flags come in as arguments.

import type { Environment } from '../../base/environment.ts';
import { nearestName } from '../../base/nearest-name.ts';
import { parseCommandLine } from './command-line.ts';
import { Refusal } from './kinds.ts';
import {
  agentOfKeysVariable, agentOfSecretVariable, agentVariableAcross, agentVariableMeant,
} from './named-agents.ts';
import { brokenRules, type NameOf } from './rules.ts';
import { secretsIn } from './secrets.ts';
import { SettingsError, type Settings, type SettingValues } from './settings.ts';
import { hide, show } from './shown-value.ts';
import { modelProviders, rows, settingRows, type Setting } from './table.ts';

/** Settings together with their problems. No line shows a secret. */
export interface ReadSettings {
  /** Use them only if there are no problems: a refused value is replaced by its default. */
  readonly settings: Settings;
  readonly problems: readonly string[];
}

/**
 * Checks everything. Returns the settings or throws one `SettingsError` with every problem.
 *
 * Flags win over the environment. An empty variable counts as not set; an empty flag is a problem.
 * `nameOf` returns the name used for a variable in a problem, for example `PORT in .env`. The
 * flags `--settings-file`, `--help` and `--version` are accepted, and left to the caller.
 */
export function parseSettings(
  environment: Environment,
  argv: readonly string[] = [],
  nameOf?: (variable: string) => string,
): Settings {
  const { settings, problems } = checkSettings(environment, argv, nameOf);
  if (problems.length > 0) throw new SettingsError(problems);
  return settings;
}

/**
 * Like `parseSettings`, but returns the problems, for a caller that has more to check before it
 * reports them.
 */
export function checkSettings(
  environment: Environment,
  argv: readonly string[],
  nameOfVariable: NameOf = (variable) => variable,
): ReadSettings {
  const { flags, problems: flagProblems } = parseCommandLine(argv);
  const values: Record<string, string> = {};
  for (const [variable, value] of Object.entries(environment)) {
    const trimmed = textOf(variable, value).trim();
    if (trimmed !== '') values[variable] = trimmed;
  }
  for (const [variable, { value }] of flags) values[variable] = value;
  const nameOf: NameOf = (variable) => flags.get(variable)?.name ?? nameOfVariable(variable);
  const secrets = secretsIn(values);
  const problems = flagProblems.map((problem) => hide(problem, secrets));

  function read<T>(row: Setting<T>, variable: string = row.variable): T {
    const value = values[variable];
    if (value === undefined) return row.fallback;
    const parsed = row.parse(value);
    if (!(parsed instanceof Refusal)) return parsed;
    const got = row.secret || parsed.showsValue ? '' : `, got ${show(value, secrets)}`;
    problems.push(`${nameOf(variable)} ${parsed.reason}${got}`);
    return row.fallback;
  }
  /** What agents have of their own, by name. */
  function readByAgent(
    row: Setting<readonly string[]>,
    agentOf: (variable: string) => string | undefined,
  ): Readonly<Record<string, readonly string[]>> {
    const entries = Object.keys(values).flatMap((variable) => {
      const name = agentOf(variable);
      const own = name === undefined ? [] : read(row, variable);
      return own.length === 0 ? [] : [[name, own] as const];
    });
    return Object.fromEntries(entries);
  }

  const entries = Object.entries(rows).map(([name, row]) => [name, read<unknown>(row)]);
  const given = Object.fromEntries(entries) as SettingValues;
  for (const row of Object.values(modelProviders)) {
    const value = read(row);
    if (value !== undefined) values[row.variable] = value;
  }
  const { production, workers } = given;
  const settings: Settings = {
    ...given,
    playground: given.playground ?? (!production && workers === 1),
    drainDelaySeconds: given.drainDelaySeconds ?? (production ? 5 : 0),
    agentSecrets: readByAgent(rows.webhookSecrets, agentOfSecretVariable),
    agentKeys: readByAgent(rows.chatCompletionsKeys, agentOfKeysVariable),
    environment: values,
    secrets,
  };
  problems.push(...misspeltVariables(values, settings, nameOf), ...brokenRules(settings, nameOf));
  return { settings, problems };
}

/** Read for a model provider, though one edit away from the usual name. */
const OTHER_VARIABLES: readonly string[] = ['GOOGLE_GENERATIVE_AI_API_KEY'];
/**
 * The shortest names that are recognised with one edit, and with two. COST and SORT may belong to
 * another program, and so may BROKERS, which is two edits away from WORKERS.
 */
const MIN_LENGTH = 5;
const MIN_LENGTH_OF_TWO = 8;
/** Without its unit, HEARTBEAT or MAX_HISTORY may belong to another program. */
const WITH_UNIT = /^(\w+_\w+)_(?:SECONDS|MS)$/;

/**
 * One problem for each variable that is one or two edits away from an unset one, lacks its unit, or
 * has an agent's name on the wrong side.
 */
function misspeltVariables(
  values: Readonly<Record<string, string>>,
  { agents }: Settings,
  nameOf: NameOf,
): readonly string[] {
  const variables = settingRows.map(({ variable }) => variable);
  const known = new Set([...variables, ...OTHER_VARIABLES]);
  const long = variables.filter(({ length }) => length >= MIN_LENGTH);
  const longer = variables.filter(({ length }) => length >= MIN_LENGTH_OF_TWO);
  return Object.keys(values).flatMap((variable) => {
    const isOfAgent = agentOfKeysVariable(variable) ?? agentOfSecretVariable(variable);
    if (known.has(variable) || isOfAgent !== undefined) return [];
    const meant = nearestName(variable, long, 1)
      ?? nearestName(variable, longer, 2)
      ?? variables.find((name) => WITH_UNIT.exec(name)?.[1] === variable)
      ?? agentVariableMeant(variable)
      ?? agentVariableAcross(variable, agents);
    if (meant === undefined || values[meant] !== undefined) return [];
    return [`${nameOf(variable)} is not a setting; did you mean ${meant}?`];
  });
}

/** Somebody's own program may pass a number. */
function textOf(variable: string, value: unknown): string {
  if (value === undefined) return '';
  if (typeof value === 'string') return value;
  throw new TypeError(`parseSettings takes strings, as in an environment: ${variable} is a `
    + typeof value);
}

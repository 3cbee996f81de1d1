import { knowInAnyCopy } from '../../base/any-copy.ts';
import type { Environment } from '../../base/environment.ts';
import type { rows } from './table.ts';

type Rows = typeof rows;

/** What the rows of the table are read as. */
export type SettingValues = { readonly [Name in keyof Rows]: Rows[Name]['fallback'] };

/** The process's configuration, already checked. Never log it whole: it holds keys. */
export interface Settings extends SettingValues {
  /** If not set: true outside production, unless there are workers. */
  readonly playground: boolean;
  /** If not set: 5 in production, otherwise 0. */
  readonly drainDelaySeconds: number;
  /**
   * Keyed by agent name, if there are several: an agent's own secrets, used instead of
   * `webhookSecrets`.
   */
  readonly agentSecrets: Readonly<Record<string, readonly string[]>>;
  /** The same for keys: used instead of `chatCompletionsKeys`. */
  readonly agentKeys: Readonly<Record<string, readonly string[]>>;
  /**
   * Settings file, environment and flags merged, keyed by variable. Values are trimmed and empty
   * ones left out. Models take their keys from here.
   */
  readonly environment: Environment;
  /**
   * Every secret that a log must not show, the longest first. Leaves out secrets that are too short
   * to redact.
   */
  readonly secrets: readonly string[];
}

/**
 * Reports everything that is wrong at once. `problems` has one line per problem and never shows a
 * secret.
 */
export class SettingsError extends Error {
  static { knowInAnyCopy(this, 'SettingsError'); }
  override readonly name = 'SettingsError';
  readonly code = 'INVALID_SETTINGS';
  readonly problems: readonly string[];

  constructor(problems: readonly string[], options?: ErrorOptions) {
    super(problems.join('; '), options);
    this.problems = problems;
  }
}

/**
 * What the operator is told about an error. One that they can fix gets a line for each problem, or
 * its message if it has a code. Anything else is our bug and keeps its stack.
 */
export function operatorLines(error: unknown): readonly string[] {
  if (error instanceof SettingsError) return error.problems;
  if (!(error instanceof Error)) return [String(error)];
  return [String('code' in error ? error.message : error.stack)];
}

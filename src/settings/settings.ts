// The operator's word, checked. Reads nothing itself: the environment and the flags come in as
// arguments.

import type { Environment } from '../base/environment.ts';
import { parseCommandLine } from './command-line.ts';
import { minRedactedLength, Refusal } from './kinds.ts';
import { hide, show } from './shown-value.ts';
import {
  agents,
  bounds,
  layercode,
  listening,
  modelProviders,
  times,
  watching,
  type Setting,
} from './table.ts';

/**
 * The process's configuration, checked: whoever holds one need not check again. Never log it
 * whole, it carries keys.
 */
export interface Settings {
  /** `NODE_ENV` is `production`: a missing secret or key then ends the start. */
  readonly production: boolean;
  readonly host: string;
  readonly port: number;
  /**
   * As given: a built-in name or a module's path. Undefined: the server chooses by whether a model
   * has a key.
   */
  readonly agent: string | undefined;
  /** `provider:model`, the first one first, the others for when it fails. Empty when not set. */
  readonly models: readonly string[];
  readonly agentRoute: string;
  readonly authorizeRoute: string;
  /** Any of them may have signed. Empty when not set, which only happens outside production. */
  readonly webhookSecrets: readonly string[];
  readonly layercodeApiKey: string | undefined;
  /** The only agents that authorize serves. Empty: any. */
  readonly layercodeAgentIds: readonly string[];
  /** Without a slash at the end. */
  readonly layercodeApiUrl: string;
  /** `['*']`, or origins spelt as browsers send them. */
  readonly corsOrigins: readonly string[];
  readonly logLevel: 'debug' | 'info' | 'warn' | 'error' | 'silent';
  /** Undefined: pretty on a terminal, JSON elsewhere. */
  readonly logFormat: 'json' | 'pretty' | undefined;
  readonly accessLog: boolean;
  readonly conversationTtlSeconds: number;
  readonly maxConversations: number;
  /** UTF-16 code units of all conversations in memory. */
  readonly maxHistoryCharacters: number;
  /** At least 2: a turn is two messages. */
  readonly maxMessages: number;
  readonly maxBodyBytes: number;
  readonly maxStreams: number;
  readonly turnTimeoutSeconds: number;
  readonly firstWordTimeoutSeconds: number;
  readonly shutdownTimeoutSeconds: number;
  readonly drainDelaySeconds: number;
  /** 0: off. */
  readonly heartbeatSeconds: number;
  /** 0: off. */
  readonly fillerAfterMs: number;
  readonly metrics: boolean;
  readonly authorizePerMinute: number;
  readonly trustProxy: boolean;
  readonly playground: boolean;
  readonly fastModel: string | undefined;
  readonly slowModel: string | undefined;
  /** Environment, settings file and flags in one, by variable; values trimmed, empty ones left out. Here models look for their keys. */
  readonly environment: Environment;
  /** Every secret value of at least 6 characters, the longest first: what a log must not show. */
  readonly secrets: readonly string[];
}

/**
 * Thrown with everything that is wrong at once. `problems` holds a line each, without any secret's
 * value.
 */
export class SettingsError extends Error {
  override readonly name = 'SettingsError';
  readonly code = 'INVALID_SETTINGS';
  readonly problems: readonly string[];

  constructor(problems: readonly string[], options?: ErrorOptions) {
    super(problems.join('; '), options);
    this.problems = problems;
  }
}

/** Settings, and all that is wrong with them: each line says what, and shows no secret. */
export interface ReadSettings {
  /** To be used only where there are no problems: a refused value is replaced by its default. */
  readonly settings: Settings;
  readonly problems: readonly string[];
}

/**
 * Features that other releases may have. To ignore their variables would mean less than the
 * operator asked for, so any value but the one that describes this release is a problem.
 */
const ABSENT_FEATURES: readonly (readonly [variable: string, only: string, because: string])[] = [
  ['WORKERS', '1', 'this release runs as one process'],
  ['CONVERSATION_STORE', 'memory', 'this release keeps conversations in memory'],
];

/**
 * Checks everything and returns it, or throws one `SettingsError` with every problem. Flags win
 * over the environment; an empty variable counts as not set, an empty flag is a problem. `nameOf`
 * is how a problem calls a variable (`PORT in .env`). `--settings-file`, `--help` and `--version`
 * are accepted and left to the caller.
 */
export function parseSettings(
  environment: Environment,
  argv: readonly string[],
  nameOf?: (variable: string) => string,
): Settings {
  const { settings, problems } = checkSettings(environment, argv, nameOf);
  if (problems.length > 0) throw new SettingsError(problems);
  return settings;
}

/** As `parseSettings`, for a caller who has more to check before all problems are told at once. */
export function checkSettings(
  environment: Environment,
  argv: readonly string[],
  nameOf: (variable: string) => string = (variable) => variable,
): ReadSettings {
  const { flags, problems: flagProblems } = parseCommandLine(argv);
  const values: Record<string, string> = {};
  for (const [variable, value] of Object.entries(environment)) {
    const trimmed = value?.trim() ?? '';
    if (trimmed !== '') values[variable] = trimmed;
  }
  for (const [variable, { value }] of flags) values[variable] = value;
  const secrets = collectSecrets(values);
  const problems = flagProblems.map((problem) => hide(problem, secrets));

  function given({ variable }: Setting<unknown>): string {
    return flags.get(variable)?.name ?? nameOf(variable);
  }
  function read<T>(row: Setting<T>): T {
    const value = values[row.variable];
    if (value === undefined) return row.fallback;
    const parsed = row.parse(value);
    if (!(parsed instanceof Refusal)) return parsed;
    problems.push(
      `${given(row)} ${parsed.reason}${row.secret ? '' : `, got ${show(value, secrets)}`}`,
    );
    return row.fallback;
  }

  const production = read(listening.environmentName) === 'production';
  for (const row of Object.values(modelProviders)) {
    const value = read(row);
    if (value !== undefined) values[row.variable] = value;
  }
  const settings: Settings = {
    production,
    host: read(listening.host),
    port: read(listening.port),
    agent: read(agents.agent),
    models: read(agents.models) ?? [],
    agentRoute: read(listening.agentRoute),
    authorizeRoute: read(listening.authorizeRoute),
    webhookSecrets: read(layercode.webhookSecrets) ?? [],
    layercodeApiKey: read(layercode.apiKey),
    layercodeAgentIds: read(layercode.agentIds) ?? [],
    layercodeApiUrl: read(layercode.apiUrl),
    corsOrigins: read(listening.corsOrigins),
    logLevel: read(watching.logLevel),
    logFormat: read(watching.logFormat),
    accessLog: read(watching.accessLog),
    conversationTtlSeconds: read(bounds.conversationTtlSeconds),
    maxConversations: read(bounds.maxConversations),
    maxHistoryCharacters: read(bounds.maxHistoryCharacters),
    maxMessages: read(bounds.maxMessages),
    maxBodyBytes: read(bounds.maxBodyBytes),
    maxStreams: read(bounds.maxStreams),
    turnTimeoutSeconds: read(times.turnTimeoutSeconds),
    firstWordTimeoutSeconds: read(times.firstWordTimeoutSeconds),
    shutdownTimeoutSeconds: read(times.shutdownTimeoutSeconds),
    drainDelaySeconds: read(times.drainDelaySeconds) ?? (production ? 5 : 0),
    heartbeatSeconds: read(times.heartbeatSeconds),
    fillerAfterMs: read(agents.fillerAfterMs),
    metrics: read(watching.metrics),
    authorizePerMinute: read(bounds.authorizePerMinute),
    trustProxy: read(listening.trustProxy),
    playground: read(listening.playground) ?? !production,
    fastModel: read(agents.fastModel),
    slowModel: read(agents.slowModel),
    environment: values,
    secrets,
  };
  if (settings.agentRoute === settings.authorizeRoute) {
    const names = `${given(listening.agentRoute)} and ${given(listening.authorizeRoute)}`;
    problems.push(`${names} must differ, got ${show(settings.agentRoute, secrets)} for both`);
  }
  const {
    variable,
    flags: [flag],
  } = layercode.webhookSecrets;
  if (production && values[variable] === undefined) {
    problems.push(
      `${variable} must be set in production: copy it from the agent's webhook settings in LayerCode, or pass ${flag}`,
    );
  }
  for (const [absent, only, because] of ABSENT_FEATURES) {
    const value = values[absent];
    if (value === undefined || value.toLowerCase() === only) continue;
    problems.push(`${nameOf(absent)} must be ${only}: ${because}, got ${show(value, secrets)}`);
  }
  return { settings, problems };
}

function collectSecrets(values: Readonly<Record<string, string>>): readonly string[] {
  const found = Object.entries(values)
    .filter(([variable]) => /(^|_)(API_KEY|SECRET|TOKEN|PASSWORD)$/i.test(variable))
    .flatMap(([variable, value]) =>
      variable === layercode.webhookSecrets.variable ? value.split(',') : [value],
    )
    .map((value) => value.trim())
    .filter((value) => value.length >= minRedactedLength);
  return [...new Set(found)].sort((a, b) => b.length - a.length);
}

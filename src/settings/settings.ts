// Checks the settings. Reads nothing itself: environment and flags come in as arguments.

import type { Environment } from '../base/environment.ts';
import { nearestName } from '../base/nearest-name.ts';
import { parseCommandLine } from './command-line.ts';
import { minRedactedLength, Refusal } from './kinds.ts';
import {
  agentOfSecretVariable,
  agentPath,
  secretsOfAgent,
  secretVariableOf,
  type NamedAgent,
} from './named-agents.ts';
import { hide, show } from './shown-value.ts';
import {
  agents,
  bounds,
  conversations,
  layercode,
  server,
  modelProviders,
  times,
  observability,
  settingRows,
  type Setting,
} from './table.ts';

/** The process's configuration, already checked. Never log it whole: it holds keys. */
export interface Settings {
  /** Whether `NODE_ENV` is `production`. Then a missing secret or key prevents the start. */
  readonly production: boolean;
  readonly host: string;
  readonly port: number;
  /**
   * The name of a built-in agent, or a module's path. If undefined, the server chooses, depending
   * on whether a model has a key.
   */
  readonly agent: string | undefined;
  /** `AGENTS`, in order. The first also has the plain route. Empty if not set. */
  readonly agents: readonly NamedAgent[];
  /** `provider:model`. The first one answers, the others are fallbacks. Empty if not set. */
  readonly models: readonly string[];
  readonly agentRoute: string;
  readonly authorizeRoute: string;
  /**
   * A webhook may be signed with any of them. Empty if not set, which can only happen outside
   * production.
   */
  readonly webhookSecrets: readonly string[];
  /**
   * Keyed by agent name, if there are several: an agent's own secrets, used instead of those
   * above.
   */
  readonly agentSecrets: Readonly<Record<string, readonly string[]>>;
  readonly layercodeApiKey: string | undefined;
  /** The only agents that authorize serves. Empty: any agent. */
  readonly layercodeAgentIds: readonly string[];
  /** Has no trailing slash. */
  readonly layercodeApiUrl: string;
  /** `['*']`, or origins in the form that browsers send. */
  readonly corsOrigins: readonly string[];
  readonly logLevel: 'debug' | 'info' | 'warn' | 'error' | 'silent';
  /** If undefined: pretty on a terminal, JSON elsewhere. */
  readonly logFormat: 'json' | 'pretty' | undefined;
  readonly accessLog: boolean;
  /** `memory`, or `sqlite:` and a path. */
  readonly conversationStore: string;
  readonly storeTimeoutMs: number;
  readonly sqliteSynchronous: 'normal' | 'full';
  /** `store`, or `file:` and a path. Undefined: calls are not recorded. */
  readonly callRecords: string | undefined;
  readonly callRecordsDays: number;
  readonly conversationTtlSeconds: number;
  readonly maxConversations: number;
  /** UTF-16 code units of all conversations in memory. */
  readonly maxHistoryCharacters: number;
  /** At least 2, because a turn has two messages. */
  readonly maxMessages: number;
  readonly maxBodyBytes: number;
  readonly maxStreams: number;
  readonly turnTimeoutSeconds: number;
  readonly firstWordTimeoutSeconds: number;
  readonly shutdownTimeoutSeconds: number;
  readonly drainDelaySeconds: number;
  /** 0 unless conversations are kept in memory. */
  readonly drainCallsSeconds: number;
  /** 0 turns heartbeats off. */
  readonly heartbeatSeconds: number;
  /** 0 turns fillers off. */
  readonly fillerAfterMs: number;
  /** For agents that set none. Undefined: the model's default. */
  readonly temperature: number | undefined;
  readonly maxOutputTokens: number | undefined;
  readonly metrics: boolean;
  readonly authorizePerMinute: number;
  readonly trustProxy: boolean;
  readonly playground: boolean;
  /** Processes that share the port. Only the server reads it: an app is one process. */
  readonly workers: number | 'auto';
  readonly fastModel: string | undefined;
  readonly slowModel: string | undefined;
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
  override readonly name = 'SettingsError';
  readonly code = 'INVALID_SETTINGS';
  readonly problems: readonly string[];

  constructor(problems: readonly string[], options?: ErrorOptions) {
    super(problems.join('; '), options);
    this.problems = problems;
  }
}

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
  argv: readonly string[],
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

  function readAgentSecrets(): Settings['agentSecrets'] {
    const found = Object.entries(values).flatMap(([variable, value]) => {
      const name = agentOfSecretVariable(variable);
      if (name === undefined) return [];
      const secretsOfOne = layercode.webhookSecrets.parse(value);
      if (!(secretsOfOne instanceof Refusal)) return [[name, secretsOfOne ?? []] as const];
      problems.push(`${nameOf(variable)} ${secretsOfOne.reason}`);
      return [];
    });
    return Object.fromEntries(found);
  }

  const production = read(server.environmentName) === 'production';
  const workers = read(server.workers);
  for (const row of Object.values(modelProviders)) {
    const value = read(row);
    if (value !== undefined) values[row.variable] = value;
  }
  const settings: Settings = {
    production,
    host: read(server.host),
    port: read(server.port),
    agent: read(agents.agent),
    agents: read(agents.several) ?? [],
    models: read(agents.models) ?? [],
    agentRoute: read(server.agentRoute),
    authorizeRoute: read(server.authorizeRoute),
    webhookSecrets: read(layercode.webhookSecrets) ?? [],
    agentSecrets: readAgentSecrets(),
    layercodeApiKey: read(layercode.apiKey),
    layercodeAgentIds: read(layercode.agentIds) ?? [],
    layercodeApiUrl: read(layercode.apiUrl),
    corsOrigins: read(server.corsOrigins),
    logLevel: read(observability.logLevel),
    logFormat: read(observability.logFormat),
    accessLog: read(observability.accessLog),
    conversationStore: read(conversations.store),
    storeTimeoutMs: read(conversations.storeTimeoutMs),
    sqliteSynchronous: read(conversations.sqliteSynchronous),
    callRecords: read(conversations.callRecords),
    callRecordsDays: read(conversations.callRecordsDays),
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
    drainCallsSeconds: read(times.drainCallsSeconds),
    heartbeatSeconds: read(times.heartbeatSeconds),
    fillerAfterMs: read(agents.fillerAfterMs),
    temperature: read(agents.temperature),
    maxOutputTokens: read(agents.maxOutputTokens),
    metrics: read(observability.metrics),
    authorizePerMinute: read(bounds.authorizePerMinute),
    trustProxy: read(server.trustProxy),
    playground: read(server.playground) ?? (!production && workers === 1),
    workers,
    fastModel: read(agents.fastModel),
    slowModel: read(agents.slowModel),
    environment: values,
    secrets,
  };
  problems.push(...misspeltVariables(values, nameOf));
  const names = settings.agents.map(({ name }) => name);
  if (settings.agentRoute === settings.authorizeRoute) {
    const both = `${given(server.agentRoute)} and ${given(server.authorizeRoute)}`;
    problems.push(`${both} must differ, got ${show(settings.agentRoute, secrets)} for both`);
  }
  for (const name of names) {
    if (agentPath(settings.agentRoute, name) !== settings.authorizeRoute) continue;
    problems.push(
      `${given(server.authorizeRoute)} must not be the route of the agent ${name}, `
        + `got ${show(settings.authorizeRoute, secrets)}`,
    );
  }
  if (settings.agent !== undefined && names.length > 0) {
    const both = `${given(agents.agent)} and ${given(agents.several)}`;
    problems.push(`${both} must not both be set; look in the scripts of package.json, too`);
  }
  for (const name of names.length === 0 ? [] : Object.keys(settings.agentSecrets)) {
    if (names.includes(name)) continue;
    const known = `${given(agents.several)} has ${names.join(', ')}`;
    problems.push(`${nameOf(secretVariableOf(name))} belongs to no agent: ${known}`);
  }
  const {
    variable,
    flags: [flag],
  } = layercode.webhookSecrets;
  if (production && values[variable] === undefined) {
    const remedy = `copy it from the agent's webhook settings in LayerCode, or pass ${flag}`;
    if (names.length === 0) problems.push(`${variable} must be set in production: ${remedy}`);
    for (const name of names) {
      if (secretsOfAgent(settings, name).length > 0) continue;
      const own = secretVariableOf(name);
      problems.push(`${own} or ${variable} must be set in production: ${remedy}`);
    }
  }
  if (settings.workers !== 1) {
    if (settings.conversationStore === 'memory') {
      const remedy = 'set CONVERSATION_STORE, for example to sqlite:calls.db';
      const reason = `conversations in memory belong to one process; ${remedy}`;
      problems.push(`${given(server.workers)} must be 1: ${reason}`);
    }
    if (settings.playground) {
      const reason = `its calls live in one process; set ${server.workers.variable}=1`;
      problems.push(`${given(server.playground)} must be false with workers: ${reason}`);
    }
  }
  if (settings.callRecords === 'store' && settings.conversationStore === 'memory') {
    const reason = 'conversations in memory are lost with the process, and records would be too';
    const remedy = `set ${conversations.store.variable}, for example to sqlite:calls.db`;
    const { callRecords } = conversations;
    problems.push(`${given(callRecords)} must be file:<path>: ${reason}; or ${remedy}`);
  }
  if (settings.drainCallsSeconds > 0 && settings.conversationStore !== 'memory') {
    const reason = `calls continue in any process that uses ${conversations.store.variable}`;
    problems.push(`${given(times.drainCallsSeconds)} must be 0: ${reason}`);
  }
  return { settings, problems };
}

/** Read by a provider of models, and one edit away from the usual name. */
const OTHER_VARIABLES: readonly string[] = ['GOOGLE_GENERATIVE_AI_API_KEY'];
/** HOST and PORT are too short: COST or SORT may belong to another program. */
const MIN_MISSPELT_LENGTH = 5;

/** One problem for each variable that is one edit away from one that is not set. */
function misspeltVariables(
  values: Readonly<Record<string, string>>, nameOf: (variable: string) => string,
): readonly string[] {
  const variables = settingRows.map(({ variable }) => variable);
  const known = new Set([...variables, ...OTHER_VARIABLES]);
  const missing = variables.filter((variable) =>
    values[variable] === undefined && variable.length >= MIN_MISSPELT_LENGTH);
  return Object.keys(values).flatMap((variable) => {
    const meant = known.has(variable) ? undefined : nearestName(variable, missing, 1);
    if (meant === undefined) return [];
    return [`${nameOf(variable)} is not a setting; did you mean ${meant}?`];
  });
}

function collectSecrets(values: Readonly<Record<string, string>>): readonly string[] {
  const found = Object.entries(values)
    .filter(
      ([variable]) =>
        /(^|_)(API_KEY|SECRET|TOKEN|PASSWORD)$/i.test(variable) || isWebhookSecret(variable),
    )
    .flatMap(([variable, value]) => (isWebhookSecret(variable) ? value.split(',') : [value]))
    .concat(loginIn(values[conversations.store.variable] ?? ''))
    .map((value) => value.trim())
    .filter((value) => value.length >= minRedactedLength);
  return [...new Set(found)].sort((a, b) => b.length - a.length);
}

/** User and password of a URL, both encoded and decoded. */
function loginIn(url: string): readonly string[] {
  const [, login = ''] = /^[a-z+]+:\/\/([^/?#]*)@/i.exec(url) ?? [];
  const [user = '', ...passwords] = login.split(':');
  const written = [user, passwords.join(':')];
  try {
    return [...written, ...written.map(decodeURIComponent)];
  } catch {
    return written; // the store refuses such a URL
  }
}

function isWebhookSecret(variable: string): boolean {
  const { variable: common } = layercode.webhookSecrets;
  return variable === common || agentOfSecretVariable(variable) !== undefined;
}

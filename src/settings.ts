/** The operator's page: one table of settings, from which parsing, the `--help` text and the README's test come. Reads nothing itself. */
import { isIPv6 } from 'node:net';
import { parseArgs } from 'node:util';

export type Environment = Readonly<Record<string, string | undefined>>;

/** The process's configuration, checked: whoever holds one need not check again. Never log it whole, it carries keys. */
export interface Settings {
  /** `NODE_ENV` is `production`: a missing secret or key then ends the start. */
  readonly production: boolean;
  readonly host: string;
  readonly port: number;
  /** As given: a built-in name or a module's path. Undefined: the server chooses by whether a model has a key. */
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
  readonly fastModel: string | undefined;
  readonly slowModel: string | undefined;
  /** Environment, settings file and flags in one, by variable; values trimmed, empty ones left out. Here models look for their keys. */
  readonly environment: Environment;
  /** Every secret value of at least 6 characters, the longest first: what a log must not show. */
  readonly secrets: readonly string[];
}

/** Thrown with everything that is wrong at once. `problems` holds a line each, without any secret's value. */
export class SettingsError extends Error {
  override readonly name = 'SettingsError';
  readonly code = 'INVALID_SETTINGS';
  readonly problems: readonly string[];

  constructor(problems: readonly string[], options?: ErrorOptions) {
    super(problems.join('; '), options);
    this.problems = problems;
  }
}

// ---- Kinds: what a value may look like ----

class Refusal {
  readonly reason: string;
  constructor(reason: string) {
    this.reason = reason;
  }
}

interface Kind<T> {
  /** Completes "must be …". */
  readonly takes: string;
  readonly secret?: boolean;
  parse(text: string): T | Refusal;
}

/** Ends every time-out below the 2^31 − 1 ms at which Node's timers overflow and fire at once. */
const daySeconds = 86_400;
const tenYearsSeconds = 3650 * daySeconds;

function number(min: number, max: number, shape: RegExp, takes: string, wrongShape: string): Kind<number> {
  return {
    takes,
    parse(text) {
      const value = shape.test(text) ? Number(text) : NaN;
      if (value >= min && value <= max) return value;
      return new Refusal(/^\d*\.\d+$/.test(text) ? wrongShape : `must be ${takes}`);
    },
  };
}

function integer(min: number, max: number): Kind<number> {
  return number(min, max, /^\d+$/, `${min}–${max}`, `must be a whole number, ${min}–${max}`);
}

function seconds(min: number, max: number): Kind<number> {
  const takes = `${min}–${max} seconds`;
  return number(min, max, /^(\d+(\.\d{1,3})?|\.\d{1,3})$/, takes, `must be ${takes} with at most 3 decimals`);
}

const yesOrNo: Kind<boolean> = {
  takes: 'true or false',
  parse(text) {
    if (/^(true|1|yes|on)$/i.test(text)) return true;
    if (/^(false|0|no|off)$/i.test(text)) return false;
    return new Refusal('must be true or false');
  },
};

function oneOf<const T extends string>(...words: readonly T[]): Kind<T> {
  const takes = `${words.slice(0, -1).join(', ')} or ${words.at(-1)}`;
  return { takes, parse: (text) => words.find((word) => word === text.toLowerCase()) ?? new Refusal(`must be ${takes}`) };
}

function matching(takes: string, isRight: (text: string) => boolean): Kind<string> {
  return { takes, parse: (text) => (isRight(text) ? text : new Refusal(`must be ${takes}`)) };
}

function listOf<T>(item: Kind<T>, takes = `${item.takes}; several with commas between`): Kind<readonly T[]> {
  return {
    takes,
    secret: item.secret ?? false,
    parse(text) {
      const parts = text.split(',').map((part) => part.trim()).filter((part) => part !== '');
      // Not an empty list: "," would otherwise open an allow-list to everybody.
      if (parts.length === 0) return new Refusal('must name at least one');
      const values = new Set<T>();
      for (const part of parts) {
        const value = item.parse(part);
        if (value instanceof Refusal) return value;
        values.add(value);
      }
      return [...values];
    },
  };
}

const invisible = /[\s\p{Cc}\p{Cf}]/u;
const text = matching('a line of text', (value) => !/\p{Cc}/u.test(value));
const word = matching('one word', (value) => !invisible.test(value));
const model = matching('provider:model, such as openai:gpt-5-nano', (value) => /^[a-z][a-z0-9_-]*:[^\s,]+$/i.test(value));

const host: Kind<string> = {
  takes: 'a host name or an IP address, without a port',
  parse(value) {
    const name = value.replace(/^\[(.*)\]$/, '$1');
    return isIPv6(name) || /^[a-z0-9_][a-z0-9._-]*$/i.test(name) ? name : new Refusal(`must be ${this.takes}`);
  },
};

const route: Kind<string> = {
  takes: 'a path that starts with /',
  parse(path) {
    if (!path.startsWith('/')) return new Refusal('must start with /');
    if (path.includes('//')) return new Refusal('must not hold //');
    // What a client would resolve away before sending, or encode, or a router take for a pattern, can never be reached as written.
    if (/\/\.\.?(\/|$)/.test(path)) return new Refusal('must not hold /./ or /../');
    return /^[\w\-.~!$&'()+,;=@/]+$/.test(path) ? path : new Refusal('must not hold : * ? # % or anything a URL would encode');
  },
};

const httpUrl: Kind<string> = {
  takes: 'an http:// or https:// URL',
  parse(value) {
    const url = /^https?:\/\//i.test(value) && URL.canParse(value) ? new URL(value) : undefined;
    if (url === undefined) return new Refusal(`must be ${this.takes}`);
    if (url.username !== '' || url.password !== '') return new Refusal('must be a URL without user name and password');
    if (/[?#]/.test(value)) return new Refusal('must be a URL without ? and #');
    return url.href.replace(/\/+$/, '');
  },
};

/** Also `capacitor://localhost` and the like: an app's web view sends its own scheme, of which `URL` knows no origin. */
const origin: Kind<string> = {
  takes: '* or an origin such as https://app.example',
  parse(value) {
    if (value === '*') return value;
    if (value.includes('*')) return new Refusal('must list each origin in full: * stands alone or not at all');
    if (!/^[a-z][a-z0-9+.-]*:\/\/[^/?#@\s]+\/?$/i.test(value) || !URL.canParse(value)) {
      return new Refusal('must hold * or origins such as https://app.example, without a path');
    }
    const url = new URL(value);
    return url.origin === 'null' ? `${url.protocol}//${url.host}` : url.origin;
  },
};

const origins: Kind<readonly string[]> = {
  ...listOf(origin),
  parse(value) {
    const list = listOf(origin).parse(value);
    const isMixed = !(list instanceof Refusal) && list.length > 1 && list.includes('*');
    return isMixed ? new Refusal('must be either * or a list of origins') : list;
  },
};

function refuseAsSecret(value: string): Refusal | undefined {
  if (invisible.test(value)) return new Refusal('must not hold spaces, line breaks or invisible characters');
  // `docker run --env-file` hands quotes over as part of the value; every signature would then be wrong.
  if (/^(["'`]).*\1$/.test(value)) return new Refusal('must not be wrapped in quotes');
  return undefined;
}

const webhookSecret: Kind<string> = {
  takes: 'a signing secret',
  secret: true,
  parse: (value) => refuseAsSecret(value) ?? value,
};

/** A shorter one cannot be kept out of the log without blotting out common words. The platform's are far longer. */
const minRedactedLength = 6;

/** No least length: local model servers are content with "x". */
const apiKey: Kind<string> = {
  takes: 'a key',
  secret: true,
  parse: (value) =>
    refuseAsSecret(value) ?? (/^[\x21-\x7e]+$/.test(value) ? value : new Refusal('must hold plain ASCII: it is sent in a header')),
};

// ---- The table ----

/** One setting as the operator sees it. */
export interface SettingRow {
  readonly group: string;
  readonly variable: string;
  /** The first one is the one to show. */
  readonly flags: readonly string[];
  /** What values it takes, bounds included. */
  readonly takes: string;
  /** In words where it depends on something, `–` where there is none. */
  readonly default: string;
  readonly meaning: string;
  readonly secret: boolean;
}

interface Setting<T> extends Omit<SettingRow, 'group'> {
  readonly fallback: T;
  parse(text: string): T | Refusal;
}

function optional<T>(kind: Kind<T>, variable: string, shownDefault: string, meaning: string): Setting<T | undefined> {
  const flags = [flagOf(variable)];
  if (variable === 'DEFAULT_MODEL') flags.unshift('--model');
  const { takes, secret = false } = kind;
  return { variable, flags, takes, default: shownDefault, meaning, secret, fallback: undefined, parse: (value) => kind.parse(value) };
}

/** Its default is parsed like any value, so that the page and the process cannot disagree. */
function setting<T>(kind: Kind<T>, variable: string, defaultText: string, meaning: string): Setting<T> {
  const fallback = kind.parse(defaultText);
  if (fallback instanceof Refusal) throw new TypeError(`default of ${variable} ${fallback.reason}`);
  return { ...optional(kind, variable, defaultText, meaning), fallback, parse: (value) => kind.parse(value) };
}

function flagOf(variable: string): string {
  return `--${variable.toLowerCase().replaceAll('_', '-')}`;
}

const listening = {
  environmentName: setting(text, 'NODE_ENV', 'development', 'With "production" a missing secret or model key ends the start.'),
  host: setting(host, 'HOST', '0.0.0.0', 'Address to listen on.'),
  port: setting(integer(0, 65_535), 'PORT', '8000', 'Port to listen on; 0 picks a free one and prints it.'),
  agentRoute: setting(route, 'AGENT_ROUTE', '/api/agent', 'Where LayerCode posts its events.'),
  authorizeRoute: setting(route, 'AUTHORIZE_ROUTE', '/api/authorize', 'Where browsers ask for a session key.'),
  corsOrigins: setting(origins, 'CORS_ORIGINS', '*', 'Origins whose pages may call the server.'),
  trustProxy: setting(yesOrNo, 'TRUST_PROXY', 'false', 'Believe the rightmost x-forwarded-for entry, and x-forwarded-proto.'),
};

const agents = {
  agent: optional(text, 'AGENT', 'starter; echo without a model key', 'Built-in name, or path of a module that exports an agent.'),
  models: optional(listOf(model), 'DEFAULT_MODEL', 'openai:gpt-5-nano', 'Model that answers; further ones step in when it fails.'),
  fastModel: optional(model, 'FAST_MODEL', '–', 'Model for agents that want a quick first answer.'),
  slowModel: optional(model, 'SLOW_MODEL', '–', 'Model for agents that want a thorough second one.'),
  fillerAfterMs: setting(integer(0, daySeconds * 1000), 'FILLER_AFTER_MS', '1200',
    'Milliseconds of silence before an agent bridges it with a short phrase; 0 is never.'),
};

const layercode = {
  webhookSecrets: optional(listOf(webhookSecret, 'the secret; several with commas between while it is rotated'),
    'LAYERCODE_WEBHOOK_SECRET', 'random outside production, required in it', 'Secret that webhooks are signed with.'),
  apiKey: optional(apiKey, 'LAYERCODE_API_KEY', '–', 'Key for LayerCode\'s REST calls; authorize needs it.'),
  agentIds: optional(listOf(word, 'an agent\'s id; several with commas between'), 'LAYERCODE_AGENT_ID', 'any agent',
    'The only agents that authorize serves.'),
  apiUrl: setting(httpUrl, 'LAYERCODE_API_URL', 'https://api.layercode.com', 'Where LayerCode\'s REST API is.'),
};

const modelProviders = {
  openaiKey: optional(apiKey, 'OPENAI_API_KEY', '–', 'Key for models named openai:….'),
  openaiUrl: optional(httpUrl, 'OPENAI_BASE_URL', 'the provider\'s', 'Another server that speaks OpenAI\'s API.'),
  googleKey: optional(apiKey, 'GOOGLE_GENERATIVEAI_API_KEY', '–', 'Key for models named google:….'),
  anthropicKey: optional(apiKey, 'ANTHROPIC_API_KEY', '–', 'Key for models named anthropic:….'),
};

const bounds = {
  conversationTtlSeconds: setting(integer(1, tenYearsSeconds), 'CONVERSATION_TTL_SECONDS', '3600',
    'Seconds after its last turn that a conversation is forgotten.'),
  maxConversations: setting(integer(1, 10_000_000), 'MAX_CONVERSATIONS', '10000',
    'Conversations kept; beyond, the one unused longest goes.'),
  maxMessages: setting(integer(2, 100_000), 'MAX_MESSAGES', '200', 'Messages kept of a conversation; beyond, the oldest go.'),
  maxBodyBytes: setting(integer(1, 104_857_600), 'MAX_BODY_BYTES', '1048576', 'Largest request body, inclusive; beyond it 413.'),
  maxStreams: setting(integer(1, 1_000_000), 'MAX_STREAMS', '10000', 'Turns streaming at once, inclusive; beyond them 503.'),
  authorizePerMinute: setting(integer(1, 1_000_000), 'AUTHORIZE_PER_MINUTE', '60',
    'Authorize requests a minute and client; beyond them 429.'),
};

const times = {
  turnTimeoutSeconds: setting(seconds(0.001, daySeconds), 'TURN_TIMEOUT_SECONDS', '120',
    'Longest turn; then the agent is aborted and the apology spoken.'),
  firstWordTimeoutSeconds: setting(seconds(0.001, daySeconds), 'FIRST_WORD_TIMEOUT_SECONDS', '10',
    'Nothing spoken by then: the agent is aborted and the apology spoken.'),
  heartbeatSeconds: setting(seconds(0, daySeconds), 'HEARTBEAT_SECONDS', '0',
    'Pause between SSE comments while nothing is said; 0 is off.'),
  drainDelaySeconds: optional(seconds(0, daySeconds), 'DRAIN_DELAY_SECONDS', '0; 5 in production',
    'How long SIGTERM still lets requests in while /ready says 503.'),
  shutdownTimeoutSeconds: setting(seconds(0, daySeconds), 'SHUTDOWN_TIMEOUT_SECONDS', '30',
    'How long open turns may finish after SIGTERM.'),
};

const watching = {
  logLevel: setting(oneOf('debug', 'info', 'warn', 'error', 'silent'), 'LOG_LEVEL', 'info', 'Least level that is logged.'),
  logFormat: optional(oneOf('json', 'pretty'), 'LOG_FORMAT', 'pretty on a terminal, json elsewhere', 'How a log line looks.'),
  accessLog: setting(yesOrNo, 'ACCESS_LOG', 'true', 'One line for each request, when it ends.'),
  metrics: setting(yesOrNo, 'METRICS', 'true', 'Serve GET /metrics for Prometheus.'),
};

const groups: readonly (readonly [title: string, settings: Readonly<Record<string, Setting<unknown>>>])[] = [
  ['Server', listening],
  ['Agent', agents],
  ['LayerCode', layercode],
  ['Model providers', modelProviders],
  ['Bounds', bounds],
  ['Times', times],
  ['Logs and metrics', watching],
];

/** Every setting, in the order of the help text. */
export const settingRows: readonly SettingRow[] = groups.flatMap(([group, settings]) =>
  Object.values(settings).map(({ variable, flags, takes, default: shownDefault, meaning, secret }) => ({
    group, variable, flags, takes, default: shownDefault, meaning, secret,
  })),
);

// ---- Flags ----

const rowsByFlag = new Map(settingRows.flatMap((row) => row.flags.map((flag) => [flag, row] as const)));
const settingsFileFlag = '--settings-file';
const allFlags: readonly string[] = [...rowsByFlag.keys(), settingsFileFlag, '--help', '--version'];
const parseArgsOptions = {
  ...Object.fromEntries([...rowsByFlag.keys(), settingsFileFlag].map((flag) => [flag.slice(2), { type: 'string' as const }])),
  help: { type: 'boolean' as const, short: 'h' },
  version: { type: 'boolean' as const },
};

export interface CommandLine {
  /** By variable: the flag as it was written and its value. The last one wins where a flag is repeated. */
  readonly flags: ReadonlyMap<string, { readonly name: string; readonly value: string }>;
  readonly settingsFile: string | undefined;
  readonly wantsHelp: boolean;
  readonly wantsVersion: boolean;
  readonly problems: readonly string[];
}

/** Reads the arguments without throwing; what is wrong with them is in `problems`. */
export function parseCommandLine(argv: readonly string[]): CommandLine {
  const flags = new Map<string, { name: string; value: string }>();
  const problems = new Set<string>();
  let settingsFile: string | undefined;
  let wantsHelp = false;
  let wantsVersion = false;
  let unknownAt: number | undefined;
  let unknownValueAt: number | undefined;
  // Not `strict`: it throws at the first problem, and with the value in its message.
  const { tokens } = parseArgs({ args: argv.map(closeValuelessFlag), options: parseArgsOptions, strict: false, tokens: true });
  for (const token of tokens) {
    if (token.kind === 'positional') {
      // After an unknown flag it is most likely that flag's value, which may be a secret.
      if (token.index !== unknownValueAt) problems.add(describeStray(argv[token.index] ?? token.value, argv));
    } else if (token.kind === 'option') {
      const row = rowsByFlag.get(token.rawName);
      const value = token.value?.trim() ?? '';
      if (token.name === 'help') wantsHelp = true;
      else if (token.name === 'version') wantsVersion = true;
      else if (row === undefined && token.rawName !== settingsFileFlag) {
        // The letters of `-abc` share an index.
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

/** `--port --host x` is a port without a value, not a port named "--host". Only a secret may begin with dashes of its own. */
function closeValuelessFlag(argument: string, index: number, argv: readonly string[]): string {
  const row = rowsByFlag.get(argument);
  if (row === undefined && argument !== settingsFileFlag) return argument;
  const next = argv[index + 1] ?? '--';
  const isFlag = row?.secret === true ? next === '--' || allFlags.includes(next.replace(/=.*/s, '')) : next.startsWith('--');
  return isFlag ? `${argument}=` : argument;
}

function describeStray(value: string, argv: readonly string[]): string {
  // Beside a secret it may be the second half of one that was not quoted.
  const mayBeSecret = argv.some((argument) => rowsByFlag.get(argument.replace(/=.*/s, ''))?.secret);
  return `${mayBeSecret ? 'an argument' : JSON.stringify(shorten(value))} stands alone; settings are given as --flag value or --flag=value`;
}

function describeUnknown(flag: string): string {
  const name = flag.toLowerCase().replaceAll('_', '-');
  const wholeWords = allFlags.filter((known) => flag.startsWith('--') && `${known}-`.includes(`-${name.slice(2)}-`));
  const [nearest] = wholeWords.length === 1 ? wholeWords : allFlags.toSorted((a, b) => editDistance(name, a) - editDistance(name, b));
  const isNear = nearest !== undefined && (wholeWords.length === 1 || editDistance(name, nearest) <= name.length / 3);
  return `${shorten(flag)} is not a flag; ${isNear ? `did you mean ${nearest}?` : '--help lists them all'}`;
}

/** Levenshtein's. Cut short where a name is longer than any flag, as the work grows with the square. */
function editDistance(a: string, b: string): number {
  if (a.length > 2 * b.length) return a.length;
  let row = Array.from({ length: b.length + 1 }, (_, column) => column);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const substitution = (row[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1);
      next.push(Math.min(substitution, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1));
    }
    row = next;
  }
  return row[b.length] ?? 0;
}

// ---- Parsing ----

/**
 * Checks everything and returns it, or throws one `SettingsError` with every problem. Flags win over the environment; an
 * empty variable counts as not set, an empty flag is a problem. `nameOf` is how a problem calls a variable (`PORT in .env`).
 * `--settings-file`, `--help` and `--version` are accepted and left to the caller.
 */
export function parseSettings(
  environment: Environment,
  argv: readonly string[],
  nameOf: (variable: string) => string = (variable) => variable,
): Settings {
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
    problems.push(`${given(row)} ${parsed.reason}${row.secret ? '' : `, got ${show(value, secrets)}`}`);
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
    fastModel: read(agents.fastModel),
    slowModel: read(agents.slowModel),
    environment: values,
    secrets,
  };
  if (settings.agentRoute === settings.authorizeRoute) {
    const names = `${given(listening.agentRoute)} and ${given(listening.authorizeRoute)}`;
    problems.push(`${names} must differ, got ${show(settings.agentRoute, secrets)} for both`);
  }
  const { variable, flags: [flag] } = layercode.webhookSecrets;
  if (production && values[variable] === undefined) {
    problems.push(`${variable} must be set in production: copy it from the agent's webhook settings in LayerCode, or pass ${flag}`);
  }
  if (problems.length > 0) throw new SettingsError(problems);
  return settings;
}

function collectSecrets(values: Readonly<Record<string, string>>): readonly string[] {
  const found = Object.entries(values)
    .filter(([variable]) => /(^|_)(API_KEY|SECRET|TOKEN|PASSWORD)$/i.test(variable))
    .flatMap(([variable, value]) => (variable === layercode.webhookSecrets.variable ? value.split(',') : [value]))
    .map((value) => value.trim())
    .filter((value) => value.length >= minRedactedLength);
  return [...new Set(found)].sort((a, b) => b.length - a.length);
}

/** A value as a problem may show it: without secrets that got into the wrong variable, a URL's password or its query. */
function show(value: string, secrets: readonly string[]): string {
  return JSON.stringify(shorten(hide(value, secrets).replace(/^.*@/s, '…@').replace(/\?.*$/s, '?…')));
}

function hide(value: string, secrets: readonly string[]): string {
  return secrets.reduce((rest, secret) => rest.replaceAll(secret, '…'), value);
}

function shorten(value: string): string {
  return value.length > 80 ? `${value.slice(0, 79)}…` : value;
}

// ---- Help ----

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
      row.flags[0] ?? '',
      `${row.meaning} [${row.takes}${row.default === '–' ? '' : `; default ${row.default}`}]`,
    ]);
    return [title, entries] as const;
  });
  const all = [...sections, ['Other', own] as const];
  const indent = 4 + Math.max(...all.flatMap(([, entries]) => entries.map(([flag]) => flag.length)));
  const intro = 'Every flag is also an environment variable: --max-streams is MAX_STREAMS, and --model is DEFAULT_MODEL. '
    + 'Flags win over the environment, the environment over the file .env of the working directory; the last of a repeated flag wins. '
    + 'In brackets: what it takes.';
  return [
    'Usage: layercode-microserver [--flag value | --flag=value]...',
    wrap(intro, 0),
    ...all.map(([title, entries]) =>
      [title, ...entries.map(([flag, meaning]) => `  ${flag}`.padEnd(indent) + wrap(meaning, indent))].join('\n')),
  ].join('\n\n') + '\n';
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

// Every setting, in one table: parsing, the help text and the tests of the documents come from it.

import {
  apiKey, daySeconds, host, httpUrl, integer, listOf, model, oneOf, origins, Refusal, route,
  seconds, tenYearsSeconds, text, webhookSecret, word, yesOrNo, type Kind,
} from './kinds.ts';

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

export interface Setting<T> extends Omit<SettingRow, 'group'> {
  readonly fallback: T;
  parse(text: string): T | Refusal;
}

function optional<T>(
  kind: Kind<T>,
  variable: string,
  shownDefault: string,
  meaning: string,
): Setting<T | undefined> {
  const flags = [flagOf(variable)];
  if (variable === 'DEFAULT_MODEL') flags.unshift('--model');
  const { takes, secret = false } = kind;
  const parse = (value: string): T | Refusal => kind.parse(value);
  return {
    variable, flags, takes, default: shownDefault, meaning, secret, fallback: undefined, parse,
  };
}

/** Its default is parsed like any value, so that the page and the process cannot disagree. */
function setting<T>(
  kind: Kind<T>,
  variable: string,
  defaultText: string,
  meaning: string,
): Setting<T> {
  const fallback = kind.parse(defaultText);
  if (fallback instanceof Refusal) throw new TypeError(`default of ${variable} ${fallback.reason}`);
  const parse = (value: string): T | Refusal => kind.parse(value);
  return { ...optional(kind, variable, defaultText, meaning), fallback, parse };
}

function flagOf(variable: string): string {
  return `--${variable.toLowerCase().replaceAll('_', '-')}`;
}

export const listening = {
  environmentName: setting(text, 'NODE_ENV', 'development',
    'With "production" a missing secret or model key ends the start.'),
  host: setting(host, 'HOST', '0.0.0.0', 'Address to listen on.'),
  port: setting(integer(0, 65_535), 'PORT', '8000',
    'Port to listen on; 0 picks a free one and prints it.'),
  agentRoute: setting(route, 'AGENT_ROUTE', '/api/agent', 'Where LayerCode posts its events.'),
  authorizeRoute: setting(route, 'AUTHORIZE_ROUTE', '/api/authorize',
    'Where browsers ask for a session key.'),
  corsOrigins: setting(origins, 'CORS_ORIGINS', '*', 'Origins whose pages may call the server.'),
  playground: optional(yesOrNo, 'PLAYGROUND', 'true; false in production',
    'Serve the page /playground to this machine.'),
  trustProxy: setting(yesOrNo, 'TRUST_PROXY', 'false',
    'Believe the rightmost x-forwarded-for entry, and x-forwarded-proto.'),
};

export const agents = {
  agent: optional(text, 'AGENT', 'starter; echo without a model key',
    'Built-in name, or path of a module that exports an agent.'),
  models: optional(listOf(model), 'DEFAULT_MODEL',
    'openai:gpt-5-nano, or a fast model of the provider that has a key',
    'Model that answers; further ones step in when it fails.'),
  fastModel: optional(model, 'FAST_MODEL', '–', 'Model for agents that want a quick first answer.'),
  slowModel: optional(model, 'SLOW_MODEL', '–',
    'Model for agents that want a thorough second one.'),
  fillerAfterMs: setting(integer(0, daySeconds * 1000), 'FILLER_AFTER_MS', '1200',
    'Milliseconds of silence before an agent bridges it with a short phrase; 0 is never.'),
};

export const layercode = {
  webhookSecrets: optional(
    listOf(webhookSecret, 'the secret; several with commas between while it is rotated'),
    'LAYERCODE_WEBHOOK_SECRET', 'random outside production, required in it',
    'Secret that webhooks are signed with.'),
  apiKey: optional(apiKey, 'LAYERCODE_API_KEY', '–',
    'Key for LayerCode\'s REST calls; without it authorize serves this machine alone.'),
  agentIds: optional(listOf(word, 'an agent\'s id; several with commas between'),
    'LAYERCODE_AGENT_ID', 'any agent',
    'The only agents that authorize serves.'),
  apiUrl: setting(httpUrl, 'LAYERCODE_API_URL', 'https://api.layercode.com',
    'Where LayerCode\'s REST API is.'),
};

export const modelProviders = {
  openaiKey: optional(apiKey, 'OPENAI_API_KEY', '–', 'Key for models named openai:….'),
  openaiUrl: optional(httpUrl, 'OPENAI_BASE_URL', 'the provider\'s',
    'Another server that speaks OpenAI\'s API.'),
  googleKey: optional(apiKey, 'GOOGLE_GENERATIVEAI_API_KEY', '–', 'Key for models named google:….'),
  anthropicKey: optional(apiKey, 'ANTHROPIC_API_KEY', '–', 'Key for models named anthropic:….'),
  thinking: optional(oneOf('closed', 'open'), 'THINKING', 'closed',
    'How replies of open models begin: "open" is inside a thought, up to </think>.'),
};

export const bounds = {
  conversationTtlSeconds: setting(integer(1, tenYearsSeconds), 'CONVERSATION_TTL_SECONDS', '3600',
    'Seconds after its last turn that a conversation is forgotten.'),
  maxConversations: setting(integer(1, 10_000_000), 'MAX_CONVERSATIONS', '10000',
    'Conversations kept; beyond, the one unused longest goes.'),
  maxHistoryCharacters: setting(integer(1, 1_000_000_000_000), 'MAX_HISTORY_CHARACTERS', '67108864',
    'Characters kept of all conversations; beyond, the least recently used are forgotten.'),
  maxMessages: setting(integer(2, 100_000), 'MAX_MESSAGES', '200',
    'Messages kept of a conversation; beyond, the oldest go.'),
  maxBodyBytes: setting(integer(1, 104_857_600), 'MAX_BODY_BYTES', '1048576',
    'Largest request body, inclusive; beyond it 413.'),
  maxStreams: setting(integer(1, 1_000_000), 'MAX_STREAMS', '10000',
    'Turns streaming at once, inclusive; beyond them 503.'),
  authorizePerMinute: setting(integer(1, 1_000_000), 'AUTHORIZE_PER_MINUTE', '60',
    'Authorize requests a minute and client; beyond them 429.'),
};

export const times = {
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

export const watching = {
  logLevel: setting(oneOf('debug', 'info', 'warn', 'error', 'silent'), 'LOG_LEVEL', 'info',
    'Least level that is logged.'),
  logFormat: optional(oneOf('json', 'pretty'), 'LOG_FORMAT', 'pretty on a terminal, json elsewhere',
    'How a log line looks.'),
  accessLog: setting(yesOrNo, 'ACCESS_LOG', 'true', 'One line for each request, when it ends.'),
  metrics: setting(yesOrNo, 'METRICS', 'true', 'Serve GET /metrics for Prometheus.'),
};

type Group = readonly [title: string, settings: Readonly<Record<string, Setting<unknown>>>];

export const groups: readonly Group[] = [
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
  Object.values(settings).map(({ parse: _parse, fallback: _fallback, ...row }) => ({
    group, ...row,
  })),
);

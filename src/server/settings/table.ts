// Every setting, in one table. `Settings`, its parsing, the help text and the tests of the pages
// follow from it: a row's key is the name of its value in `Settings`.

import {
  apiKey, daySeconds, decimal, encryptionKey, host, httpUrl, integer, listOf, model, onceClaims,
  oneOf, origins, production, records, Refusal, route, seconds, store, tenYearsSeconds, text,
  webhookSecret, word, workers, yesOrNo, type Kind,
} from './kinds.ts';
import { modelPrices } from './model-prices.ts';
import { namedAgents } from './named-agents.ts';

/** One setting as the operator sees it. */
export interface SettingRow {
  readonly group: string;
  readonly variable: string;
  /** The first one is shown in the help text. */
  readonly flags: readonly string[];
  /** The values it accepts, with bounds. */
  readonly takes: string;
  /** In words if it depends on something; `–` if there is none. */
  readonly default: string;
  readonly meaning: string;
  readonly secret: boolean;
}

export interface Setting<T> extends Omit<SettingRow, 'group'> {
  readonly fallback: T;
  parse(text: string): T | Refusal;
}

type Cells = readonly [variable: string, shownDefault: string, meaning: string];

function row<T>(kind: Kind<T>, fallback: T, ...cells: Cells): Setting<T> {
  const [variable, shownDefault, meaning] = cells;
  const flags = [flagOf(variable)];
  if (variable === 'DEFAULT_MODEL') flags.unshift('--model');
  const { takes, secret = false } = kind;
  const parse = (value: string): T | Refusal => kind.parse(value);
  return { variable, flags, takes, default: shownDefault, meaning, secret, fallback, parse };
}

/** The default is parsed like any other value, so the pages and the process cannot disagree. */
function setting<T>(kind: Kind<T>, ...cells: Cells): Setting<T> {
  const [variable, defaultText] = cells;
  const fallback = kind.parse(defaultText);
  if (fallback instanceof Refusal) throw new TypeError(`default of ${variable} ${fallback.reason}`);
  return row(kind, fallback, ...cells);
}

/** Undefined if not set. */
function optional<T>(kind: Kind<T>, ...cells: Cells): Setting<T | undefined> {
  return row<T | undefined>(kind, undefined, ...cells);
}

/** Empty if not set. */
function list<T>(kind: Kind<readonly T[]>, ...cells: Cells): Setting<readonly T[]> {
  return row<readonly T[]>(kind, [], ...cells);
}

function flagOf(variable: string): string {
  return `--${variable.toLowerCase().replaceAll('_', '-')}`;
}

const server = {
  /** Whether `NODE_ENV` is `production`. Then a missing secret or key prevents the start. */
  production: setting(production, 'NODE_ENV', 'development',
    'In "production" the server refuses to start if a secret or model key is missing.'),
  host: setting(host, 'HOST', '0.0.0.0', 'Address to listen on.'),
  port: setting(integer(0, 65_535), 'PORT', '8000',
    'Port to listen on; 0 picks a free one and prints it.'),
  agentRoute: setting(route, 'AGENT_ROUTE', '/api/agent',
    'Path that the voice platform posts to.'),
  authorizeRoute: setting(route, 'AUTHORIZE_ROUTE', '/api/authorize',
    'Path where browsers request a session key.'),
  /** `['*']`, or origins in the form that browsers send. */
  corsOrigins: setting(origins, 'CORS_ORIGINS', '*', 'Origins whose pages may call the server.'),
  playground: optional(yesOrNo, 'PLAYGROUND', 'true; false in production or with workers',
    'Serve the page /playground, to this machine only.'),
  trustProxy: setting(yesOrNo, 'TRUST_PROXY', 'false',
    'Trust the rightmost x-forwarded-for entry, and x-forwarded-proto.'),
  /** Only the server reads it: an app is one process. */
  workers: setting(workers, 'WORKERS', '1',
    'Processes that share the port; "auto" starts one per core. Several need a shared store.'),
};

const agents = {
  /** If undefined, the server chooses, depending on whether a model has a key. */
  agent: optional(text, 'AGENT', 'starter; echo without a model key',
    'Name of a built-in agent, or path of a module that exports an agent.'),
  /** In order. The first also has the plain route. */
  agents: list(namedAgents, 'AGENTS', '–',
    'Several agents instead of one, each below AGENT_ROUTE under its name.'),
  /** `provider:model`. The first one answers, the others are fallbacks. */
  models: list(listOf(model),
    'DEFAULT_MODEL', 'openai:gpt-6-luna, or a fast model of the provider that has a key',
    'Model that answers; the ones after it are fallbacks.'),
  fastModel: optional(model, 'FAST_MODEL', '–', 'Model for agents that want a quick first answer.'),
  slowModel: optional(model, 'SLOW_MODEL', '–',
    'Model for agents that want a thorough second answer.'),
  fillerAfterMs: setting(integer(0, daySeconds * 1000, 'milliseconds'), 'FILLER_AFTER_MS', '1200',
    'Silence after which an agent says a short filler; 0 turns it off.'),
  /** Undefined: the model's default. */
  temperature: optional(decimal(0, 2), 'TEMPERATURE', "the model's",
    'How varied replies are, for agents that set no temperature of their own.'),
  maxOutputTokens: optional(integer(1, 1_000_000, 'tokens'), 'MAX_OUTPUT_TOKENS', "the model's",
    'Longest model reply, including thoughts, for agents that set no limit.'),
};

const signingSecrets =
  listOf(webhookSecret, 'a signing secret; several separated by commas during a rotation');

const layercode = {
  /** A webhook may be signed with any of them. */
  webhookSecrets: list(
    signingSecrets,
    'LAYERCODE_WEBHOOK_SECRET',
    'random; required in production unless CHAT_COMPLETIONS_KEYS is set',
    'Secret that LayerCode signs webhooks with.',
  ),
  layercodeApiKey: optional(apiKey, 'LAYERCODE_API_KEY', '–',
    "Key for LayerCode's REST API; without it, authorize serves this machine only."),
  /** Empty: any agent. */
  layercodeAgentIds: list(listOf(word, "an agent's id; several separated by commas"),
    'LAYERCODE_AGENT_ID', 'any agent',
    'The only agents that authorize serves.'),
  /** Has no trailing slash. */
  layercodeApiUrl: setting(httpUrl, 'LAYERCODE_API_URL', 'https://api.layercode.com',
    "Base URL of LayerCode's REST API."),
};

const chatCompletions = {
  /** A request may carry any of them. Empty: the wire is not served. */
  chatCompletionsKeys: list(listOf(apiKey, 'a key; several separated by commas during a rotation'),
    'CHAT_COMPLETIONS_KEYS', '–',
    'Keys that other voice platforms send; switches on Chat Completions.'),
  chatCompletionsProfile: setting(oneOf('generic', 'vapi', 'elevenlabs', 'livekit', 'cartesia'),
    'CHAT_COMPLETIONS_PROFILE', 'generic',
    'Which platform calls: decides where ids are read, and how its messages are understood.'),
  settleMs: setting(integer(0, 60_000, 'milliseconds'), 'SETTLE_MS', '700',
    'Chat Completions: how long tools wait in each turn before they may change anything.'),
  /** A report may carry any of them. Empty: Vapi's reports are refused. */
  vapiWebhookSecrets: list(signingSecrets, 'VAPI_WEBHOOK_SECRET', '–',
    'Secret of the messages that Vapi posts to AGENT_ROUTE/events.'),
  /** A report may be signed with any of them. Empty: ElevenLabs' reports are refused. */
  elevenLabsWebhookSecrets: list(signingSecrets, 'ELEVENLABS_WEBHOOK_SECRET', '–',
    'Secret of the webhook that ElevenLabs posts to AGENT_ROUTE/events after a call.'),
};

/**
 * Not in `Settings`: models read these variables from its `environment`, which holds them as
 * parsed.
 */
export const modelProviders = {
  openaiKey: optional(apiKey, 'OPENAI_API_KEY', '–', 'Key for models named openai:….'),
  openaiUrl: optional(httpUrl, 'OPENAI_BASE_URL', "the provider's",
    "Base URL of another server that speaks OpenAI's API."),
  googleKey: optional(apiKey, 'GOOGLE_GENERATIVEAI_API_KEY', '–', 'Key for models named google:….'),
  anthropicKey: optional(apiKey, 'ANTHROPIC_API_KEY', '–', 'Key for models named anthropic:….'),
  thinking: optional(oneOf('closed', 'open'), 'THINKING', 'closed',
    'How replies of open models begin: "open" means inside a thought, which ends with </think>.'),
};

const costs = {
  /** If undefined: this version's prices, in US dollars. */
  modelPrices: optional(modelPrices, 'MODEL_PRICES', 'those of the default models, in US dollars',
    'What models cost per million tokens, in any currency; replaces the whole default table.'),
  maxCostPerCall: optional(decimal(0.000_001, 1_000_000_000), 'MAX_COST_PER_CALL', '–',
    'What the models of a call may cost, by MODEL_PRICES; then the agent hangs up.'),
  maxTokensPerCall: optional(integer(1, 1_000_000_000, 'tokens'), 'MAX_TOKENS_PER_CALL', '–',
    'Input and output tokens that a call may use in total; then the agent hangs up.'),
};

const conversations = {
  /** `memory`, `sqlite:` and a path, or the URL of a Redis. */
  conversationStore: setting(store, 'CONVERSATION_STORE', 'memory',
    'Where conversations are kept. In memory they are lost when the process ends.'),
  storeTimeoutMs: setting(integer(1, 60_000, 'milliseconds'), 'STORE_TIMEOUT_MS', '250',
    'Longest wait for the store; then calls continue from what this process remembers.'),
  sqliteSynchronous: setting(oneOf('normal', 'full'), 'SQLITE_SYNCHRONOUS', 'normal',
    'What a crash of the operating system may lose: "normal" the last turns, "full" nothing.'),
  /** Undefined: what the store does by itself. */
  onceClaims: optional(onceClaims, 'ONCE_CLAIMS', 'stored, with SQLite fsynced',
    'Where a claim must be safe before a tool with "once" acts: the store, its disk or replicas.'),
  /** The first one encrypts. Empty: values stay in the process that heard them. */
  redactionKeys: list(
    listOf(encryptionKey,
      `${encryptionKey.takes}; several separated by commas during a rotation`),
    'REDACTION_KEY', '–',
    'Stores redacted values encrypted, so that tools with "raw" in other processes get them.',
  ),
  /** `store`, or `file:` and a path. Undefined: calls are not recorded. */
  callRecords: optional(records, 'CALL_RECORDS', '–',
    'Where a record of each ended call is kept: in the store, or in one file per day.'),
  callRecordsDays: setting(integer(1, 3650, 'days'), 'CALL_RECORDS_DAYS', '30',
    'Age at which a call record is removed.'),
  callRecordsState: setting(yesOrNo, 'CALL_RECORDS_STATE', 'false',
    "Whether records hold the agent's state at the end of the call."),
  captureModelRequests: setting(yesOrNo, 'CAPTURE_MODEL_REQUESTS', 'false',
    'Whether records hold what each model was sent, and what it answered.'),
  /** Undefined: half of the time that conversations are kept, but at most 900. */
  callRecordsIdleSeconds: optional(integer(0, tenYearsSeconds, 'seconds'),
    'CALL_RECORDS_IDLE_SECONDS', 'half of CONVERSATION_TTL_SECONDS, at most 900',
    'Silence after which a call whose end was never reported gets its record; 0: it gets none.'),
};

const bounds = {
  conversationTtlSeconds: setting(integer(1, tenYearsSeconds, 'seconds'),
    'CONVERSATION_TTL_SECONDS', '3600',
    'Time after the last turn until a conversation is forgotten.'),
  maxConversations: setting(integer(1, 10_000_000), 'MAX_CONVERSATIONS', '10000',
    'Conversations kept in memory; beyond that, the least recently used is evicted.'),
  /** UTF-16 code units of all conversations in memory. */
  maxHistoryCharacters: setting(integer(1, 1_000_000_000_000, 'characters'),
    'MAX_HISTORY_CHARACTERS', '67108864',
    'History kept in memory; beyond that, the least recently used conversations are evicted.'),
  /** At least 2, because a turn has two messages. */
  maxMessages: setting(integer(2, 100_000), 'MAX_MESSAGES', '200',
    'Messages kept per conversation; beyond that, the oldest are dropped.'),
  maxBodyBytes: setting(integer(1, 104_857_600, 'bytes'), 'MAX_BODY_BYTES', '1048576',
    'Largest request body accepted; beyond that, 413.'),
  /** Undefined: as many as its characters allow. */
  maxReplyWords: optional(integer(1, 1_048_576, 'words'), 'MAX_REPLY_WORDS', '–',
    'Longest reply allowed, in spoken words; a longer one ends in the apology.'),
  maxStreams: setting(integer(1, 1_000_000), 'MAX_STREAMS', '10000',
    'Turns that may stream at once; beyond that, 503.'),
  authorizePerMinute: setting(integer(1, 1_000_000), 'AUTHORIZE_PER_MINUTE', '60',
    'Authorize requests per minute and client; beyond that, 429.'),
};

const times = {
  turnTimeoutSeconds: setting(seconds(0.001, daySeconds), 'TURN_TIMEOUT_SECONDS', '120',
    'Longest turn; then the agent is aborted and the apology is spoken.'),
  firstWordTimeoutSeconds: setting(seconds(0.001, daySeconds), 'FIRST_WORD_TIMEOUT_SECONDS', '10',
    'Longest wait for the first word; then the agent is aborted and the apology is spoken.'),
  heartbeatSeconds: setting(seconds(0, daySeconds), 'HEARTBEAT_SECONDS', '0',
    'Interval between SSE comments while nothing is said; 0 turns them off.'),
  drainDelaySeconds: optional(seconds(0, daySeconds), 'DRAIN_DELAY_SECONDS', '0; 5 in production',
    'How long requests are accepted after SIGTERM, while /ready answers 503.'),
  /** 0 unless conversations are kept in memory. */
  drainCallsSeconds: setting(seconds(0, daySeconds), 'DRAIN_CALLS_SECONDS', '0',
    'Longest wait after SIGTERM for sessions to end; only for conversations kept in memory.'),
  shutdownTimeoutSeconds: setting(seconds(0, daySeconds), 'SHUTDOWN_TIMEOUT_SECONDS', '30',
    'How long open turns may take to finish after SIGTERM.'),
};

const observability = {
  logLevel: setting(oneOf('debug', 'info', 'warn', 'error', 'silent'), 'LOG_LEVEL', 'info',
    'Minimum level logged.'),
  /** If undefined: pretty on a terminal, JSON elsewhere. */
  logFormat: optional(oneOf('json', 'pretty'), 'LOG_FORMAT', 'pretty on a terminal, json elsewhere',
    'Format of the log lines.'),
  accessLog: setting(yesOrNo, 'ACCESS_LOG', 'true', 'Log one line per request, when it ends.'),
  metrics: setting(yesOrNo, 'METRICS', 'true', 'Serve GET /metrics for Prometheus.'),
};

/** The rows of `Settings`. */
export const rows = {
  ...server, ...agents, ...layercode, ...chatCompletions, ...costs, ...conversations, ...bounds,
  ...times, ...observability,
};

type Group = readonly [title: string, rows: Readonly<Record<string, Setting<unknown>>>];

export const groups: readonly Group[] = [
  ['Server', server],
  ['Agent', agents],
  ['LayerCode', layercode],
  ['Chat Completions', chatCompletions],
  ['Model providers', modelProviders],
  ['Costs', costs],
  ['Conversations', conversations],
  ['Bounds', bounds],
  ['Times', times],
  ['Logs and metrics', observability],
];

/** Every setting, in the order of the help text. */
export const settingRows: readonly SettingRow[] = groups.flatMap(([group, settings]) =>
  Object.values(settings).map(({ parse: _parse, fallback: _fallback, ...row }) => ({
    group,
    ...row,
  })),
);

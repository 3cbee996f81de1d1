import { checkFields, type FieldNames } from '../../base/check-fields.ts';
import { isObject } from '../../base/fields.ts';
import { noLog, type Logger } from '../../base/log.ts';
import { Metrics } from '../../base/metrics.ts';
import type { Agent, BoundAgent } from '../../core/agents/agent.ts';
import { OpenSessions } from '../../core/calls/open-sessions.ts';
import { MemoryStore } from '../../core/conversations/memory-store.ts';
import type { ConversationStore } from '../../core/conversations/store.ts';
import type { State } from '../../core/state/state.ts';
import { AgentsError } from '../../core/tools/agents-error.ts';
import { checkOnceTools, faultsOfRepeats, onceToolsOf } from '../../core/tools/tool-list.ts';
import type { CostOf } from '../../core/turns/report/turn-work.ts';
import { openTracing } from '../observers/tracing.ts';
import {
  faultOfAgentName, keysOfAgent, secretsOfAgent, secretVariableOf,
} from '../settings/named-agents.ts';
import type { Settings } from '../settings/settings.ts';
import { takesReports } from './agent-handlers.ts';
import type { AppOptions } from './app-parts.ts';
import { App } from './app.ts';
import { hasLimits, loaded, type CodeOnDemand } from './code-on-demand.ts';
import { Prices } from './prices.ts';
import type { GivenAgent } from './routed-agents.ts';

/** Several agents by name. Names consist of `a-z`, `0-9` and `-`, and begin with a letter. */
export type NamedAgents = Readonly<Record<string, Agent>>;

const OPTIONS: FieldNames<AppOptions> = {
  log: true, store: true, records: true, channel: true, fetch: true, platform: true,
  processes: 'internal', sumMetrics: 'internal',
};

/** See `createApp`. `code` is what these agents need. */
export function assembleApp(
  settings: Settings,
  agent: Agent | NamedAgents,
  options: AppOptions,
  code: CodeOnDemand,
): App {
  checkGiven(agent);
  checkFields('the options of createApp', options, OPTIONS);
  checkOpened(settings, options);
  const { log = noLog(), fetch } = options;
  const prices = new Prices(settings, log);
  const limits =
    hasLimits(settings) ? loaded('work', code).callLimits(settings, prices) : undefined;
  const store = options.store ?? memoryStoreFor(settings);
  const noteOnceTools = (names: readonly string[]): void =>
    noteForgetting(names, store, log, settings.production ? 'warn' : 'info');
  const binding = { prices, limits, fetch, onOnceTool: (name: string) => noteOnceTools([name]) };
  const bind = (agent: Agent): BoundAgent =>
    agent.bind === undefined
      ? agent
      : loaded('work', code).bindAgent(agent, settings, log, binding);
  const given = isAgent(agent)
    ? [{
        name: undefined,
        agent: bind(agent),
        secrets: settings.webhookSecrets,
        keys: settings.chatCompletionsKeys,
      }]
    : Object.entries(agent).map(([name, agent]): GivenAgent => {
        checkNamed(name, agent);
        const secrets = secretsOfAgent(settings, name);
        return { name, agent: bind(agent), secrets, keys: keysOfAgent(settings, name) };
      });
  const [first, ...others] = given;
  if (first === undefined) throw new TypeError('createApp needs at least one agent');
  for (const one of given) checkSecrets(one);
  const agents = given.map(({ agent }) => agent);
  checkOnceTools(agents);
  prices.started();
  checkStates(given.map(({ name, agent }) => [name ?? agent.name, agent]));
  noteOnceTools(onceToolsOf(agents));
  const hasKeys = settings.redactionKeys.length > 0;
  const areValuesShared = hasKeys && store.aside !== undefined;
  if (hasKeys && !areValuesShared)
    log.warn('REDACTION_KEY has no effect', { reason: 'conversations are not in a shared store' });
  for (const reason of faultsOfRepeats(agents, areValuesShared))
    log.warn('a repeatable tool might behave differently when repeated', { reason });
  const costOf: CostOf = (model, tokens) => prices.costOf(model, tokens);
  const { drainCallsSeconds, conversationTtlSeconds } = settings;
  const learnsOfEnds = takesReports(settings) || given.some(({ secrets }) => secrets.length > 0);
  if (drainCallsSeconds > 0 && !learnsOfEnds)
    log.warn('DRAIN_CALLS_SECONDS has no effect', { reason: 'no secret for reports is set' });
  const app = new App([first, ...others], {
    ...options, settings, log, store, costOf, limits,
    channel: options.channel ?? store.channel,
    processes: options.processes ?? 1,
    metrics: new Metrics(),
    tracing: openTracing(settings.environment, log, costOf, code.spans),
    open: { streams: 0, hooks: 0 },
    openSessions:
      drainCallsSeconds > 0 ? new OpenSessions(conversationTtlSeconds * 1_000) : undefined,
    code,
    loading: [],
  });
  ORIGINS.set(app, { settings, agent });
  return app;
}

/** What an app was created from. */
interface AppOrigin {
  readonly settings: Settings;
  readonly agent: Agent | NamedAgents;
}

const ORIGINS = new WeakMap<App, AppOrigin>();

/** What `createApp` was given, to create another app like this one. */
export function originOf(app: App): AppOrigin {
  const origin = ORIGINS.get(app);
  if (origin === undefined) throw new TypeError('the app must be made with createApp');
  return origin;
}

/** What the settings name must already be open, because opening it is asynchronous. */
function checkOpened(settings: Settings, { store, records }: AppOptions): void {
  if (settings.conversationStore !== 'memory' && store === undefined) {
    const remedy = 'pass options.store, for example await openStore(settings, { log })';
    throw new TypeError(`settings.conversationStore is not memory: ${remedy}`);
  }
  if (settings.callRecords !== undefined && records === undefined) {
    const remedy = 'pass options.records, for example await openCallRecords(settings, { log })';
    throw new TypeError(`settings.callRecords is set: ${remedy}`);
  }
}

function memoryStoreFor(settings: Settings): ConversationStore {
  return new MemoryStore({
    ttlMs: settings.conversationTtlSeconds * 1_000,
    maxConversations: settings.maxConversations,
    maxCharacters: settings.maxHistoryCharacters,
  });
}

/** An agent always has `onMessage`, which is not a valid agent name. */
export function isAgent(given: Agent | NamedAgents): given is Agent {
  return typeof given.onMessage === 'function';
}

/** In JavaScript an agent may be undefined, such as a property that the imported module lacks. */
function checkGiven(agent: unknown): void {
  if (isObject(agent)) return;
  throw new TypeError(`createApp needs an agent, or several by name, got ${String(agent)}`);
}

function checkNamed(name: string, agent: Agent): void {
  const fault = faultOfAgentName(name);
  if (fault !== undefined) {
    throw new TypeError(`an agent's name must ${fault}, got ${JSON.stringify(name)}`);
  }
  if (typeof agent?.onMessage !== 'function') {
    throw new AgentsError(`the agent ${name} must be made with defineAgent or getAgent`);
  }
}

/**
 * Throws a `TypeError` if two agents have states of their own that were made from one function.
 * They look as if they shared a state, but no conversation could be handed over between them.
 */
function checkStates(
  agents: Iterable<readonly [name: string, agent: { readonly state?: State }]>,
): void {
  const known = new Map<unknown, readonly [name: string, state: State]>();
  for (const [name, { state }] of agents) {
    if (state === undefined) continue;
    const [otherName, other] = known.get(state.create) ?? [name, state];
    known.set(state.create, [name, state]);
    if (other === state) continue;
    const both = `the agents "${otherName}" and "${name}" create two states from one function`;
    throw new AgentsError(`${both}: call defineState once, and pass its result to both`);
  }
}

/** One wire is enough. */
function checkSecrets({ name, secrets, keys }: GivenAgent): void {
  if (secrets.length > 0 || keys.length > 0) return;
  const common = 'LAYERCODE_WEBHOOK_SECRET';
  const variables = name === undefined ? common : `${common} or ${secretVariableOf(name)}`;
  const remedy = `set ${variables}, or for another platform CHAT_COMPLETIONS_KEYS`;
  throw new TypeError(`settings.webhookSecrets is empty: ${remedy}`);
}

/** Tools that act once do so only as long as the conversation is remembered. */
function noteForgetting(
  tools: readonly string[],
  store: ConversationStore,
  log: Logger,
  level: 'info' | 'warn',
): void {
  if (!(store instanceof MemoryStore) || tools.length === 0) return;
  log[level]('tools that act once may act again after a restart', {
    tools: tools.join(', '),
    hint: 'keep conversations in SQLite or Redis (CONVERSATION_STORE)',
  });
}

// Every route a client can reach, and what it needs to get there.

import type { OpenSessions } from '../calls/open-sessions.ts';
import type { StoreHealth } from '../conversations/store.ts';
import { afterChecks, type Handler, type Route } from '../http/compose.ts';
import { Gauge, type Metrics, type SumMetrics } from '../metrics.ts';
import { localOnly } from '../middleware/local-only.ts';
import { rateLimit } from '../middleware/rate-limit.ts';
import { turnMetrics } from '../observers/turn-metrics.ts';
import type { CallRecords } from '../records/call-recorder.ts';
import { health } from '../routes/health.ts';
import { metrics as metricsRoute } from '../routes/metrics.ts';
import { openApi, type CompletionRoute } from '../routes/openapi.ts';
import { ready } from '../routes/ready.ts';
import type { Settings } from '../settings/settings.ts';
import type { CostOf } from '../turns/report/turn-work.ts';
import { completions } from '../wires/chat-completions/completions.ts';
import { hasCredentials } from '../wires/chat-completions/keys.ts';
import { reports } from '../wires/chat-completions/reports.ts';
import { authorize } from '../wires/layercode/authorize.ts';
import { RestClient } from '../wires/layercode/rest-client.ts';
import { SIGNATURE_HEADER } from '../wires/layercode/signature.ts';
import { signed, signedIfAtAll } from '../wires/layercode/signed.ts';
import { webhook } from '../wires/layercode/webhook.ts';
import { deliveryReport, type OpenRequests, type TurnObserver } from '../wires/reply-stream.ts';
import type { AppPlatform, PlatformAgent } from './app-platform.ts';
import type { RoutedAgent, RoutedAgents } from './routed-agents.ts';

/**
 * Only a warning: calls are still accepted, because that serves callers better than refusing them.
 */
const DEGRADED = 'the conversation store is degraded: calls continue from memory';

export interface RouteDependencies {
  readonly settings: Settings;
  readonly agents: RoutedAgents;
  /** The secrets of all agents, for routes that belong to none of them. */
  readonly secrets: readonly string[];
  readonly metrics: Metrics;
  readonly fetch: typeof fetch | undefined;
  readonly costOf: CostOf;
  readonly platform: AppPlatform | undefined;
  /** Why no agent can take calls at the moment. */
  readonly notReadyReasons: () => readonly string[];
  /** Undefined for a store that cannot fail. */
  readonly storeHealth: (() => StoreHealth) | undefined;
  /** Undefined if a shutdown does not wait for sessions. */
  readonly openSessions: OpenSessions | undefined;
  /** Undefined if calls are not recorded. */
  readonly records: CallRecords | undefined;
  /** Undefined if this is the app's only process. */
  readonly sumMetrics: SumMetrics | undefined;
}

export function createRoutes(dependencies: RouteDependencies): readonly Route[] {
  const { settings, agents, secrets, metrics, fetch, platform, sumMetrics } = dependencies;
  const { layercodeApiKey: apiKey, layercodeApiUrl: url, authorizeRoute } = settings;
  const localAuthority = apiKey === undefined ? platform : undefined;
  const layercode = apiKey === undefined
    ? undefined
    : new RestClient({ url, apiKey, ...(fetch === undefined ? {} : { fetch }) });
  const requests: OpenRequests = { streams: 0, hooks: 0 };
  const webhooks = webhookRoutes(dependencies, requests);

  return [
    ...webhooks,
    {
      method: 'POST',
      path: authorizeRoute,
      // Browsers call it, and they cannot sign. The local platform's keys open only sockets on
      // this machine, so only this machine gets one.
      handler: afterChecks(
        [
          rateLimit({ perMinute: settings.authorizePerMinute }),
          ...(localAuthority === undefined ? [] : [localOnly()]),
        ],
        signedIfAtAll({ secrets }, authorize({
          platform: localAuthority ?? layercode,
          agentIds: settings.layercodeAgentIds,
          origins: settings.corsOrigins,
        })),
      ),
    },
    open('/health', health()),
    open('/ready', ready({
      agents,
      reasons: dependencies.notReadyReasons,
      warnings: () => (dependencies.storeHealth?.().isDegraded === true ? [DEGRADED] : []),
    })),
    ...(settings.metrics ? [open('/metrics', metricsRoute(metrics, sumMetrics))] : []),
    open('/openapi.json', openApi({
      agentRoutes: webhooks.flatMap(({ path, serves }) => (serves === 'agent' ? [path] : [])),
      completionRoutes: webhooks.flatMap(({ path, serves }) =>
        serves === 'agent' ? [] : [{ path, serves }],
      ),
      authorizeRoute,
      hasMetrics: settings.metrics,
    })),
    ...(platform?.serve(platformAgents(dependencies, requests)) ?? []),
  ];
}

/** A route of an agent's, and what it is for. */
interface AgentRoute extends Route {
  readonly serves: 'agent' | CompletionRoute['serves'];
}

/** The routes of every agent, and for the first one those of the agent route as well. */
function webhookRoutes(dependencies: RouteDependencies, open: OpenRequests): readonly AgentRoute[] {
  const { settings, agents, metrics, openSessions } = dependencies;
  const streams = (): number => open.streams;
  const turns = (): number => agents.reduce((sum, { turns }) => sum + turns.count, 0);
  metrics.add(new Gauge('layercode_open_streams', 'Open event streams.', streams));
  metrics.add(new Gauge('layercode_running_turns', 'Turns whose agent is running.', turns));
  const byAgent = agents.map((routed): AgentRoutes => {
    const { name, path, secrets, keys } = routed;
    const shared = sharedByWires(routed, dependencies, open);
    const layercode = signed({ secrets }, webhook({ ...shared, metrics: routed.metrics }));
    if (keys.length === 0) return { name, path, serves: 'agent', post: layercode, others: [] };
    const { chatCompletionsProfile: profile } = settings;
    const { vapiWebhookSecret: vapiSecret, elevenLabsWebhookSecret: elevenLabsSecret } = settings;
    const hasReports = (vapiSecret ?? elevenLabsSecret) !== undefined;
    const { complete, models } = completions({
      ...shared, keys, profile, openSessions: hasReports ? openSessions : undefined,
    });
    return {
      name,
      path,
      serves: secrets.length > 0 ? 'agent' : 'completions',
      post: eitherWire(layercode, complete, secrets.length > 0),
      others: [
        ...COMPLETION_PATHS.map((below) => ['completions', below, complete] as const),
        ...MODEL_PATHS.map((below) => ['models', below, models] as const),
        ...(hasReports
          ? [['reports', '/events', reports({ ...shared, vapiSecret, elevenLabsSecret })] as const]
          : []),
      ],
    };
  });
  const [first] = byAgent;
  const { agentRoute } = settings;
  const own = byAgent.flatMap(routesBelow);
  if (first === undefined || first.path === agentRoute) return own;
  // An agent may be named like a part of another's paths, such as `v1`: its own paths win.
  const taken = new Set(own.map(({ method, path }) => `${method} ${path}`));
  const plain = routesBelow({ ...first, path: agentRoute });
  return [...plain.filter(({ method, path }) => !taken.has(`${method} ${path}`)), ...own];
}

/** What every wire of an agent needs. */
function sharedByWires(
  { name, agent, conversations, turns, metrics }: RoutedAgent,
  { settings, openSessions, records, costOf, platform }: RouteDependencies,
  open: OpenRequests,
) {
  return {
    agent, agentName: name ?? agent.name, conversations, turns, open, openSessions, records,
    maxStreams: settings.maxStreams,
    heartbeatMs: settings.heartbeatSeconds * 1_000,
    timeoutMs: settings.turnTimeoutSeconds * 1_000,
    onTurnEnd: turnObserver(metrics, costOf, platform),
  };
}

/** People enter either form of the URL, with a final slash or without one. */
const COMPLETION_PATHS = [
  '/', '/chat/completions', '/chat/completions/', '/v1/chat/completions', '/v1/chat/completions/',
];
const MODEL_PATHS = ['/models', '/v1/models'];

/** What is served for an agent, on its path and below. */
interface AgentRoutes {
  readonly name: string | undefined;
  readonly path: string;
  /** What the path itself is for. If it is for both wires, `agent`. */
  readonly serves: 'agent' | 'completions';
  /** Answers what is posted to the path itself. */
  readonly post: Handler;
  readonly others: readonly (readonly [
    serves: CompletionRoute['serves'], below: string, handler: Handler,
  ])[];
}

function routesBelow({ name, path, serves, post, others }: AgentRoutes): readonly AgentRoute[] {
  const named = (handler: Handler): Handler =>
    name === undefined ? handler : naming(name, handler);
  const base = path.replace(/\/$/, '');
  return [
    { method: 'POST', path, handler: named(post), serves },
    ...others.flatMap(([serves, below, handler]): AgentRoute[] => {
      const method = serves === 'models' ? 'GET' : 'POST';
      const own = base + below;
      return own === path ? [] : [{ method, path: own, handler: named(handler), serves }];
    }),
  ];
}

/**
 * Where both wires are served, the credentials decide which of them a request speaks. Without any
 * it gets the refusal of the first wire that is configured.
 */
function eitherWire(layercode: Handler, complete: Handler, servesLayercode: boolean): Handler {
  return (context) => {
    const isSigned = context.header(SIGNATURE_HEADER) !== undefined;
    const isLayercode = servesLayercode && (isSigned || !hasCredentials(context));
    return isLayercode ? layercode(context) : complete(context);
  };
}

/** A handler whose log lines name the agent, even for refused requests. */
function naming(agentName: string, handler: Handler): Handler {
  return (context) => {
    context.logFields['agent'] = agentName;
    return handler(context);
  };
}

function turnObserver(
  metrics: Metrics,
  costOf: CostOf,
  platform: AppPlatform | undefined,
): TurnObserver {
  const observe = turnMetrics(metrics, costOf);
  if (platform === undefined) return observe;
  return (delivery, report) => {
    observe(delivery, report);
    platform.turnEnded(deliveryReport(delivery, report));
  };
}

function platformAgents(
  dependencies: RouteDependencies,
  open: OpenRequests,
): readonly [PlatformAgent, ...PlatformAgent[]] {
  const toPlatform = (routed: RoutedAgent): PlatformAgent => {
    const { name, path, agent, secrets: [secret = ''], conversations } = routed;
    const shared = { ...sharedByWires(routed, dependencies, open), openSessions: undefined };
    return {
      name: name ?? agent.name, path, secret, conversations,
      completions: (key, profile) => completions({ ...shared, keys: [key], profile }).complete,
    };
  };
  const [first, ...others] = dependencies.agents;
  return [toPlatform(first), ...others.map(toPlatform)];
}

/** A route that anyone may read. */
function open(path: string, handler: Handler): Route {
  return { method: 'GET', path, handler };
}

/**
 * A user-defined route. Below `/api/` it needs a signature by any agent's secret, like every route
 * there except authorize.
 */
export function createUserRoute(
  method: Route['method'],
  path: string,
  handler: Handler,
  secrets: readonly string[],
): Route {
  const signedHandler = signed({ secrets }, handler);
  return {
    method,
    path,
    // Tests the requested path, not the pattern: `/:anything/x` reaches paths below `/api/` too.
    handler: (context) => (isBelowApi(context.path) ? signedHandler(context) : handler(context)),
  };
}

/** Percent-decoded like parameters, so that `/%61pi/x` is no way around the signature. */
function isBelowApi(path: string): boolean {
  const first = path.split('/', 2)[1] ?? '';
  // The router has refused malformed paths, so decoding cannot throw.
  return first === 'api' || (first.includes('%') && decodeURIComponent(first) === 'api');
}

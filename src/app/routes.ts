// What a client can reach, and what it must show to get there: all of it is on this page.

import type { BoundAgent } from '../agents/agent.ts';
import type { Turns } from '../turns/turns.ts';
import type { ConversationManager } from '../conversations/manager.ts';
import { guarded, type Handler, type Middleware, type Route } from '../http/compose.ts';
import { RestClient } from '../layercode/rest-client.ts';
import { Gauge, type Metrics } from '../metrics.ts';
import { localOnly } from '../middleware/local-only.ts';
import { rateLimit } from '../middleware/rate-limit.ts';
import { signature } from '../middleware/signature.ts';
import type { AppPlatform } from './app-platform.ts';
import { addProcessMetrics } from '../observers/process-metrics.ts';
import { turnMetrics } from '../observers/turn-metrics.ts';
import { authorize } from '../routes/authorize.ts';
import { health } from '../routes/health.ts';
import { metrics as metricsRoute } from '../routes/metrics.ts';
import { openApi } from '../routes/openapi.ts';
import { ready } from '../routes/ready.ts';
import { webhook } from '../routes/webhook.ts';
import { figuresOf, type TurnObserver } from '../routes/webhook-delivery.ts';
import type { Settings } from '../settings/settings.ts';

export interface RouteDependencies {
  readonly settings: Settings;
  readonly agent: BoundAgent;
  readonly conversations: ConversationManager;
  readonly turns: Turns;
  readonly metrics: Metrics;
  readonly fetch: typeof fetch | undefined;
  readonly platform: AppPlatform | undefined;
  /** Why no call can be taken now. */
  readonly notReadyReasons: () => readonly string[];
}

export function createRoutes({ settings, agent, conversations, turns, metrics, fetch, platform, notReadyReasons }: RouteDependencies): readonly Route[] {
  const secrets = settings.webhookSecrets;
  const { layercodeApiKey: apiKey, layercodeApiUrl: url, corsOrigins: origins, agentRoute, authorizeRoute } = settings;
  metrics.add(new Gauge('layercode_conversations', 'Conversations held in memory.', () => {
    const count = conversations.count();
    return typeof count === 'number' ? count : Number.NaN;
  }));
  if (settings.metrics) addProcessMetrics(metrics);
  const localAuthority = apiKey === undefined ? platform : undefined;

  return [
    route('POST', agentRoute, [signature({ secrets })], webhook({
      agent, conversations, turns, metrics,
      maxStreams: settings.maxStreams,
      heartbeatMs: settings.heartbeatSeconds * 1_000,
      timeoutMs: settings.turnTimeoutSeconds * 1_000,
      onTurnEnd: turnObserver(metrics, platform),
    })),
    // Browsers call it, and they cannot sign; a request that is signed all the same must be signed right. A key of our own opens nothing
    // but a socket of this machine, and nobody else gets one.
    route('POST', authorizeRoute, [
      rateLimit({ perMinute: settings.authorizePerMinute }), ...(localAuthority === undefined ? [] : [localOnly()]), signature({ secrets, isOptional: true }),
    ], authorize({
      platform: localAuthority ?? (apiKey === undefined ? undefined : new RestClient({ url, apiKey, ...(fetch === undefined ? {} : { fetch }) })),
      agentIds: settings.layercodeAgentIds,
      origins,
    })),
    route('GET', '/health', [], health()),
    route('GET', '/ready', [], ready({ agent: agent.name, model: agent.model?.name ?? null, problems: () => agent.model?.problems() ?? [], reasons: notReadyReasons })),
    ...(settings.metrics ? [route('GET', '/metrics', [], metricsRoute(metrics))] : []),
    route('GET', '/openapi.json', [], openApi({ agentRoute, authorizeRoute, hasMetrics: settings.metrics })),
    ...(platform?.routes(conversations) ?? []),
  ];
}

function turnObserver(metrics: Metrics, platform: AppPlatform | undefined): TurnObserver {
  const observe = turnMetrics(metrics);
  if (platform === undefined) return observe;
  return (delivery, report) => {
    observe(delivery, report);
    platform.turnEnded(figuresOf(delivery, report));
  };
}

/** A route of the user's own. Below `/api/` it needs a signature, as everything there but authorize does. */
export function createUserRoute(method: Route['method'], path: string, handler: Handler, { webhookSecrets: secrets }: Settings): Route {
  const signed = signature({ secrets });
  // By the path asked for, not the pattern: `/:anything/x` reaches below `/api/` too.
  return route(method, path, [(context, next) => (isBelowApi(context.path) ? signed(context, next) : next())], handler);
}

/** Percent-decoded, as parameters are: `/%61pi/x` must not be a way around. */
function isBelowApi(path: string): boolean {
  const first = path.split('/', 2)[1] ?? '';
  return first === 'api' || (first.includes('%') && decodeURIComponent(first) === 'api'); // malformed paths do not get past the router
}

function route(method: Route['method'], path: string, guards: readonly Middleware[], handler: Handler): Route {
  return { method, path, handler: guarded(guards, handler) };
}

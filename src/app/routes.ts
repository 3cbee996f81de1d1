// What a client can reach, and what it must show to get there: all of it is on this page.

import type { BoundAgent } from '../agents/agent.ts';
import type { Turns } from '../turns/turns.ts';
import type { ConversationManager } from '../conversations/manager.ts';
import type { StoreHealth } from '../conversations/store.ts';
import { afterChecks, type Handler, type Route } from '../http/compose.ts';
import { RestClient } from '../layercode/rest-client.ts';
import type { Metrics, SumMetrics } from '../metrics.ts';
import { localOnly } from '../middleware/local-only.ts';
import { rateLimit } from '../middleware/rate-limit.ts';
import { signed, signedIfAtAll } from '../middleware/signature.ts';
import type { AppPlatform } from './app-platform.ts';
import { turnMetrics } from '../observers/turn-metrics.ts';
import { authorize } from '../routes/authorize.ts';
import { health } from '../routes/health.ts';
import { metrics as metricsRoute } from '../routes/metrics.ts';
import type { OpenSessions } from '../routes/open-sessions.ts';
import { openApi } from '../routes/openapi.ts';
import { ready } from '../routes/ready.ts';
import { webhook } from '../routes/webhook.ts';
import { figuresOf, type TurnObserver } from '../routes/webhook-delivery.ts';
import type { Settings } from '../settings/settings.ts';

/** Calls are taken all the same: a caller is better served than refused. */
const DEGRADED = 'the conversation store is degraded: calls go on from memory';

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
  /** Undefined for a store that cannot fail. */
  readonly storeHealth: (() => StoreHealth) | undefined;
  readonly openSessions: OpenSessions | undefined;
  readonly sumMetrics: SumMetrics | undefined;
}

export function createRoutes(dependencies: RouteDependencies): readonly Route[] {
  const { settings, agent, conversations, turns, metrics, fetch, platform } = dependencies;
  const { sumMetrics } = dependencies;
  const { layercodeApiKey: apiKey, layercodeApiUrl: url, agentRoute, authorizeRoute } = settings;
  const { webhookSecrets: secrets, corsOrigins: origins } = settings;
  const localAuthority = apiKey === undefined ? platform : undefined;
  const layercode = apiKey === undefined
    ? undefined
    : new RestClient({ url, apiKey, ...(fetch === undefined ? {} : { fetch }) });

  return [
    {
      method: 'POST',
      path: agentRoute,
      handler: signed({ secrets }, webhook({
        agent, conversations, turns, metrics,
        maxStreams: settings.maxStreams,
        heartbeatMs: settings.heartbeatSeconds * 1_000,
        timeoutMs: settings.turnTimeoutSeconds * 1_000,
        onTurnEnd: turnObserver(metrics, platform),
        openSessions: dependencies.openSessions,
      })),
    },
    {
      method: 'POST',
      path: authorizeRoute,
      // Browsers call it, and they cannot sign. A key of our own opens nothing but a socket of this
      // machine, and so only this machine gets one.
      handler: afterChecks(
        [
          rateLimit({ perMinute: settings.authorizePerMinute }),
          ...(localAuthority === undefined ? [] : [localOnly()]),
        ],
        signedIfAtAll({ secrets }, authorize({
          platform: localAuthority ?? layercode,
          agentIds: settings.layercodeAgentIds,
          origins,
        })),
      ),
    },
    open('/health', health()),
    open('/ready', ready({
      agent: agent.name,
      model: agent.model?.name ?? null,
      problems: () => [
        ...(agent.model?.problems() ?? []),
        ...(dependencies.storeHealth?.().isDegraded === true ? [DEGRADED] : []),
      ],
      reasons: dependencies.notReadyReasons,
    })),
    ...(settings.metrics ? [open('/metrics', metricsRoute(metrics, sumMetrics))] : []),
    open('/openapi.json', openApi({ agentRoute, authorizeRoute, hasMetrics: settings.metrics })),
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

/** A route that anybody may read. */
function open(path: string, handler: Handler): Route {
  return { method: 'GET', path, handler };
}

/** A route of the user's own. Below `/api/` it needs a signature, like all there but authorize. */
export function createUserRoute(
  method: Route['method'],
  path: string,
  handler: Handler,
  { webhookSecrets: secrets }: Settings,
): Route {
  const signedHandler = signed({ secrets }, handler);
  return {
    method,
    path,
    // By the path asked for, not the pattern: `/:anything/x` reaches below `/api/` too.
    handler: (context) => (isBelowApi(context.path) ? signedHandler(context) : handler(context)),
  };
}

/** Percent-decoded, as parameters are: `/%61pi/x` must not be a way around. */
function isBelowApi(path: string): boolean {
  const first = path.split('/', 2)[1] ?? '';
  // The router lets no malformed path pass, so that decoding cannot throw.
  return first === 'api' || (first.includes('%') && decodeURIComponent(first) === 'api');
}

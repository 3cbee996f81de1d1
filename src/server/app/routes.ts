// Every route that a client can reach, and who may ask. Those of the local platform are listed in
// kit/platform/local-platform.ts, because a server in production does not load them.

import { afterChecks, loadedHandler, type Handler, type Route } from '../../base/http/compose.ts';
import { BELOW_AGENT } from '../../core/wires/chat-completions/paths.ts';
import { signed } from '../../core/wires/layercode/signed.ts';
import { rateLimit } from '../middleware/rate-limit.ts';
import { metrics as metricsRoute } from '../routes/metrics.ts';
import type { DescribedRoute } from '../routes/openapi.ts';
import { health, ready } from '../routes/probes.ts';
import { agentPath, type NamedAgent } from '../settings/named-agents.ts';
import { agentHandlers, platformAgent, type AgentHandlers } from './agent-handlers.ts';
import type { AppParts } from './app-parts.ts';
import type { PlatformAgent } from './app-platform.ts';
import type { RoutedAgent, RoutedAgents } from './routed-agents.ts';
import type { Shutdown } from './shutdown.ts';

interface RouteOptions {
  readonly agents: RoutedAgents;
  /** The secrets of all agents, for routes that belong to none of them. */
  readonly secrets: readonly string[];
  readonly shutdown: Shutdown;
}

/** The app's own routes. Users add theirs: `createUserRoute`. */
export function createRoutes(parts: AppParts, options: RouteOptions): readonly Route[] {
  const { settings, metrics, platform, sumMetrics } = parts;
  const { agents } = options;
  const [first, ...others] = agents;
  const handlers = agents.map((agent) => agentHandlers(agent, parts));
  const plain = handlers.slice(0, 1).map((main) => ({ ...main, path: settings.agentRoute }));
  const routes: readonly DescribedRoute[] = [
    // For voice platforms, with the agent's signature or key. An agent may be named like a part of
    // another's paths, such as `v1`: its own path wins over the first agent's plain one.
    ...firstOfEach([...handlers, ...plain].flatMap(agentRoutes)),
    // For browsers, which cannot sign.
    post(settings.authorizeRoute, 'authorize', authorizeHandler(parts, options)),
    // For anyone.
    get('/health', 'health', health()),
    get('/ready', 'ready', readyHandler(parts, options)),
    get('/openapi.json', 'openapi', loadedHandler(() => loadOpenApi(routes))),
    ...(settings.metrics ? [get('/metrics', 'metrics', metricsRoute(metrics, sumMetrics))] : []),
  ];
  // For this machine only.
  const called = (agent: RoutedAgent): PlatformAgent => platformAgent(agent, parts);
  return [...routes, ...(platform?.serve([called(first), ...others.map(called)]) ?? [])];
}

/** Every path at which an agent may be served. */
export function pathsOfAgents(
  { agentRoute, agents }: {
    readonly agentRoute: string; readonly agents: readonly Pick<NamedAgent, 'name'>[];
  },
): readonly string[] {
  return [agentRoute, ...agents.map(({ name }) => agentPath(agentRoute, name))].flatMap((path) =>
    [path, ...BELOW_AGENT.map(([below]) => path.replace(/\/$/, '') + below)]);
}

/** Each route exists if the agent has a handler for it. */
function agentRoutes(agent: AgentHandlers): readonly DescribedRoute[] {
  const { name, path, servesLayercode, own } = agent;
  const base = path.replace(/\/$/, '');
  const routes = [
    post(path, servesLayercode ? 'webhook' : 'completions', own),
    ...BELOW_AGENT.flatMap(([below, method, serves]): readonly DescribedRoute[] => {
      const handler = agent[serves];
      return handler === undefined ? [] : [{ method, path: base + below, serves, handler }];
    }),
  ];
  if (name === undefined) return routes;
  return routes.map((route) => ({ ...route, handler: naming(name, route.handler) }));
}

function firstOfEach(routes: readonly DescribedRoute[]): readonly DescribedRoute[] {
  const taken = new Set<string>();
  return routes.filter(({ method, path }) => taken.size < taken.add(`${method} ${path}`).size);
}

/** A handler whose log lines name the agent, even for refused requests. */
function naming(agentName: string, handler: Handler): Handler {
  return (context) => {
    context.logFields['agent'] = agentName;
    return handler(context);
  };
}

function authorizeHandler(parts: AppParts, { secrets }: RouteOptions): Handler {
  const checks = [rateLimit({ perMinute: parts.settings.authorizePerMinute })];
  const load = async (): Promise<Handler> => {
    const { authorizeRoute } = await import('./authorize-route.ts');
    return authorizeRoute(parts, secrets);
  };
  return afterChecks(checks, loadedHandler(load));
}

async function loadOpenApi(routes: readonly DescribedRoute[]): Promise<Handler> {
  const { openApi } = await import('../routes/openapi.ts');
  return openApi(routes);
}

/**
 * Only a warning: calls are still accepted, because that serves callers better than refusing them.
 */
const DEGRADED = 'the conversation store is degraded: calls continue from memory';

function readyHandler({ store }: AppParts, { agents, shutdown }: RouteOptions): Handler {
  return ready({
    agents,
    reasons: () => (shutdown.isReady ? [] : ['the server is shutting down']),
    warnings: () => (store.health?.().isDegraded === true ? [DEGRADED] : []),
  });
}

function get(path: string, serves: DescribedRoute['serves'], handler: Handler): DescribedRoute {
  return { method: 'GET', path, serves, handler };
}

function post(path: string, serves: DescribedRoute['serves'], handler: Handler): DescribedRoute {
  return { method: 'POST', path, serves, handler };
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
  const signedHandler = signed(secrets, handler);
  return {
    method,
    path,
    // Tests the requested path, not the pattern: `/:anything/x` reaches paths below `/api/` too.
    handler: (context) => (isBelowApi(context.path) ? signedHandler(context) : handler(context)),
  };
}

/** Percent-decoded like parameters, so that `/%61pi/x` does not bypass the signature. */
function isBelowApi(path: string): boolean {
  const first = path.split('/', 2)[1] ?? '';
  // The router has refused malformed paths, so decoding cannot throw.
  return first === 'api' || (first.includes('%') && decodeURIComponent(first) === 'api');
}

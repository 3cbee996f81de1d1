// The agent in your own http.Server, with a route, a middleware and an error handler.
import { createServer, type Server } from 'node:http';
import { pathToFileURL } from 'node:url';

import {
  createApp, loadSettings,
  type App, type Middleware, type Settings,
} from 'layercode-microserver';

import agent from './my-agent.ts';

class UnknownTenant extends Error {}

/** Refuses requests for unknown tenants. Headers are not signed, so this is not authorization. */
function tenants(known: readonly string[]): Middleware {
  return function tenants(context, next) {
    const tenant = context.header('x-tenant');
    if (tenant !== undefined && !known.includes(tenant)) throw new UnknownTenant(tenant);
    return next();
  };
}

export interface CustomServer {
  readonly app: App;
  readonly server: Server;
}

export function createCustomServer(settings: Settings): CustomServer {
  const app = createApp(settings, agent)
    .use(tenants(['acme', 'globex']))
    .get('/hello/:name', (context) => context.json(200, { hello: context.params['name'] ?? '' }))
    .onError(UnknownTenant, (error, context) => {
      context.json(404, { error: `no tenant ${error.message}` });
    });
  const limits = { keepAliveTimeout: 75_000, headersTimeout: 10_000 };
  return { app, server: createServer(limits, app.handle) };
}

if (process.argv[1] !== undefined && import.meta.url === pathToFileURL(process.argv[1]).href) {
  const settings = loadSettings();
  const { app, server } = createCustomServer(settings);
  server.listen(settings.port, settings.host, () => console.log('listening', server.address()));
  process.once('SIGTERM', () => {
    // New calls are refused, and open ones may finish. After that only idle connections are left.
    void app.close().then(() => {
      server.close();
      server.closeAllConnections();
    });
  });
}

// The agent in an http.Server of one's own, with a route, a middleware and an answer for an error beside it.
import { createServer, type Server } from 'node:http';
import { pathToFileURL } from 'node:url';

import { createApp, loadSettings, type App, type Middleware, type Settings } from 'layercode-microserver';

import agent from './my-agent.ts';

class UnknownTenant extends Error {}

/** Refuses requests for tenants that it does not know. Headers are not signed: this sorts, it does not authorise. */
function tenants(known: readonly string[]): Middleware {
  return function tenants(context, next) {
    const tenant = context.header('x-tenant');
    if (tenant !== undefined && !known.includes(tenant)) throw new UnknownTenant(tenant);
    return next();
  };
}

export function createCustomServer(settings: Settings): { readonly app: App; readonly server: Server } {
  const app = createApp(settings, agent)
    .use(tenants(['acme', 'globex']))
    .get('/hello/:name', (context) => context.json(200, { hello: context.params['name'] ?? '' }))
    .onError(UnknownTenant, (error, context) => context.json(404, { error: `no tenant ${error.message}` }));
  return { app, server: createServer({ keepAliveTimeout: 75_000, headersTimeout: 10_000 }, app.handle) };
}

if (process.argv[1] !== undefined && import.meta.url === pathToFileURL(process.argv[1]).href) {
  const settings = loadSettings();
  const { app, server } = createCustomServer(settings);
  server.listen(settings.port, settings.host, () => console.log('listening', server.address()));
  process.once('SIGTERM', () => {
    // New calls are refused and open ones may finish; then nothing but idle connections is left.
    void app.close().then(() => {
      server.close();
      server.closeAllConnections();
    });
  });
}

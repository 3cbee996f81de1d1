#!/usr/bin/env node
// `node dist/server.js` starts the server and nothing else.

import { runServer } from './server/process/run-server.ts';

await runServer(process.argv.slice(2), {
  loadPlatform: () => import('./kit/platform/local-platform.ts'),
});

// The tests of interruption.test.ts, over `app.fetch` instead of a socket.

import { reachByFetch } from '../../fixtures/app.ts';

reachByFetch('abort the request');
await import('./interruption.test.ts');

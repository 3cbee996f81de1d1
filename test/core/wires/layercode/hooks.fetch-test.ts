// The tests of hooks.test.ts, with an app that is reached through `app.fetch`.

import { reachByFetch } from '../../../fixtures/app.ts';

reachByFetch('abort the request');
await import('./hooks.test.ts');

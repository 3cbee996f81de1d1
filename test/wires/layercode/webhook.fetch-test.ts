// The tests of webhook.test.ts, with an app that is reached by `app.fetch`.

import { reachByFetch } from '../../fixtures/app.ts';

reachByFetch('abort the request');
await import('./webhook.test.ts');

// The tests of the webhook, with an app that is reached through `app.fetch`.

import { reachByFetch } from '../../../fixtures/app.ts';

reachByFetch('abort the request');
await import('./webhook-request.test.ts');
await import('./webhook.test.ts');

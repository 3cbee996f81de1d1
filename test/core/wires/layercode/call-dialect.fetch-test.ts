// The tests of call-dialect.test.ts, with an app that is reached through `app.fetch`.

import { reachByFetch } from '../../../fixtures/app.ts';

reachByFetch('cancel the body');
await import('./call-dialect.test.ts');

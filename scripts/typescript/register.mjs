// node --import ./scripts/typescript/register.mjs: runs TypeScript on every Node.

import * as module from 'node:module';

import { load } from './load.mjs';

process.setSourceMapsEnabled(true);
// Node 22.15 and later run the hook in this thread, which is faster.
if (module.registerHooks === undefined) module.register('./load.mjs', import.meta.url);
else module.registerHooks({ load });

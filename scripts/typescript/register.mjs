// node --import ./scripts/typescript/register.mjs: runs TypeScript on every Node.

import * as module from 'node:module';

import { load } from './load.mjs';

process.setSourceMapsEnabled(true);
// Node ≥ 22.15. Hooks in a thread of their own cost more than what they load.
if (module.registerHooks === undefined) module.register('./load.mjs', import.meta.url);
else module.registerHooks({ load });

// Node's HTTP for all of src. An ES module that imports from `node:http` has Node evaluate every
// export, the lazy ones too, and so load undici, which takes longer than the rest of a start
// (https://github.com/nodejs/node/issues/59686). `require` evaluates only what is used.
// `process.getBuiltinModule` does the same, but came with Node 20.16 and 22.3.

import type * as NodeHttp from 'node:http';
import { createRequire } from 'node:module';

const http = createRequire(import.meta.url)('node:http') as typeof NodeHttp;

export const { createServer, IncomingMessage, ServerResponse, STATUS_CODES } = http;
export const { validateHeaderName, validateHeaderValue } = http;

/** The class's instances. */
export type ServerResponse = NodeHttp.ServerResponse;

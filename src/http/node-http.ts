// `node:http` for all of src. When an ES module imports from `node:http`, Node evaluates every
// export, including the lazy ones, and so loads undici. That takes longer than the rest of a start
// (https://github.com/nodejs/node/issues/59686). `require` evaluates only what is used.
// `process.getBuiltinModule` would too, but it needs Node 20.16 or 22.3.

import type * as NodeHttp from 'node:http';
import { createRequire } from 'node:module';

const http = createRequire(import.meta.url)('node:http') as typeof NodeHttp;

export const { createServer, IncomingMessage, ServerResponse, STATUS_CODES } = http;
export const { validateHeaderName, validateHeaderValue } = http;

/** The type of the class's instances. */
export type ServerResponse = NodeHttp.ServerResponse;

import { randomBytes } from 'node:crypto';

import type { Check } from '../http/compose.ts';
import { isRequestId, REQUEST_ID_HEADER } from '../http/context.ts';

/** Unique across processes by its random prefix, within one by its counter. Faster than a UUID. */
const idPrefix = `${randomBytes(9).toString('base64url')}-`;
let lastId = 0;

/** Accepts an `x-request-id` of 1–128 characters of `A-Za-z0-9._-`, or creates one. */
export function requestId(): Check {
  return function requestId(context) {
    const given = context.header(REQUEST_ID_HEADER);
    const isSane = given !== undefined && isRequestId(given);
    context.requestId = isSane ? given : idPrefix + (++lastId).toString(36);
  };
}

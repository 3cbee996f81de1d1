import { randomBytes } from 'node:crypto';

import type { Check } from '../http/compose.ts';
import { isRequestId, REQUEST_ID_HEADER } from '../http/context.ts';

/** Unique over processes by its random start, within one by its count; a UUID each would cost a turn 0.4 µs. */
const idPrefix = `${randomBytes(9).toString('base64url')}-`;
let lastId = 0;

/** Takes the request's `x-request-id` over when it is 1–128 characters of `A-Za-z0-9._-`, makes one otherwise; the answer carries it. */
export function requestId(): Check {
  return function requestId(context) {
    const given = context.header(REQUEST_ID_HEADER);
    context.requestId = given !== undefined && isRequestId(given) ? given : idPrefix + (++lastId).toString(36);
  };
}

import { randomBytes } from 'node:crypto';

import type { Check } from '../http/compose.ts';
import { isRequestId, REQUEST_ID_HEADER } from '../http/context.ts';

/** Unique over processes by its random start, within one by its count: a UUID costs more. */
const idPrefix = `${randomBytes(9).toString('base64url')}-`;
let lastId = 0;

/** Takes over an `x-request-id` of 1–128 characters of `A-Za-z0-9._-`, or makes one. */
export function requestId(): Check {
  return function requestId(context) {
    const given = context.header(REQUEST_ID_HEADER);
    const isSane = given !== undefined && isRequestId(given);
    context.requestId = isSane ? given : idPrefix + (++lastId).toString(36);
  };
}

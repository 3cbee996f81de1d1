import { randomUUID } from 'node:crypto';

import type { Middleware } from '../http/compose.ts';

export const REQUEST_ID_HEADER = 'x-request-id';

const SANE_ID = /^[\w.-]{1,128}$/;

/** Takes the request's `x-request-id` over when it is 1–128 characters of `A-Za-z0-9._-`, makes one otherwise, and returns it. */
export function requestId(): Middleware {
  return function requestId(context, next) {
    const given = context.header(REQUEST_ID_HEADER);
    context.requestId = given !== undefined && SANE_ID.test(given) ? given : randomUUID();
    context.setHeader(REQUEST_ID_HEADER, context.requestId);
    return next();
  };
}

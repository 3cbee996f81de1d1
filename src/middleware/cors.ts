import type { Check, Middleware } from '../http/compose.ts';
import { SERVED_METHODS } from './well-formed.ts';

export interface CorsOptions {
  /** `['*']`, or origins spelt as browsers send them. */
  readonly origins: readonly string[];
}

const MAX_AGE_SECONDS = '600';

/** Whether a page of this origin may call. A request without an `Origin` header is not a page's. */
export function isAllowedOrigin(origins: readonly string[], origin: string | undefined): boolean {
  return origin === undefined || origins.includes('*') || origins.includes(origin);
}

/**
 * Cross-origin answers by an allow-list that is compared exactly.
 *
 * Credentials are never allowed: no route of this server uses cookies, and `*` must not go together with them.
 */
export function cors({ origins }: CorsOptions): Check {
  const isOpen = origins.includes('*');
  return function cors(context) {
    const origin = context.header('origin');
    if (!isOpen) context.setHeader('vary', 'Origin'); // on every answer, or a cache hands one origin's to another
    if (origin !== undefined && isAllowedOrigin(origins, origin)) {
      context.setHeader('access-control-allow-origin', isOpen ? '*' : origin);
      context.setHeader('access-control-expose-headers', 'x-request-id, retry-after');
    }
  };
}

/** Answers preflights, whatever the path, with 204. A layer of its own: what is malformed is refused before. */
export function preflight({ origins }: CorsOptions): Middleware {
  return function preflight(context, next) {
    if (context.method !== 'OPTIONS') return next();
    const origin = context.header('origin');
    if (origin === undefined || context.header('access-control-request-method') === undefined) return next();
    if (isAllowedOrigin(origins, origin)) {
      context.setHeader('access-control-allow-methods', SERVED_METHODS);
      const requested = context.header('access-control-request-headers');
      context.setHeader('access-control-allow-headers', requested !== undefined && HEADER_LIST.test(requested) ? requested : 'content-type');
      context.setHeader('access-control-max-age', MAX_AGE_SECONDS);
    }
    context.setHeader('vary', 'Access-Control-Request-Method, Access-Control-Request-Headers');
    context.empty(204);
  };
}

const HEADER_LIST = /^[\w!#$%&'*+.^`|~, -]{1,1024}$/;

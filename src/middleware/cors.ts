import { SERVED_METHODS, type Check, type Middleware } from '../http/compose.ts';

export interface CorsOptions {
  /** `['*']`, or origins spelled as browsers send them. */
  readonly origins: readonly string[];
}

/**
 * Whether a page of this origin may send requests. Without an `Origin` header the request is not
 * from a page.
 */
export function isAllowedOrigin(origins: readonly string[], origin: string | undefined): boolean {
  return origin === undefined || origins.includes('*') || origins.includes(origin);
}

/**
 * Allows cross-origin requests from an exact list of origins.
 *
 * Credentials are never allowed: no route of this server uses cookies, and `*` forbids them.
 */
export function cors({ origins }: CorsOptions): Check {
  const isOpen = origins.includes('*');
  return function cors(context) {
    const origin = context.header('origin');
    // On every answer. Otherwise a cache would serve one origin's answer to another.
    if (!isOpen) context.setHeader('vary', 'Origin');
    if (origin !== undefined && isAllowedOrigin(origins, origin)) {
      context.setHeader('access-control-allow-origin', isOpen ? '*' : origin);
      context.setHeader('access-control-expose-headers', 'x-request-id, retry-after');
    }
  };
}

const MAX_AGE_SECONDS = '600';
const HEADER_LIST = /^[\w!#$%&'*+.^`|~, -]{1,1024}$/;

/**
 * Answers preflights with 204, for any path. Other `OPTIONS` requests are passed to their route.
 */
export function preflight({ origins }: CorsOptions): Middleware {
  return function preflight(context, next) {
    if (context.method !== 'OPTIONS') return next();
    const origin = context.header('origin');
    if (origin === undefined || context.header('access-control-request-method') === undefined) {
      return next();
    }
    if (isAllowedOrigin(origins, origin)) {
      const requested = context.header('access-control-request-headers') ?? '';
      const allowed = HEADER_LIST.test(requested) ? requested : 'content-type';
      context.setHeader('access-control-allow-methods', SERVED_METHODS);
      context.setHeader('access-control-allow-headers', allowed);
      context.setHeader('access-control-max-age', MAX_AGE_SECONDS);
    }
    context.setHeader('vary', 'Access-Control-Request-Method, Access-Control-Request-Headers');
    context.empty(204);
  };
}

import { SERVED_METHODS, type Check, type Middleware } from '../../base/http/compose.ts';
import { isLoopbackOrigin } from './local-only.ts';

/** The origins whose pages may call the server. */
export interface AllowedOrigins {
  /** Whether every origin is allowed. */
  readonly isAll: boolean;
  has(origin: string): boolean;
}

/**
 * What `CORS_ORIGINS` allows, compared exactly. Outside production `*` means pages on this machine:
 * any site that a developer visits could otherwise read figures, and begin LayerCode sessions,
 * which cost money.
 */
export function allowedOrigins(
  { corsOrigins, production }: {
    readonly corsOrigins: readonly string[]; readonly production: boolean;
  },
): AllowedOrigins {
  const isOpen = corsOrigins.includes('*');
  const isAll = isOpen && production;
  return {
    isAll,
    has: (origin) =>
      isAll || corsOrigins.includes(origin) || (isOpen && isLoopbackOrigin(origin)),
  };
}

/**
 * Allows cross-origin requests from these origins.
 *
 * Credentials are never allowed: no route of this server uses cookies, and `*` forbids them.
 */
export function cors(origins: AllowedOrigins): Check {
  return function cors(context) {
    const origin = context.header('origin');
    // On every answer. Otherwise a cache would serve one origin's answer to another.
    if (!origins.isAll) context.setHeader('vary', 'Origin');
    if (origin !== undefined && origins.has(origin)) {
      context.setHeader('access-control-allow-origin', origins.isAll ? '*' : origin);
      context.setHeader('access-control-expose-headers', 'x-request-id, retry-after');
    }
  };
}

const MAX_AGE_SECONDS = '600';
const HEADER_LIST = /^[\w!#$%&'*+.^`|~, -]{1,1024}$/;

/**
 * Answers preflights with 204, for any path. Other `OPTIONS` requests are passed to their route.
 */
export function preflight(origins: AllowedOrigins): Middleware {
  return function preflight(context, next) {
    if (context.method !== 'OPTIONS') return next();
    const origin = context.header('origin');
    if (origin === undefined || context.header('access-control-request-method') === undefined) {
      return next();
    }
    if (origins.has(origin)) {
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

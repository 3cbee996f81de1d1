import { SERVED_METHODS, type Middleware } from '../http/compose.ts';
import { isAllowedOrigin, type CorsOptions } from './cors.ts';

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

import type { Check } from '../http/compose.ts';

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

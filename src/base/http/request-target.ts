/** The path and query of a request target. The query has no `?`; '' if there is none. */
interface RequestTarget {
  readonly path: string;
  readonly query: string;
}

/**
 * Splits a request target (RFC 9112 §3.2): `/path?query`, `http://host/path` as proxies send it,
 * or `*`. Undefined for anything else, including `//host/path`, which URL parsers take for another
 * host.
 */
export function parseRequestTarget(target: string): RequestTarget | undefined {
  if (target === '*') return { path: '*', query: '' };
  const origin = target.charCodeAt(0) === SLASH ? '' : ORIGIN.exec(target)?.[0];
  if (origin === undefined) return undefined;
  const rest = origin === '' ? target : target.slice(origin.length);
  if (rest.startsWith('//') || rest.includes('#')) return undefined;
  const mark = rest.indexOf('?');
  const path = mark === -1 ? rest : rest.slice(0, mark);
  return { path: path === '' ? '/' : path, query: mark === -1 ? '' : rest.slice(mark + 1) };
}

/**
 * The target the client requested. A server that mounts an app below a path removes that path from
 * `url` and keeps the full target in `originalUrl`, as Express does.
 */
export function requestTargetOf(request: { readonly url?: string | undefined }): string {
  const { originalUrl } = request as { readonly originalUrl?: unknown };
  return typeof originalUrl === 'string' ? originalUrl : (request.url ?? '');
}

const SLASH = 47;
const ORIGIN = /^https?:\/\/[^/?#\\]+/i;

export type Params = Readonly<Record<string, string>>;

/** The result of looking up a method and a path. */
type Match<T> =
  | { readonly kind: 'found'; readonly value: T; readonly params: Params }
  | { readonly kind: 'wrong method'; readonly allowed: readonly string[] }
  | { readonly kind: 'unknown path' }
  | { readonly kind: 'malformed path' };

interface Route<T> {
  readonly segments: readonly string[];
  readonly methods: Map<string, T>;
}

const NO_PARAMS: Params = Object.freeze({});
const UNKNOWN = { kind: 'unknown path' } as const;
const MALFORMED = { kind: 'malformed path' } as const;

/**
 * Maps a method and a path to a value of any kind. A path is literal (`/health`) or has parameters
 * (`/calls/:id`, each one whole segment, percent-decoded). Literal paths win over parameters,
 * earlier routes over later ones. `HEAD` finds what `GET` finds. Paths are compared byte for byte,
 * including case and a trailing slash.
 */
export class Router<T> {
  readonly #literal = new Map<string, Map<string, T>>();
  readonly #withParams: Route<T>[] = [];

  /**
   * Throws a `TypeError` for a path without a leading slash, a nameless parameter, or a route that
   * already exists.
   */
  add(method: string, path: string, value: T): void {
    if (!path.startsWith('/'))
      throw new TypeError(`a route's path must start with "/", got ${JSON.stringify(path)}`);
    const methods = this.#methodsOf(path);
    if (methods.has(method)) throw new TypeError(`the route ${method} ${path} already exists`);
    methods.set(method, value);
  }

  find(method: string, path: string): Match<T> {
    const literal = this.#literal.get(path);
    if (literal !== undefined) return matchMethod(literal, method, NO_PARAMS);
    if (this.#withParams.length === 0) return UNKNOWN;
    const segments = path.split('/');
    const allowed = new Set<string>();
    for (const route of this.#withParams) {
      const params = matchSegments(route.segments, segments);
      if (params === 'malformed') return MALFORMED;
      const match = params === undefined ? UNKNOWN : matchMethod(route.methods, method, params);
      if (match.kind === 'found') return match;
      if (match.kind === 'wrong method') for (const other of match.allowed) allowed.add(other);
    }
    return allowed.size === 0 ? UNKNOWN : { kind: 'wrong method', allowed: [...allowed] };
  }

  #methodsOf(path: string): Map<string, T> {
    if (!path.includes('/:')) {
      const methods = this.#literal.get(path) ?? new Map<string, T>();
      this.#literal.set(path, methods);
      return methods;
    }
    const segments = path.split('/');
    if (segments.includes(':'))
      throw new TypeError(`a parameter of ${JSON.stringify(path)} has no name`);
    const known = this.#withParams.find((route) => route.segments.join('/') === path);
    if (known !== undefined) return known.methods;
    const route: Route<T> = { segments, methods: new Map() };
    this.#withParams.push(route);
    return route.methods;
  }
}

function matchMethod<T>(methods: Map<string, T>, method: string, params: Params): Match<T> {
  const value = methods.get(method) ?? (method === 'HEAD' ? methods.get('GET') : undefined);
  if (value !== undefined) return { kind: 'found', value, params };
  const allowed = [...methods.keys()];
  if (methods.has('GET') && !methods.has('HEAD')) allowed.push('HEAD');
  return { kind: 'wrong method', allowed: [...allowed, 'OPTIONS'] };
}

function matchSegments(
  pattern: readonly string[],
  segments: readonly string[],
): Params | 'malformed' | undefined {
  if (pattern.length !== segments.length) return undefined;
  const params: Record<string, string> = Object.create(null) as Record<string, string>;
  let isMalformed = false;
  for (const [index, expected] of pattern.entries()) {
    const segment = segments[index] ?? '';
    if (!expected.startsWith(':')) {
      if (expected !== segment) return undefined;
    } else if (segment === '') return undefined;
    else {
      try {
        params[expected.slice(1)] = decodeURIComponent(segment);
      } catch {
        // An invalid percent-encoding: the only reason decodeURIComponent throws.
        isMalformed = true;
      }
    }
  }
  return isMalformed ? 'malformed' : params;
}

import { StoreError } from './store-error.ts';

export interface RedisAddress {
  readonly host: string;
  readonly port: number;
}

/** Paths of files in PEM format. */
export type RedisTlsFiles = { readonly [name in 'ca' | 'cert' | 'key']?: string };

/** A Redis or Valkey server, as a URL describes it. */
export interface RedisTarget {
  /** The server's address or, with `sentinelName`, those of its sentinels. At least one. */
  readonly addresses: readonly RedisAddress[];
  readonly sentinelName: string | undefined;
  readonly username: string | undefined;
  readonly password: string | undefined;
  readonly database: number;
  /** Undefined: without TLS. */
  readonly tls: RedisTlsFiles | undefined;
}

// Not parsed with `URL`, which accepts only one host.
const FORM =
  /^redis(s?)(\+sentinel)?:\/\/(?:([^/?#]*)@)?([^/?#@]*)(?:\/([^?#@]*))?(?:\?([^#@]*))?$/;
const FORMS =
  'must be redis://host, rediss://host or redis+sentinel://host,host/name,'
  + ' with "/", "?", "#" and "@" in user and password percent-encoded';
const HOST = /^(?:\[([\da-f:.]+)\]|([^:[\]\s]+))(?::(\d{1,5}))?$/i;
const PORT = 6_379;
const SENTINEL_PORT = 26_379;
const TLS_FILES = ['ca', 'cert', 'key'];

/**
 * Reads `redis://user:password@host:port/database`, `rediss://…` and
 * `redis+sentinel://host,host/name/database`. Throws a `StoreError` that shows no part of the URL.
 */
export function parseRedisUrl(url: string): RedisTarget {
  const form = FORM.exec(url) ?? refuse(FORMS);
  const [, hasTls, isSentinel, user, hosts = '', path = '', query = ''] = form;
  const [username, ...passwords] = user?.split(':') ?? [];
  const names = path.split('/').filter((part) => part !== '').map(decoded);
  const sentinelName = isSentinel === undefined ? undefined : names.shift();
  if (isSentinel !== undefined && sentinelName === undefined)
    refuse('must name what the sentinels watch: redis+sentinel://host,host/name');
  const [database = '0', ...more] = names;
  if (!/^\d{1,9}$/.test(database) || more.length > 0)
    refuse('must have nothing but the number of a database after the last "/"');
  const addresses = hosts.split(',').map((host) => parseHost(host, isSentinel !== undefined));
  if (isSentinel === undefined && addresses.length > 1)
    refuse('has several hosts without +sentinel; a cluster needs a client of your own');
  return {
    addresses,
    sentinelName,
    username: username === undefined || username === '' ? undefined : decoded(username),
    password: passwords.length === 0 ? undefined : decoded(passwords.join(':')),
    database: Number(database),
    tls: parseQuery(query, hasTls === 's'),
  };
}

function parseHost(text: string, isSentinel: boolean): RedisAddress {
  const [, ipv6, name = ipv6 ?? '', port] = HOST.exec(text) ?? refuse('has no valid host');
  const number = port === undefined ? (isSentinel ? SENTINEL_PORT : PORT) : Number(port);
  if (number < 1 || number > 65_535) refuse('has a port that is not 1–65535');
  return { host: name, port: number };
}

function parseQuery(query: string, hasTls: boolean): RedisTlsFiles | undefined {
  const files = Object.fromEntries(new URLSearchParams(query));
  for (const [name, path] of Object.entries(files)) {
    if (!TLS_FILES.includes(name)) refuse(`may have only ${TLS_FILES.join(', ')} after the "?"`);
    if (!hasTls) refuse(`has ${name}=… without TLS: rediss://`);
    if (path === '') refuse(`has ${name}=… without a file`);
  }
  return hasTls ? files : undefined;
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return refuse('has a % that does not begin a percent-encoded character');
  }
}

function refuse(problem: string): never {
  throw new StoreError(`CONVERSATION_STORE ${problem}`);
}

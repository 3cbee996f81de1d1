import { BoundedMap } from '../base/bounded-map.ts';
import type { Check } from '../http/compose.ts';
import { HttpError } from '../http/errors.ts';

export interface RateLimitOptions {
  /** Requests a client may make per minute, all at once or spread out. */
  readonly perMinute: number;
  /** Milliseconds on any monotonic clock. Default `performance.now`. */
  readonly now?: () => number;
}

interface Bucket {
  tokens: number;
  filledAtMs: number;
}

const MINUTE_MS = 60_000;
/** Beyond this the least recently seen client is forgotten and starts with a full bucket. */
const MAX_CLIENTS = 10_000;

/** A token bucket per client. An empty bucket means 429 with `Retry-After`. */
export function rateLimit({ perMinute, now = () => performance.now() }: RateLimitOptions): Check {
  const buckets = new BoundedMap<string, Bucket>(MAX_CLIENTS);
  return function rateLimit(context) {
    const client = clientKey(context.clientAddress);
    const time = now();
    const bucket = buckets.get(client) ?? { tokens: perMinute, filledAtMs: time };
    const gained = ((time - bucket.filledAtMs) / MINUTE_MS) * perMinute;
    bucket.tokens = Math.min(perMinute, bucket.tokens + gained);
    bucket.filledAtMs = time;
    buckets.set(client, bucket);
    if (bucket.tokens < 1) {
      const seconds = Math.ceil((((1 - bucket.tokens) / perMinute) * MINUTE_MS) / 1_000);
      throw new HttpError(429, 'too many requests', { headers: ['retry-after', String(seconds)] });
    }
    bucket.tokens -= 1;
  };
}

const IPV4_WITH_PORT = /^(\d+\.\d+\.\d+\.\d+):\d+$/;
const IPV6_WITH_PORT = /^\[(.*)\](:\d+)?$/;

/** The key of one client: an IPv4 address, or the /64 an IPv6 host can choose addresses from. */
function clientKey(forwarded: string): string {
  // Some proxies add the port.
  const address = forwarded.replace(IPV4_WITH_PORT, '$1').replace(IPV6_WITH_PORT, '$1');
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(address)?.[1];
  if (mapped !== undefined) return mapped;
  if (!address.includes(':')) return address.slice(0, 64);
  const [head = '', tail] = address.toLowerCase().split('%', 1)[0]?.split('::') ?? [];
  const groups = head === '' ? [] : head.split(':');
  const tailGroups = tail === undefined || tail === '' ? 0 : tail.split(':').length;
  const missing = tail === undefined ? 0 : Math.max(0, 8 - groups.length - tailGroups);
  const network = [...groups, ...new Array<string>(missing).fill('0')].slice(0, 4);
  return network.map((group) => group.replace(/^0+(?=.)/, '')).join(':');
}

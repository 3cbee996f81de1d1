import { BoundedMap } from '../../base/bounded-map.ts';
import { clientKey } from '../../base/http/client-key.ts';
import type { Check } from '../../base/http/compose.ts';
import { HttpError } from '../../base/http/errors.ts';

interface RateLimitOptions {
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

import { createHash } from 'node:crypto';

import type { Awaitable } from '../base/awaitable.ts';
import type { PartsChange, PartStore, StoredConversation } from './part-store.ts';
import type { RedisClient } from './redis-client.ts';

/** In front of all keys. A client may put a prefix of its own in front of that. */
const PREFIX = 'layercode:';
/** The field with the version. Parts have other names. */
const VERSION = '@version';
/** A version that no conversation ever has. */
const NO_VERSION = ' ';

/**
 * Compare and swap on one hash. Arguments: the version to change, the version to make, milliseconds
 * to keep it, how many arguments of fields and values follow, these, and the fields to remove. An
 * empty version stands for no conversation. Answers 1, or all fields and values.
 *
 * Fields are set before others are removed: a server that is out of memory refuses a script only if
 * its first write needs some. `unpack` takes 7,999 values at most.
 */
const SCRIPT = `
local version = redis.call('HGET', KEYS[1], '${VERSION}') or ''
if version == ARGV[2] then return 1 end
if version ~= ARGV[1] then return redis.call('HGETALL', KEYS[1]) end
if ARGV[2] == '' then
  redis.call('DEL', KEYS[1])
  return 1
end
local last = 4 + ARGV[4]
for first = 5, last, 1000 do
  redis.call('HSET', KEYS[1], unpack(ARGV, first, math.min(first + 999, last)))
end
for first = last + 1, #ARGV, 1000 do
  redis.call('HDEL', KEYS[1], unpack(ARGV, first, math.min(first + 999, #ARGV)))
end
redis.call('PEXPIRE', KEYS[1], ARGV[3])
return 1
`;

const SHA1 = createHash('sha1').update(SCRIPT).digest('hex');

/**
 * Conversations in Redis or Valkey: a hash for each, with a field for each part, which expires as a
 * whole.
 */
export class RedisStore implements PartStore {
  readonly name = 'redis';
  readonly #client: RedisClient;
  readonly #closeClient: (() => Awaitable<void>) | undefined;
  #isClosed = false;

  /** `closeClient` is called once, when the store is closed. Without it the client stays open. */
  constructor(client: RedisClient, closeClient?: () => Awaitable<void>) {
    this.#client = client;
    this.#closeClient = closeClient;
  }

  async read(id: string, known?: string): Promise<StoredConversation | 'unchanged' | undefined> {
    // As a change of what nobody has into what is known: it is never made, and one script will do.
    const found = await this.#run(id, [NO_VERSION, known ?? NO_VERSION]);
    return found === true ? 'unchanged' : found;
  }

  write(id: string, change: PartsChange): Promise<true | StoredConversation | undefined> {
    const { from = '', to = '', set, remove, ttlMs } = change;
    const pairs = [VERSION, to, ...[...set].flat()];
    return this.#run(id, [from, to, String(ttlMs), String(pairs.length), ...pairs, ...remove]);
  }

  /** All keys of the database, as their number is known without looking at each. */
  async count(): Promise<number> {
    return Number(await this.#client.dbSize());
  }

  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    await this.#closeClient?.();
  }

  async #run(id: string, args: string[]): Promise<true | StoredConversation | undefined> {
    const call = { keys: [PREFIX + keyOf(id)], arguments: args };
    let reply: unknown;
    try {
      reply = await this.#client.evalSha(SHA1, call);
    } catch (error) {
      if (!(error instanceof Error && error.message.startsWith('NOSCRIPT'))) throw error;
      reply = await this.#client.eval(SCRIPT, call); // and the server knows it from now on
    }
    return reply === 1 ? true : storedIn(reply);
  }
}

/**
 * Different ids have different keys, whatever is in them. Braces would choose the slot of a
 * cluster, and half a pair of surrogates has no UTF-8.
 */
function keyOf(id: string): string {
  return id.replace(
    /[^\w.-]/g,
    (unit) => `%${unit.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}

function storedIn(reply: unknown): StoredConversation | undefined {
  if (!Array.isArray(reply)) throw unexpected(reply);
  const parts = new Map<string, string>();
  for (let index = 0; index < reply.length; index += 2) {
    const [name, text]: unknown[] = reply.slice(index, index + 2);
    if (typeof name !== 'string' || typeof text !== 'string') throw unexpected(text);
    parts.set(name, text);
  }
  const version = parts.get(VERSION);
  parts.delete(VERSION);
  return version === undefined ? undefined : { version, parts };
}

function unexpected(reply: unknown): TypeError {
  const got = Buffer.isBuffer(reply) ? 'a Buffer' : `a value of type ${typeof reply}`;
  return new TypeError(`the client of Redis must answer with strings in a list, got ${got}`);
}

import type { Awaitable } from '../../../base/awaitable.ts';
import { messageOf } from '../../../base/thrown-values.ts';
import { MAX_LOG, versionIn } from './change-log.ts';
import type {
  Epoch, IdPage, PartsChange, PartStore, ReadAnswer, StoredConversation, WriteAnswer,
} from './part-store.ts';
import type { RedisClaims } from './redis-claims.ts';
import {
  scriptOf, type RedisClient, type RedisScriptCall, type Script,
} from './redis-client.ts';
import { EPOCH, EPOCH_ID } from './redis-failover.ts';
import { StoreError } from './store-error.ts';

/** Prefix of all keys. A client may put its own in front of it. */
const PREFIX = 'layercode:';
/** The field with the log of changes: see change-log.ts. Parts have other names. */
const VERSION = '@version';
/** In a reply, precedes the version since which there is news. */
const SINCE = '@since';
/** A version that no conversation ever has. */
const NO_VERSION = ' ';

/**
 * Compare and swap on one hash. Arguments: the version to change, the resulting version, how many
 * milliseconds to keep it; how many arguments follow with fields and values to set, and how many
 * with fields and texts to add to them; those arguments, and the fields to remove. An empty version
 * means no conversation. Returns 1, or fields and values: all of them or, after `@since`, those
 * that are new to someone with the version to change. A field that was only added to has `+` in
 * front of its name.
 *
 * Fields are set before others are removed: a server that is out of memory refuses a script only if
 * its first write needs memory. `unpack` takes at most 7,999 values.
 */
const SWAP = scriptOf(`
local key, from, to = KEYS[1], ARGV[1], ARGV[2]
local log = redis.call('HGET', key, '${VERSION}') or ''
local version = string.match(log, '^%S*')
if version == to then
  -- written again, as RedisClaims needs it
  if from ~= '${NO_VERSION}' and to ~= '' then redis.call('HSET', key, '${VERSION}', log) end
  return 1
end
local set = 5 + ARGV[4]
local added = set + ARGV[5]
if version ~= from then
  local known = from == '${NO_VERSION}' and to or from
  local sizes, whole = {}, {}
  for line in string.gmatch(log, '([^\\n]+)\\n') do
    if string.match(line, '^%S+') == known then
      for at = 6, set, 2 do whole[ARGV[at]] = true end
      for at = added + 1, #ARGV do whole[ARGV[at]] = true end
      local news = {'${VERSION}', version, '${SINCE}', known}
      local function tell(name, size)
        local text = redis.call('HGET', key, name)
        news[#news + 1] = size and '+' .. name or name
        news[#news + 1] = size and string.sub(text, -size) or text
      end
      for name in pairs(whole) do tell(name) end
      for name, size in pairs(sizes) do
        if not whole[name] then tell(name, size) end
      end
      return news
    end
    for name, size in string.gmatch(line, ' ([^ +]+)%+?(%d*)') do
      if size == '' then whole[name] = true else sizes[name] = (sizes[name] or 0) + size end
    end
  end
  return redis.call('HGETALL', key)
end
if to == '' then
  redis.call('DEL', key)
  return 1
end
local touched = {to}
for at = 6, set, 2 do touched[#touched + 1] = ARGV[at] end
for at = set + 1, added, 2 do touched[#touched + 1] = ARGV[at] .. '+' .. #ARGV[at + 1] end
for at = added + 1, #ARGV do touched[#touched + 1] = ARGV[at] end
log = table.concat(touched, ' ') .. '\\n' .. string.sub(log, 1, ${MAX_LOG})
redis.call('HSET', key, '${VERSION}', log, unpack(ARGV, 6, math.min(1005, set)))
for first = 1006, set, 1000 do
  redis.call('HSET', key, unpack(ARGV, first, math.min(first + 999, set)))
end
for at = set + 1, added, 2 do
  local text = redis.call('HGET', key, ARGV[at]) or ''
  redis.call('HSET', key, ARGV[at], text .. ARGV[at + 1])
end
for first = added + 1, #ARGV, 1000 do
  redis.call('HDEL', key, unpack(ARGV, first, math.min(first + 999, #ARGV)))
end
redis.call('PEXPIRE', key, ARGV[3])
return 1
`);

/**
 * Returns a cursor for the next call and some of the keys that begin with `KEYS[1]`, without that
 * beginning. It is a script because clients put their own prefix before keys, but not before
 * patterns.
 */
const LIST = scriptOf(`
local begun = KEYS[1]
local pattern = string.gsub(begun, '[*?%[%]\\\\^-]', '\\\\%0') .. '*'
local found = redis.call('SCAN', ARGV[1], 'MATCH', pattern, 'COUNT', 1000)
for index, key in ipairs(found[2]) do found[2][index] = string.sub(key, #begun + 1) end
return found
`);

/** A script, because clients have no common command for it. */
const INFO = scriptOf("return redis.call('INFO', ARGV[1])");
/** How long an erasure waits for replicas. */
const REPLICATED_MS = 2_000;

/**
 * Conversations in Redis or Valkey: one hash each, with a field for each part. A hash expires as a
 * whole.
 */
export class RedisStore implements PartStore {
  readonly name = 'redis';
  readonly #client: RedisClient;
  readonly #closeClient: (() => Awaitable<void>) | undefined;
  readonly #claims: RedisClaims | undefined;
  readonly #send: ((command: string[]) => Promise<unknown>) | undefined;
  readonly claimsWaitMs: number;

  /**
   * `closeClient` is called when the store is closed. Without it the client stays open.
   * Without `claims`, a claim is as safe as any other write. `send`: sends any command.
   */
  constructor(
    client: RedisClient,
    closeClient?: () => Awaitable<void>,
    claims?: RedisClaims,
    send?: (command: string[]) => Promise<unknown>,
  ) {
    this.#client = client;
    this.#closeClient = closeClient;
    this.#claims = claims;
    this.#send = send;
    this.claimsWaitMs = 2 * (claims?.waitMs ?? 0);
  }

  async read(id: string, known?: string): Promise<ReadAnswer> {
    // A swap that is never made, because no conversation has that version: one script does both.
    const found = await this.#run(id, [NO_VERSION, known ?? NO_VERSION, '', '0', '0']);
    return found === true ? 'unchanged' : found;
  }

  write(id: string, change: PartsChange, onSent?: () => void): Promise<WriteAnswer> {
    const { from = '', to = '', set, add, remove, ttlMs, isClaim } = change;
    const args = [from, to, ...[ttlMs, 2 * set.size, 2 * (add?.size ?? 0)].map(String)];
    for (const [name, text] of [...set, ...(add ?? [])]) args.push(name, text);
    args.push(...remove);
    if (isClaim !== true) return this.#run(id, args);
    if (this.#claims !== undefined) return this.#claim(this.#claims, id, args, onSent);
    // Not by its hash: a script that the server does not know is sent again, after what was sent
    // since.
    return this.#client.eval(SWAP.text, { keys: [redisKeyOf(id)], arguments: args }).then(swapped);
  }

  async #claim(
    claims: RedisClaims,
    id: string,
    args: readonly string[],
    onSent: (() => void) | undefined,
  ): Promise<WriteAnswer> {
    const command = ['EVAL', SWAP.text, '1', redisKeyOf(id), ...args];
    const { answer, confirm } = await claims.write(command, onSent);
    if (answer !== 1) return storedIn(answer);
    confirm();
    return true;
  }

  /** In a cluster: the epoch of one node. */
  async epoch(isAfterClaim = false): Promise<Epoch> {
    const key = redisKeyOf(EPOCH_ID);
    const reply = isAfterClaim && this.#claims !== undefined
      ? (await this.#claims.write(['EVAL', EPOCH.text, '1', key])).answer
      : await this.#eval(EPOCH, { keys: [key], arguments: [] }, (found) => found);
    const [id, restMs]: unknown[] = Array.isArray(reply) ? reply : [];
    if (typeof id !== 'string') throw unexpected(id);
    return { id, restMs: Number(restMs) };
  }

  /**
   * True if something else is stored under the key. Redis 6 puts more words in front of
   * `WRONGTYPE`.
   */
  isOfOne(error: unknown): boolean {
    return error instanceof TypeError || /\bWRONGTYPE\b/.test(messageOf(error));
  }

  async list(prefix: string, after: string): Promise<IdPage> {
    const call = { keys: [redisKeyOf(prefix)], arguments: [after || '0'] };
    const reply = await this.#eval(LIST, call, (found) => found).catch((error: unknown) => {
      const message = `the store cannot list its keys: ${messageOf(error)}`;
      throw new StoreError(message, { cause: error });
    });
    if (!Array.isArray(reply)) throw unexpected(reply);
    const [cursor, rests]: unknown[] = reply;
    if (!Array.isArray(rests)) throw unexpected(rests);
    const ids = rests.map((rest: unknown) => {
      if (typeof rest !== 'string') throw unexpected(rest);
      return prefix + idOf(rest);
    });
    return { ids, next: cursor === '0' ? undefined : String(cursor) };
  }

  /** The number of all keys in the database, which the server knows without a scan. */
  async count(): Promise<number> {
    return Number(await this.#client.dbSize());
  }

  /** The log is its append-only file. */
  async keepsWriteLog(): Promise<boolean> {
    return !/^aof_enabled:0\r?$/m.test(await this.#info('persistence'));
  }

  /**
   * Waits until its replicas have removed it, too. False if there are none, or if that is unknown.
   */
  async overwrite(): Promise<boolean> {
    const [, replicas = 0] = /^connected_slaves:(\d+)/m.exec(await this.#info('replication')) ?? [];
    const wait = ['WAIT', String(replicas), String(REPLICATED_MS)];
    const confirmed = await this.#send?.(wait).catch(() => 0); // not permitted
    return Number(replicas) > 0 && Number(confirmed) >= Number(replicas);
  }

  /** '' if the user is not allowed to know it. */
  #info(section: string): Promise<string> {
    return this.#eval(INFO, { keys: [], arguments: [section] }, String).catch(() => '');
  }

  async close(): Promise<void> {
    await this.#closeClient?.();
  }

  #run(id: string, args: string[]): Promise<WriteAnswer> {
    return this.#eval(SWAP, { keys: [redisKeyOf(id)], arguments: args }, swapped);
  }

  #eval<T>({ text, sha1 }: Script, call: RedisScriptCall, read: (reply: unknown) => T): Promise<T> {
    return this.#client.evalSha(sha1, call).then(read, (error: unknown) => {
      if (!(error instanceof Error && error.message.startsWith('NOSCRIPT'))) throw error;
      return this.#client.eval(text, call).then(read); // the server remembers it from now on
    });
  }
}

/**
 * The key of a conversation's hash. Different ids have different keys, whatever characters they
 * contain. Braces would select a cluster's slot, and a lone surrogate has no UTF-8.
 */
function redisKeyOf(id: string): string {
  return PREFIX + id.replace(
    /[^\w.-]/g,
    (unit) => `%${unit.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}

/** The id of a key, without `PREFIX`. */
function idOf(key: string): string {
  return key.replace(/%([0-9a-f]{4})/g, (_, unit: string) =>
    String.fromCharCode(Number.parseInt(unit, 16)),
  );
}

function swapped(reply: unknown): WriteAnswer {
  return reply === 1 ? true : storedIn(reply);
}

function storedIn(reply: unknown): StoredConversation | undefined {
  if (!Array.isArray(reply)) throw unexpected(reply);
  const [parts, added] = [new Map<string, string>(), new Map<string, string>()];
  const removed: string[] = [];
  for (let index = 0; index < reply.length; index += 2) {
    const [name, text]: unknown[] = reply.slice(index, index + 2);
    if (typeof name === 'string' && text === null) removed.push(name);
    else if (typeof name !== 'string' || typeof text !== 'string') throw unexpected(text);
    else if (name.startsWith('+')) added.set(name.slice(1), text);
    else parts.set(name, text);
  }
  const version = versionIn(parts.get(VERSION));
  parts.delete(VERSION);
  if (version === undefined) return undefined;
  return parts.delete(SINCE) ? { version, parts, news: { added, removed } } : { version, parts };
}

function unexpected(reply: unknown): TypeError {
  const got = Buffer.isBuffer(reply) ? 'a Buffer' : `a value of type ${typeof reply}`;
  return new TypeError(`the Redis client must return lists of strings, got ${got}`);
}

import { once, EventEmitter } from 'node:events';

import type { Awaitable } from '../../../../src/base/awaitable.ts';
import { UnsafeClaim } from '../../../../src/core/conversations/store.ts';
import { newsFor, withChange } from '../../../../src/core/conversations/stores/change-log.ts';
import { ERASED } from '../../../../src/core/conversations/stores/part-store.ts';
import type {
  Epoch,
  IdPage,
  PartsChange,
  PartStore,
  StoredConversation,
} from '../../../../src/core/conversations/stores/part-store.ts';

/** What several processes share in a test: the database. */
export type SharedParts = Map<string, StoredConversation & {
  readonly log?: string;
  readonly expiresAtMs: number;
}>;

type Stored = SharedParts extends Map<string, infer Value> ? Value : never;

/**
 * A store of parts whose database is a Map that others may share. Answers at once, or if it is slow
 * with promises, which the test may hold up and make fail.
 */
export class PartsInMemory implements PartStore {
  readonly name = 'test';
  /** The store's clock. */
  nowMs = 0;
  now = (): number => this.nowMs;
  /** See `PartStore`. By default it loses nothing. */
  epochNow = (): Epoch => ({ id: 'first', restMs: 0 });
  /** Whether its process has stopped without a word, so that it writes no more heartbeats. */
  isSilent = false;
  /** Commands throw it while it is set, whether done or not. */
  failWith: Error | undefined;
  /** A conversation that it refuses to write. */
  refuses: string | undefined;
  /** A conversation that it refuses to read and to write. */
  cannotUse: string | undefined;
  /** A conversation for which it fails without saying that others work. */
  failsFor: string | undefined;
  /** Whether it may lose the claims that it takes. */
  losesClaims = false;
  /** See `PartStore`. */
  claimsWaitMs = 0;
  /** Whether it takes nothing more, as on a full disk. */
  isFull = false;
  /** Whether a write that fails is done all the same, as by a database whose answer got lost. */
  failsAfterWriting = false;
  /** `read` and `write` in the order of the calls. */
  readonly calls: string[] = [];
  /** All changes asked for. */
  readonly changes: PartsChange[] = [];
  #shared: SharedParts;
  readonly #isSlow: boolean;
  readonly #onCall: () => void;
  readonly #gate = new EventEmitter();
  #isHeld = false;

  constructor(
    shared: SharedParts = new Map(),
    { isSlow = false, onCall = () => undefined }: { isSlow?: boolean; onCall?: () => void } = {},
  ) {
    this.#shared = shared;
    this.#isSlow = isSlow;
    this.#onCall = onCall;
    this.#gate.setMaxListeners(0); // any number of calls may wait
  }

  /** Goes on with a copy that nobody else sees. */
  leave(): void {
    this.#shared = new Map(this.#shared);
  }

  epoch(): Awaitable<Epoch> {
    return this.#answer(() => this.epochNow());
  }

  /** The database loses everything. */
  loseAll(): void {
    this.#shared.clear();
  }

  isOfOne(error: unknown): boolean {
    return error instanceof Error && error.message.startsWith('WRONGTYPE');
  }

  hold(): void {
    this.#isHeld = true;
  }

  release(): void {
    this.#isHeld = false;
    this.#gate.emit('release');
  }

  read(id: string, known?: string): Awaitable<StoredConversation | 'unchanged' | undefined> {
    if (!isHeartbeat(id)) this.calls.push('read');
    return this.#answer(() => {
      if (this.failWith !== undefined) throw this.failWith;
      if (this.cannotUse === id) throw new Error('WRONGTYPE');
      const kept = this.#find(id);
      if (kept === undefined) return undefined;
      const nothing = { from: known, set: new Map<string, string>(), remove: [] };
      return kept.version === known ? 'unchanged' : answerTo(nothing, kept);
    });
  }

  write(id: string, change: PartsChange): Awaitable<true | StoredConversation | undefined> {
    if (!isHeartbeat(id)) {
      this.calls.push('write');
      this.changes.push(change);
    }
    return this.#answer(() => {
      if (this.failWith !== undefined && !this.failsAfterWriting) throw this.failWith;
      if (this.cannotUse === id) throw new Error('WRONGTYPE');
      if (this.isFull && change.to !== undefined) throw new Error('disk full');
      if (this.isSilent && isHeartbeat(id)) return true;
      if (this.refuses === id) throw new Error('WRONGTYPE: it cannot be written');
      if (this.failsFor === id) throw new Error('it is damaged');
      const answer = this.#write(id, change);
      if (this.failWith !== undefined) throw this.failWith;
      if (this.losesClaims && change.isClaim === true) throw new UnsafeClaim('it may be lost');
      return answer;
    });
  }

  list(prefix: string, after: string): Awaitable<IdPage> {
    return this.#answer(() => {
      const ids = [...this.#shared.keys()].filter((id) => id.startsWith(prefix)).sort();
      const found = ids.filter((id) => id > after && this.#find(id) !== undefined).slice(0, 10);
      return { ids: found, next: found.length < 10 ? undefined : found.at(-1) };
    });
  }

  count(): Awaitable<number> {
    return this.#answer(() => {
      if (this.failWith !== undefined) throw this.failWith;
      return [...this.#shared.values()].filter(({ version }) => !version.startsWith(ERASED)).length;
    });
  }

  close(): void {
    this.#isHeld = false;
  }

  #write(
    id: string,
    change: PartsChange,
  ): true | StoredConversation | undefined {
    const { from, to, set, add = [], remove, ttlMs } = change;
    const kept = this.#find(id);
    if (kept?.version === to) return true;
    if (kept?.version !== from) return kept === undefined ? undefined : answerTo(change, kept);
    if (to === undefined) return this.#shared.delete(id) || true;
    const parts = new Map([...(kept?.parts ?? []), ...set]);
    for (const [name, text] of add) parts.set(name, (parts.get(name) ?? '') + text);
    for (const name of remove) parts.delete(name);
    const log = withChange(kept?.log ?? '', to, change);
    this.#shared.set(id, { version: to, parts, log, expiresAtMs: this.now() + ttlMs });
    return true;
  }

  #find(id: string): Stored | undefined {
    const kept = this.#shared.get(id);
    return kept === undefined || kept.expiresAtMs <= this.now() ? undefined : kept;
  }

  #answer<T>(command: () => T): Awaitable<T> {
    this.#onCall();
    if (!this.#isSlow) return command();
    return (async () => {
      while (this.#isHeld) await once(this.#gate, 'release');
      await new Promise((resolve) => setImmediate(resolve));
      this.#onCall();
      return command();
    })();
  }
}

/** Whether it is a heartbeat. Processes write those while a test counts what turns cost. */
function isHeartbeat(id: string): boolean {
  return id.startsWith('\theartbeat');
}

function answerTo(
  change: Pick<PartsChange, 'from' | 'set' | 'remove'>,
  { version, parts, log = '' }: Stored,
): StoredConversation {
  const news = newsFor(log, change, (name) => parts.get(name));
  return { parts: new Map(parts), ...news, version };
}

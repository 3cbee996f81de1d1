// Where a talk is played: an app on a real port, the store that outlives its crashes, and the
// callers' connections.

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import type { Awaitable } from '../../../src/base/awaitable.ts';
import type { Channel } from '../../../src/base/channel.ts';
import { createLogger } from '../../../src/base/log.ts';
import type { Agent } from '../../../src/core/agents/agent.ts';
import { ConversationManager } from '../../../src/core/conversations/manager.ts';
import { MemoryStore } from '../../../src/core/conversations/memory-store.ts';
import type { Message } from '../../../src/core/conversations/message.ts';
import type { ConversationStore } from '../../../src/core/conversations/store.ts';
import type { PartStore } from '../../../src/core/conversations/stores/part-store.ts';
import { SharedStore } from '../../../src/core/conversations/stores/shared-store.ts';
import { loadSqlite } from '../../../src/core/conversations/stores/sqlite-library.ts';
import { SqliteStore } from '../../../src/core/conversations/stores/sqlite-store.ts';
import type { App } from '../../../src/server/app/app.ts';
import { createApp } from '../../../src/server/app/create-app.ts';
import { parseSettings } from '../../../src/server/settings/parse-settings.ts';
import { rawRequest, SECRET } from '../../fixtures/app.ts';
import { PromisedStore } from '../conversations/promised-store.ts';
import { PartsInMemory, type SharedParts } from '../conversations/stores/parts-in-memory.ts';
import { Connections, type Caller, type PostOptions } from './talk-connections.ts';
import { Activity, nextRound } from './talks.ts';

/**
 * `memory` answers at once, `promised` with promises, `thenable` with objects that only have
 * `then`. `shared` keeps conversations in parts, as for several processes. `sqlite` does so in a
 * file, and answers at once. With `machines` two processes share a store, and take deliveries in
 * turn.
 */
export const STORE_KINDS = [
  'memory', 'promised', 'thenable', 'shared', 'sqlite', 'machines',
] as const;
export type StoreKind = (typeof STORE_KINDS)[number];

function answersAtOnce(kind: StoreKind): boolean {
  return kind === 'memory' || kind === 'sqlite';
}

/** A failure of the n-th call, write or timer from now on, counted from 1. */
export interface Failure {
  /**
   * A refused call has done nothing; one whose answer is lost has done everything. A write that
   * fails breaks the connection.
   */
  readonly kind: 'call refused' | 'answer lost' | 'write' | 'early timer' | 'late timer';
  readonly n: number;
}

export const CONVERSATION = 'c-1';
/** For how many rounds the store is held up when an app stops. */
const STOPPING_ROUNDS = 10;
/** The longest pause between two attempts at a write. */
const LONGEST_SHORT_MS = 1_000;
const realSetTimeout = globalThis.setTimeout;

/** What a library with promises of its own returns: it can be awaited, but is not a `Promise`. */
function thenable<T>(promise: Promise<T>): Promise<T> {
  // The interface says `Promise`, but a user's store may return something else.
  return { then: promise.then.bind(promise) } as Promise<T>;
}

/** A process's access to what is stored. */
interface Door {
  readonly store: ConversationStore;
  /** The process crashes: from now on it writes to a copy that nobody reads. */
  die(): void;
}

/** What is stored. It outlives the processes. */
interface World {
  open(onCall: () => void): Door;
  readonly store: ConversationStore;
  close(): Awaitable<void>;
}

class MemoryWorld implements World {
  readonly store = memory();

  open(): Door {
    let target = this.store;
    const store: ConversationStore = {
      read: (id) => target.read(id), update: (id, change) => target.update(id, change),
      count: () => target.count(), close: () => undefined,
    };
    const die = (): void => {
      const conversation = target.read(CONVERSATION);
      target = memory();
      if (conversation !== undefined)
        target.update(CONVERSATION, (draft) =>
          void Object.assign(draft, structuredClone(conversation)));
    };
    return { store, die };
  }

  close(): void {
    this.store.close();
  }
}

function sharing(parts: PartStore): SharedStore {
  return new SharedStore(parts, {
    ttlMs: 3_600_000, maxRemembered: 100, timeoutMs: 5_000,
    log: createLogger({ level: 'silent', write: () => undefined }),
  });
}

class SharedWorld implements World {
  readonly #parts: SharedParts = new Map();
  readonly store = this.open(() => undefined).store;

  open(onCall: () => void): Door {
    const parts = new PartsInMemory(this.#parts, { isSlow: true, onCall });
    return { store: sharing(parts), die: () => parts.leave() };
  }

  close(): Awaitable<void> {
    return this.store.close();
  }
}

class SqliteWorld implements World {
  readonly #folder = mkdtempSync(join(tmpdir(), 'layercode-talk-'));
  readonly #path = join(this.#folder, 'calls.db');
  readonly store = this.open().store;
  #copies = 0;

  open(): Door {
    let target = openParts(this.#path);
    const parts: PartStore = {
      name: 'sqlite', read: (id, known) => target.read(id, known),
      write: (id, change) => target.write(id, change),
      list: (prefix, after) => target.list(prefix, after), count: () => target.count(),
      close: () => target.close(),
    };
    const die = (): void => {
      this.#copies += 1;
      const copy = join(this.#folder, `${this.#copies}.db`);
      const database = new (loadSqlite().DatabaseSync)(this.#path);
      database.exec(`VACUUM INTO '${copy}'`);
      database.close();
      target.close();
      target = openParts(copy);
    };
    return { store: sharing(parts), die };
  }

  async close(): Promise<void> {
    await this.store.close();
    rmSync(this.#folder, { recursive: true });
  }
}

function openParts(path: string): SqliteStore {
  return new SqliteStore({ path, synchronous: 'normal', timeoutMs: 5_000 });
}

function openWorld(kind: StoreKind): World {
  if (kind === 'sqlite') return new SqliteWorld();
  return kind === 'shared' || kind === 'machines' ? new SharedWorld() : new MemoryWorld();
}

/** What the talk does to the stores of all processes. */
class StoreControl {
  calls = 0;
  /** Calls without an answer. */
  pending = 0;
  isHeld = false;
  failure: Failure | undefined;
  hasFailed = false;
  readonly #waiting: (() => void)[] = [];

  /** How many calls wait to be let through. */
  get held(): number {
    return this.#waiting.length;
  }

  /** Lets one call through. */
  grant(): void {
    this.#waiting.shift()?.();
  }

  release(): void {
    this.isHeld = false;
    while (this.#waiting.length > 0) this.grant();
  }

  /** Waits after the calls that are already waiting, which keeps their order. */
  turn(): Promise<void> {
    if (!this.isHeld && this.#waiting.length === 0) return Promise.resolve();
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  /** Counts a call. Returns how it is to fail, if at all. */
  failingCall(): Failure['kind'] | undefined {
    this.calls += 1;
    const { kind, n } = this.failure ?? {};
    if (n !== this.calls || kind === undefined || !/call|answer/.test(kind)) return undefined;
    this.hasFailed = true;
    return kind;
  }
}

/** A store that the talk can hold up call by call, and make fail. */
class HeldStore implements ConversationStore {
  #isClosed = false;
  readonly #inner: ConversationStore;
  readonly #kind: StoreKind;
  readonly #control: StoreControl;
  readonly #onCall: () => void;
  readonly #dead: ReadonlySet<string>;

  /** `dead`: the addresses of processes that have crashed. */
  constructor(
    inner: ConversationStore, kind: StoreKind, control: StoreControl, onCall: () => void,
    dead: ReadonlySet<string>,
  ) {
    const isPromised = kind === 'promised' || kind === 'thenable';
    this.#inner = isPromised ? new PromisedStore(inner) : inner;
    this.#kind = kind;
    this.#control = control;
    this.#onCall = onCall;
    this.#dead = dead;
  }

  mayLive(address: string): boolean {
    return !this.#dead.has(address);
  }

  read(id: string): ReturnType<ConversationStore['read']> {
    return this.#call(() => this.#inner.read(id));
  }

  update<T>(id: string, change: (conversation: never) => T): Awaitable<T> {
    return this.#call(() =>
      this.#inner.update(id, change as Parameters<ConversationStore['update']>[1]),
    ) as Awaitable<T>;
  }

  count(): Awaitable<number> {
    return this.#inner.count();
  }

  /** Calls that are still waiting are refused, as by a closed client. */
  close(): Awaitable<void> {
    this.#isClosed = true;
    return this.#inner.close();
  }

  #call<T>(call: () => Awaitable<T>): Awaitable<T> {
    const control = this.#control;
    this.#onCall();
    const failing = control.failingCall();
    const refused = new Error('the store does not answer');
    if (answersAtOnce(this.#kind)) {
      const answer = failing === 'call refused' ? undefined : call();
      if (failing !== undefined) throw refused;
      return answer as T;
    }
    control.pending += 1;
    const answered = control.turn()
      .then(async () => {
        if (failing === 'call refused' || this.#isClosed) throw refused;
        const answer = await call();
        if (failing !== undefined) throw refused;
        return answer;
      })
      .finally(() => {
        this.#onCall();
        control.pending -= 1;
      });
    return this.#kind === 'thenable' ? thenable(answered) : answered;
  }
}

function memory(): MemoryStore {
  return new MemoryStore({ ttlMs: 3_600_000, maxConversations: 100 });
}

/** Node has no public property for this. */
function isCleared(timer: NodeJS.Timeout): boolean {
  return (timer as NodeJS.Timeout & { readonly _destroyed: boolean })._destroyed;
}

interface Process {
  readonly app: App;
  readonly port: number;
  readonly door: Door;
  readonly channel: Channel | undefined;
}

/** Carries messages between processes without delay. */
class Post {
  readonly #listeners = new Map<string, (message: string) => void>();
  #addresses = 0;

  open(): Channel {
    this.#addresses += 1;
    const address = `p${this.#addresses}`;
    return {
      address,
      send: (to, message) => {
        if (this.#listeners.has(address)) this.#listeners.get(to)?.(message); // the dead are silent
      },
      listen: (listener) => void this.#listeners.set(address, listener),
      close: () => void this.#listeners.delete(address),
    };
  }
}

/**
 * The timers of the app. Short ones, such as those between two attempts at a write, fire in the
 * next round, so that no talk waits for them. One of the others can be made to fire early or late.
 * The talk itself has no timers.
 */
class Timers {
  count = 0;
  hasFailed = false;
  failure: Failure | undefined;
  readonly #late: (() => void)[] = [];

  install(): void {
    const replaced = (
      callback: (...args: unknown[]) => void,
      delay = 0,
      ...args: unknown[]
    ): NodeJS.Timeout => {
      const isShort = delay <= LONGEST_SHORT_MS;
      if (!isShort) this.count += 1;
      const isFailing = !isShort && this.count === this.failure?.n;
      if (!isShort && !isFailing) return realSetTimeout(callback, delay, ...args);
      this.hasFailed ||= isFailing;
      const timer = realSetTimeout(callback, 2 ** 31 - 1, ...args).unref();
      const fire = (): void => {
        if (isCleared(timer)) return;
        clearTimeout(timer);
        callback(...args);
      };
      if (isShort || this.failure?.kind === 'early timer') setImmediate(fire);
      else this.#late.push(fire);
      return timer;
    };
    globalThis.setTimeout = replaced as typeof setTimeout;
  }

  fireLate(): void {
    for (const fire of this.#late.splice(0)) fire();
  }

  restore(): void {
    globalThis.setTimeout = realSetTimeout;
  }
}

export class Stage {
  readonly timers = new Timers();
  readonly store = new StoreControl();
  readonly #activity = new Activity();
  #posts = 0;
  readonly #kind: StoreKind;
  readonly #agent: Agent;
  readonly #world: World;
  readonly #closings: Promise<void>[] = [];
  /** The addresses of processes that have crashed. */
  readonly #dead = new Set<string>();
  readonly #connections: Connections;
  #writes = 0;
  #hasWriteFailed = false;
  #failure: Failure | undefined;
  readonly #post = new Post();
  #processes: readonly Process[] = [];

  constructor(kind: StoreKind, agent: Agent) {
    this.#kind = kind;
    this.#world = openWorld(kind);
    this.#agent = agent;
    this.#connections = new Connections(this.news);
    this.timers.install();
  }

  /** Starts a process over what is stored, or two with `machines`. */
  async open(): Promise<void> {
    const count = this.#kind === 'machines' ? 2 : 1;
    this.#processes = await Promise.all(Array.from({ length: count }, () => this.#openOne()));
  }

  async #openOne(): Promise<Process> {
    const door = this.#world.open(this.news);
    const store = new HeldStore(door.store, this.#kind, this.store, this.news, this.#dead);
    const settings = parseSettings({
      LAYERCODE_WEBHOOK_SECRET: SECRET, SHUTDOWN_TIMEOUT_SECONDS: '0', ACCESS_LOG: 'false',
      FILLER_AFTER_MS: '0',
    }, []);
    const log = createLogger({ level: 'debug', write: () => undefined });
    const channel = this.#kind === 'machines' ? this.#post.open() : undefined;
    const app = createApp(settings, this.#agent, { store, log, ...(channel && { channel }) });
    const { port } = await app.listen({ host: '127.0.0.1', port: 0 });
    this.#connections.watch(port);
    return { app, port, door, channel };
  }

  /** Crashes the processes in the middle of their work. */
  crash(): void {
    for (const { app, door, channel } of this.#processes) {
      door.die();
      if (channel !== undefined) this.#dead.add(channel.address);
      void channel?.close();
      this.#closings.push(app.close());
    }
    this.#connections.closeAll();
    this.store.release();
  }

  get runningTurns(): number {
    return this.#processes.reduce((sum, { app }) => sum + app.runningTurns, 0);
  }

  readonly news = (): void => this.#activity.news();

  plan(failure: Failure): void {
    this.#failure = failure;
    this.store.failure = failure;
    if (failure.kind === 'write') this.#connections.breaksWrite = () => this.#isPlannedWrite();
    if (failure.kind.endsWith('timer')) this.timers.failure = failure;
  }

  #isPlannedWrite(): boolean {
    this.#writes += 1;
    const isPlanned = this.#writes === this.#failure?.n;
    if (isPlanned) this.#hasWriteFailed = true;
    return isPlanned;
  }

  /** Whether the planned failure was reached. */
  get hasFailed(): boolean {
    return this.store.hasFailed || this.timers.hasFailed || this.#hasWriteFailed;
  }

  /** Posts an event to each process in turn. Resolves when the app has it. */
  post(event: object, options: PostOptions = {}): Promise<Caller> {
    this.#posts += 1;
    const { port } = this.#processes[this.#posts % this.#processes.length] as Process;
    return this.#connections.post(port, rawRequest(event), options);
  }

  /** Resolves when nothing happens any more, apart from what the talk holds up. */
  quiet(): Promise<void> {
    return this.#activity.quiet(
      () => this.#connections.isLeaving || this.store.pending > this.store.held,
      () => this.#connections.closeEnded(),
    );
  }

  /** The history in the store. */
  async messages(): Promise<readonly Message[]> {
    const conversations = new ConversationManager(this.#world.store);
    return structuredClone(await conversations.getHistory(CONVERSATION));
  }

  /**
   * Stops the app as a deployment does, while the store is slow. `letGo` ends agents and tools that
   * ignore their signals.
   */
  async stop(letGo: () => void): Promise<void> {
    this.store.isHeld = !answersAtOnce(this.#kind);
    const stopped = Promise.all(this.#processes.map(({ app }) => app.close()));
    for (let round = 0; round < STOPPING_ROUNDS; round++) await nextRound();
    letGo();
    this.store.release();
    await stopped;
  }

  async dispose(): Promise<void> {
    this.timers.restore();
    this.#connections.dispose();
    this.store.release();
    await Promise.all([...this.#processes.map(({ app }) => app.close()), ...this.#closings]);
    await this.#world.close();
  }
}

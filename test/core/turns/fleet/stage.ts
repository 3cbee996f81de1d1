// Where a talk with a fleet is played: two or three apps on real ports, over one database that can
// fail for each of them.

import type { Channel } from '../../../../src/base/channel.ts';
import { createLogger } from '../../../../src/base/log.ts';
import type { SharedStore } from '../../../../src/core/conversations/stores/shared-store.ts';
import type { App } from '../../../../src/server/app/app.ts';
import type { NamedAgents } from '../../../../src/server/app/assemble-app.ts';
import { createApp } from '../../../../src/server/app/create-app.ts';
import { parseSettings } from '../../../../src/server/settings/parse-settings.ts';
import type { Settings } from '../../../../src/server/settings/settings.ts';
import { rawRequest, SECRET } from '../../../fixtures/app.ts';
import { Post } from '../../../fixtures/post.ts';
import { sharing } from '../../conversations/stores/machines.ts';
import { PartsInMemory, type SharedParts } from '../../conversations/stores/parts-in-memory.ts';
import { Connections, type Caller } from '../talk-connections.ts';
import { Activity } from '../talks.ts';
import { FleetClock } from './clock.ts';
import type { FleetTalk } from './talk.ts';

export const CONVERSATION = 'c-1';
/** The first agent's conversation, as the store names it. */
const STORED = `desk/${CONVERSATION}`;
/** Long enough for clocks an hour apart to forget nothing. */
const TTL_MS = 24 * 3_600_000;
/** More than any talk takes to come to its end. */
const MOST_SECONDS = 600;

const SETTINGS = {
  LAYERCODE_WEBHOOK_SECRET: SECRET, SHUTDOWN_TIMEOUT_SECONDS: '0', ACCESS_LOG: 'false',
  METRICS: 'false', FIRST_WORD_TIMEOUT_SECONDS: '120', FILLER_AFTER_MS: '0',
};

export type StoreCondition = 'slow' | 'down' | 'unanswered' | 'well';

/** A process that has been without its store this long counts as silent: no heartbeat arrives. */
const UNHEARD_MS = 5_000 - 1_500;
/** How long a process may take to notice that it has its store again. */
const NOTICING_MS = 2_000;

/** One life of a process. The next one has the same place and clock. */
export class Process {
  isDead = false;
  readonly place: number;
  readonly app: App;
  readonly port: number;
  readonly parts: PartsInMemory;
  readonly store: SharedStore;
  readonly channel: Channel;
  /** Since when it has been without its store, and until when it may be taken for dead. */
  #cutOffAtMs: number | undefined;
  #unheardUntilMs = 0;

  constructor(
    place: number, app: App, port: number, parts: PartsInMemory, store: SharedStore,
    channel: Channel,
  ) {
    [this.place, this.app, this.port] = [place, app, port];
    [this.parts, this.store, this.channel] = [parts, store, channel];
  }

  /** Whether its turns go on from what it remembers. */
  get isAway(): boolean {
    const { isDegraded, turnsWaiting } = this.store.health();
    return isDegraded || turnsWaiting > 0;
  }

  noteStore(condition: StoreCondition, nowMs: number): void {
    if (condition !== 'well') this.#cutOffAtMs ??= nowMs;
    else {
      if (this.isUnheard(nowMs)) this.#unheardUntilMs = nowMs + NOTICING_MS;
      this.#cutOffAtMs = undefined;
    }
  }

  /** Whether others may take it for dead, because its heartbeats do not reach the store. */
  isUnheard(nowMs: number): boolean {
    return nowMs - (this.#cutOffAtMs ?? nowMs) >= UNHEARD_MS || nowMs < this.#unheardUntilMs;
  }
}

/** Carries messages between processes. */
class FleetPost extends Post {
  condition: 'lost' | 'late' | 'well' = 'well';
  override readonly loses = (): boolean => this.condition === 'lost';
  override readonly delays = (): boolean => this.condition === 'late';
  readonly #clock: FleetClock;
  readonly #onNews: () => void;
  readonly #living = new Set<string>();
  #addresses = 0;

  constructor(clock: FleetClock, onNews: () => void) {
    super();
    this.#clock = clock;
    this.#onNews = onNews;
  }

  open(place: number): Channel {
    this.#addresses += 1;
    const channel = this.channel(`p${place}-${this.#addresses}`);
    this.#living.add(channel.address);
    return {
      ...channel,
      send: (to, message) => {
        if (this.#living.has(channel.address)) channel.send(to, message); // the dead are silent
      },
      listen: (listener) => channel.listen((message) => {
        this.#onNews();
        this.#clock.as(place, () => listener(message));
      }),
      close: () => {
        this.#living.delete(channel.address);
        return channel.close();
      },
    };
  }
}

export class FleetStage {
  readonly clock: FleetClock;
  readonly post: FleetPost;
  processes: readonly Process[] = [];
  readonly #agents: NamedAgents;
  readonly #settings: Settings;
  readonly #connections: Connections;
  readonly #closings: Promise<void>[] = [];
  #database: SharedParts = new Map();
  #backup: SharedParts = new Map();
  #epoch = 0;
  /** When the epoch has settled, on the monotonic clock. */
  #settlesAtMs = 0;
  readonly #activity = new Activity();

  constructor({ aheadMs, maxMessages }: FleetTalk, agents: NamedAgents) {
    this.#agents = agents;
    this.#settings = parseSettings({ ...SETTINGS, MAX_MESSAGES: String(maxMessages) }, []);
    this.clock = new FleetClock(aheadMs);
    this.post = new FleetPost(this.clock, this.news);
    this.#connections = new Connections(this.news);
    this.clock.install();
  }

  async open(count: number): Promise<void> {
    const places = Array.from({ length: count }, (_, place) => place);
    this.processes = await Promise.all(places.map((place) => this.#openOne(place)));
  }

  #openOne(place: number): Promise<Process> {
    return this.clock.as(place, async () => {
      const parts = new PartsInMemory(this.#database, { isSlow: true, onCall: this.news });
      parts.now = () => this.clock.nowMs;
      parts.epochNow = () => ({
        id: `server ${this.#epoch}`, restMs: Math.max(0, this.#settlesAtMs - this.clock.nowMs),
      });
      const log = createLogger({ level: 'debug', write: () => undefined });
      const channel = this.post.open(place);
      const store = sharing(parts, { ttlMs: TTL_MS, log, channel });
      const app = createApp(this.#settings, this.#agents, { store, log, channel });
      const { port } = await app.listen({ host: '127.0.0.1', port: 0 });
      this.#connections.watch(port);
      return new Process(place, app, port, parts, store, channel);
    });
  }

  /** The process ends in the middle of its work, and another one takes its place. */
  async crash(dying: Process): Promise<void> {
    dying.isDead = true;
    dying.parts.leave();
    dying.parts.release();
    void dying.channel.close();
    this.#closings.push(dying.app.close());
    const next = await this.#openOne(dying.place);
    this.processes = this.processes.map((process) => (process === dying ? next : process));
  }

  setStore(process: Process, condition: StoreCondition): void {
    process.noteStore(condition, this.clock.nowMs);
    const { parts } = process;
    const isFailing = condition === 'down' || condition === 'unanswered';
    parts.failWith = isFailing ? new Error('the store does not answer') : undefined;
    parts.failsAfterWriting = condition === 'unanswered';
    if (condition === 'slow') parts.hold();
    else parts.release();
  }

  backUp(): void {
    this.#backup = new Map(this.#database);
  }

  loseEverything(): void {
    this.#settlesAtMs = this.clock.nowMs + 3_000;
    this.#database.clear();
  }

  /** As in a failover to a replica that lags behind. */
  loseLastWrites(): void {
    this.#epoch += 1;
    this.#settlesAtMs = this.clock.nowMs + 10_000;
    this.#database.clear();
    for (const [id, stored] of this.#backup) this.#database.set(id, stored);
  }

  /** The parts of the conversation in the database. */
  get stored(): ReadonlyMap<string, string> {
    return this.#database.get(STORED)?.parts ?? new Map();
  }

  readonly news = (): void => this.#activity.news();

  get runningTurns(): number {
    return this.processes.reduce((sum, { app }) => sum + app.runningTurns, 0);
  }

  /** Posts an event. Resolves when the app has it. */
  send({ place, port }: Process, event: object): Promise<Caller> {
    return this.clock.as(place, () => this.#connections.post(port, rawRequest(event)));
  }

  /** Resolves when nothing happens any more, apart from what the talk holds up. */
  readonly quiet = (): Promise<void> => this.#activity.quiet(
    () => this.#connections.isLeaving, () => this.#connections.closeEnded(),
  );

  pass(ms: number): Promise<void> {
    return this.clock.pass(ms, this.quiet);
  }

  /** Lets time pass until `isDone`. False if that takes too long. */
  passUntil(isDone: () => boolean): Promise<boolean> {
    return this.clock.passUntil(isDone, this.quiet, MOST_SECONDS);
  }

  async dispose(): Promise<void> {
    this.#connections.dispose();
    for (const process of this.processes) {
      this.setStore(process, 'well');
      this.#closings.push(process.app.close());
    }
    let isClosed = false;
    const closed = Promise.all(this.#closings).then(() => {
      isClosed = true;
    });
    await this.passUntil(() => isClosed);
    await closed;
    this.clock.restore();
  }
}

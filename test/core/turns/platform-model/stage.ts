// Where a talk with a platform is played: one app, or two over one database in memory or one Redis.

import { createLogger, type Logger } from '../../../../src/base/log.ts';
import type { Agent } from '../../../../src/core/agents/agent.ts';
import type { Message } from '../../../../src/core/conversations/message.ts';
import { openStore } from '../../../../src/core/conversations/stores/open-store.ts';
import type { App } from '../../../../src/server/app/app.ts';
import { createApp } from '../../../../src/server/app/create-app.ts';
import { parseSettings } from '../../../../src/server/settings/parse-settings.ts';
import type { Settings } from '../../../../src/server/settings/settings.ts';
import { Post } from '../../../fixtures/post.ts';
import { sharing } from '../../conversations/stores/machines.ts';
import { PartsInMemory, type SharedParts } from '../../conversations/stores/parts-in-memory.ts';
import { FleetClock } from '../fleet/clock.ts';
import { Activity } from '../talks.ts';
import { Connection } from './connection.ts';
import type { SharedRedis } from './shared-redis.ts';
import type { PlatformTalk } from './talk.ts';

export const CONVERSATION = 'c-1';
export const KEY = 'sk-platform-0123456789';
export const SETTLE_MS = 700;
const TTL_MS = 24 * 3_600_000;
const START_MS = 1_000_000;
/** More than any talk takes to come to its end. */
const MOST_SECONDS = 300;

export class PlatformStage {
  /** The messages that were logged as errors. */
  readonly errors: string[] = [];
  readonly clock = new FleetClock([0]);
  readonly #talk: PlatformTalk;
  readonly #redis: SharedRedis | undefined;
  readonly #connections: Connection[] = [];
  #apps: readonly App[] = [];
  readonly #activity = new Activity();

  /** Two processes share the Redis, if one is given. */
  constructor(talk: PlatformTalk, redis?: SharedRedis) {
    this.#talk = talk;
    this.#redis = redis;
  }

  /** From now on time passes when the talk says so. */
  async open(agent: Agent): Promise<void> {
    this.clock.install();
    // In whole milliseconds, so that a timer fires when what it waits for is due.
    performance.now = () => START_MS + this.clock.nowMs;
    if (this.#redis !== undefined) this.#redis.onNews = this.news;
    const { profile, fillerAfterMs, processes } = this.#talk;
    const settings = parseSettings(
      {
        CHAT_COMPLETIONS_KEYS: KEY,
        CHAT_COMPLETIONS_PROFILE: profile,
        SETTLE_MS: String(SETTLE_MS),
        SHUTDOWN_TIMEOUT_SECONDS: '0',
        ACCESS_LOG: 'false',
        FIRST_WORD_TIMEOUT_SECONDS: '120',
        FILLER_AFTER_MS: String(fillerAfterMs),
      },
      [],
    );
    const log = createLogger({
      level: 'error',
      write: (line) => this.errors.push((JSON.parse(line) as { readonly msg: string }).msg),
    });
    if (processes === 1) this.#apps = [createApp(settings, agent, { log })];
    else if (this.#redis === undefined) this.#apps = this.#overMemory(settings, agent, log);
    else this.#apps = await this.#overRedis(this.#redis, settings, agent, log);
  }

  #overMemory(settings: Settings, agent: Agent, log: Logger): readonly App[] {
    const post = new Post();
    const database: SharedParts = new Map();
    return Array.from({ length: this.#talk.processes }, (_, place) => {
      const parts = new PartsInMemory(database, { isSlow: true, onCall: this.news });
      const store = sharing(parts, { ttlMs: TTL_MS, log });
      const own = post.channel(`p${place}`);
      const channel = {
        ...own,
        listen: (listener: (message: string) => void) => own.listen((message) => {
          this.news();
          listener(message);
        }),
      };
      return createApp(settings, agent, { store, log, channel });
    });
  }

  /** As in production: with the store for Redis, and its channel between processes. */
  async #overRedis(
    { processes }: SharedRedis, settings: Settings, agent: Agent, log: Logger,
  ): Promise<readonly App[]> {
    const stores = processes.map((redis) =>
      openStore(settings, { log, redis, redisSubscriber: redis }));
    return (await Promise.all(stores)).map((store) => createApp(settings, agent, { store, log }));
  }

  readonly news = (): void => this.#activity.news();

  get runningTurns(): number {
    return this.#apps.reduce((sum, { runningTurns }) => sum + runningTurns, 0);
  }

  send(at: number, body: string, headers: Readonly<Record<string, string>>): Connection {
    const app = this.#apps[at % this.#apps.length] as App;
    const connection = new Connection(app, body, headers, this.news);
    this.#connections.push(connection);
    return connection;
  }

  async history(): Promise<readonly Message[]> {
    return (this.#apps[0] as App).conversations.getHistory(CONVERSATION);
  }

  /** Resolves when nothing happens any more, apart from what the talk holds up. */
  readonly quiet = (): Promise<void> => this.#activity.quiet(
    () => this.#redis?.isBusy === true || this.#connections.some(({ isArriving }) => isArriving),
  );

  pass(ms: number): Promise<void> {
    return this.clock.pass(ms, this.quiet);
  }

  /** Lets time pass until `isDone`. False if that takes too long. */
  passUntil(isDone: () => boolean): Promise<boolean> {
    return this.clock.passUntil(isDone, this.quiet, MOST_SECONDS);
  }

  async dispose(): Promise<void> {
    for (const connection of this.#connections) connection.drop();
    let isClosed = false;
    const closed = Promise.all(this.#apps.map((app) => app.close())).then(() => {
      isClosed = true;
    });
    await this.passUntil(() => isClosed);
    await closed;
    await this.#redis?.clear();
    this.clock.restore();
  }
}

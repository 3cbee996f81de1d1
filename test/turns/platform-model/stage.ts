// Where a talk with a platform is played: one app, or two over one database in memory or one Redis.
// No other file of this model imports from src/.

import type { Agent, MessageTurn, Reply } from '../../../src/agents/agent.ts';
import { defineAgent } from '../../../src/agents/define-agent.ts';
import { defineState, type State } from '../../../src/agents/state/state.ts';
import type { App } from '../../../src/app/app.ts';
import { createApp } from '../../../src/app/create-app.ts';
import type { Channel } from '../../../src/base/channel.ts';
import type { Message } from '../../../src/conversations/message.ts';
import { openStore } from '../../../src/conversations/stores/open-store.ts';
import { createLogger, type Logger } from '../../../src/log.ts';
import type { ChatMessage, ChatModel, ModelDelta } from '../../../src/models/model.ts';
import { parseSettings } from '../../../src/settings/parse-settings.ts';
import type { Settings } from '../../../src/settings/settings.ts';
import { NotDone } from '../../../src/tools/tool-not-done.ts';
import { hangUp, tool, type Tool, type ToolContext } from '../../../src/tools/tool.ts';
import { sharing } from '../../conversations/stores/machines.ts';
import { PartsInMemory, type SharedParts } from '../../conversations/stores/parts-in-memory.ts';
import { FleetClock } from '../fleet/clock.ts';
import { nextRound } from '../talk-stage.ts';
import { Connection } from './connection.ts';
import type { SharedRedis } from './shared-redis.ts';
import type { PlatformTalk } from './talk.ts';

export { defineAgent, defineState, hangUp, NotDone, tool };
export type {
  Agent, ChatMessage, ChatModel, Message, MessageTurn, ModelDelta, Reply, State, Tool, ToolContext,
};

export const CONVERSATION = 'c-1';
export const KEY = 'sk-platform-0123456789';
export const SETTLE_MS = 700;
const TTL_MS = 24 * 3_600_000;
const START_MS = 1_000_000;
const QUIET_ROUNDS = 6;
/** More than any talk needs to come to its end. */
const MOST_SECONDS = 300;

/** Carries messages between the processes. */
class Post {
  readonly #listeners = new Map<string, (message: string) => void>();
  readonly #onNews: () => void;

  constructor(onNews: () => void) {
    this.#onNews = onNews;
  }

  open(address: string): Channel {
    return {
      address,
      send: (to, message) => void setImmediate(() => {
        this.#onNews();
        this.#listeners.get(to)?.(message);
      }),
      listen: (listener) => void this.#listeners.set(address, listener),
      close: () => void this.#listeners.delete(address),
    };
  }
}

export class PlatformStage {
  /** The messages that were logged as errors. */
  readonly errors: string[] = [];
  readonly clock = new FleetClock([0]);
  readonly #talk: PlatformTalk;
  readonly #redis: SharedRedis | undefined;
  readonly #connections: Connection[] = [];
  #apps: readonly App[] = [];
  #activity = 0;

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
    const post = new Post(this.news);
    const database: SharedParts = new Map();
    return Array.from({ length: this.#talk.processes }, (_, place) => {
      const parts = new PartsInMemory(database, { isSlow: true, onCall: this.news });
      const store = sharing(parts, { ttlMs: TTL_MS, log });
      return createApp(settings, agent, { store, log, channel: post.open(`p${place}`) });
    });
  }

  /** As in production: its store, and its channel between processes. */
  async #overRedis(
    { processes }: SharedRedis, settings: Settings, agent: Agent, log: Logger,
  ): Promise<readonly App[]> {
    const stores = processes.map((redis) =>
      openStore(settings, { log, redis, redisSubscriber: redis }));
    return (await Promise.all(stores)).map((store) => createApp(settings, agent, { store, log }));
  }

  /** Something happened, so it is not quiet yet. */
  readonly news = (): void => {
    this.#activity += 1;
  };

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
  readonly quiet = async (): Promise<void> => {
    let seen = -1;
    for (let still = 0; still < QUIET_ROUNDS;) {
      await nextRound();
      const isArriving = this.#connections.some(({ isArriving }) => isArriving);
      const isBusy = isArriving || this.#redis?.isBusy === true;
      still = isBusy || seen !== this.#activity ? 0 : still + 1;
      seen = this.#activity;
    }
  };

  pass(ms: number): Promise<void> {
    return this.clock.pass(ms, this.quiet);
  }

  /** Lets time pass until it is done. False if that takes too long. */
  async passUntil(isDone: () => boolean): Promise<boolean> {
    await this.quiet();
    for (let seconds = 0; !isDone(); seconds++) {
      if (seconds === MOST_SECONDS) return false;
      await this.pass(1_000);
      await this.quiet(); // also if no timer was due
    }
    return true;
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

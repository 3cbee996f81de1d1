// Where a talk with a fleet is played: two or three apps on real ports, over one database that can
// fail for each of them. No other file of the fleet imports from src/.

import type { Agent, MessageTurn } from '../../../src/agents/agent.ts';
import type { Reply } from '../../../src/agents/agent.ts';
import { defineAgent } from '../../../src/agents/define-agent.ts';
import type { App } from '../../../src/app/app.ts';
import type { NamedAgents } from '../../../src/app/assemble-app.ts';
import { createApp } from '../../../src/app/create-app.ts';
import type { Channel } from '../../../src/base/channel.ts';
import type { Conversation } from '../../../src/conversations/conversation.ts';
import type { Message } from '../../../src/conversations/message.ts';
import type { OnceCall } from '../../../src/conversations/once-call.ts';
import type { SharedStore } from '../../../src/conversations/stores/shared-store.ts';
import { createLogger } from '../../../src/log.ts';
import type { ChatMessage, ChatModel, ModelDelta } from '../../../src/models/model.ts';
import { parseSettings } from '../../../src/settings/parse-settings.ts';
import { handOver } from '../../../src/tools/tool-hand-over.ts';
import { NotDone } from '../../../src/tools/tool-not-done.ts';
import { tool, type Tool, type ToolContext } from '../../../src/tools/tool.ts';
import { sharing } from '../../conversations/stores/machines.ts';
import { PartsInMemory, type SharedParts } from '../../conversations/stores/parts-in-memory.ts';
import { rawRequest, SECRET } from '../../fixtures/app.ts';
import { Connections, type Caller } from '../talk-connections.ts';
import { nextRound } from '../talk-stage.ts';
import { FleetClock } from './clock.ts';

export { defineAgent, handOver, NotDone, tool };
export type {
  Agent,
  Caller,
  ChatMessage,
  ChatModel,
  Conversation,
  Message,
  MessageTurn,
  ModelDelta,
  NamedAgents,
  OnceCall,
  Reply,
  Tool,
  ToolContext,
};

export const CONVERSATION = 'c-1';
/** The first agent's conversation, as the store names it. */
const STORED = `desk/${CONVERSATION}`;
/** As long as clocks that are an hour apart forget nothing. */
const TTL_MS = 24 * 3_600_000;
const QUIET_ROUNDS = 6;
/** More than any talk needs to come to its end. */
const MOST_SECONDS = 600;

const SETTINGS = {
  LAYERCODE_WEBHOOK_SECRET: SECRET,
  SHUTDOWN_TIMEOUT_SECONDS: '0',
  ACCESS_LOG: 'false',
  METRICS: 'false',
  FIRST_WORD_TIMEOUT_SECONDS: '120',
  FILLER_AFTER_MS: '0',
};

export type StoreCondition = 'slow' | 'down' | 'unanswered' | 'well';

/** Without its store for so long, others hear no heartbeat of a process any more. */
const UNHEARD_MS = 5_000 - 1_500;
/** When it has its store again, it may take so long to notice. */
const NOTICING_MS = 2_000;

/** One life of a process. The next one has the same place and clock. */
export class Process {
  readonly place: number;
  readonly app: App;
  readonly port: number;
  readonly parts: PartsInMemory;
  readonly store: SharedStore;
  readonly channel: Channel;
  readonly logLines: readonly string[];
  isDead = false;
  /** Since when it has been without its store, and until when it may be taken for dead. */
  #cutOffAtMs: number | undefined;
  #unheardUntilMs = 0;

  constructor(
    fields: Pick<Process, 'place' | 'app' | 'port' | 'parts' | 'store' | 'channel' | 'logLines'>,
  ) {
    this.place = fields.place;
    this.app = fields.app;
    this.port = fields.port;
    this.parts = fields.parts;
    this.store = fields.store;
    this.channel = fields.channel;
    this.logLines = fields.logLines;
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

  /** Whether others may take it for dead, as its heartbeats do not reach the store. */
  isUnheard(nowMs: number): boolean {
    return nowMs - (this.#cutOffAtMs ?? nowMs) >= UNHEARD_MS || nowMs < this.#unheardUntilMs;
  }

  /** As this process reads it. */
  async conversation(): Promise<Conversation | undefined> {
    return this.app.conversations.read(CONVERSATION);
  }

  async clear(): Promise<void> {
    await this.app.conversations.clear(CONVERSATION);
  }
}

/** Carries messages between processes. */
class FleetPost {
  condition: 'lost' | 'late' | 'well' = 'well';
  readonly #late: (() => void)[] = [];
  readonly #listeners = new Map<string, (message: string) => void>();
  readonly #clock: FleetClock;
  readonly #onNews: () => void;
  #addresses = 0;

  constructor(clock: FleetClock, onNews: () => void) {
    this.#clock = clock;
    this.#onNews = onNews;
  }

  open(place: number): Channel {
    this.#addresses += 1;
    const address = `p${place}-${this.#addresses}`;
    return {
      address,
      send: (to, message) => {
        if (!this.#listeners.has(address)) return; // the dead are silent
        const arrive = (): void => {
          this.#onNews();
          this.#listeners.get(to)?.(message);
        };
        if (this.condition === 'well') setImmediate(arrive);
        else if (this.condition === 'late') this.#late.push(arrive);
      },
      listen: (listener) =>
        void this.#listeners.set(address, (message) =>
          this.#clock.as(place, () => listener(message))),
      close: () => void this.#listeners.delete(address),
    };
  }

  /** Messages that were late arrive. */
  deliver(): void {
    for (const arrive of this.#late.splice(0)) arrive();
  }
}

export class FleetStage {
  readonly clock: FleetClock;
  readonly post: FleetPost;
  processes: readonly Process[] = [];
  readonly #agents: NamedAgents;
  readonly #connections: Connections;
  readonly #closings: Promise<void>[] = [];
  #database: SharedParts = new Map();
  #backup: SharedParts = new Map();
  #epoch = 0;
  /** When the epoch has settled, on the monotonic clock. */
  #settlesAtMs = 0;
  #activity = 0;

  constructor(aheadMs: readonly number[], agents: NamedAgents) {
    this.#agents = agents;
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
      const logLines: string[] = [];
      const log = createLogger({ level: 'debug', write: (line) => logLines.push(line) });
      const channel = this.post.open(place);
      const store = sharing(parts, { ttlMs: TTL_MS, log, channel });
      const app = createApp(parseSettings(SETTINGS, []), this.#agents, { store, log, channel });
      const { port } = await app.listen({ host: '127.0.0.1', port: 0 });
      this.#connections.watch(port);
      return new Process({ place, app, port, parts, store, channel, logLines });
    });
  }

  /** The process ends in the middle of what it does, and another one takes its place. */
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

  /** As in a failover to a replica that is behind. */
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

  /** Something happened, so it is not quiet yet. */
  readonly news = (): void => {
    this.#activity += 1;
  };

  get runningTurns(): number {
    return this.processes.reduce((sum, { app }) => sum + app.runningTurns, 0);
  }

  /** Posts an event. Resolves when the app has it. */
  send({ place, port }: Process, event: object): Promise<Caller> {
    return this.clock.as(place, () => this.#connections.post(port, rawRequest(event)));
  }

  /** Resolves when nothing happens any more, apart from what the talk holds up. */
  readonly quiet = async (): Promise<void> => {
    let seen = -1;
    for (let still = 0; still < QUIET_ROUNDS;) {
      await nextRound();
      still = this.#connections.isLeaving || seen !== this.#activity ? 0 : still + 1;
      seen = this.#activity;
      this.#connections.closeEnded();
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
    }
    return true;
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

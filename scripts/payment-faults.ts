// npm run payment-faults -- [--store sqlite|stored|replicated|fsynced] [--seconds N] [--seed S]
//                           [--callers N]
// Callers pay through two processes. These are killed and stopped, even between a claim and its
// act, are cut off from the store, and have clocks an hour apart. The store freezes, fails over to
// a replica that is behind, restarts, and loses a key or all of them. Prints a table for each kind
// of claim, and every fault that nothing explains. If there is one, exits with 1. SQLite needs Node
// 22. A seed plans the same faults again, but not at the same moments.

import { randomInt, randomUUID } from 'node:crypto';
import { existsSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';

import { FailingRedis } from '../test/deploy/failing-redis.ts';
import {
  OWN_FAULTS, PayingProcesses, STOP_MS, type Answer,
} from '../test/deploy/paying-processes.ts';
import { judgePayments } from '../test/deploy/payment-judge.ts';
import { randomOf } from '../test/fixtures/random.ts';

const STORES = ['sqlite', 'stored', 'replicated', 'fsynced'] as const;
/** How many payments in a hundred fail in the tool itself. */
const OWN_FAULTS_PERCENT = 2;
/**
 * Workers that keep dying are restarted after ever longer waits, with nobody listening meanwhile.
 */
const ANSWER_MS = 90_000;

type Fault = readonly [name: string, make: () => Promise<void>];

class Play {
  readonly #random: () => number;
  readonly #processes: PayingProcesses;
  readonly #redis: FailingRedis | undefined;
  readonly #answers = new Map<string, Answer[]>();
  readonly #made = new Map<string, number>();
  /** Callers who ask again about an unknown outcome: a late answer counts too. */
  readonly #late: Promise<void>[] = [];

  constructor(seed: number, processes: PayingProcesses, redis: FailingRedis | undefined) {
    this.#random = randomOf(seed);
    this.#processes = processes;
    this.#redis = redis;
  }

  /** What was made to fail, and how many times. */
  get made(): ReadonlyMap<string, number> {
    return this.#made;
  }

  get answers(): ReadonlyMap<string, readonly Answer[]> {
    return this.#answers;
  }

  async play(seconds: number, callers: number): Promise<void> {
    const endMs = performance.now() + seconds * 1_000;
    const talking = Array.from({ length: callers }, async () => {
      while (performance.now() < endMs) await this.#converse();
    });
    while (performance.now() < endMs) await this.#fail();
    await Promise.all(talking);
    await Promise.all(this.#late);
  }

  #pick<T>(from: readonly T[]): T {
    return from[Math.floor(this.#random() * from.length)] as T;
  }

  async #fail(): Promise<void> {
    await sleep(1_000 + 9_000 * this.#random());
    const [name, make] = this.#pick([...this.#ofProcesses(), ...this.#ofRedis()]);
    this.#made.set(name, (this.#made.get(name) ?? 0) + 1);
    await make();
  }

  #ofProcesses(): readonly Fault[] {
    const pid = this.#pick(this.#processes.pids);
    const stop = (ms: number): Promise<void> => this.#processes.signal(pid, 'SIGSTOP', ms);
    return [
      ['kill', () => this.#processes.signal(pid, 'SIGKILL', Infinity)],
      ['stop', () => stop(6_000 + 4_000 * this.#random())],
      ['stop shortly', () => stop(3_000 * this.#random())],
    ];
  }

  #ofRedis(): readonly Fault[] {
    const redis = this.#redis;
    if (redis === undefined) return [];
    const recent = (): readonly string[] => [...this.#answers.keys()].slice(-2_000);
    const failOver: Fault = ['fail over', () => redis.failOver(1_500 * this.#random(), recent)];
    return [
      failOver,
      failOver,
      ['cut', () => this.#cut(redis, 'isRefusing')],
      ['swallow', () => this.#cut(redis, 'isSwallowing')],
      ['freeze', () => redis.freeze(4_000 * this.#random())],
      ['flush', () => redis.flush()],
      ['lose the epoch', () => redis.loseEpoch()],
      ['evict', () => redis.evict(recent().at(-10) ?? '')],
    ];
  }

  async #cut({ ways }: FailingRedis, how: 'isRefusing' | 'isSwallowing'): Promise<void> {
    const index = Math.floor(2 * this.#random());
    const [way, pid] = [ways[index], this.#processes.pids[index]];
    if (way === undefined || pid === undefined) return;
    const down = { pids: [pid], fromMs: Date.now(), toMs: Infinity };
    this.#processes.downs.push(down);
    way[how] = true;
    if (how === 'isRefusing') way.cut();
    await sleep(500 + 7_000 * this.#random());
    way[how] = false;
    way.cut();
    down.toMs = Date.now() + 3_000; // until it has connected again
  }

  async #converse(): Promise<void> {
    const id = randomUUID();
    const answers: Answer[] = [];
    this.#answers.set(id, answers);
    const fault = 100 * this.#random() < OWN_FAULTS_PERCENT ? this.#pick(OWN_FAULTS) : '';
    const pay = `pay ${Math.round(20 + 400 * this.#random())}`;
    const first = Math.floor(2 * this.#random());
    const asking = [this.#processes.ask(id, first, `${pay} ${fault}`)];
    await sleep(this.#random() < 0.3 ? 0 : 500 * this.#random());
    asking.push(this.#processes.ask(id, 1 - first, pay));
    answers.push(...(await Promise.all(asking)));
    const last = await this.#askOn(id, pay, answers);
    if (last?.said !== 'unknown') return;
    const later = async (): Promise<void> => {
      await sleep(STOP_MS + 5_000);
      await this.#askOn(id, pay, answers);
    };
    this.#late.push(later());
  }

  /** Asks until there is an outcome. */
  async #askOn(id: string, pay: string, answers: Answer[]): Promise<Answer | undefined> {
    const endMs = performance.now() + ANSWER_MS;
    for (let tries = 0; performance.now() < endMs; tries++) {
      const answer = await this.#processes.ask(id, tries % 2, pay);
      answers.push(answer);
      if (['paid', 'done', 'unknown'].includes(answer.said)) break;
      await sleep(300);
    }
    return answers.at(-1);
  }
}

async function play(store: (typeof STORES)[number]): Promise<readonly string[]> {
  const isRedis = store !== 'sqlite';
  const redis = isRedis ? await FailingRedis.start(store !== 'fsynced') : undefined;
  const processes = new PayingProcesses(isRedis ? store : undefined);
  try {
    await processes.start(redis?.ways.map(({ port }) => port) ?? []);
    const played = new Play(seed, processes, redis);
    await played.play(Number(values.seconds), Number(values.callers));
    const { bank, downs } = processes;
    const losses = redis?.losses ?? [];
    const survivesFailover = store !== 'stored';
    const { acts, twice, explained, unknown, late, notStarted, ...verdict } =
      judgePayments({ bank, answers: played.answers, downs, losses, survivesFailover });
    const { waits, calmWaits, deaths, ownFaults, wrong } = verdict;
    console.log(`| ${[
      store, acts, twice, listOf(explained), unknown, late, notStarted, halfAndMost(waits),
      halfAndMost(calmWaits), `${halfAndMost(deaths)} (${deaths.length})`,
      `${listOf(played.made)}, in the tool ${ownFaults}`,
    ].join(' | ')} |`);
    for (const [text, times] of processes.errors()) console.error(`  ${times} times: ${text}`);
    return wrong;
  } finally {
    await processes.close();
    await redis?.close();
  }
}

function listOf(counts: ReadonlyMap<string, number>): string {
  return [...counts].map(([kind, times]) => `${kind} ${times}`).join(', ');
}

function halfAndMost(values: readonly number[]): string {
  const sorted = [...values].sort((a, b) => a - b);
  const at = (percent: number): number =>
    sorted[Math.floor((sorted.length * percent) / 100)] ?? 0;
  return `${at(50)}/${at(99)}`;
}

const { values } = parseArgs({
  options: {
    store: { type: 'string' },
    seconds: { type: 'string', default: '60' },
    seed: { type: 'string' },
    callers: { type: 'string', default: '20' },
  },
});
const seed = Number(values.seed ?? randomInt(2 ** 31));
console.log(`seed ${seed}\n| claims | acts | twice | explained by | unknown | done later | not `
  + 'started | ms to the act, p50/p99 | in calm | after a death | faults |');
console.log('|---|--:|--:|---|--:|--:|--:|--:|--:|--:|---|');
const stores = STORES.filter((store) => store === (values.store ?? store));
if (stores.length === 0) throw new Error(`--store must be one of ${STORES.join(', ')}`);
const hasPeers = existsSync(new URL('../test/peers/node_modules', import.meta.url));
if (!hasPeers && stores.some((store) => store !== 'sqlite'))
  throw new Error('npm ci --prefix test/peers first, or --store sqlite');
for (const store of stores) {
  const wrong = await play(store);
  for (const fault of wrong) console.error(fault);
  if (wrong.length > 0) process.exitCode = 1;
}

// Two failing processes whose tool takes money, on a store that also fails: see
// scripts/payment-faults.ts.

import { randomUUID } from 'node:crypto';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { pathToFileURL } from 'node:url';

import { SIGNATURE_HEADER, signPayload } from '../../src/core/wires/layercode/signature.ts';
import { freePort } from '../fixtures/redis-server.ts';
import { ROOT } from '../fixtures/source-files.ts';
import { SECRET, Workplace, type SpawnedServer } from '../fixtures/spawned-server.ts';

export const TURN_MS = 20_000;
export const STOP_MS = 8_000;
const SECOND_CLOCK_MS = 3_600_000;

/** What `pay` does to its own process, in a few calls out of a hundred. */
export const OWN_FAULTS = ['die first', 'die after', 'stop first', 'stop after', 'block'] as const;

/**
 * Acts are lines in the file `bank`, which outlives everything. So are faults, which come first.
 */
const AGENT = `
import { spawn } from 'node:child_process';
import { appendFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { defineAgent } from '${pathToFileURL(join(ROOT, 'dist/index.js')).href}';

const now = Date.now;
const ahead = Number(process.env.AHEAD_MS ?? 0);
Date.now = () => now() + ahead;

export default defineAgent({
  name: 'payments',
  async onMessage({ text, journal, conversationId }) {
    const begunMs = performance.now();
    const [, bankMs, fault] = /^pay (\\d+) ?(.*)$/.exec(text);
    const note = (kind, more) => appendFileSync(
      'bank', [kind, conversationId, process.pid, now(), more].join('|') + '\\n');
    const fail = (when) => {
      if (fault !== when && !(fault === 'block' && when === 'stop after')) return;
      note('fault', fault);
      if (fault.startsWith('die')) process.kill(process.pid, 'SIGKILL');
      const wake = 'sleep ${STOP_MS / 1_000}; kill -CONT ' + process.pid;
      if (fault.startsWith('stop')) {
        spawn('sh', ['-c', wake], { detached: true, stdio: 'ignore' }).unref();
        process.kill(process.pid, 'SIGSTOP');
      }
      if (fault === 'block') for (const end = now() + 6_000; now() < end;);
    };
    const pay = {
      once: () => 'the bill',
      async run() {
        const waitMs = Math.round(performance.now() - begunMs);
        fail('die first');
        fail('stop first');
        note('act', waitMs);
        fail('die after');
        fail('stop after');
        await sleep(Number(bankMs));
        return '{"paid":true}';
      },
    };
    const [{ content }] = await journal.runTools([{ id: 'c', name: 'pay', args: '{}' }], () => pay);
    return content;
  },
});
`;

export type Said = 'paid' | 'done' | 'unknown' | 'not started' | 'running' | 'apology' | 'nothing';

export interface Answer {
  readonly server: number;
  readonly fromMs: number;
  readonly toMs: number;
  readonly said: Said;
  readonly text: string;
}

/** A time in which processes could not put back a claim, or report that they are alive. */
export interface Down {
  readonly pids: readonly number[];
  readonly fromMs: number;
  toMs: number;
}

interface Paying {
  readonly process: SpawnedServer;
  url: string | undefined;
  readonly pids: readonly number[];
}

/** Two servers on a Redis, whose clocks are an hour apart, or one with two workers on a file. */
export class PayingProcesses {
  readonly downs: Down[] = [];
  readonly #workplace = new Workplace();
  readonly #servers: Paying[] = [];
  readonly #claims: string | undefined;
  #isOver = false;

  /** `claims`: the setting `ONCE_CLAIMS`, for Redis. */
  constructor(claims: string | undefined) {
    this.#claims = claims;
    this.#workplace.write('agent.mjs', AGENT);
    this.#workplace.write('bank', '');
    this.#workplace.usePeers();
  }

  get bank(): string {
    return join(this.#workplace.directory, 'bank');
  }

  /** Starts the servers. `ports`: those of the store. */
  async start(ports: readonly number[]): Promise<void> {
    const stores = ports.map((port) => `redis://127.0.0.1:${port}`);
    const all = this.#claims === undefined ? ['sqlite:calls.db'] : stores;
    await Promise.all(all.map((store, index) => this.#serve(index, store)));
  }

  /** Errors that the current processes have logged, and how many times. */
  errors(): ReadonlyMap<string, number> {
    const all = this.#servers.flatMap(({ process }) => process.log);
    const errors = all.filter(({ level }) => level === 'error').map(({ msg, error }) =>
      `${msg}: ${(error as Partial<Error> | undefined)?.message ?? ''}`);
    return new Map([...grouped(errors, (text) => text)].map(([text, all]) => [text, all.length]));
  }

  async close(): Promise<void> {
    this.#isOver = true;
    await this.#workplace.clear();
  }

  /** Starts the server, and starts it again whenever it has ended. */
  async #serve(index: number, store: string): Promise<void> {
    const isShared = this.#claims !== undefined;
    const env = {
      NODE_ENV: 'production', AGENT: './agent.mjs', LAYERCODE_WEBHOOK_SECRET: SECRET,
      ACCESS_LOG: 'false', TURN_TIMEOUT_SECONDS: String(TURN_MS / 1_000), DRAIN_DELAY_SECONDS: '0',
      CONVERSATION_STORE: store,
      ...(isShared
        ? { ONCE_CLAIMS: this.#claims, AHEAD_MS: String(index * SECOND_CLOCK_MS) }
        // After both workers have died, port 0 would be another port.
        : { WORKERS: '2', PORT: String(await freePort()) }),
    };
    const process = this.#workplace.spawn({ env });
    const pids = isShared ? [process.process.pid ?? 0] : [];
    const server: Paying = { process, url: undefined, pids };
    this.#servers[index] = server;
    void process.exit.then(async () => {
      if (server.url === undefined || this.#isOver) return;
      server.url = undefined;
      await this.#serve(index, store);
    });
    try {
      if (!isShared) await process.lines('listening', 2);
      server.url = await process.url();
    } catch {
      await sleep(500); // the store did not let it begin
      if (!this.#isOver) await this.#serve(index, store);
    }
  }

  /** Ids of the processes that may be killed: the servers, or the workers of the only one. */
  get pids(): readonly number[] {
    const known = this.#servers.flatMap(({ pids }) => pids);
    if (known.length > 0) return known;
    const begun = this.#servers[0]?.process.log.filter(({ msg }) => msg === 'listening') ?? [];
    return begun.slice(-2).map((line) => Number(line['worker']));
  }

  /** Sends the signal, and after `ms` `SIGCONT`, unless that is `Infinity`. */
  async signal(pid: number, signal: NodeJS.Signals, ms: number): Promise<void> {
    const fromMs = Date.now();
    const send = (name: NodeJS.Signals): void => {
      try {
        process.kill(pid, name);
      } catch {
        // it has ended meanwhile
      }
    };
    this.downs.push({ pids: [pid], fromMs, toMs: fromMs + ms });
    send(signal);
    if (ms === Infinity) return;
    await sleep(ms);
    send('SIGCONT');
  }

  /** The caller speaks. With workers, both indexes reach the only server. */
  async ask(id: string, index: number, text: string): Promise<Answer> {
    const server = this.#claims === undefined ? 0 : index;
    const fromMs = Date.now();
    let heard = '';
    try {
      const ids = { session_id: 's', conversation_id: id, turn_id: randomUUID() };
      const body = JSON.stringify({ type: 'message', ...ids, text });
      const time = Math.floor((fromMs + (server === 1 ? SECOND_CLOCK_MS : 0)) / 1_000);
      const response = await fetch(`${this.#servers[server]?.url ?? ''}/api/agent`, {
        method: 'POST',
        headers: {
          connection: 'close', [SIGNATURE_HEADER]: signPayload(body, SECRET, { time }),
          'content-type': 'application/json',
        },
        body,
        signal: AbortSignal.timeout(3 * TURN_MS),
      });
      for await (const bytes of response.body ?? []) heard += Buffer.from(bytes).toString();
      if (!response.ok) heard = String(response.status);
    } catch (error) {
      heard += ` ${(error as Error).message}`;
    }
    return { server, fromMs, toMs: Date.now(), said: saidIn(heard), text: heard };
  }
}

export function grouped<T>(all: readonly T[], nameOf: (one: T) => string): Map<string, T[]> {
  const groups = new Map<string, T[]>();
  for (const one of all) groups.set(nameOf(one), [...(groups.get(nameOf(one)) ?? []), one]);
  return groups;
}

function saidIn(text: string): Said {
  if (text.includes('done before')) return 'done';
  if (text.includes('\\"paid\\"')) return 'paid';
  if (text.includes('outcome unknown')) return 'unknown';
  if (text.includes('not started')) return 'not started';
  if (text.includes('still running')) return 'running';
  return text.includes('Sorry') ? 'apology' : 'nothing';
}

// Calls with payments: first alone, then while other clients misbehave.

import { spawn, type ChildProcess } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { isBuiltin } from 'node:module';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

import { readRss } from '../../bench/proc.ts';
import { createTestClient } from '../../src/kit/test-client.ts';
import { ROOT } from '../fixtures/source-files.ts';
import { SECRET, Workplace } from '../fixtures/spawned-server.ts';

export interface HostilePlan {
  /**
   * How long the other clients misbehave. The calls are alone for a quarter of that, at most 15 s.
   */
  readonly seconds: number;
  readonly hostileClients: number;
  readonly calls: number;
}

export interface HostileFigures {
  readonly turns: number;
  /**
   * How long turns took, in milliseconds: the median while the calls were alone, the slowest later.
   */
  readonly quietMs: number;
  readonly slowestMs: number;
  /** The most memory that the server held, in bytes: while the calls were alone, and later. */
  readonly quietBytes: number;
  readonly mostBytes: number;
  /** Turns without the right words, and invoices that were not charged exactly once. */
  readonly faults: readonly string[];
}

const MAX_QUIET_SECONDS = 15;
const MAX_DELAY_MS = 1_000;
/**
 * 64 MiB of bodies, 8 MiB of log lines, and what allocators and sockets take around them. A ratio
 * would judge V8: Node 24 lets garbage double the heap of a process that is free to grow.
 */
const MAX_GROWTH_BYTES = 128 * 2 ** 20;
/** In MiB. A heap that cannot grow shows what the server needs: it would end if it needed more. */
const HEAP = 96;
const LOOK_EVERY_MS = 100;
/** Node 20 has no SQLite. */
const STORE = isBuiltin('node:sqlite') ? 'sqlite:calls.db' : 'memory';

const KEY = 'key-of-the-hostile-test';

/**
 * Pays the invoice that the caller names, or talks at length. The bank adds it to the file, as a
 * line.
 */
function agentModule(bank: string): string {
  const built = (name: string): string => JSON.stringify(pathToFileURL(join(ROOT, name)).href);
  return `
import { appendFileSync } from 'node:fs';
import { defineAgent, tool } from ${built('dist/index.js')};
import { scriptedModel } from ${built('dist/testing.js')};

const pay = tool({
  name: 'pay',
  description: 'Charges the card for an invoice.',
  parameters: { type: 'object', properties: { invoice: { type: 'string' } } },
  once: true,
  async run({ invoice }) {
    appendFileSync(${JSON.stringify(bank)}, invoice + '\\n');
    return { receipt: 'R-' + invoice };
  },
});

const model = scriptedModel(({ messages }) => {
  model.requests.length = 0; // it would remember all of them
  const { role, content } = messages.at(-1);
  if (role === 'tool') return String(content);
  if (content === 'Talk') return 'a'.repeat(500_000);
  return [{ call: 'pay', args: { invoice: content.split(' ').at(-1) } }];
});

export default defineAgent({ name: 'payments', prompt: 'You take payments.', tools: [pay], model });
`;
}

/** Rejects if the server cannot be started, or has ended. */
export async function playHostile(plan: HostilePlan): Promise<HostileFigures> {
  const workplace = new Workplace();
  let hostile: ChildProcess | undefined;
  try {
    const bank = workplace.write('bank', '');
    workplace.write('agent.mjs', agentModule(bank));
    const server = workplace.spawn({
      execArgv: [ // as in `npm start`, except for the last
        '--no-allocation-site-pretenuring', '--max-semi-space-size=4',
        `--max-old-space-size=${HEAP}`,
      ],
      env: {
        NODE_ENV: 'production', AGENT: './agent.mjs', CONVERSATION_STORE: STORE,
        LAYERCODE_WEBHOOK_SECRET: SECRET, CHAT_COMPLETIONS_KEYS: KEY,
        ELEVENLABS_WEBHOOK_SECRET: SECRET, ACCESS_LOG: 'false',
      },
    });
    const url = await server.url();
    const { pid = 0 } = server.process;
    const calls = new Calls(url, plan.calls);
    const quietSeconds = Math.min(MAX_QUIET_SECONDS, plan.seconds / 4);
    const quiet = await watched(pid, () => calls.goOn(quietSeconds));
    const clients = join(import.meta.dirname, 'clients.ts');
    const args = ['--import', 'tsx', clients, new URL(url).port, String(plan.hostileClients), KEY];
    hostile = spawn(process.execPath, args, { stdio: ['ignore', 'ignore', 'inherit'] });
    const later = await watched(pid, () => calls.goOn(plan.seconds));
    hostile.kill();
    const last = await calls.goOn(0); // alone again: nothing has to be restarted
    const charged = readFileSync(bank, 'utf8').split('\n').filter(Boolean);
    return {
      turns: quiet.ms.length + later.ms.length + last.length,
      quietMs: quiet.ms.sort((a, b) => a - b)[quiet.ms.length >> 1] ?? 0,
      slowestMs: Math.max(...later.ms, ...last),
      quietBytes: quiet.bytes,
      mostBytes: later.bytes,
      faults: [...calls.faults, ...calls.wronglyCharged(charged)],
    };
  } finally {
    hostile?.kill();
    await workplace.clear();
  }
}

/** What exceeds the limits, a sentence each. */
export function breachesOf(figures: HostileFigures): readonly string[] {
  const { quietMs, slowestMs, quietBytes, mostBytes, faults } = figures;
  return [
    ...faults,
    ...(slowestMs > quietMs + MAX_DELAY_MS ? [`a turn took ${Math.round(slowestMs)} ms`] : []),
    ...(mostBytes > quietBytes + MAX_GROWTH_BYTES
      ? [`the server held ${Math.round((mostBytes - quietBytes) / 2 ** 20)} MiB more than alone`]
      : []),
  ];
}

/** Calls that pay one invoice after another. */
class Calls {
  readonly faults: string[] = [];
  readonly #url: string;
  readonly #count: number;
  readonly #invoices: string[] = [];

  constructor(url: string, count: number) {
    this.#url = url;
    this.#count = count;
  }

  /** Returns how long each turn took. Each caller takes at least one turn. */
  async goOn(seconds: number): Promise<number[]> {
    const end = performance.now() + seconds * 1_000;
    const ms: number[] = [];
    const call = async (): Promise<void> => {
      do ms.push(await this.#pay());
      while (performance.now() < end);
    };
    await Promise.all(Array.from({ length: this.#count }, call));
    return ms;
  }

  async #pay(): Promise<number> {
    const invoice = `I${this.#invoices.length}`;
    this.#invoices.push(invoice);
    const caller = createTestClient(this.#url, { secret: SECRET });
    const begin = performance.now();
    try {
      const text = await (await caller.say(`Please pay ${invoice}`)).text();
      if (!text.includes(`R-${invoice}`)) this.faults.push(`${invoice}: heard "${text}"`);
    } catch (error) {
      this.faults.push(`${invoice}: ${String(error)}`);
    }
    const ms = performance.now() - begin;
    await new Promise((resolve) => setTimeout(resolve, LOOK_EVERY_MS)); // as callers pause
    return ms;
  }

  wronglyCharged(charged: readonly string[]): readonly string[] {
    return this.#invoices.flatMap((invoice) => {
      const times = charged.filter((line) => line === invoice).length;
      return times === 1 ? [] : [`${invoice} was charged ${times} times`];
    });
  }
}

/** Plays, and watches the most memory that the process held meanwhile. */
async function watched(
  pid: number,
  play: () => Promise<number[]>,
): Promise<{ readonly ms: number[]; readonly bytes: number }> {
  let bytes = readRss(pid);
  const clock = setInterval(() => (bytes = Math.max(bytes, readRss(pid))), LOOK_EVERY_MS);
  try {
    const ms = await play();
    return { ms, bytes };
  } finally {
    clearInterval(clock);
  }
}

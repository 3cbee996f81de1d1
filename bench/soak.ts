// npm run soak -- [--turns 1000000] [--server <script>]
// Many turns over 100,000 conversations, far more than the server keeps. Its limits must hold, so
// memory must stay flat. Exit code 1 if the median of the last quarter is more than 10 % above that
// of the second (the first is warm-up). Use fewer turns only to try it out: at 200,000 the heap is
// still growing to its size, and the verdict is "NOT FLAT" for a server that is flat at a million.
import { resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { runLoad } from './load-process.ts';
import type { TurnsResult } from './load-turns.ts';
import { readRss } from './proc.ts';
import { SERVER, startServer } from './servers.ts';
import { median } from './stats.ts';

const CONNECTIONS = 64;
const CONVERSATIONS = 100_000;
/** Every tenth turn goes to one of 64 conversations, which grow to the message limit. */
const HOT_EVERY = 10;
const MAX_GROWTH = 0.1;
/**
 * The young generation starts at its full size. By default V8 doubles it now and then (4, 16, 32
 * MiB of new_space were seen in 1,000,000 turns of the bare handler, whose old_space stayed at 5
 * MiB). These steps come to an end, but look like growth.
 */
const NODE_FLAGS = ['--min-semi-space-size=16', '--max-semi-space-size=16'];

const { values } = parseArgs({
  options: {
    turns: { type: 'string', default: '1000000' },
    server: { type: 'string', default: SERVER },
  },
});
const turns = Number(values.turns);
if (!Number.isInteger(turns) || turns < 1000)
  throw new Error(`--turns must be a whole number from 1000, got "${values.turns}"`);

const rss: number[] = [];
const server = await startServer({ script: resolve(values.server), nodeFlags: NODE_FLAGS });
try {
  console.log(
    `${turns.toLocaleString('en-US')} turns on ${CONNECTIONS} connections over ${CONVERSATIONS.toLocaleString('en-US')} ` +
      `conversations, node ${NODE_FLAGS.join(' ')}`,
  );
  console.log(`  turns       RSS MiB   from /metrics`);
  const reports: Promise<void>[] = [];
  const result = await runLoad<TurnsResult>(
    {
      port: server.port,
      pid: server.pid,
      connections: CONNECTIONS,
      conversations: Math.ceil(CONVERSATIONS / CONNECTIONS),
      // Two rounds through all conversations: by the second, every one of them has long been
      // dropped.
      stay: Math.max(1, Math.round(turns / CONVERSATIONS / 2)),
      hot: HOT_EVERY,
      turns,
    },
    (progress) => {
      rss.push(readRss(server.pid));
      if (rss.length % 10 === 0) reports.push(report(progress.turns ?? 0));
    },
  );
  await Promise.all(reports);
  console.log(`${Math.round(result.turnsPerSecond).toLocaleString('en-US')} turns/s, no failures`);
} finally {
  await server.close();
}

const second = median(rss.slice(rss.length * 0.25, rss.length * 0.5));
const last = median(rss.slice(rss.length * 0.75));
const growth = last / second - 1;
const isFlat = growth <= MAX_GROWTH;
console.log(
  `${isFlat ? 'flat' : 'NOT FLAT'}: median of the second quarter ${mebibytes(second)} MiB, of the last ${mebibytes(last)} MiB, ` +
    `growth ${(growth * 100).toFixed(1)} % (at most ${MAX_GROWTH * 100} %)`,
);
process.exitCode = isFlat ? 0 : 1;

async function report(done: number): Promise<void> {
  const line = `  ${done.toLocaleString('en-US').padEnd(9)}   ${mebibytes(rss.at(-1) ?? 0).padStart(7)}`;
  console.log(`${line}   ${await readMetrics()}`);
}

/** The unlabelled metrics related to memory, whatever their names. Empty if there are none. */
async function readMetrics(): Promise<string> {
  const response = await fetch(`http://127.0.0.1:${server.port}/metrics`).catch(() => undefined);
  if (response?.ok !== true) return '';
  const figures = (await response.text()).matchAll(
    /^(\w*(?:heap|external|conversations|open_streams)\w*) (\S+)$/gm,
  );
  return [...figures]
    .map(([, name, value]) => `${name}=${formatFigure(name ?? '', Number(value))}`)
    .join(' ');
}

function formatFigure(name: string, value: number): string {
  return name.endsWith('_bytes') ? `${mebibytes(value)}MiB` : value.toLocaleString('en-US');
}

function mebibytes(bytes: number): string {
  return (bytes / 2 ** 20).toFixed(1);
}

// Runs turns on a store without a server, in a process of its own. Prints one line of JSON.
//   store-turns.ts --path calls.db
// Measures what a turn writes, early and late in a conversation, and how long the store blocks the
// event loop while 64 conversations run at once.
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { parseArgs } from 'node:util';

import type { PartStore } from '../src/conversations/stores/part-store.ts';
import { openTurn, settleTurn } from '../src/conversations/rules.ts';
import { SharedStore } from '../src/conversations/stores/shared-store.ts';
import { openSqliteThread } from '../src/conversations/stores/sqlite-thread.ts';
import { createLogger } from '../src/log.ts';

export interface StoreTurnsResult {
  /** Average UTF-8 bytes written per turn, over the first and the last ten turns. */
  readonly firstBytes: number;
  readonly lastBytes: number;
  readonly longestBlockMs: number;
}

const TURNS = 1_000;
const SAMPLE = 10;
const CONVERSATIONS = 64;
const SECONDS = 3;
const BOUNDS = { maxMessages: 100_000, maxTextLength: 100_000_000 };
const WORDS = 'What is the weather like in the mountains today?';
const REPLY = 'It is sunny in the valleys, and there is some fresh snow above 2,000 metres. '.repeat(3);

let bytes = 0;

/** Counts what is written. */
function counting(parts: PartStore): PartStore {
  return {
    name: parts.name,
    read: (id, known) => parts.read(id, known),
    write: (id, change) => {
      for (const [name, text] of change.set) bytes += Buffer.byteLength(name + text);
      return parts.write(id, change);
    },
    list: (prefix, after) => parts.list(prefix, after),
    count: () => parts.count(),
    close: () => parts.close(),
  };
}

let runs = 0;

async function turn(store: SharedStore, id: string): Promise<void> {
  runs += 1;
  const [runId, turnId] = [runs, `turn-${String(runs).padStart(9, '0')}`];
  await store.update(id, (conversation) =>
    openTurn(conversation, { turnId, runId, text: WORDS }, BOUNDS),
  );
  const reply = { role: 'assistant', content: REPLY, turnId, state: 'completed' } as const;
  await store.update(id, (conversation) =>
    settleTurn(conversation, { turnId, runId, state: 'completed', messages: [reply] }, BOUNDS),
  );
}

async function measure(path: string): Promise<StoreTurnsResult> {
  const parts = counting(
    await openSqliteThread({ path, synchronous: 'normal', timeoutMs: 250 }),
  );
  const log = createLogger({ level: 'error', write: (line) => process.stderr.write(line) });
  const options = { ttlMs: 3_600_000, maxRemembered: 10_000, timeoutMs: 250, log };
  const store = new SharedStore(parts, options);
  const written: number[] = [];
  for (let n = 0; n < TURNS; n++) {
    bytes = 0;
    await turn(store, 'long');
    written.push(bytes);
  }
  const mean = (some: readonly number[]): number =>
    some.reduce((sum, one) => sum + one, 0) / some.length;

  const delay = monitorEventLoopDelay({ resolution: 1 });
  delay.enable();
  const endsAtMs = performance.now() + SECONDS * 1_000;
  let isOver = false;
  const talk = async (id: string): Promise<void> => {
    while (!isOver) {
      await turn(store, id);
      await new Promise((resolve) => setImmediate(resolve));
      isOver ||= performance.now() > endsAtMs;
    }
  };
  await Promise.all(Array.from({ length: CONVERSATIONS }, (_, n) => talk(`c-${n}`)));
  delay.disable();
  await store.close();
  return {
    firstBytes: mean(written.slice(0, SAMPLE)),
    lastBytes: mean(written.slice(-SAMPLE)),
    longestBlockMs: delay.max / 1e6,
  };
}

const { values } = parseArgs({ options: { path: { type: 'string', default: 'calls.db' } } });
process.stdout.write(`${JSON.stringify(await measure(values.path))}\n`);

// Turns on a store without a server around it, in a process of its own. Prints one line of JSON.
//   store-turns.ts --store memory | sqlite:calls.db | redis://127.0.0.1:6379
// Measures what a turn writes, early and late in a conversation, and how long the event loop is
// blocked while 64 conversations go on at a time. Redis needs the package `redis` in the working
// directory.
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { parseArgs } from 'node:util';

import { createLogger } from '../src/base/log.ts';
import { MemoryStore } from '../src/core/conversations/memory-store.ts';
import type { ConversationStore } from '../src/core/conversations/store.ts';
import { openParts } from '../src/core/conversations/stores/open-store.ts';
import type { PartStore } from '../src/core/conversations/stores/part-store.ts';
import { SharedStore } from '../src/core/conversations/stores/shared-store.ts';
import { openTurn } from '../src/core/conversations/turn-opening.ts';
import { settleTurn } from '../src/core/conversations/turn-settlement.ts';
import { percentile } from './stats.ts';

export interface StoreTurnsResult {
  /** Average UTF-8 bytes written per turn, over the first and the last ten turns. */
  readonly firstBytes: number;
  readonly lastBytes: number;
  /** From the first word of a turn to its end. The store is asked twice in that time. */
  readonly turnP99Ms: number;
  readonly longestBlockMs: number;
}

const TURNS = 1_000;
const SAMPLE = 10;
const CONVERSATIONS = 64;
const SECONDS = 3;
const BOUNDS = { maxMessages: 100_000, maxTextLength: 100_000_000 };
const TTL_MS = 3_600_000;
const TIMEOUT_MS = 250;
const WORDS = 'What is the weather like in the mountains today?';
const SENTENCE = 'It is sunny in the valleys, and there is some fresh snow above 2,000 metres. ';
const REPLY = SENTENCE.repeat(3);

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

async function open(conversationStore: string): Promise<ConversationStore> {
  const maxConversations = 10_000;
  if (conversationStore === 'memory') return new MemoryStore({ ttlMs: TTL_MS, maxConversations });
  const log = createLogger({ level: 'error', write: (line) => process.stderr.write(line) });
  const settings = {
    conversationStore,
    conversationTtlSeconds: TTL_MS / 1_000,
    maxConversations,
    maxHistoryCharacters: 67_108_864,
    storeTimeoutMs: TIMEOUT_MS,
    sqliteSynchronous: 'normal',
  } as const;
  const parts = counting(await openParts(settings, { log }));
  const options = { ttlMs: TTL_MS, maxRemembered: maxConversations, timeoutMs: TIMEOUT_MS, log };
  return new SharedStore(parts, options);
}

let runs = 0;

async function turn(store: ConversationStore, id: string): Promise<void> {
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

async function measure(conversationStore: string): Promise<StoreTurnsResult> {
  const store = await open(conversationStore);
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
  const times: number[] = [];
  let isOver = false;
  const talk = async (id: string): Promise<void> => {
    while (!isOver) {
      const beganAtMs = performance.now();
      await turn(store, id);
      times.push(performance.now() - beganAtMs);
      await new Promise((resolve) => setImmediate(resolve));
      isOver ||= performance.now() > endsAtMs;
    }
  };
  await Promise.all(Array.from({ length: CONVERSATIONS }, (_, n) => talk(`c-${n}`)));
  delay.disable();
  if (store.health?.().isDegraded === true) throw new Error('the store was degraded meanwhile');
  await store.close();
  return {
    firstBytes: mean(written.slice(0, SAMPLE)),
    lastBytes: mean(written.slice(-SAMPLE)),
    turnP99Ms: percentile(times, 0.99),
    longestBlockMs: delay.max / 1e6,
  };
}

const { values } = parseArgs({ options: { store: { type: 'string', default: 'memory' } } });
process.stdout.write(`${JSON.stringify(await measure(values.store))}\n`);

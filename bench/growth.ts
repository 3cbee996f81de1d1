// What turns and conversations cost when there are many of them: the first sections of
// `npm run soak`.
import { startHeapServer, type HeapServer } from './held-heap.ts';
import { readCpuMs } from './proc.ts';
import type { ServerOptions } from './servers.ts';
import type { Point } from './slope.ts';
import { takeTurns, takeTurnsTogether } from './take-turns.ts';

export interface GrowthSize {
  readonly rounds: number;
  /** Turns in a window. */
  readonly turns: number;
  /** Minimum number of turns on each server before its first window. They get its code compiled. */
  readonly warmUp: number;
}

/** Microseconds per turn, by the number of turns or conversations so far. One list per round. */
export type TurnCosts = readonly (readonly Point[])[];

export interface ConversationGrowth {
  readonly costs: TurnCosts;
  /** Bytes of the heap, by the number of conversations seen. */
  readonly held: readonly Point[];
}

export const MAX_CONVERSATIONS = 10_000;
const CONVERSATIONS = [1, 100, 1_000, 10_000, 100_000];
/** The heap is measured at each of these, on the way to the last. */
const HELD_AT = [0, 2_500, 5_000, 7_500, 10_000, 25_000, 50_000, 75_000, 100_000];
/** Turns on a server before each of its windows. */
const RUN_UP = 300;
/** In turns. The last two are at and beyond the 200 messages that a conversation keeps. */
const LENGTHS = [1, 10, 100, 1_000];

/**
 * Measures servers that have seen different numbers of conversations. Each gets a window per round.
 * Conversations keep one turn, so that their length makes no difference.
 */
export async function measureConversations(
  server: ServerOptions,
  size: GrowthSize,
): Promise<ConversationGrowth> {
  const settings = { ...server.settings, MAX_MESSAGES: '2' };
  const entries: { readonly count: number; readonly server: HeapServer }[] = [];
  try {
    for (const count of CONVERSATIONS) {
      entries.push({ count, server: await startHeapServer({ ...server, settings }) });
    }
    let held: Point[] = [];
    for (const { count, server } of entries) {
      if (count === CONVERSATIONS.at(-1)) held = await fillMeasured(server);
      else await takeTurnsTogether(server.port, idsOf(0, count), Math.ceil(size.warmUp / count));
    }
    const costs: Point[][] = [];
    for (let round = 0; round < size.rounds; round++) {
      const points: Point[] = [];
      for (const { count, server } of entries) {
        // Until the processor's caches hold this server again.
        await takeTurns(server.port, goRound(count, 0, RUN_UP));
        const ids = goRound(count, round * size.turns, size.turns);
        points.push({ x: count, y: await costOf(server, ids, size.turns) });
      }
      costs.push(points);
    }
    return { costs, held };
  } finally {
    await Promise.all(entries.map(({ server }) => server.close()));
  }
}

/** Opens conversations, and measures the heap at each step. */
async function fillMeasured(server: HeapServer): Promise<Point[]> {
  // The first turns load and compile code, which is not part of a conversation.
  await takeTurns(server.port, Array<string>(2_000).fill('c-0'));
  const held: Point[] = [];
  let opened = 0;
  for (const count of HELD_AT) {
    await takeTurnsTogether(server.port, idsOf(opened, count));
    opened = count;
    held.push({ x: count, y: await server.heldBytes() });
  }
  return held;
}

/**
 * Measures conversations of different lengths on one server. Each length gets a window per round,
 * in new conversations that have been brought to that length.
 */
export async function measureLengths(
  options: ServerOptions,
  size: GrowthSize,
): Promise<TurnCosts> {
  const server = await startHeapServer(options);
  try {
    await takeTurnsTogether(server.port, idsOf(0, 100), size.warmUp / 100);
    const costs: Point[][] = [];
    for (let round = 0; round < size.rounds; round++) {
      const points: Point[] = [];
      for (const length of LENGTHS) {
        // The window ends at one and a half times the length.
        const turnsOfEach = Math.max(1, length / 2);
        const count = Math.ceil(size.turns / turnsOfEach);
        const ids = Array.from({ length: count }, (_, index) => `${length}-${round}-${index}`);
        await takeTurnsTogether(server.port, ids, length - 1);
        const window = Array.from({ length: turnsOfEach }, () => ids).flat();
        points.push({ x: length, y: await costOf(server, window, window.length) });
      }
      costs.push(points);
    }
    return costs;
  } finally {
    await server.close();
  }
}

/** Microseconds of the server's CPU time per turn. */
async function costOf(
  { port, pid }: HeapServer,
  conversations: Iterable<string>,
  turns: number,
): Promise<number> {
  const before = readCpuMs(pid);
  await takeTurns(port, conversations);
  return ((readCpuMs(pid) - before) * 1_000) / turns;
}

function idsOf(from: number, to: number): string[] {
  return Array.from({ length: to - from }, (_, index) => `c-${from + index}`);
}

/** A list of `turns` conversations, going round through `count` of them. */
function goRound(count: number, from: number, turns: number): string[] {
  return Array.from({ length: turns }, (_, turn) => `c-${(from + turn) % count}`);
}

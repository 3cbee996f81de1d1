// What a turn costs over Chat Completions, where each request contains the call so far.
import { fileURLToPath } from 'node:url';

import { compareLoad } from './compare-load.ts';
import { BENCH_KEY } from './completion-request.ts';
import type { Contestants } from './contestants.ts';
import type { BenchSize, Comparison } from './section.ts';
import { CONNECTIONS } from './throughput-table.ts';

const BARE = fileURLToPath(new URL('completions-bare.mjs', import.meta.url));

/**
 * Turns in each conversation before the warm-up, or new conversations in their place: on a busy
 * machine a warm-up of seconds ends before V8 has compiled much.
 */
const FILL = 25;

/** Limits for CPU per turn, relative to bare, by the maximum number of messages in a request. */
const LIMITS = [[1, 1.4], [50, 1.8]] as const;

export async function compareWires(
  { bare, quiet }: Contestants, size: BenchSize,
): Promise<Comparison> {
  const settings = { ...quiet.settings, CHAT_COMPLETIONS_KEYS: BENCH_KEY };
  const of = { ...quiet, settings };
  const contestants = [{ ...bare, script: BARE, settings }, of];
  const verdicts = [];
  const raw = [];
  for (const [messages, limit] of LIMITS) {
    const when = messages === 1 ? 'with one message' : `with ${messages} messages`;
    const comparison = await compareLoad({
      title: `Chat Completions ${when} in a request,`,
      contestants,
      load: { connections: CONNECTIONS, conversations: 10, fill: FILL, messages },
      size,
      goals: [{ figure: 'CPU per turn', when, of, limit }],
    });
    verdicts.push(...comparison.verdicts);
    raw.push(comparison.raw);
  }
  return { raw, verdicts };
}

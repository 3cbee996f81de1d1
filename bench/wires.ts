// What a turn costs over Chat Completions, where each request holds the call so far.
import { fileURLToPath } from 'node:url';

import { BENCH_KEY } from './completion-request.ts';
import { runRounds, type Contestants } from './contestants.ts';
import type { BenchSize, Comparison } from './section.ts';
import { CONNECTIONS, cpuOf, describeRounds, printThroughput } from './throughput-table.ts';
import { measureThroughput } from './throughput.ts';
import { judge } from './verdict.ts';

const BARE = fileURLToPath(new URL('completions-bare.mjs', import.meta.url));

/**
 * Turns before the warm-up, of each conversation or as many new ones: on a busy machine a warm-up
 * of seconds ends before V8 has compiled much.
 */
const FILL = 25;

/** By how many messages a request holds at most: the limit of CPU per turn, against bare. */
const LIMITS = [[1, 1.4], [50, 1.8]] as const;

export async function compareWires(
  { bare, quiet }: Contestants, size: BenchSize,
): Promise<Comparison> {
  const settings = { ...quiet.settings, CHAT_COMPLETIONS_KEYS: BENCH_KEY };
  const contestants = [{ ...bare, script: BARE, settings }, { ...quiet, settings }];
  const verdicts = [];
  const raw = [];
  for (const [messages, limit] of LIMITS) {
    const results = await runRounds(contestants, size.rounds, (contestant) =>
      measureThroughput(contestant, {
        connections: CONNECTIONS,
        conversations: 10,
        fill: FILL,
        messages,
        ...size,
      }),
    );
    const what = messages === 1 ? 'one message' : `${messages} messages`;
    console.log(`\nChat Completions, ${what} in a request, ${describeRounds(size)}`);
    printThroughput(contestants, results);
    const [bareRounds = [], ownRounds = []] = results;
    const rule = { what: `CPU per turn, ${what}`, limit, kind: 'at most' } as const;
    verdicts.push(judge(rule, cpuOf(ownRounds), cpuOf(bareRounds)));
    raw.push(results);
  }
  return { raw, verdicts };
}

import { BARE } from './servers.ts';
import type { Contestant } from './throughput.ts';

export interface Contestants {
  bare: Contestant;
  /** As it comes: access log (to a file, where the output goes), metrics and history. */
  server: Contestant;
  quiet: Contestant;
}

export function createContestants(server: string): Contestants {
  return {
    bare: { name: 'bare node:http', script: BARE, settings: {} },
    server: { name: 'server, defaults', script: server, settings: {} },
    quiet: { name: 'server, ACCESS_LOG=false', script: server, settings: { ACCESS_LOG: 'false' } },
  };
}

/** Measures every contestant once a round, in turn, so that what else the machine does hits all of them alike. */
export async function runRounds<Result>(
  contestants: readonly Contestant[],
  rounds: number,
  measure: (contestant: Contestant) => Promise<Result>,
): Promise<Result[][]> {
  const results: Result[][] = contestants.map(() => []);
  for (let round = 0; round < rounds; round++) {
    for (const [index, contestant] of contestants.entries()) results[index]?.push(await measure(contestant));
  }
  return results;
}

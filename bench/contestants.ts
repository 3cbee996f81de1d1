import { readFileSync } from 'node:fs';
import type { NodeBinary } from './node-binaries.ts';
import type { Peer } from './peers.ts';
import { BARE } from './servers.ts';

export interface Contestant {
  readonly name: string;
  readonly script: string;
  readonly settings: Readonly<Record<string, string>>;
  readonly node: NodeBinary;
  /** The working directory. Default: an empty one. */
  readonly directory?: string;
  /** Default: no flags. */
  readonly nodeFlags?: readonly string[];
}

export interface Contestants {
  readonly bare: Contestant;
  /** The bare handler, loading `node:http` as the server does. */
  readonly bareRequired: Contestant;
  /** The bare handler, with streams held open by the same agent as in the server. */
  readonly bareWithAgent: Contestant;
  /** The server with its defaults: access log (to a file), metrics and history. */
  readonly server: Contestant;
  readonly quiet: Contestant;
  readonly peers: readonly Contestant[];
}

/** The flags for Node with which `npm start` starts the server. */
function flagsOfNpmStart(): readonly string[] {
  const manifest = readFileSync(new URL('../package.json', import.meta.url), 'utf8');
  const { scripts } = JSON.parse(manifest) as { readonly scripts: { readonly start: string } };
  return scripts.start.split(' ').slice(1, -1);
}

/** The contestant with the flags of `npm start`. All others run without them. */
export function withFlags<Some extends Contestant>(contestant: Some): Some {
  const nodeFlags = [...(contestant.nodeFlags ?? []), ...flagsOfNpmStart()];
  return { ...contestant, name: `${contestant.name}, flags of npm start`, nodeFlags };
}

export function createContestants(
  server: string,
  node: NodeBinary,
  peers: readonly Peer[],
  serverFlags: readonly string[] = [],
): Contestants {
  const ours = { script: server, node, nodeFlags: serverFlags };
  return {
    bare: { name: 'bare node:http', script: BARE, settings: {}, node },
    bareRequired: {
      name: 'bare node:http, by require',
      script: BARE,
      settings: { BY_REQUIRE: '1' },
      node,
    },
    bareWithAgent: {
      name: 'bare node:http, with the agent',
      script: BARE,
      settings: { WITH_AGENT: '1' },
      node,
    },
    server: { ...ours, name: 'server, defaults', settings: {} },
    quiet: { ...ours, name: 'server, ACCESS_LOG=false', settings: { ACCESS_LOG: 'false' } },
    peers: peers.map(({ name, script }) => ({ name, script, settings: {}, node })),
  };
}

/**
 * Measures every contestant once per round, in turn, so that other load on the machine affects them
 * all alike.
 */
export async function runRounds<Some extends Contestant, Result>(
  contestants: readonly Some[],
  rounds: number,
  measure: (contestant: Some) => Promise<Result>,
): Promise<Result[][]> {
  const results: Result[][] = contestants.map(() => []);
  for (let round = 0; round < rounds; round++) {
    for (const [index, contestant] of contestants.entries())
      results[index]?.push(await measure(contestant));
  }
  return results;
}

// npm run bench -- [--nodes 20,22,24,26] [--peers] [--quick] [--json <file>] [--server <script>]
//                  [--only young,full,profile,later,streams,start,memory,stores,
//                         wires,traces,connections]
//                  [--server-flags=<flags of Node>]
// Compares the server with a bare node:http handler under the same load. This is a measurement, not
// a test: a missed target is printed, and only a failure to run ends with exit code 1.
// `--server bench/bare.mjs` shows the noise of the machine.
import { writeFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { COMPARISONS } from './comparisons.ts';
import { createContestants } from './contestants.ts';
import { formatLoad, MACHINE } from './machine.ts';
import { fetchNode, OWN_NODE } from './node-binaries.ts';
import { installPeers } from './peers.ts';
import type { BenchSize, Comparison } from './section.ts';
import { SERVER } from './servers.ts';
import { describeVerdict } from './verdict.ts';

const FULL: BenchSize = {
  rounds: 5,
  warmupSeconds: 2,
  seconds: 4,
  streamRounds: 3,
  starts: 11,
  idles: 5,
};
const QUICK: BenchSize = {
  rounds: 2,
  warmupSeconds: 1,
  seconds: 2,
  streamRounds: 1,
  starts: 7,
  idles: 2,
};

const { values } = parseArgs({
  options: {
    nodes: { type: 'string' },
    peers: { type: 'boolean', default: false },
    quick: { type: 'boolean', default: false },
    only: { type: 'string', default: Object.keys(COMPARISONS).join(',') },
    json: { type: 'string' },
    server: { type: 'string', default: SERVER },
    'server-flags': { type: 'string', default: '' },
  },
});
const sections = values.only.split(',').map((name) => {
  const compare = COMPARISONS[name];
  if (compare !== undefined) return { name, compare };
  throw new Error(`--only takes some of ${Object.keys(COMPARISONS).join(',')}, got "${name}"`);
});
const nodes = values.nodes?.split(',').map(fetchNode) ?? [OWN_NODE];
const peers = values.peers ? installPeers() : [];
const size = values.quick ? QUICK : FULL;
const serverFlags = values['server-flags'].split(' ').filter((flag) => flag !== '');

console.log(`${MACHINE}, load average ${formatLoad()}
The contestants run one at a time, in turn, each as a fresh process, for several rounds. Figures are
medians over the rounds (minimum–maximum); ratios are computed per round, then their median is taken.
The load comes from one other process on the same machine: signed \`message\` events to 127.0.0.1,
over keep-alive connections but for the section \`connections\`, a new turn as soon as the previous one has ended, every answer checked.`);

const results: { node: string; section: string; comparison: Comparison }[] = [];
for (const node of nodes) {
  console.log(`\n# Node ${node.version}`);
  const contestants = createContestants(resolve(values.server), node, peers, serverFlags);
  for (const { name, compare } of sections) {
    const comparison = await compare(contestants, size);
    results.push({ node: node.version, section: name, comparison });
  }
}

const verdicts = results.flatMap(({ node, section, comparison }) =>
  comparison.verdicts.map((verdict) => ({ node, section, ...verdict })),
);
const missed = verdicts.filter(({ isMet }) => !isMet);
console.log(
  `\n${verdicts.length - missed.length} of ${verdicts.length} targets met; load average now ${formatLoad()}`,
);
for (const verdict of missed)
  console.log(`  Node ${verdict.node}, ${verdict.section}: ${describeVerdict(verdict)}`);
if (values.json !== undefined) {
  writeFileSync(
    values.json,
    `${JSON.stringify({ cpu: cpus()[0]?.model, cores: cpus().length, size, verdicts, results }, null, 2)}\n`,
  );
}

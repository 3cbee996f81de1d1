// The load generator, in a process of its own. Prints one line of JSON. Exits 1 if a turn fails.
//   load.ts --port P --pid PID --seconds 4 --warmup 2
//       turns on 64 connections for a time; --fill 100: after 100 turns of each conversation;
//       --messages 50: over Chat Completions, with so many messages at most;
//       --renew 1: a new connection for each turn
//   load.ts --port P --pid PID --turns 100000
//       a number of turns, with a line {"turns":n} every 1 %
//   load.ts --port P --streams 10000
//       that many turns open at once, with a line {"open":n} when all are open
import { parseArgs } from 'node:util';
import { runStreams } from './load-streams.ts';
import { runTurns } from './load-turns.ts';

const { values } = parseArgs({
  options: {
    port: { type: 'string' },
    pid: { type: 'string' },
    'store-pid': { type: 'string', default: '0' },
    connections: { type: 'string', default: '64' },
    conversations: { type: 'string', default: '100' },
    fill: { type: 'string', default: '0' },
    messages: { type: 'string', default: '0' },
    renew: { type: 'string', default: '0' },
    stay: { type: 'string', default: '1' },
    hot: { type: 'string', default: '0' },
    warmup: { type: 'string', default: '2' },
    seconds: { type: 'string', default: '4' },
    turns: { type: 'string' },
    streams: { type: 'string' },
  },
});

const port = Number(values.port);
const result =
  values.streams === undefined
    ? await runTurns({
        port,
        pid: Number(values.pid),
        storePid: Number(values['store-pid']),
        connections: Number(values.connections),
        conversations: Number(values.conversations),
        fill: Number(values.fill),
        messages: Number(values.messages),
        renewsConnections: values.renew === '1',
        stay: Number(values.stay),
        hotEvery: Number(values.hot),
        warmupMs: values.turns === undefined ? Number(values.warmup) * 1000 : 0,
        windowMs: values.turns === undefined ? Number(values.seconds) * 1000 : Infinity,
        maxTurns: values.turns === undefined ? Infinity : Number(values.turns),
        onProgress: (turns) => print({ turns }),
      })
    : await runStreams({
        port,
        streams: Number(values.streams),
        onAllOpen: (open) => print({ open }),
      });

for (const fault of result.faults) console.error(`load: ${fault}`);
print(result);
process.exitCode = result.failures > 0 ? 1 : 0;

function print(line: object): void {
  process.stdout.write(`${JSON.stringify(line)}\n`);
}

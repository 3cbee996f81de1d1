// npm run bench:model -- [--quick]
// How long a model's text takes through the server, compared with a bare node:http handler and
// with streamText of the `ai` package behind Hono with LayerCode's SDK. This is a measurement, not
// a test: a missed target is printed, and the exit code is 1 only if something failed to run.
import { fork } from 'node:child_process';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

import { formatLoad, MACHINE } from './machine.ts';
import type { ModelFigures, ModelResult, ModelSize } from './model-process.ts';
import { installPeerFolder } from './peers.ts';
import { adopt, pickFreePort, SERVER } from './servers.ts';
import { formatSummary, median } from './stats.ts';
import { printTable } from './table.ts';
import { BENCH_SECRET } from './turn-request.ts';

const PROCESS = fileURLToPath(new URL('model-process.ts', import.meta.url));
const AGENT = fileURLToPath(new URL('model-agent.mjs', import.meta.url));
const BARE = fileURLToPath(new URL('peers/model-bare.mjs', import.meta.url));

const FULL = { rounds: 3, streams: 500, history: 20, tokens: 20, turns: 200, waves: 2 };
const QUICK = { rounds: 2, streams: 50, history: 20, tokens: 20, turns: 100, waves: 2 };

const { values } = parseArgs({ options: { quick: { type: 'boolean', default: false } } });
const { rounds, ...size } = values.quick ? QUICK : FULL;
const contestants = [
  { name: 'bare node:http', script: BARE },
  { name: 'server', script: SERVER },
  { name: 'Hono, SDK, ai', script: join(installPeerFolder(), 'ai.mjs') },
];

console.log(`${MACHINE}, node ${process.version}, load average ${formatLoad()}

From the bytes of a model's answer to the events for the caller. Each contestant is a process of its
own, with its model and its callers in it and no kernel between them. Its \`fetch\` and the other ends
of its connections belong to the bench. The time includes the body stream of \`fetch\`, the parsing
of its Server-Sent Events and their JSON, three tools (offered, never called), the server's filter
for text that cannot be spoken, the events, and node:http up to the socket's write. It does not
include TLS, the network, and HTTP on the model's side. The bare handler reads the body, parses its
lines and writes an event for each, without tools, history, filter and checks: Node's own share.

First token: from the model's first bytes to the first spoken event. The conversation has
${size.history} turns.
Next tokens: each token of a reply of ${size.tokens} is sent by itself. The time ends when its event is
written or, if the filter holds it back, when the server has come back for more bytes.
With ${size.streams} streams, a token is sent to all of them at once, and the time until the last one is done
is divided by their number. ${size.turns} turns of one stream, ${size.waves} of all streams. Medians of ${rounds} rounds
(least–greatest), in which the contestants take turns.
`);

const results: ModelResult[][] = contestants.map(() => []);
for (let round = 0; round < rounds; round++) {
  for (const [index, { script }] of contestants.entries()) {
    results[index]?.push(await measure(script));
  }
}

interface Row {
  readonly what: string;
  readonly limit: number;
  readonly figure: (result: ModelResult) => number;
}

function rowsOf(what: string, limit: number, figure: keyof ModelFigures): readonly Row[] {
  return [
    { what: `${what}, one stream`, limit, figure: ({ one }) => one[figure] },
    { what: `${what}, ${size.streams} streams`, limit, figure: ({ many }) => many[figure] },
  ];
}

const rows = [
  ...rowsOf('first token', 15, 'first'),
  ...rowsOf('next token, prose', 1, 'nextProse'),
  ...rowsOf('next token, Markdown', 1, 'nextMarkdown'),
].map(({ what, limit, figure }) => {
  const times = results.map((some) => some.map(figure));
  const [bare = [], server = []] = times;
  const added = server.map((us, round) => us - (bare[round] ?? Number.NaN));
  const isMet = median(server) <= limit;
  return { what, limit, times, added, isMet };
});
printTable([
  ['µs', ...contestants.map(({ name }) => name), 'server − bare', 'target', ''],
  ...rows.map(({ what, limit, times, added, isMet }) => [
    what,
    ...times.map((us) => formatSummary(us, 1)),
    formatSummary(added, 1),
    `≤ ${limit}`,
    isMet ? 'met' : 'missed',
  ]),
]);
const met = rows.filter(({ isMet }) => isMet);
console.log(
  `\n${met.length} of ${rows.length} targets met by the server; load average now ${formatLoad()}`,
);

/** One contestant in a process of its own. */
async function measure(script: string): Promise<ModelResult> {
  const child = adopt(
    fork(PROCESS, [script, JSON.stringify(size satisfies ModelSize)], {
      cwd: tmpdir(), // without an `.env`
      execArgv: ['--import', import.meta.resolve('tsx')],
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
      env: {
        HOST: '127.0.0.1',
        PORT: String(await pickFreePort()),
        NODE_ENV: 'production',
        LAYERCODE_WEBHOOK_SECRET: BENCH_SECRET,
        AGENT,
        DEFAULT_MODEL: 'openai:gpt-6-luna',
        OPENAI_API_KEY: 'sk-bench',
        MAX_MESSAGES: String(2 * size.history),
        LOG_LEVEL: 'warn',
        // One stream among 500 waits longer than a caller would.
        FILLER_AFTER_MS: '600000',
        FIRST_WORD_TIMEOUT_SECONDS: '600',
        TURN_TIMEOUT_SECONDS: '600',
      },
    }),
  );
  return new Promise((resolve, reject) => {
    child.once('message', (result) => resolve(result as ModelResult));
    child.once('exit', (code) => reject(new Error(`${script} ended with exit code ${code}`)));
  });
}

// A process with one contestant of bench:model, its model and its callers. Sends its parent one
// message.
//   model-process.ts <script> '{"streams":500,"history":20,"tokens":50,"turns":200,"waves":6}'
import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { get, type Server } from 'node:http';
import { pathToFileURL } from 'node:url';

import { ModelCaller } from './model-caller.ts';
import { MARKDOWN, PROSE } from './model-texts.ts';
import { ModelVendor } from './model-vendor.ts';
import { checkAnswers, runWave, type WaveTimes } from './model-waves.ts';
import { median } from './stats.ts';

export interface ModelSize {
  /** Concurrent streams. A single stream is measured too. */
  readonly streams: number;
  /** Earlier turns of each conversation. */
  readonly history: number;
  /** Tokens per reply. */
  readonly tokens: number;
  /** Measured turns with one stream, for prose and for Markdown. */
  readonly turns: number;
  /** Measured turns of all streams at once, for prose and for Markdown. */
  readonly waves: number;
}

/** Microseconds per stream: medians over the turns in a process. */
export interface ModelFigures {
  readonly first: number;
  readonly nextProse: number;
  readonly nextMarkdown: number;
}

export interface ModelResult {
  readonly one: ModelFigures;
  readonly many: ModelFigures;
}

/** Tokens per reply in the earlier turns. */
const EARLIER_TOKENS = 4;

const [, , script = '', sizeJson = ''] = process.argv;
process.argv.length = 2; // the server reads its command line
const size = JSON.parse(sizeJson) as ModelSize;
const vendor = new ModelVendor();
globalThis.fetch = vendor.fetch;
await import(pathToFileURL(script).href);
const server = await findServer(Number(process.env['PORT']));

const callers = Array.from({ length: size.streams }, (_, index) => new ModelCaller(`c-${index}`));
for (const caller of callers) server.emit('connection', caller);
for (let turn = 0; turn < size.history; turn++) {
  const text = turn % 2 === 0 ? PROSE : MARKDOWN;
  await runWave(callers, vendor, replyOf(text, EARLIER_TOKENS));
}
const prose = replyOf(PROSE, size.tokens);
await runWave(callers, vendor, prose);
checkAnswers(callers, prose.join(''));

const one = await measure(callers.slice(0, 1), size.turns);
const many = await measure(callers, size.waves);
const result: ModelResult = { one, many };
process.send?.(result, () => process.exit());

/** Replies in prose and in Markdown alternate, after a few for warm-up. */
async function measure(some: readonly ModelCaller[], turns: number): Promise<ModelFigures> {
  const markdown = replyOf(MARKDOWN, size.tokens);
  const proseTimes: WaveTimes[] = [];
  const markdownTimes: WaveTimes[] = [];
  for (let turn = -Math.floor(turns / 4); turn < turns; turn++) {
    const times = [await runWave(some, vendor, prose), await runWave(some, vendor, markdown)];
    if (turn < 0) continue;
    proseTimes.push(...times.slice(0, 1));
    markdownTimes.push(...times.slice(1));
  }
  return {
    first: median(proseTimes.map(({ firstUs }) => firstUs)),
    nextProse: median(proseTimes.map(({ nextUs }) => nextUs)),
    nextMarkdown: median(markdownTimes.map(({ nextUs }) => nextUs)),
  };
}

/** The reply begins with a word that no filter holds back. */
function replyOf(texts: readonly string[], tokens: number): string[] {
  const rest = Array.from({ length: tokens - 2 }, (_, at) => texts[at % texts.length] ?? '');
  return ['Sure', '.\n\n', ...rest];
}

/** The server in this process that listens on a port. One request over the network finds it. */
async function findServer(port: number): Promise<Server> {
  let found: Server | undefined;
  const note = (message: unknown): void => {
    found = (message as { readonly server: Server }).server;
  };
  subscribe('http.server.request.start', note);
  await new Promise<void>((resolve, reject) => {
    get({ port, host: '127.0.0.1', path: '/health', agent: false }, (response) => {
      response.resume();
      response.on('end', resolve);
    }).on('error', reject);
  });
  unsubscribe('http.server.request.start', note);
  if (found === undefined) throw new Error(`nobody serves port ${port}`);
  return found;
}

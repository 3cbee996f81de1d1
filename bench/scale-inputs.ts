// What a turn costs, for the model of scale: a server with a model and a real Redis, as processes.
// The model is a local server that sends one token at a time, and answers at once.
import { symlinkSync } from 'node:fs';
import { createServer, type ServerResponse } from 'node:http';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

import { createLogger } from '../src/base/log.ts';
import { openStore } from '../src/core/conversations/stores/open-store.ts';
import { createTestClient, type TestReply } from '../src/kit/test-client.ts';
import { parseSettings } from '../src/server/settings/parse-settings.ts';
import { chunk, textReply } from '../test/faults/wire-shapes.ts';
import { listen, type Listening } from '../test/fixtures/listen.ts';
import { PEERS } from '../test/fixtures/pages.ts';
import { RedisServer } from '../test/fixtures/redis-server.ts';
import { SECRET, Workplace, type SpawnedServer } from '../test/fixtures/spawned-server.ts';
import { readCpuMs, readRss } from './proc.ts';
import type { Inputs } from './scale-model.ts';

const CONVERSATIONS = 64;
const WARMUP_TURNS = 5;
const TURNS = 20;
const TOKENS = 60;
const TOKEN_MS = 5;
const FIRST_OPEN_TURNS = 500;
const OPEN_TURNS = 2_500;
/** The system's queue for new connections holds no more. */
const OPENED_AT_ONCE = 100;
const MESSAGES = 10_000;
/** The channel loses messages beyond the number that may wait. */
const MESSAGES_AT_ONCE = 500;
/** The size of a message to another process: ids of a conversation, a turn and a run. */
const MESSAGE = JSON.stringify({ type: 'end', ids: 'x'.repeat(120) });
/** Bytes in the headers of a request and its answer. An estimate. */
const HEADER_BYTES = 1_000;
const WORDS = 'What is the weather like in the mountains today?';

/** True while replies begin but do not continue. */
let isHolding = false;
const held = new Set<ServerResponse>();
let modelBytes = 0;

async function openModel(): Promise<Listening> {
  const pieces = textReply(...Array.from({ length: TOKENS }, (_, token) => ` word${token}`));
  return listen(createServer(async (request, response) => {
    for await (const bytes of request) modelBytes += (bytes as Buffer).length;
    modelBytes += HEADER_BYTES;
    response.writeHead(200, { 'content-type': 'text/event-stream' });
    if (isHolding) {
      response.write(chunk({ role: 'assistant', content: 'Well, ' }));
      held.add(response);
      return;
    }
    for (const piece of pieces) {
      modelBytes += piece.length;
      response.write(piece);
      await sleep(TOKEN_MS);
    }
    response.end();
  }));
}

interface RedisFigures {
  readonly cpuUs: number;
  readonly memory: number;
  readonly net: number;
}

async function redisFigures(redis: RedisServer): Promise<RedisFigures> {
  const info = await redis.command('INFO');
  const figure = (name: string): number => {
    const found = new RegExp(`^${name}:([\\d.]+)`, 'm').exec(info)?.[1];
    if (found === undefined) throw new Error(`INFO of Redis has no ${name}`);
    return Number(found);
  };
  return {
    cpuUs: (figure('used_cpu_user') + figure('used_cpu_sys')) * 1e6,
    memory: figure('used_memory'),
    net: figure('total_net_input_bytes') + figure('total_net_output_bytes'),
  };
}

async function measureTurns(
  server: SpawnedServer,
  redis: RedisServer,
): Promise<Omit<Inputs, 'redisCpuUsPerMessage' | 'bytesPerOpenTurn'>> {
  const pid = server.process.pid ?? 0;
  const origin = await server.url();
  const clients = Array.from({ length: CONVERSATIONS }, () =>
    createTestClient(origin, { secret: SECRET }));
  let callerBytes = 0;
  const talk = (turns: number): Promise<unknown> =>
    Promise.all(clients.map(async (client) => {
      for (let turn = 0; turn < turns; turn++) {
        const { length } = await (await client.say(WORDS)).response.text();
        callerBytes += length + HEADER_BYTES;
      }
    }));
  const empty = await redisFigures(redis);
  await talk(WARMUP_TURNS);
  const [before, cpuMs] = [await redisFigures(redis), readCpuMs(pid)];
  [callerBytes, modelBytes] = [0, 0];
  await talk(TURNS);
  const [after, turns] = [await redisFigures(redis), CONVERSATIONS * TURNS];
  const serverCpuUsPerTurn = ((readCpuMs(pid) - cpuMs) * 1_000) / turns;
  const [callerBytesPerTurn, modelBytesPerTurn] = [callerBytes / turns, modelBytes / turns];
  return {
    serverCpuUsPerTurn,
    callerBytesPerTurn,
    modelBytesPerTurn,
    redisCpuUsPerTurn: (after.cpuUs - before.cpuUs) / turns,
    redisBytesPerTurn: (after.memory - empty.memory) / (CONVERSATIONS * (WARMUP_TURNS + TURNS)),
    redisWireBytesPerTurn: (after.net - before.net) / turns,
  };
}

/**
 * What each further turn adds. The first ones are not counted: for them the process allocates
 * memory that it keeps. Measured on a fresh server, because one that was busy has memory left
 * over.
 */
async function measureOpenTurns(server: SpawnedServer): Promise<number> {
  const pid = server.process.pid ?? 0;
  const origin = await server.url();
  isHolding = true;
  const replies: TestReply[] = [];
  const openUpTo = async (count: number): Promise<number> => {
    while (replies.length < count)
      replies.push(...await Promise.all(Array.from({ length: OPENED_AT_ONCE }, async () => {
        const reply = await createTestClient(origin, { secret: SECRET }).say(WORDS);
        await reply[Symbol.asyncIterator]().next(); // its first word is spoken
        return reply;
      })));
    return readRss(pid);
  };
  const fewBytes = await openUpTo(FIRST_OPEN_TURNS);
  const bytes = await openUpTo(OPEN_TURNS);
  for (const response of held) response.end();
  for (const reply of replies) reply.drop();
  return (bytes - fewBytes) / (OPEN_TURNS - FIRST_OPEN_TURNS);
}

async function measureMessages(redis: RedisServer): Promise<number> {
  const settings = parseSettings({ CONVERSATION_STORE: redis.url }, []);
  const log = createLogger({ level: 'warn', write: (lines) => process.stderr.write(lines) });
  const [from, to] = [
    await openStore(settings, { log, directory: PEERS }),
    await openStore(settings, { log, directory: PEERS }),
  ];
  const before = await redisFigures(redis);
  for (let sent = 0; sent < MESSAGES; sent += MESSAGES_AT_ONCE) {
    const arrived = new Promise<void>((resolve) => {
      let left = MESSAGES_AT_ONCE;
      to.channel?.listen(() => {
        if (--left === 0) resolve();
      });
    });
    for (let n = 0; n < MESSAGES_AT_ONCE; n++)
      from.channel?.send(to.channel?.address ?? '', MESSAGE);
    await arrived;
  }
  const after = await redisFigures(redis);
  await Promise.all([from.close(), to.close()]);
  return (after.cpuUs - before.cpuUs) / MESSAGES;
}

export async function measureInputs(): Promise<Inputs> {
  const redis = await RedisServer.start('redis-server');
  const workplace = new Workplace();
  const model = await openModel();
  try {
    const redisCpuUsPerMessage = await measureMessages(redis);
    symlinkSync(join(PEERS, 'node_modules'), join(workplace.directory, 'node_modules'));
    workplace.write('package.json', '{}');
    const spawn = (): SpawnedServer => workplace.spawn({
      env: {
        NODE_ENV: 'production',
        LAYERCODE_WEBHOOK_SECRET: SECRET,
        OPENAI_API_KEY: 'sk-of-nobody',
        OPENAI_BASE_URL: `${model.origin}/v1`,
        CONVERSATION_STORE: redis.url,
        STORE_TIMEOUT_MS: '5000',
      },
    });
    const turns = await measureTurns(spawn(), redis);
    const bytesPerOpenTurn = await measureOpenTurns(spawn());
    return { ...turns, bytesPerOpenTurn, redisCpuUsPerMessage };
  } finally {
    await workplace.clear();
    await model.close();
    await redis.remove();
  }
}

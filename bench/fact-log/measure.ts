// npx tsx bench/fact-log/measure.ts: what a turn writes and reads, in the record of today and as a
// log of facts; what a fold costs; and, where there is a redis-server, what an append costs it.

import { once } from 'node:events';
import { connect } from 'node:net';

import { openTurn } from '../../src/conversations/turn-opening.ts';
import { settleTurn } from '../../src/conversations/turn-settlement.ts';
import { change } from '../../test/conversations/state-writes.ts';
import { BOUNDS, sharing } from '../../test/conversations/stores/machines.ts';
import {
  PartsInMemory, type SharedParts,
} from '../../test/conversations/stores/parts-in-memory.ts';
import { isMissing, RedisServer } from '../../test/fixtures/redis-server.ts';
import { printTable } from '../table.ts';
import { placed, type Fact, type Stored } from './facts.ts';
import { fold } from './fold.ts';

const ON = new Set<never>();
const WORDS = 'I would like to book a table for four people this Friday at eight, please.';
const REPLY = 'Of course. There is a table for four on Friday at eight. May I have your name?';

/** What a turn of the n-th kind puts into the state: a text that stays as long. */
function stateOf(turn: number): { readonly last: string } {
  return { last: `turn-${1_000 + turn}` };
}

/** Bytes of one turn, of the record that is there: its opening, its end, and what is read back. */
async function recordBytes(turns: number, processes: number): Promise<number> {
  const shared: SharedParts = new Map();
  let bytes = 0;
  const count = (parts: ReadonlyMap<string, string>): void => {
    for (const [name, text] of parts) bytes += name.length + Buffer.byteLength(text);
  };
  class Counted extends PartsInMemory {
    override write(...[id, changed]: Parameters<PartsInMemory['write']>) {
      count(changed.set);
      const answer = super.write(id, changed);
      if (typeof answer === 'object' && 'parts' in answer) count(answer.parts);
      return answer;
    }
    override read(...args: Parameters<PartsInMemory['read']>) {
      const answer = super.read(...args);
      if (typeof answer === 'object' && 'parts' in answer) count(answer.parts);
      return answer;
    }
  }
  const stores = Array.from({ length: processes }, () => sharing(new Counted(shared)));
  for (let turn = 0; turn <= turns; turn++) {
    const store = stores[turn % processes];
    if (store === undefined) break;
    if (turn === turns) bytes = 0;
    const [turnId, runId, process] = [`turn-${turn}`, turn + 1, `process-${turn % processes}`];
    await store.update('call', (conversation) =>
      openTurn(
        conversation, { turnId, runId, text: WORDS, process, isCallRunning: () => true }, BOUNDS,
      ));
    const agentState = change(JSON.stringify(stateOf(turn - 1)), JSON.stringify(stateOf(turn)));
    await store.update('call', (conversation) =>
      settleTurn(conversation, {
        turnId, runId, process, state: 'completed', agentState,
        messages: [{ role: 'assistant', content: REPLY, turnId, state: 'completed' }],
      }, BOUNDS));
  }
  for (const store of stores) await store.close();
  return bytes;
}

const SAID = { is: 'said', text: REPLY, how: 'completed' } as const;

/** The same turn as two facts. */
function factsOf(turn: number): readonly Fact[] {
  const [id, run] = [`turn-${turn}`, `process.${turn}`];
  const lists = { initial: stateOf(-1), heard: [], told: [], discards: [] };
  const changes = [
    { kind: 'set', path: ['last'], was: stateOf(turn - 1).last, to: stateOf(turn).last } as const,
  ];
  return [
    { is: 'opened', turn: id, run, words: WORDS, ...lists },
    { ...SAID, run, changes },
  ];
}

function entryOf(fact: Fact, seq: number, writer: string): Stored {
  const at = 1_790_000_000_000 + 4_000 * seq;
  const entry = { writer, number: seq, mark: 0, arrived: at, stamp: at, facts: [fact] };
  return { ...entry, seq, at };
}

/** A call of so many turns, in which processes take turns. */
function call(turns: number, processes: number): readonly Stored[] {
  return Array.from({ length: turns }, (_, turn) => factsOf(turn))
    .flatMap((facts, turn) =>
      facts.map((fact, index) =>
        entryOf(fact, 2 * turn + index + 1, `process-${turn % processes}`)));
}

/** As `SCRIPT` stores it: empty lists are left out, and position and time are in front. */
function stored(entry: Stored): string {
  const { writer, number, mark, arrived, stamp, facts, at } = entry;
  const isThere = (_name: string, value: unknown): unknown =>
    Array.isArray(value) && value.length === 0 ? undefined : value;
  const body = JSON.stringify({ mark, stamp: stamp - arrived, facts }, isThere);
  return `${at} ${arrived} ${writer}:${number} ${body}`;
}

/** With the fields around it, and what a process that was not there reads of the turn before. */
function logBytes(turns: number, processes: number): number {
  const entries = call(turns + 1, processes);
  const sizeOf = (entry: Stored): number =>
    Buffer.byteLength(stored(entry)) + String(entry.seq).length;
  const around = (entry: Stored): number =>
    `@last${placed(entry)}w:${entry.writer}${entry.number}`.length;
  const own = entries.slice(-2).reduce((sum, one) => sum + sizeOf(one) + around(one), 0);
  const before = processes === 1 ? [] : entries.slice(-4, -2);
  return before.reduce((sum, one) => sum + sizeOf(one), own);
}

function foldMicroseconds(turns: number): number {
  const entries = call(turns, 2);
  const known = { entries, base: undefined, claims: new Map(), mark: 0, last: '' };
  const rounds = Math.ceil(20_000 / turns);
  for (let round = 0; round < rounds; round++) fold(known, ON);
  const start = process.cpuUsage();
  for (let round = 0; round < rounds; round++) fold(known, ON);
  const { user, system } = process.cpuUsage(start);
  return (user + system) / rounds;
}

/**
 * An append: the writer's number, the erasure, the condition; then the entry, and what the writer
 * does not know yet. Erasing and claims are left out here.
 */
const SCRIPT = `
local key, writer, number, mark, known = KEYS[1], ARGV[1], tonumber(ARGV[2]), ARGV[3], ARGV[4]
local has = redis.call('HMGET', key, 'w:' .. writer, '@erased', '@last', '@from')
local last, erased, newest = tonumber(has[1] or 0), has[2] or '0', has[3] or ''
local time = redis.call('TIME')
local outcome = 'appended'
if number <= last then outcome = 'known'
elseif number > last + 1 then outcome = 'gap'
elseif mark ~= erased then outcome = 'look'
elseif ARGV[5] == '1' and known ~= newest then outcome = 'conflict'
else
  local seq = tonumber(string.match(newest, '^%d+') or 0) + 1
  newest = seq .. ' ' .. writer .. ':' .. number
  redis.call('HSET', key, seq, time[1] .. ARGV[6], '@last', newest, 'w:' .. writer, number)
  redis.call('PEXPIRE', key, ARGV[7])
end
local fields = {}
local from = tonumber(string.match(known, '^%d+') or 0) + 1
for seq = from, tonumber(string.match(newest, '^%d+') or 0) do fields[#fields + 1] = seq end
local answer = { outcome, newest, erased, time[1] }
if #fields > 0 then answer[5] = redis.call('HMGET', key, unpack(fields)) end
return answer
`;

/** One command after the other, on a connection of its own. */
async function redisMicroseconds(turns: number): Promise<number> {
  const server = await RedisServer.start('redis-server');
  const socket = connect(server.port, '127.0.0.1');
  try {
    await once(socket, 'connect');
    socket.setNoDelay(true);
    const send = async (...args: readonly string[]): Promise<string> => {
      const parts = args.map((arg) => `$${Buffer.byteLength(arg)}\r\n${arg}\r\n`);
      socket.write(`*${args.length}\r\n${parts.join('')}`);
      const [answer]: unknown[] = await once(socket, 'data');
      return String(answer);
    };
    const sha = /\w{40}/.exec(await send('SCRIPT', 'LOAD', SCRIPT))?.[0] ?? '';
    for (let index = 0; index < 400; index++) {
      let known = '';
      for (const entry of call(turns, 1)) {
        const isConditional = entry.facts[0]?.is === 'opened' ? '1' : '0';
        const answer = await send(
          'EVALSHA', sha, '1', `call-${index}`, entry.writer, String(entry.number), '0', known,
          isConditional, stored(entry), '86400000',
        );
        if (!answer.includes('appended')) throw new Error(`the server answered ${answer}`);
        known = placed(entry);
      }
    }
    const stats = await send('INFO', 'commandstats');
    return Number(/evalsha:.*usec_per_call=([\d.]+)/.exec(stats)?.[1]);
  } finally {
    socket.destroy();
    await server.remove();
  }
}

const rows: (readonly string[])[] = [['bytes of one turn', 'today', 'as facts']];
for (const turns of [10, 50])
  for (const processes of [1, 2]) {
    const today = await recordBytes(turns, processes);
    const name = `after ${turns} turns, ${processes === 1 ? 'one process' : 'two by turns'}`;
    rows.push([name, String(today), String(logBytes(turns, processes))]);
  }
printTable(rows);
for (const turns of [10, 50, 200])
  console.log(`a fold of ${turns} turns: ${foldMicroseconds(turns).toFixed(0)} µs of CPU`);
const missing = isMissing('redis-server');
if (missing !== false) console.log(`Redis is left out: ${missing}`);
else
  for (const turns of [10, 50]) {
    const cost = (await redisMicroseconds(turns)).toFixed(1);
    console.log(`an append in a call of ${turns} turns: ${cost} µs in Redis`);
  }

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { describe, it } from 'node:test';

import { limitsOfOne, plan, type Assumptions, type Inputs } from '../../bench/scale-model.ts';
import { waitsIn, type Crowd } from '../../bench/scale-queue.ts';
import { readPage } from '../fixtures/pages.ts';
import { ROOT } from '../fixtures/source-files.ts';
import { TYPESCRIPT } from '../fixtures/typescript.ts';

const INPUTS: Inputs = {
  serverCpuUsPerTurn: 1_000,
  bytesPerOpenTurn: 50_000,
  callerBytesPerTurn: 10_000,
  modelBytesPerTurn: 10_000,
  redisCpuUsPerTurn: 50,
  redisBytesPerTurn: 1_000,
  redisWireBytesPerTurn: 1_000,
  redisCpuUsPerMessage: 1,
};

/**
 * With these, there are a tenth as many turns per second as calls, and each turn is open for 1 s.
 */
const GIVEN: Assumptions = {
  turnsPerMinute: 6,
  turnSeconds: 1,
  callMinutes: 1,
  ttlSeconds: 60,
  messagesPerTurn: 0.1,
  utilisation: 0.5,
  cores: 2,
  memoryGib: 1_000,
  networkGbits: 1_000,
  pricePerHour: 1,
  maxStreams: 1e9,
  descriptors: 1e9,
  redisMemoryGib: 1_000,
  redisClients: 1e9,
  redisReplicas: 1,
  redisPricePerHour: 1,
  balancerStreams: 1e9,
  balancerGbits: 1_000,
};

function planned(calls: number, given: Partial<Assumptions> = {}, inputs: Partial<Inputs> = {}) {
  return plan(calls, { ...INPUTS, ...inputs }, { ...GIVEN, ...given });
}

describe('the plan for a number of calls', () => {
  it('has the turns per second, and the open turns, of that many calls', () => {
    const { turnsPerSecond, openTurns } = planned(10_000, { turnsPerMinute: 12, turnSeconds: 3 });
    assert.deepEqual([turnsPerSecond, openTurns], [2_000, 6_000]);
  });

  it('has at least two servers, so that one may fail', () => {
    const { servers, balancers, shards, cells } = planned(1);
    assert.deepEqual([servers, balancers, shards, cells], [2, 1, 1, 1]);
  });

  // 100,000 calls are 10,000 turns/s: with half of each core in use, they need 10 servers of 2
  // cores.
  const SERVERS: readonly (readonly [by: string, Partial<Assumptions>, servers: number])[] = [
    ['the CPU load', {}, 10],
    ['the CPU load, if less of each core may be used', { utilisation: 0.25 }, 20],
    ['the CPU load, with more cores in each', { cores: 5 }, 4],
    ['the CPU load, if the memory is enough for it', { memoryGib: 1 }, 10],
    ['the memory, of which each core takes 100 MiB', { cores: 4, memoryGib: 0.5 }, 9],
    ['the streams, if each may have MAX_STREAMS', { maxStreams: 1_000 }, 20],
    ['the file descriptors, two for each turn', { descriptors: 1_000 }, 40],
    ['the network traffic', { networkGbits: 0.1 }, 34],
  ];
  for (const [by, given, servers] of SERVERS) {
    it(`has enough servers for ${by}`, () => {
      assert.equal(planned(100_000, given).servers, servers);
    });
  }

  it('has enough servers for their ports to one address, 28,232 each', () => {
    assert.equal(planned(100_000, { turnSeconds: 100 }).servers, 71);
  });

  it('has enough balancers for connections and network', () => {
    assert.equal(planned(100_000, { balancerStreams: 10_000 }).balancers, 2);
    assert.equal(planned(100_000, { balancerGbits: 0.1 }).balancers, 16);
  });

  it('has enough shards for CPU, for the calls that Redis keeps, and for network', () => {
    assert.equal(planned(100_000).shards, 2); // 0.5 and 0.001 cores, at half a core each
    assert.equal(planned(100_000, { redisMemoryGib: 0.25 }).shards, 9); // 200,000 of 6 KB
    assert.equal(planned(100_000, { redisMemoryGib: 0.25, ttlSeconds: 120 }).shards, 14);
    assert.equal(planned(100_000, {}, { redisWireBytesPerTurn: 2e7 }).shards, 4);
  });

  it('has several installations if messages or clients would overload every shard', () => {
    // 1,000,000 calls send 10,000 messages per second, to each shard.
    assert.equal(planned(1_000_000, {}, { redisCpuUsPerMessage: 40 }).cells, 1);
    assert.equal(planned(1_000_000, {}, { redisCpuUsPerMessage: 60 }).cells, 2);
    assert.equal(planned(1_000_000, { redisClients: 200 }).cells, 5); // 100 servers: 400 clients
  });

  it('has the price of the servers, the shards and their replicas', () => {
    // 10 servers and 2 × 2 Redis machines for 36 million turns per hour.
    assert.equal(planned(100_000).costPerMillionTurns, 14 / 36);
    const cheap = planned(100_000, { redisReplicas: 0, redisPricePerHour: 0.5 });
    assert.equal(cheap.costPerMillionTurns, 11 / 36);
  });

  it('is refused if no number of machines is enough', () => {
    assert.throws(() => planned(1_000, { redisClients: 1 }), RangeError);
  });
});

describe('the limits of one server, balancer and shard', () => {
  it('are sorted by the number of calls that they allow', () => {
    const limits = limitsOfOne(INPUTS, { ...GIVEN, maxStreams: 1_000 });
    assert.deepEqual(limits.slice(0, 2), [
      { what: '`MAX_STREAMS`', calls: 10_000 },
      { what: 'CPU of a server', calls: 20_000 },
    ]);
    const calls = limits.map((limit) => limit.calls);
    assert.deepEqual(calls, calls.toSorted((one, other) => one - other));
    assert.ok(limits.some(({ what }) => what === 'messages of Redis'));
  });
});

describe('the waits in a busy process', () => {
  const CALM: Crowd = {
    utilisation: 0.5,
    burst: { seconds: 3, factor: 1 },
    cpuUsPerTurn: 2_000,
    pieces: 20,
    turnSeconds: 4,
    minutes: 1,
    seed: 1,
  };

  it('are the same for the same seed', () => {
    assert.deepEqual(waitsIn(CALM), waitsIn(CALM));
    assert.notDeepEqual(waitsIn(CALM), waitsIn({ ...CALM, seed: 2 }));
  });

  it('grow with the load', () => {
    const waits = [0.3, 0.6, 0.9].map((utilisation) => waitsIn({ ...CALM, utilisation }).p99Ms);
    assert.deepEqual(waits, waits.toSorted((one, other) => one - other));
  });

  it('match the theory for random arrivals: at half load, half of them wait', () => {
    // M/M/1: P(wait > t) = ρ e^(−(1 − ρ) t / s), here with ρ = 0.5 and s = 2 ms.
    const { p50Ms, p99Ms } = waitsIn({ ...CALM, pieces: 1, minutes: 20 });
    assert.ok(p50Ms < 0.1, String(p50Ms));
    assert.ok(Math.abs(p99Ms / (Math.log(50) * 4) - 1) < 0.1, String(p99Ms));
  });

  it("are long in a burst that exceeds the process's capacity", () => {
    assert.ok(waitsIn(CALM).longestMs < 20);
    const { longestMs } = waitsIn({ ...CALM, burst: { seconds: 3, factor: 3 } });
    assert.ok(longestMs > 300 && longestMs < 3_000, String(longestMs));
  });
});

describe('docs/deploy.md', () => {
  it('contains the first table that bench:scale prints', () => {
    const output = execFileSync(process.execPath, [...TYPESCRIPT, 'bench/scale.ts'], {
      cwd: ROOT,
      encoding: 'utf8',
    });
    const [, table = ''] = output.trimEnd().split('\n\n');
    assert.match(table, /^\| calls at once/);
    assert.ok(readPage('docs/deploy.md').includes(table), table);
  });
});

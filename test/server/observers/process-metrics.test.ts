// What /metrics says about the process, compared with what Node says about it.

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';

import { Metrics } from '../../../src/base/metrics.ts';
import { version } from '../../../src/base/version.ts';
import { addProcessMetrics } from '../../../src/server/observers/gauges.ts';

/** The samples of one reading, by name. */
function read(metrics: Metrics): ReadonlyMap<string, number> {
  const samples = metrics.text().matchAll(/^(\w+(?:\{.*\})?) (\S+)$/gm);
  return new Map([...samples].map(([, name = '', value]) => [name, Number(value)]));
}

function open(): { readonly metrics: Metrics; value(name: string): number } {
  const metrics = new Metrics();
  addProcessMetrics(metrics);
  return { metrics, value: (name) => read(metrics).get(name) ?? NaN };
}

/** Blocks the event loop. */
function block(ms: number): void {
  const until = performance.now() + ms;
  while (performance.now() < until);
}

describe('the metrics of the process', () => {
  it('name the versions of the package and of Node', () => {
    const name = `layercode_build_info{version="${version}",node="${process.versions.node}"}`;
    assert.equal(open().value(name), 1);
  });

  it('include user and system CPU time, in seconds', () => {
    block(30);
    const { value } = open();
    const seconds = (): number => {
      const { user, system } = process.cpuUsage();
      return (user + system) / 1_000_000;
    };
    const before = seconds();
    const read = value('process_cpu_seconds_total');
    assert.ok(read >= before && read <= seconds(), `${before} ${read}`);
  });

  it('include resident memory and heap in bytes', () => {
    const { value } = open();
    const { rss, heapUsed } = process.memoryUsage();
    const near = (name: string, bytes: number): void => {
      const read = value(name);
      assert.ok(read > bytes / 2 && read < bytes * 2, `${name} ${read}, not ${bytes}`);
    };
    near('process_resident_memory_bytes', rss);
    near('nodejs_heap_size_used_bytes', heapUsed);
  });

  it('include the start of the process in Unix time', () => {
    assert.equal(open().value('process_start_time_seconds'), performance.timeOrigin / 1_000);
  });

  it('are the sum, the worst or the first across workers', () => {
    const across = Object.fromEntries(
      open().metrics.texts().map(({ name, type, across }) => [name, `${type}, ${across}`]),
    );
    assert.deepEqual(across, {
      layercode_build_info: 'gauge, max',
      process_resident_memory_bytes: 'gauge, sum',
      nodejs_heap_size_used_bytes: 'gauge, sum',
      process_cpu_seconds_total: 'counter, sum',
      process_start_time_seconds: 'gauge, min',
      nodejs_eventloop_lag_p99_seconds: 'gauge, max',
      nodejs_eventloop_utilization: 'gauge, max',
    });
  });

  it('include the delay of the event loop since the last reading, in seconds', async () => {
    const { value } = open();
    value('nodejs_eventloop_lag_p99_seconds');
    await sleep(50); // Node measures every 20 ms, from the first tick after a reading on
    block(200);
    await sleep(50);
    const lag = value('nodejs_eventloop_lag_p99_seconds');
    assert.ok(lag > 0.1 && lag < 20, String(lag));
    assert.equal(value('nodejs_eventloop_lag_p99_seconds'), 0);
  });

  it('include the busy share of the event loop since the last reading', async () => {
    const { value } = open();
    value('nodejs_eventloop_utilization');
    await sleep(0);
    block(100);
    const busy = value('nodejs_eventloop_utilization');
    await sleep(100);
    const idle = value('nodejs_eventloop_utilization');
    assert.ok(busy > 0.5 && busy <= 1, `busy ${busy}`);
    assert.ok(idle >= 0 && idle < 0.5, `idle ${idle}`);
  });
});

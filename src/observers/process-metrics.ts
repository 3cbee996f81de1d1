import { monitorEventLoopDelay, performance, type EventLoopUtilization } from 'node:perf_hooks';

import { version } from '../base/version.ts';
import { Gauge, type Across, type Metrics } from '../metrics.ts';

/** Metrics of the process and its event loop, mostly named as in Prometheus' clients. */
export function addProcessMetrics(metrics: Metrics): void {
  const gauge = (name: string, help: string, read: () => number, across?: Across): void => {
    metrics.add(new Gauge(name, help, read, 'gauge', across));
  };
  const cpuSeconds = (): number => {
    const { user, system } = process.cpuUsage();
    return (user + system) / 1e6;
  };
  const build = 'layercode_build_info';
  const labels = `{version="${version}",node="${process.versions.node}"}`;
  metrics.add({
    name: build,
    help: 'The versions of the package and of Node. Always 1.',
    type: 'gauge',
    across: 'max',
    samples: () => `${build}${labels} 1\n`,
  });
  const help = 'User and system CPU time.';
  gauge('process_resident_memory_bytes', 'Resident memory.', () => process.memoryUsage.rss());
  gauge('nodejs_heap_size_used_bytes', 'JavaScript heap in use.',
    () => process.memoryUsage().heapUsed);
  metrics.add(new Gauge('process_cpu_seconds_total', help, cpuSeconds, 'counter'));
  gauge('process_start_time_seconds', 'Start time of the process, in Unix time.',
    () => performance.timeOrigin / 1_000, 'min');
  const delay = monitorEventLoopDelay({ resolution: 20 });
  delay.enable();
  gauge('nodejs_eventloop_lag_p99_seconds',
    'Event-loop delay, 99th percentile since the last reading.', () => {
      const seconds = delay.count === 0 ? 0 : delay.percentile(99) / 1e9;
      delay.reset();
      return seconds;
    }, 'max');
  let last: EventLoopUtilization = performance.eventLoopUtilization();
  gauge('nodejs_eventloop_utilization',
    'Busy part of the event loop\'s time since the last reading, 0 to 1.', () => {
      const now = performance.eventLoopUtilization();
      const { utilization } = performance.eventLoopUtilization(now, last);
      last = now;
      return utilization;
    }, 'max');
}

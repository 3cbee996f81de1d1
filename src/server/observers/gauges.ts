// Metrics that belong to neither a request nor a turn: each is read when it is exported.

import { monitorEventLoopDelay, performance, type EventLoopUtilization } from 'node:perf_hooks';

import { toAwaitable } from '../../base/awaitable.ts';
import type { Logger } from '../../base/log.ts';
import { Gauge, type Across, type Metrics } from '../../base/metrics.ts';
import { version } from '../../base/version.ts';
import type { ConversationStore } from '../../core/conversations/store.ts';
import type { CallRecords } from '../records/call-recorder.ts';

type Read = () => number | PromiseLike<number>;

export function addGauge(
  metrics: Metrics,
  name: string,
  help: string,
  read: Read,
  across?: Across,
): void {
  metrics.add(new Gauge(name, help, read, 'gauge', across));
}

/** For a value that only grows. */
function addCounter(metrics: Metrics, name: string, help: string, read: Read): void {
  metrics.add(new Gauge(name, help, read, 'counter'));
}

/** How much a store holds, and how it is doing, if it can fail. */
export function addStoreMetrics(metrics: Metrics, store: ConversationStore): void {
  const count: Read = () => toAwaitable(store.count());
  addGauge(metrics, 'layercode_conversations', 'Conversations held.', count, 'max');
  const health = store.health?.bind(store);
  if (health === undefined) return;
  addGauge(metrics, 'layercode_store_degraded',
    '1 while the conversation store does not answer and calls continue from memory, else 0.',
    () => Number(health().isDegraded), 'max');
  addGauge(metrics, 'layercode_store_turns_waiting',
    'Turns waiting in memory until they can be written to the conversation store.',
    () => health().turnsWaiting);
  addCounter(metrics, 'layercode_store_failures_total',
    'Conversation store commands that failed or timed out.', () => health().failures);
  addCounter(metrics, 'layercode_store_conflicts_total',
    'Changes repeated because another process had changed the conversation.',
    () => health().conflicts);
  addCounter(metrics, 'layercode_state_collisions_total',
    "Values of agents' states that two runs have set, without knowing of each other.",
    () => health().stateCollisions ?? 0);
}

export function addCallRecordMetrics(metrics: Metrics, records: CallRecords): void {
  addCounter(metrics, 'layercode_call_records_written_total', 'Call records written.',
    () => records.counts().written);
  addCounter(metrics, 'layercode_call_records_lost_total',
    'Call records that could not be written.', () => records.counts().lost);
  addGauge(metrics, 'layercode_call_records_waiting',
    'Ended calls whose record is not written yet.', () => records.counts().waiting);
}

/** Counts the lines that the log has lost, if it knows. */
export function addLogMetrics(metrics: Metrics, log: Logger): void {
  const linesDropped = log.linesDropped?.bind(log);
  if (linesDropped === undefined) return;
  addCounter(metrics, 'layercode_log_lines_dropped_total',
    'Log lines dropped because the log could not be written.', linesDropped);
}

/** Metrics that exist only with several processes. */
export function addWorkersMetrics(
  metrics: Metrics,
  workers: { readonly serving: number; readonly died: number },
): void {
  addGauge(metrics, 'layercode_workers', 'Worker processes that take calls.',
    () => workers.serving);
  addCounter(metrics, 'layercode_workers_died_total',
    'Worker processes that died or failed, and were replaced.', () => workers.died);
  addStartTime(metrics);
}

/** Metrics of the process and its event loop, mostly named as in Prometheus' clients. */
export function addProcessMetrics(metrics: Metrics): void {
  const build = 'layercode_build_info';
  const labels = `{version="${version}",node="${process.versions.node}"}`;
  metrics.add({
    name: build,
    help: 'The versions of the package and of Node. Always 1.',
    type: 'gauge',
    across: 'max',
    samples: () => `${build}${labels} 1\n`,
  });
  addGauge(metrics, 'process_resident_memory_bytes', 'Resident memory.',
    () => process.memoryUsage.rss());
  addGauge(metrics, 'nodejs_heap_size_used_bytes', 'JavaScript heap in use.',
    () => process.memoryUsage().heapUsed);
  addCounter(metrics, 'process_cpu_seconds_total', 'User and system CPU time.', () => {
    const { user, system } = process.cpuUsage();
    return (user + system) / 1e6;
  });
  addStartTime(metrics);
  const delay = monitorEventLoopDelay({ resolution: 20 });
  delay.enable();
  addGauge(metrics, 'nodejs_eventloop_lag_p99_seconds',
    'Event-loop delay, 99th percentile since the last reading.', () => {
      const seconds = delay.count === 0 ? 0 : delay.percentile(99) / 1e9;
      delay.reset();
      return seconds;
    }, 'max');
  let last: EventLoopUtilization = performance.eventLoopUtilization();
  addGauge(metrics, 'nodejs_eventloop_utilization',
    'Busy part of the event loop\'s time since the last reading, 0 to 1.', () => {
      const now = performance.eventLoopUtilization();
      const { utilization } = performance.eventLoopUtilization(now, last);
      last = now;
      return utilization;
    }, 'max');
}

function addStartTime(metrics: Metrics): void {
  addGauge(metrics, 'process_start_time_seconds', 'Start time of the process, in Unix time.',
    () => performance.timeOrigin / 1_000, 'min');
}

import type { StoreHealth } from '../conversations/store.ts';
import { Gauge, type Metrics } from '../metrics.ts';

/** How a store does that can fail. */
export function addStoreMetrics(metrics: Metrics, health: () => StoreHealth): void {
  metrics.add(
    new Gauge(
      'layercode_store_degraded',
      'Whether calls go on from memory, as the conversation store does not answer: 1 or 0.',
      () => Number(health().isDegraded),
      'gauge',
      'max',
    ),
  );
  metrics.add(
    new Gauge(
      'layercode_store_turns_waiting',
      'Turns kept in memory until the conversation store can take them.',
      () => health().turnsWaiting,
    ),
  );
  metrics.add(
    new Gauge(
      'layercode_store_failures_total',
      'Commands of the conversation store that failed or took too long.',
      () => health().failures,
      'counter',
    ),
  );
  metrics.add(
    new Gauge(
      'layercode_store_conflicts_total',
      'Changes made again, as another process had changed the conversation.',
      () => health().conflicts,
      'counter',
    ),
  );
}

import type { StoreHealth } from '../conversations/store.ts';
import { Gauge, type Metrics } from '../metrics.ts';

/** Metrics of a store that can fail. */
export function addStoreMetrics(metrics: Metrics, health: () => StoreHealth): void {
  metrics.add(
    new Gauge(
      'layercode_store_degraded',
      '1 while the conversation store does not answer and calls continue from memory, else 0.',
      () => Number(health().isDegraded),
      'gauge',
      'max',
    ),
  );
  metrics.add(
    new Gauge(
      'layercode_store_turns_waiting',
      'Turns waiting in memory until they can be written to the conversation store.',
      () => health().turnsWaiting,
    ),
  );
  metrics.add(
    new Gauge(
      'layercode_store_failures_total',
      'Conversation store commands that failed or timed out.',
      () => health().failures,
      'counter',
    ),
  );
  metrics.add(
    new Gauge(
      'layercode_store_conflicts_total',
      'Changes repeated because another process had changed the conversation.',
      () => health().conflicts,
      'counter',
    ),
  );
}

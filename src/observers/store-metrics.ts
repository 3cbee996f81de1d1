import { toAwaitable, type Awaitable } from '../base/awaitable.ts';
import type { ConversationStore } from '../conversations/store.ts';
import { Gauge, type Metrics } from '../metrics.ts';

/** How much a store holds, and how it is doing, if it can fail. */
export function addStoreMetrics(metrics: Metrics, store: ConversationStore): void {
  const count = (): Awaitable<number> => toAwaitable(store.count());
  metrics.add(new Gauge('layercode_conversations', 'Conversations held.', count, 'gauge', 'max'));
  const health = store.health?.bind(store);
  if (health === undefined) return;
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
  metrics.add(
    new Gauge(
      'layercode_state_collisions_total',
      "Values of agents' states that two runs have set, without knowing of each other.",
      () => health().stateCollisions ?? 0,
      'counter',
    ),
  );
}

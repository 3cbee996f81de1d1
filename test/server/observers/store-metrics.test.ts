// What the metrics and /ready say about a store that can fail.

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { noLog } from '../../../src/base/log.ts';
import { Metrics } from '../../../src/base/metrics.ts';
import { MemoryStore } from '../../../src/core/conversations/memory-store.ts';
import type { StoreHealth } from '../../../src/core/conversations/store.ts';
import { SharedStore } from '../../../src/core/conversations/stores/shared-store.ts';
import { addStoreMetrics } from '../../../src/server/observers/gauges.ts';
import { PartsInMemory } from '../../core/conversations/stores/parts-in-memory.ts';
import { serve } from '../../fixtures/app.ts';
import { mockTimers } from '../../fixtures/clock.ts';

const OPTIONS = { ttlMs: 3_600_000, maxRemembered: 10, timeoutMs: 250, log: noLog() };
const AGENT = { onMessage: (): string => 'Yes.' };

describe('a store that fails', () => {
  it('shows in the metrics, with the waiting turns', async (t) => {
    mockTimers(t, ['setTimeout']); // the store is not asked again
    const parts = new PartsInMemory();
    const served = serve(t, AGENT, { store: new SharedStore(parts, OPTIONS) });
    const figures = (): number[] =>
      ['degraded', 'turns_waiting', 'failures_total', 'conflicts_total'].map((name) =>
        served.metric(`layercode_store_${name}`),
      );
    await (await served.client.say('One')).text();
    assert.deepEqual(figures(), [0, 0, 0, 0]);
    parts.failWith = new Error('the disk is full');
    assert.equal(await (await served.client.say('Two')).text(), 'Yes.');
    parts.failWith = undefined; // the metrics ask the store for a count
    assert.deepEqual(figures(), [1, 1, 1, 0]);
  });

  it('leaves the server ready, and /ready says so', async (t) => {
    const parts = new PartsInMemory();
    const served = serve(t, AGENT, { store: new SharedStore(parts, OPTIONS) });
    const ready = async (): Promise<unknown[]> => {
      const response = await fetch(`${await served.client.origin()}/ready`);
      const { warnings } = (await response.json()) as { readonly warnings?: unknown };
      return [response.status, warnings];
    };
    assert.deepEqual(await ready(), [200, undefined]);
    parts.failWith = new Error('the disk is full');
    await (await served.client.say('One')).text();
    const warnings = ['the conversation store is degraded: calls continue from memory'];
    assert.deepEqual(await ready(), [200, warnings]);
  });
});

describe('the metrics of a store that can fail', () => {
  it('are read again each time, and are the worst or the sum across workers', () => {
    const metrics = new Metrics();
    let health: StoreHealth = { isDegraded: true, turnsWaiting: 2, failures: 3, conflicts: 4 };
    const store = new MemoryStore({ ttlMs: 1_000, maxConversations: 1 });
    addStoreMetrics(metrics, Object.assign(store, { health: () => health }));
    const read = (): string[] =>
      metrics.texts().map(({ type, across, samples }) => `${samples.trim()} ${type}, ${across}`);
    assert.deepEqual(read(), [
      'layercode_conversations 0 gauge, max',
      'layercode_store_degraded 1 gauge, max',
      'layercode_store_turns_waiting 2 gauge, sum',
      'layercode_store_failures_total 3 counter, sum',
      'layercode_store_conflicts_total 4 counter, sum',
      'layercode_state_collisions_total 0 counter, sum',
    ]);
    health = {
      isDegraded: false, turnsWaiting: 0, failures: 5, conflicts: 6, stateCollisions: 7,
    };
    assert.deepEqual(metrics.text().match(/^\w+ \d+$/gm), [
      'layercode_conversations 0',
      'layercode_store_degraded 0',
      'layercode_store_turns_waiting 0',
      'layercode_store_failures_total 5',
      'layercode_store_conflicts_total 6',
      'layercode_state_collisions_total 7',
    ]);
  });
});

describe('a store that cannot fail', () => {
  it('has no metrics of failures', (t) => {
    const { app } = serve(t, AGENT);
    assert.doesNotMatch(app.metrics.text(), /layercode_store_/);
  });
});

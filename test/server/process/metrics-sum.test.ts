import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import {
  Counter, formatMetrics, Gauge, Histogram, Metrics, type Across,
} from '../../../src/base/metrics.ts';
import { addUp, isCount } from '../../../src/server/process/metrics-sum.ts';

/** The metrics of a process. */
function processWith(fill: (metrics: Metrics) => void): Metrics {
  const metrics = new Metrics();
  fill(metrics);
  return metrics;
}

function samplesOf(lists: Parameters<typeof addUp>[0]): string[] {
  return formatMetrics(addUp(lists)).split('\n').filter((line) => /^[^#]/.test(line));
}

function gauges(across: Across | undefined, values: readonly number[]): string[] {
  return samplesOf(
    values.map((value) =>
      processWith((metrics) => metrics.add(new Gauge('g', 'G.', () => value, 'gauge', across)))
        .texts(),
    ),
  );
}

describe('addUp', () => {
  it('adds counters label by label, in the order in which they come', () => {
    const lists = [['a b', 'x"y'], ['c', 'a b']].map((labels) =>
      processWith((metrics) => {
        const counter = metrics.add(new Counter('c_total', 'C.', ['of']));
        for (const label of labels) counter.increment([label], 2);
      }).texts(),
    );
    assert.deepEqual(samplesOf(lists), [
      'c_total{of="a b"} 4', 'c_total{of="x\\"y"} 2', 'c_total{of="c"} 2',
    ]);
  });

  it('adds histograms bucket by bucket', () => {
    const lists = [0.5, 5].map((value) =>
      processWith((metrics) => metrics.add(new Histogram('h', 'H.', [1, 10])).observe(value))
        .texts(),
    );
    assert.deepEqual(samplesOf(lists), [
      'h_bucket{le="1"} 1', 'h_bucket{le="10"} 2', 'h_bucket{le="+Inf"} 2', 'h_sum 5.5',
      'h_count 2',
    ]);
  });

  it('adds gauges, or takes the highest or the lowest, as each gauge says', () => {
    assert.deepEqual(gauges(undefined, [3, 4]), ['g 7']);
    assert.deepEqual(gauges('max', [3, 4]), ['g 4']);
    assert.deepEqual(gauges('min', [3, 4]), ['g 3']);
  });

  it('leaves out what a process does not know', () => {
    assert.deepEqual(gauges(undefined, [NaN, 4, NaN]), ['g 4']);
    assert.deepEqual(gauges(undefined, [NaN]), []);
  });

  it('returns what the process itself reports if there is only one process', () => {
    const metrics = processWith((some) => {
      some.add(new Counter('none_total', 'Help with "quotes" and a \\ in it.', ['of']));
      some.add(new Gauge('g', 'G.', () => 1.25));
    });
    assert.equal(formatMetrics(addUp([metrics.texts()])), metrics.text());
  });
});

describe('isCount', () => {
  it('selects what is kept of ended processes: counts, but no gauges', () => {
    const one = processWith((metrics) => {
      metrics.add(new Counter('c_total', 'C.')).increment([], 5);
      metrics.add(new Gauge('g', 'G.', () => 7));
    });
    const counts = one.texts(isCount);
    const kept = addUp([counts, counts]);
    assert.equal(formatMetrics(kept), '# HELP c_total C.\n# TYPE c_total counter\nc_total 10\n');
    assert.deepEqual(samplesOf([one.texts(), kept]), ['c_total 15', 'g 7']);
  });
});

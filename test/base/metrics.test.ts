import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { Counter, Gauge, Histogram, Metrics } from '../../src/base/metrics.ts';

describe('Counter', () => {
  it('begins at 0 if it has no labels', () =>
    assert.equal(new Counter('a_total', '').samples(), 'a_total 0\n'));
  it('has no sample before its labels are known', () =>
    assert.equal(new Counter('a_total', '', ['x']).samples(), ''));

  it('counts each combination of labels separately', () => {
    const counter = new Counter('a_total', '', ['x', 'y']);
    counter.increment(['1', '2']);
    counter.increment(['1', '3']);
    counter.increment(['1', '2'], 5);
    assert.equal(counter.samples(), 'a_total{x="1",y="2"} 6\na_total{x="1",y="3"} 1\n');
  });

  it('hands out a labelled series, which has no sample until it is incremented', () => {
    const counter = new Counter('a_total', '', ['x']);
    const count = counter.labelled(['1']);
    assert.equal(counter.samples(), '');
    count.increment();
    count.increment(2);
    counter.increment(['1']);
    assert.equal(counter.samples(), 'a_total{x="1"} 4\n');
  });

  it('begins a sample at 0 if told to', () => {
    const counter = new Counter('a_total', '', ['x']);
    counter.increment(['1'], 0);
    assert.equal(counter.samples(), 'a_total{x="1"} 0\n');
  });

  it('escapes quotes, backslashes and line breaks in a label', () => {
    const counter = new Counter('a_total', '', ['x']);
    counter.increment(['"\\\n2']);
    assert.equal(counter.samples(), 'a_total{x="\\"\\\\\\n2"} 1\n');
  });
});

describe('Metrics', () => {
  it('escapes backslashes and line breaks in a help text, but not quotes', () => {
    // A help text with a line break broke the whole answer for Prometheus.
    const metrics = new Metrics();
    metrics.add(new Counter('a_total', 'in C:\\logs,\n"quoted"\ntwice'));
    assert.equal(
      metrics.text(),
      '# HELP a_total in C:\\\\logs,\\n"quoted"\\ntwice\n# TYPE a_total counter\na_total 0\n',
    );
  });
});

describe('Gauge', () => {
  it('reads its value when samples are asked for', () => {
    let value = 1;
    const gauge = new Gauge('g', '', () => value);
    value = 2;
    assert.equal(gauge.samples(), 'g 2\n');
  });
});

describe('a Gauge that cannot be read at once', () => {
  it('has no sample at first, and the promised value from the next reading on', async () => {
    const gauge = new Gauge('g', '', () => Promise.resolve(7));
    const first = gauge.samples();
    await new Promise((resolve) => setImmediate(resolve));
    assert.deepEqual([first, gauge.samples()], ['', 'g 7\n']);
  });

  it('accepts any thenable', async () => {
    const gauge = new Gauge(
      'g',
      '',
      () =>
        ({ then: (resolve: (value: number) => void) => resolve(7) }) as unknown as Promise<number>,
    );
    gauge.samples();
    await new Promise((resolve) => setImmediate(resolve));
    assert.equal(gauge.samples(), 'g 7\n');
  });

  it("has no sample after the promise rejects, and leaves no rejection unhandled", async () => {
    let count = 0;
    const gauge = new Gauge('g', '', async () => {
      count += 1;
      if (count === 2) throw new Error('away');
      return 7;
    });
    const readings: string[] = [];
    for (let reading = 0; reading < 3; reading++) {
      readings.push(gauge.samples());
      await new Promise((resolve) => setImmediate(resolve));
    }
    assert.deepEqual(readings, ['', 'g 7\n', '']);
  });

  it('is not read again before it has answered', () => {
    let asked = 0;
    const gauge = new Gauge('g', '', () => {
      asked += 1;
      return new Promise(() => undefined);
    });
    for (let reading = 0; reading < 3; reading++) gauge.samples();
    assert.equal(asked, 1);
  });

  it('does not hide other metrics when it throws', () => {
    const metrics = new Metrics();
    metrics.add(
      new Gauge('broken', 'B', () => {
        throw new Error('away');
      }),
    );
    metrics.add(new Gauge('whole', 'W', () => 1));
    assert.match(metrics.text(), /^# TYPE broken gauge\n# HELP whole W\n[^]*^whole 1$/m);
  });
});

describe('Histogram', () => {
  function bucketsOf(...values: readonly number[]): string[] {
    const histogram = new Histogram('h', '', [1, 2.5]);
    for (const value of values) histogram.observe(value);
    return histogram.samples().trimEnd().split('\n');
  }

  it('is all zeros at first', () => {
    assert.deepEqual(bucketsOf(), [
      'h_bucket{le="1"} 0',
      'h_bucket{le="2.5"} 0',
      'h_bucket{le="+Inf"} 0',
      'h_sum 0',
      'h_count 0',
    ]);
  });

  it('also counts in each bucket what is in the lower buckets', () => {
    assert.deepEqual(bucketsOf(0.5, 2, 3, 100).slice(0, 3), [
      'h_bucket{le="1"} 1',
      'h_bucket{le="2.5"} 2',
      'h_bucket{le="+Inf"} 4',
    ]);
  });

  it("includes the upper bound in each bucket", () =>
    assert.equal(bucketsOf(1)[0], 'h_bucket{le="1"} 1'));
  it('has the sum and the count of the observed values', () =>
    assert.deepEqual(bucketsOf(0.5, 2).slice(3), ['h_sum 2.5', 'h_count 2']));
});

describe('Metrics', () => {
  it('writes HELP and TYPE before the samples, in the order of registration', () => {
    const metrics = new Metrics();
    metrics.add(new Gauge('b', 'Bees.', () => 1));
    metrics.add(new Gauge('c_total', 'Only grows.', () => 1, 'counter'));
    const counter = new Counter('a_total', 'Ants.');
    assert.equal(metrics.add(counter), counter);
    assert.equal(
      metrics.text(),
      '# HELP b Bees.\n# TYPE b gauge\nb 1\n'
        + '# HELP c_total Only grows.\n# TYPE c_total counter\nc_total 1\n'
        + '# HELP a_total Ants.\n# TYPE a_total counter\na_total 0\n',
    );
  });
});

describe('Metrics.labelled', () => {
  it('adds one more label, in first position, to every kind of metric', () => {
    const metrics = new Metrics();
    const sales = metrics.labelled('agent', 'sales');
    sales.add(new Counter('a_total', 'A.', ['x'])).increment(['1']);
    sales.add(new Gauge('b', 'B.', () => 2));
    sales.add(new Histogram('c', 'C.', [1])).observe(0.5);
    assert.deepEqual(metrics.text().split('\n').filter((line) => !line.startsWith('#')), [
      'a_total{agent="sales",x="1"} 1',
      'b{agent="sales"} 2',
      'c_bucket{agent="sales",le="1"} 1',
      'c_bucket{agent="sales",le="+Inf"} 1',
      'c_sum{agent="sales"} 0.5',
      'c_count{agent="sales"} 1',
      '',
    ]);
  });

  it('describes metrics with the same name once, and lists them together', () => {
    const metrics = new Metrics();
    for (const name of ['sales', 'support']) {
      const own = metrics.labelled('agent', name);
      own.add(new Gauge('a', 'A.', () => 1));
      own.add(new Gauge('b', 'B.', () => 2));
    }
    assert.equal(
      metrics.text(),
      '# HELP a A.\n# TYPE a gauge\na{agent="sales"} 1\na{agent="support"} 1\n'
        + '# HELP b B.\n# TYPE b gauge\nb{agent="sales"} 2\nb{agent="support"} 2\n',
    );
  });
});

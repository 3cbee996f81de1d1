// Adds up the metrics of several processes.

import type { Across, MetricText } from '../../base/metrics.ts';

/** Whether a metric must survive the end of its process. */
export function isCount({ type }: Pick<MetricText, 'type'>): boolean {
  return type !== 'gauge';
}

interface Sum {
  readonly head: MetricText;
  readonly values: Map<string, number>;
}

/** Adds up metrics and samples with the same name, in order of first appearance. */
export function addUp(lists: readonly (readonly MetricText[])[]): readonly MetricText[] {
  const sums = new Map<string, Sum>();
  for (const metric of lists.flat()) {
    let sum = sums.get(metric.name);
    if (sum === undefined) sums.set(metric.name, (sum = { head: metric, values: new Map() }));
    for (const [key, value] of samplesOf(metric)) {
      const known = sum.values.get(key);
      sum.values.set(key, known === undefined ? value : joined(known, value, metric.across));
    }
  }
  return [...sums.values()].map(({ head, values }) => {
    const samples = [...values].map(([key, value]) => `${key} ${value}\n`).join('');
    return { ...head, samples };
  });
}

/** Pairs of name-with-labels and value. A label may contain blanks. */
function samplesOf({ samples }: MetricText): readonly (readonly [key: string, value: number])[] {
  return samples
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => {
      const end = line.lastIndexOf(' ');
      return [line.slice(0, end), Number(line.slice(end + 1))];
    });
}

function joined(one: number, other: number, across: Across = 'sum'): number {
  switch (across) {
    case 'sum':
      return one + other;
    case 'max':
      return Math.max(one, other);
    case 'min':
      return Math.min(one, other);
    default:
      return across satisfies never;
  }
}

// Counters, gauges and histograms as text. Specified by
// https://prometheus.io/docs/instrumenting/exposition_formats/

/** How the values of several processes are combined. */
export type Across = 'sum' | 'max' | 'min';

interface MetricHead {
  readonly name: string;
  readonly help: string;
  readonly type: 'counter' | 'gauge' | 'histogram';
  /** Default `sum`. */
  readonly across?: Across;
}

interface Metric extends MetricHead {
  /** `common` is a label for all samples, in exported form; '' for none. */
  samples(common?: string): string;
}

/** A metric's value at one moment, as plain data. */
export interface MetricText extends MetricHead {
  /** Lines of the text format. */
  readonly samples: string;
}

/** The metrics of all processes that serve the same port, as text. */
export type SumMetrics = () => Promise<string>;

/** One series of a counter. Hold on to it if you increment it often. */
export interface Count {
  increment(by?: number): void;
}

/** The count of one combination of label values. `byLabel` holds the counts with one more label. */
class LabelTree implements Count {
  /** Undefined until it is incremented. */
  value: number | undefined;
  readonly byLabel = new Map<string, LabelTree>();

  increment(by = 1): void {
    this.value = (this.value ?? 0) + by;
  }

  below(labelValue: string): LabelTree {
    let tree = this.byLabel.get(labelValue);
    if (tree === undefined) this.byLabel.set(labelValue, (tree = new LabelTree()));
    return tree;
  }
}

/**
 * A counter with labels. Take label values from a fixed set, never from a client: every
 * combination is kept forever.
 */
export class Counter implements Metric {
  readonly type = 'counter';
  readonly name: string;
  readonly help: string;
  readonly #labelNames: readonly string[];
  readonly #total = new LabelTree();

  constructor(name: string, help: string, labelNames: readonly string[] = []) {
    this.name = name;
    this.help = help;
    this.#labelNames = labelNames;
  }

  increment(labelValues: readonly string[] = [], by = 1): void {
    this.labelled(labelValues).increment(by);
  }

  /** The count of one combination. It is not exported until it is incremented. */
  labelled(labelValues: readonly string[]): Count {
    let count = this.#total;
    for (let index = 0; index < this.#labelNames.length; index++) {
      count = count.below(labelValues[index] ?? '');
    }
    return count;
  }

  samples(common = ''): string {
    return this.#samplesBelow(this.#total, [], common);
  }

  #samplesBelow(tree: LabelTree, labelValues: readonly string[], common: string): string {
    if (labelValues.length === this.#labelNames.length) {
      if (tree.value === undefined && labelValues.length > 0) return '';
      return `${this.name}${labels(this.#labelNames, labelValues, common)} ${tree.value ?? 0}\n`;
    }
    let text = '';
    for (const [value, inner] of tree.byLabel) {
      text += this.#samplesBelow(inner, [...labelValues, value], common);
    }
    return text;
  }
}

/**
 * A value that is read when the metrics are exported. A promised value is included from the next
 * export on. While the value is not known, or cannot be read, there is no sample: a `NaN` would
 * spoil every sum that includes it.
 */
export class Gauge implements Metric {
  readonly type: 'gauge' | 'counter';
  readonly name: string;
  readonly help: string;
  readonly across: Across;
  readonly #read: () => number | PromiseLike<number>;
  #known = Number.NaN;
  /** While a promised value has not arrived, it is not asked for again. */
  #isAsking = false;

  /**
   * Use the type `counter` for a value that only grows. `across` says how to combine the values of
   * several workers: `max` suits a value they share.
   */
  constructor(
    name: string,
    help: string,
    read: () => number | PromiseLike<number>,
    type: 'gauge' | 'counter' = 'gauge',
    across: Across = 'sum',
  ) {
    this.name = name;
    this.help = help;
    this.#read = read;
    this.type = type;
    this.across = across;
  }

  samples(common = ''): string {
    const value = this.#value();
    return Number.isNaN(value) ? '' : `${this.name}${labels([], [], common)} ${value}\n`;
  }

  /**
   * `NaN` if it is not known. Never throws or rejects: a broken gauge must not hide the others or
   * end the process.
   */
  #value(): number {
    if (this.#isAsking) return this.#known;
    const learn = (known: unknown): void => {
      this.#known = Number(known);
      this.#isAsking = false;
    };
    try {
      const value = this.#read();
      if (typeof value === 'number') return value;
      this.#isAsking = true;
      Promise.resolve(value).then(learn, () => learn(NaN));
    } catch {
      return Number.NaN;
    }
    return this.#known;
  }
}

interface Buckets {
  readonly counts: number[];
  sum: number;
}

/**
 * A distribution, with at most one label. Take label values from a fixed set, as with a counter.
 */
export class Histogram implements Metric {
  readonly type = 'histogram';
  readonly name: string;
  readonly help: string;
  readonly #bounds: readonly number[];
  readonly #labelName: string | undefined;
  readonly #byLabel = new Map<string, Buckets>();

  /**
   * `bounds` are the inclusive upper bounds of the buckets, ascending, in the unit of `observe`.
   * `+Inf` is added.
   */
  constructor(name: string, help: string, bounds: readonly number[], labelName?: string) {
    this.name = name;
    this.help = help;
    this.#bounds = bounds;
    this.#labelName = labelName;
    if (labelName === undefined) this.#bucketsOf('');
  }

  observe(value: number, label = ''): void {
    const buckets = this.#bucketsOf(label);
    let bucket = 0;
    while (bucket < this.#bounds.length && value > (this.#bounds[bucket] ?? 0)) bucket++;
    buckets.counts[bucket] = (buckets.counts[bucket] ?? 0) + 1;
    buckets.sum += value;
  }

  samples(common = ''): string {
    let text = '';
    for (const [label, { counts, sum }] of this.#byLabel) {
      const names = this.#labelName === undefined ? [] : [this.#labelName];
      let total = 0;
      for (const [index, count] of counts.entries()) {
        total += count;
        const bound = String(this.#bounds[index] ?? '+Inf');
        const bucket = labels([...names, 'le'], [...names.map(() => label), bound], common);
        text += `${this.name}_bucket${bucket} ${total}\n`;
      }
      const labelled = labels(names, [label], common);
      text += `${this.name}_sum${labelled} ${sum}\n${this.name}_count${labelled} ${total}\n`;
    }
    return text;
  }

  #bucketsOf(label: string): Buckets {
    let buckets = this.#byLabel.get(label);
    if (buckets === undefined) {
      this.#byLabel.set(
        label,
        (buckets = { counts: new Array<number>(this.#bounds.length + 1).fill(0), sum: 0 }),
      );
    }
    return buckets;
  }
}

/** The metrics of one app, in the order in which they were added. */
export class Metrics {
  /** By name. Metrics that differ only in the common label are exported together. */
  readonly #families: Map<string, { readonly metric: Metric; readonly common: string }[]>;
  readonly #common: string;

  /** `labelled` passes the arguments. */
  constructor(parent?: Metrics, common = '') {
    this.#families = parent === undefined ? new Map() : parent.#families;
    this.#common = common;
  }

  add<M extends Metric>(metric: M): M {
    const family = this.#families.get(metric.name) ?? [];
    family.push({ metric, common: this.#common });
    this.#families.set(metric.name, family);
    return metric;
  }

  /**
   * A view that adds one more label with a fixed value to its metrics. Views with different values
   * may use the same metric names.
   */
  labelled(name: string, value: string): Metrics {
    return new Metrics(this, label(name, value));
  }

  /** All metrics in the Prometheus text format, version 0.0.4. */
  text(): string {
    return formatMetrics(this.texts());
  }

  /** The current value of each metric, or of those that `which` accepts. */
  texts(which: (metric: MetricHead) => boolean = () => true): readonly MetricText[] {
    return [...this.#families.values()].flatMap((family) => {
      const [first] = family;
      if (first === undefined || !which(first.metric)) return [];
      const { name, help, type, across = 'sum' } = first.metric;
      const samples = family.map(({ metric, common }) => metric.samples(common)).join('');
      return [{ name, help, type, across, samples }];
    });
  }
}

/** Formats metrics as a scraper reads them. */
export function formatMetrics(metrics: readonly MetricText[]): string {
  let text = '';
  for (const { name, help, type, samples } of metrics) {
    text += `# HELP ${name} ${escape(help, /[\\\n]/g)}\n# TYPE ${name} ${type}\n${samples}`;
  }
  return text;
}

function labels(names: readonly string[], values: readonly string[], common: string): string {
  const pairs = names.map((name, index) => label(name, values[index] ?? ''));
  if (common !== '') pairs.unshift(common);
  return pairs.length === 0 ? '' : `{${pairs.join(',')}}`;
}

function label(name: string, value: string): string {
  return `${name}="${escape(value, /["\\\n]/g)}"`;
}

/** A help text may contain unescaped quotes; a label value may not. */
function escape(text: string, special: RegExp): string {
  return text.replace(special, (character) => (character === '\n' ? '\\n' : `\\${character}`));
}

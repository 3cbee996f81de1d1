// What can be said about pass rates after a number of runs. Pure.

/** How many of the decided runs passed. */
export interface Passes {
  readonly passed: number;
  /** At least `passed`. */
  readonly runs: number;
}

export interface Interval {
  /** From 0 to 1, as `high`. */
  readonly low: number;
  readonly high: number;
}

/** The 97.5 % quantile of the standard normal distribution. */
const Z_95 = 1.959963984540054;
/** Tables this close to the observed one count as equally likely, as in R's `fisher.test`. */
const TIE = 1 + 1e-7;

/**
 * The 95 % confidence interval of the true pass rate, by Wilson's score method (1927). Without runs
 * it is everything from 0 to 1.
 */
export function wilsonInterval({ passed, runs }: Passes): Interval {
  if (runs === 0) return { low: 0, high: 1 };
  const rate = passed / runs;
  const square = Z_95 ** 2 / runs;
  const middle = rate + square / 2;
  const half = Z_95 * Math.sqrt((rate * (1 - rate) + square / 4) / runs);
  // At the ends, rounding would leave the rate itself outside.
  return {
    low: passed === 0 ? 0 : (middle - half) / (1 + square),
    high: passed === runs ? 1 : (middle + half) / (1 + square),
  };
}

/**
 * How likely a difference at least as rare as this one is when both rates are the same: the p-value
 * of Fisher's two-sided exact test.
 */
export function fisherExact(one: Passes, other: Passes): number {
  const passed = one.passed + other.passed;
  const runs = one.runs + other.runs;
  const logFactorial = logFactorials(runs);
  const logChoose = (n: number, k: number): number =>
    (logFactorial[n] ?? 0) - (logFactorial[k] ?? 0) - (logFactorial[n - k] ?? 0);
  const all = logChoose(runs, passed);
  const probability = (ofOne: number): number =>
    Math.exp(logChoose(one.runs, ofOne) + logChoose(other.runs, passed - ofOne) - all);
  const observed = probability(one.passed) * TIE;
  let sum = 0;
  const most = Math.min(one.runs, passed);
  for (let ofOne = Math.max(0, passed - other.runs); ofOne <= most; ofOne += 1) {
    const each = probability(ofOne);
    if (each <= observed) sum += each;
  }
  return Math.min(1, sum);
}

/** The p-values after Holm's correction (1979) for testing them all together, in the same order. */
export function holmCorrection(pValues: readonly number[]): readonly number[] {
  const corrected = new Array<number>(pValues.length).fill(1);
  const order = [...pValues.keys()].sort((a, b) => (pValues[a] ?? 0) - (pValues[b] ?? 0));
  let largest = 0;
  for (const [rank, index] of order.entries()) {
    largest = Math.max(largest, (pValues.length - rank) * (pValues[index] ?? 1));
    corrected[index] = Math.min(1, largest);
  }
  return corrected;
}

/**
 * The value at or below which this share of the values lies, by nearest rank. Undefined without
 * values.
 */
export function quantile(values: readonly number[], share: number): number | undefined {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)];
}

function logFactorials(n: number): Float64Array {
  const logs = new Float64Array(n + 1);
  for (let k = 2; k <= n; k += 1) logs[k] = (logs[k - 1] ?? 0) + Math.log(k);
  return logs;
}

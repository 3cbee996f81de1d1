export interface Point {
  readonly x: number;
  readonly y: number;
}

export interface Line {
  readonly slope: number;
  readonly intercept: number;
}

/** The straight line fitted by least squares. */
export function fitLine(points: readonly Point[]): Line {
  const x = mean(points.map((point) => point.x));
  const y = mean(points.map((point) => point.y));
  const spread = sum(points.map((point) => (point.x - x) ** 2));
  const slope = sum(points.map((point) => (point.x - x) * (point.y - y))) / spread;
  return { slope, intercept: y - slope * x };
}

/** The growth of `y` when `x` grows tenfold, as a share of the mean of `y`. */
export function growthPerTenfold(points: readonly Point[]): number {
  const { slope } = fitLine(points.map(({ x, y }) => ({ x: Math.log10(x), y })));
  return slope / mean(points.map(({ y }) => y));
}

function mean(values: readonly number[]): number {
  return sum(values) / values.length;
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}

/** Undefined if none of the counts is known. */
export function sumOfKnown(counts: readonly (number | undefined)[]): number | undefined {
  const known = counts.filter((count) => count !== undefined);
  return known.length === 0 ? undefined : known.reduce((sum, count) => sum + count, 0);
}

/** The same for costs, without the long tails that sums of fractions get. */
export function sumOfCosts(costs: readonly (number | undefined)[]): number | undefined {
  const sum = sumOfKnown(costs);
  return sum === undefined ? undefined : Number(sum.toFixed(9));
}

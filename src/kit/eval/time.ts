/** `2 s`, `1.5s` or `800 ms` in milliseconds. Undefined if it is not a time, or if it is 0. */
export function parseTime(written: string): number | undefined {
  const [, amount, unit] = /^(\d{1,6}(?:\.\d{1,3})?) ?(m?s)$/.exec(written) ?? [];
  if (amount === undefined || Number(amount) === 0) return undefined;
  return Number(amount) * (unit === 's' ? 1_000 : 1);
}

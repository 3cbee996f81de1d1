/** @import { TokenUsage } from '../../src/kit/platform/frames.ts' */

const numbers = new Intl.NumberFormat('en');

/**
 * The tokens of a turn in words, to follow its duration: `, 1,204 tokens in (1,024 cached), 87 out`,
 * and whether the model's limit cut the reply. Empty if there is nothing to say.
 *
 * @param {readonly TokenUsage[]} [usage]
 */
export function tokenUsage(usage = []) {
  const input = sumOf(usage.map(({ inputTokens }) => inputTokens));
  const output = sumOf(usage.map(({ outputTokens }) => outputTokens));
  const cached = sumOf(usage.map(({ cachedTokens }) => cachedTokens));
  const cut = usage.some(({ finishReason }) => finishReason === 'length')
    ? ", cut at the model's limit"
    : '';
  if (input === undefined && output === undefined) return cut;
  const note = cached === undefined ? '' : ` (${counted(cached)} cached)`;
  return `, ${counted(input)} tokens in${note}, ${counted(output)} out${cut}`;
}

/** @param {readonly (number | undefined)[]} counts @returns {number | undefined} */
function sumOf(counts) {
  const known = counts.filter((count) => count !== undefined);
  return known.length === 0 ? undefined : known.reduce((sum, count) => sum + count, 0);
}

/** @param {number | undefined} count */
function counted(count) {
  return count === undefined ? '?' : numbers.format(count);
}

import type { ModelPrice, ModelPrices } from './model-price.ts';
import type { ModelTokens } from './model.ts';

/** When the prices below were looked up. */
export const PRICES_OF = '2026-11-28';

/**
 * The default models, in US dollars: the vendors' standard prices for short requests. Cache writes,
 * long contexts and other tiers cost more.
 *
 * - https://developers.openai.com/api/docs/pricing
 * - https://ai.google.dev/gemini-api/docs/pricing
 * - https://platform.claude.com/docs/en/about-claude/pricing
 */
export const DEFAULT_PRICES: ModelPrices = new Map<string, ModelPrice>([
  ['openai:gpt-6-luna', { input: 0.1, cachedInput: 0.01, output: 0.5 }],
  ['google:gemini-3.5-flash-lite', { input: 0.3, cachedInput: 0.03, output: 2.5 }],
  ['anthropic:claude-haiku-4-5', { input: 1, cachedInput: 0.1, output: 5 }],
]);

/** The name of the model for tests. Nobody asks what it cost. */
export const SCRIPTED_MODEL = 'scripted:model';

const MILLION = 1_000_000;

/**
 * What the tokens cost, in the currency of the price. Cached ones are part of the input. Undefined
 * counts as 0.
 */
export function costOf(
  { input, cachedInput = input, output }: ModelPrice,
  { inputTokens, outputTokens, cachedTokens }: ModelTokens,
): number {
  const all = count(inputTokens);
  const cached = Math.min(count(cachedTokens), all);
  return ((all - cached) * input + cached * cachedInput + count(outputTokens) * output) / MILLION;
}

/** Input and output together. */
export function sumOfTokens({ inputTokens, outputTokens }: ModelTokens): number {
  return count(inputTokens) + count(outputTokens);
}

/** More than any request uses. */
const MAX_TOKENS = 1e12;

/** A user's own model may report anything. */
function count(tokens: number | undefined): number {
  return tokens !== undefined && tokens > 0 && tokens < MAX_TOKENS ? tokens : 0;
}

import { isObject } from '../../base/fields.ts';
import { parseJson } from '../../base/json.ts';
import type { ModelPrice, ModelPrices } from '../../core/models/model-price.ts';
import { model, Refusal, type Kind } from './kinds.ts';
import { shorten } from './shown-value.ts';

/** The highest price of a million tokens. */
const MAX_PRICE = 1_000_000_000;
const EXAMPLE = '{"openai:gpt-6-luna":{"input":0.1,"output":0.5}}';

/** The fields of a price, and whether each is required. */
const FIELDS: Readonly<Record<keyof ModelPrice, boolean>> = {
  input: true, cachedInput: false, output: true,
};

/** A refusal names the path of the field that is wrong. */
export const modelPrices: Kind<ModelPrices> = {
  takes: `JSON by model, for example ${EXAMPLE}`,
  parse(text) {
    const table: unknown = parseJson(text);
    if (!isObject(table)) return new Refusal(`must be ${this.takes}`);
    const prices = new Map<string, ModelPrice>();
    for (const [name, given] of Object.entries(table)) {
      const fault = faultOf(name, given);
      if (fault !== undefined) return new Refusal(`at ${shorten(fault)}`);
      prices.set(name, priceOf(given as ModelPrice)); // it has no fault
    }
    return prices;
  },
};

/** Undefined if there is no fault. */
function faultOf(name: string, price: unknown): string | undefined {
  const path = JSON.stringify(name);
  if (model.parse(name) instanceof Refusal) return `${path} must be ${model.takes}`;
  const fields = Object.keys(FIELDS).join(', ');
  if (!isObject(price)) return `${path} must be an object with ${fields}`;
  const unknown = Object.keys(price).find((field) => !Object.hasOwn(FIELDS, field));
  if (unknown !== undefined) return `${path}.${unknown} must be left out: a price has ${fields}`;
  for (const [field, isRequired] of Object.entries(FIELDS)) {
    const value = price[field];
    if (value === undefined && !isRequired) continue;
    if (typeof value !== 'number' || !(value >= 0 && value <= MAX_PRICE))
      return `${path}.${field} must be a number from 0 to ${MAX_PRICE}`;
  }
  return undefined;
}

/** Adding 0 makes -0 a plain 0. */
function priceOf({ input, cachedInput, output }: ModelPrice): ModelPrice {
  return {
    input: input + 0,
    ...(cachedInput === undefined ? {} : { cachedInput: cachedInput + 0 }),
    output: output + 0,
  };
}

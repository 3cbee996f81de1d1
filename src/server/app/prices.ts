import type { Logger } from '../../base/log.ts';
import type { ModelPrice, ModelPrices } from '../../core/models/model-price.ts';
import type { ModelTokens } from '../../core/models/model.ts';
import { costOf, DEFAULT_PRICES, SCRIPTED_MODEL, sumOfTokens } from '../../core/models/prices.ts';
import { SettingsError, type Settings } from '../settings/settings.ts';

/** Maximum number of models without a price that are named in the log. */
const MAX_NAMED = 100;

/** What the models of an app cost. */
export class Prices {
  readonly #prices: ModelPrices;
  readonly #log: Logger;
  readonly #unpriced = new Set<string>();
  /** Whether calls have a limit that needs prices. */
  readonly #areRequired: boolean;
  #missing: Set<string> | undefined = new Set();

  constructor({ modelPrices, maxCostPerCall }: Settings, log: Logger) {
    this.#prices = modelPrices ?? DEFAULT_PRICES;
    this.#log = log;
    this.#areRequired = maxCostPerCall !== undefined;
  }

  /** In the currency of the prices. Undefined if the model has no price, which is logged once. */
  costOf(model: string, tokens: ModelTokens): number | undefined {
    const price = this.#priceOf(model);
    if (price !== undefined) return costOf(price, tokens);
    if (sumOfTokens(tokens) > 0) this.#warnOf(model);
    return undefined;
  }

  #warnOf(model: string): void {
    if (model === SCRIPTED_MODEL) return;
    if (this.#unpriced.has(model) || this.#unpriced.size === MAX_NAMED) return;
    this.#unpriced.add(model);
    const hint = 'add it to MODEL_PRICES';
    this.#log.warn('a model has no price, so its cost is not counted', { model, hint });
  }

  /**
   * Notes that an agent uses these models. Once the app has started, throws a `SettingsError` if
   * one of them has no price, though calls have a limit that needs it.
   */
  check(names: readonly string[]): void {
    if (!this.#areRequired) return;
    const missing = names.filter((name) => this.#priceOf(name) === undefined);
    if (this.#missing === undefined) throwMissing(missing);
    else for (const name of missing) this.#missing.add(name);
  }

  /** Throws the same error for the models noted so far. */
  started(): void {
    const missing = [...(this.#missing ?? [])];
    this.#missing = undefined;
    throwMissing(missing);
  }

  /** A user's own model may have several names, joined by commas. */
  #priceOf(model: string): ModelPrice | undefined {
    return this.#prices.get(model) ?? this.#prices.get(model.split(',')[0] ?? '');
  }
}

function throwMissing(names: readonly string[]): void {
  if (names.length === 0) return;
  throw new SettingsError(
    names.map((name) =>
      `MAX_COST_PER_CALL needs a price for each model: add ${name} to MODEL_PRICES`),
  );
}

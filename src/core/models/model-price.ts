/** What a model costs, per million tokens, in any currency. */
export interface ModelPrice {
  readonly input: number;
  /** For input that the vendor had cached. Default: the price of other input. */
  readonly cachedInput?: number | undefined;
  readonly output: number;
}

/** By the model's name, `provider:model`. */
export type ModelPrices = ReadonlyMap<string, ModelPrice>;

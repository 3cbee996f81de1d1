import { endingAtOnce } from '../../base/end-at-once.ts';
import type { ModelPrices } from '../../core/models/model-price.ts';
import type { ChatModel, ModelDelta } from '../../core/models/model.ts';
import { costOf } from '../../core/models/prices.ts';
import { withStream } from '../../core/models/with-stream.ts';
import type { Notes } from './notebook.ts';
import type { Tokens } from './result.ts';

/**
 * The model, with notes of what it is shown and what it uses. `describe` gives the rest of a
 * request in the form of a golden file.
 */
export function observed(
  model: ChatModel,
  prices: ModelPrices,
  notes: Pick<Notes, 'asked' | 'cut' | 'used'>,
  describe: (...request: Parameters<ChatModel['stream']>) => string = () => '',
): ChatModel {
  async function* watch(
    deltas: AsyncGenerator<ModelDelta, void, undefined>,
    ...[messages, rest]: Parameters<Notes['asked']>
  ): AsyncGenerator<ModelDelta, void, undefined> {
    notes.asked(messages, rest);
    for await (const delta of deltas) {
      if (delta.type === 'usage') {
        if (delta.finishReason === 'length') notes.cut();
        const tokens = tokensOf(delta, prices);
        if (tokens !== undefined) notes.used(tokens);
      }
      yield delta;
    }
  }

  return withStream(model, (messages, options) => {
    const deltas = model.stream(messages, options);
    const watched = watch(deltas, structuredClone(messages), describe(messages, options));
    return endingAtOnce(watched, () => void deltas.return());
  });
}

function tokensOf(
  usage: Extract<ModelDelta, { type: 'usage' }>,
  prices: ModelPrices,
): Tokens | undefined {
  const { model, inputTokens, outputTokens } = usage;
  if (inputTokens === undefined && outputTokens === undefined) return undefined;
  const price = prices.get(model);
  return {
    input: inputTokens ?? 0,
    output: outputTokens ?? 0,
    cost: price === undefined ? undefined : costOf(price, usage),
  };
}

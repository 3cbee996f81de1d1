import { endingAtOnce } from '../../base/end-at-once.ts';
import type { ModelPrices } from '../../base/model-price.ts';
import type { ChatModel, ModelDelta } from '../../models/model.ts';
import { costOf } from '../../models/prices.ts';
import { withStream } from '../../models/with-stream.ts';
import type { Tokens } from './result.ts';
import type { OnSight, Sight } from './sight.ts';

/**
 * The model, which reports what it was shown and what it used. `describe` gives the rest of a
 * request as a golden file has it.
 */
export function observed(
  model: ChatModel,
  prices: ModelPrices,
  onSight: OnSight,
  describe: (...request: Parameters<ChatModel['stream']>) => string = () => '',
): ChatModel {
  return withStream(model, (messages, options) => {
    const deltas = model.stream(messages, options);
    const sent = describe(messages, options);
    const asked = { type: 'asked', messages: structuredClone(messages), sent } as const;
    return endingAtOnce(watch(deltas, asked, prices, onSight), () => void deltas.return());
  });
}

async function* watch(
  deltas: AsyncGenerator<ModelDelta, void, undefined>,
  asked: Sight,
  prices: ModelPrices,
  onSight: OnSight,
): AsyncGenerator<ModelDelta, void, undefined> {
  onSight(asked);
  for await (const delta of deltas) {
    if (delta.type === 'usage') {
      if (delta.finishReason === 'length') onSight({ type: 'cut' });
      const tokens = tokensOf(delta, prices);
      if (tokens !== undefined) onSight({ type: 'used', tokens });
    }
    yield delta;
  }
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

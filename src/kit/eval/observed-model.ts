import { endingAtOnce } from '../../base/end-at-once.ts';
import type { ModelPrices } from '../../base/model-price.ts';
import type { ChatMessage, ChatModel, ModelDelta } from '../../models/model.ts';
import { costOf } from '../../models/prices.ts';
import { withStream } from '../../models/with-stream.ts';
import type { ScriptedAnswer } from '../scripted-answer.ts';
import { scriptedModel, type ScriptedModel } from '../scripted-model.ts';
import type { Tokens } from './result.ts';
import { sentText } from './sent-request.ts';
import type { OnSight } from './sight.ts';

/**
 * The model, which reports what it was shown and what it used. `named` is what the agent calls it.
 */
export function observed(
  model: ChatModel,
  named: string | undefined,
  prices: ModelPrices,
  onSight: OnSight,
): ChatModel {
  return withStream(model, (messages, options) => {
    const deltas = model.stream(messages, options);
    const asked = { messages, sent: sentText(named, messages, options) };
    return endingAtOnce(watch(deltas, asked, prices, onSight), () => void deltas.return());
  });
}

async function* watch(
  deltas: AsyncGenerator<ModelDelta, void, undefined>,
  { messages, sent }: { readonly messages: readonly ChatMessage[]; readonly sent: string },
  prices: ModelPrices,
  onSight: OnSight,
): AsyncGenerator<ModelDelta, void, undefined> {
  onSight({ type: 'asked', messages: structuredClone(messages), sent });
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

/** A model that gives the answers of a scenario, those of one turn at a time. */
export class ScenarioModel {
  readonly model: ScriptedModel;
  #answers: ScriptedAnswer[] = [];

  constructor(onSight: OnSight) {
    this.model = scriptedModel(() => {
      const answer = this.#answers.shift();
      if (answer !== undefined) return answer;
      onSight({ type: 'unscripted' });
      throw new Error('the scenario has no more answers of the model for this turn');
    });
  }

  /** What it answers from now on. */
  prepare(answers: readonly ScriptedAnswer[]): void {
    this.#answers = [...answers];
  }

  /** How many have not been asked for. */
  get left(): number {
    return this.#answers.length;
  }
}

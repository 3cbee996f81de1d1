// What models have used, for records and traces.

import type { ModelTokens, ModelUsage } from '../../agents/agent.ts';
import type { CostFigures, ModelFigures } from '../../conversations/turn-figures.ts';
import type { CostOf, CutUsage, TurnWork } from './turn-work.ts';

/** What each model has used so far. Undefined if none was asked. */
export function modelFigures({ usage = [], cut, costOf }: TurnWork): ModelFigures[] | undefined {
  const requests: readonly (ModelUsage | CutUsage)[] = [...usage, ...cut];
  const figures = new Map<string, ModelFigures>();
  for (const request of requests) {
    const { model, inputTokens, outputTokens, cachedTokens } = request;
    const sum = figures.get(model);
    const isEstimated = 'isEstimated' in request && request.isEstimated;
    figures.set(model, {
      model,
      requests: (sum?.requests ?? 0) + 1,
      inputTokens: plus(sum?.inputTokens, inputTokens),
      outputTokens: plus(sum?.outputTokens, outputTokens),
      cachedTokens: plus(sum?.cachedTokens, cachedTokens),
      ...costFigures(
        plus(sum?.cost, costIn(model, request, costOf)), isEstimated || sum?.isEstimated === true,
      ),
    });
  }
  return figures.size === 0 ? undefined : [...figures.values()];
}

/** A number that is not known counts as 0. Undefined if neither is known. */
function plus(sum: number | undefined, more: number | undefined): number | undefined {
  return more === undefined ? sum : (sum ?? 0) + more;
}

export function costIn(
  model: string,
  tokens: ModelTokens | undefined,
  costOf: CostOf,
): number | undefined {
  const isKnown = tokens?.inputTokens !== undefined || tokens?.outputTokens !== undefined;
  return tokens !== undefined && isKnown ? costOf(model, tokens) : undefined;
}

/** Sums of fractions get long tails, which would be stored. */
export function costFigures(cost: number | undefined, isEstimated: boolean): CostFigures {
  return {
    ...(cost === undefined ? {} : { cost: Number(cost.toFixed(9)) }),
    ...(isEstimated ? { isEstimated } : {}),
  };
}

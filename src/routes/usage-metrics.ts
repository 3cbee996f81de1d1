import type { ModelUsage } from '../agents/agent.ts';
import type { LogFields } from '../log.ts';
import { Counter, Histogram, type Metrics } from '../metrics.ts';

export const LATENCY_BUCKETS_SECONDS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];

/** Counts what a turn used of its models; returns the same for the turn's log line. Models' names come from the settings. */
export function usageMetrics(metrics: Metrics): (usage: readonly ModelUsage[]) => LogFields {
  const tokens = metrics.add(new Counter('layercode_model_tokens_total', 'Tokens by model and direction.', ['model', 'direction']));
  const firstDelta = metrics.add(new Histogram('layercode_model_first_token_seconds', 'From a model\'s request to its first text or tool call.', LATENCY_BUCKETS_SECONDS, 'model'));
  return (usage) => {
    for (const { model, inputTokens, outputTokens, firstDeltaMs } of usage) {
      if (inputTokens !== undefined) tokens.increment([model, 'input'], inputTokens);
      if (outputTokens !== undefined) tokens.increment([model, 'output'], outputTokens);
      firstDelta.observe(firstDeltaMs / 1_000, model);
    }
    return {
      model: [...new Set(usage.map(({ model }) => model))].join(','),
      modelRequests: usage.length,
      inputTokens: sumOfKnown(usage.map(({ inputTokens }) => inputTokens)),
      outputTokens: sumOfKnown(usage.map(({ outputTokens }) => outputTokens)),
      firstTokenMs: Math.round(usage[0]?.firstDeltaMs ?? 0),
    };
  };
}

/** Undefined where no vendor told. */
function sumOfKnown(counts: readonly (number | undefined)[]): number | undefined {
  const known = counts.filter((count) => count !== undefined);
  return known.length === 0 ? undefined : known.reduce((sum, count) => sum + count, 0);
}

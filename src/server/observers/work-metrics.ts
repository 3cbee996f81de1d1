import { Counter, Histogram, type Metrics } from '../../base/metrics.ts';
import type { WorkObserver } from '../../core/turns/report/turn-work.ts';

/**
 * Upper bounds of callers' waits, in seconds. They are close together around 2 s, where callers
 * begin to doubt that anyone is there.
 */
export const WAIT_BUCKETS_SECONDS = [
  0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 1.5, 2, 2.5, 3, 5, 10,
];

/**
 * Counts model requests and tool calls. Model names come from the settings and the agent, tool
 * names from the agent, so they are safe as labels. The unknown outcomes of `onceTools`, and limits
 * that are reached, begin at 0: Prometheus's `increase` does not see the first sample of a counter.
 */
export function workMetrics(metrics: Metrics, onceTools: readonly string[]): WorkObserver {
  const requests = metrics.add(
    new Counter('layercode_model_requests_total', 'Requests to models by model and outcome.', [
      'model', 'outcome',
    ]),
  );
  const calls = metrics.add(
    new Counter('layercode_tool_calls_total', 'Tool calls by tool and outcome.', [
      'tool', 'outcome',
    ]),
  );
  const unknown = metrics.add(
    new Counter(
      'layercode_tool_outcomes_unknown_total',
      'Tool calls that began and whose outcome is not known, by tool.',
      ['tool'],
    ),
  );
  const limits = metrics.add(
    new Counter(
      'layercode_call_limits_reached_total',
      'Turns that ended because their call had reached a limit, by limit.',
      ['limit'],
    ),
  );
  const durations = metrics.add(
    new Histogram(
      'layercode_tool_duration_seconds',
      'Time of tool calls that ran, by tool.',
      WAIT_BUCKETS_SECONDS,
      'tool',
    ),
  );
  for (const limit of ['cost', 'tokens']) limits.increment([limit], 0);
  for (const tool of onceTools) unknown.increment([tool], 0);
  return {
    modelRequest: (model, outcome) => requests.increment([model, outcome]),
    toolCall: (tool, outcome, durationMs) => {
      calls.increment([tool, outcome]);
      if (durationMs !== undefined) durations.observe(durationMs / 1_000, tool);
    },
    unknownOutcome: (tool) => unknown.increment([tool]),
    limitReached: (limit) => limits.increment([limit]),
  };
}

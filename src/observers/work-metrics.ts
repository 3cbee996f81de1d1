import { Counter, type Metrics } from '../metrics.ts';
import type { WorkObserver } from '../turns/turn-host.ts';

/**
 * Counts model requests and tool calls. Model names come from the settings and the agent, tool
 * names from the agent, so they are safe as labels. The unknown outcomes of `onceTools` begin at 0:
 * `increase` of Prometheus does not see the first sample of a counter.
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
  for (const tool of onceTools) unknown.increment([tool], 0);
  return {
    modelRequest: (model, outcome) => requests.increment([model, outcome]),
    toolCall: (tool, outcome) => calls.increment([tool, outcome]),
    unknownOutcome: (tool) => unknown.increment([tool]),
  };
}

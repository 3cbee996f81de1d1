import { andThen } from '../base/awaitable.ts';
import type { Handler } from '../http/compose.ts';
import type { Metrics, SumMetrics } from '../metrics.ts';
import { NO_STORE } from './health.ts';

const PROMETHEUS_TEXT = 'text/plain; version=0.0.4; charset=utf-8';

/** Serves the metrics of this process, or those that `sum` adds up. */
export function metrics(metrics: Metrics, sum?: SumMetrics): Handler {
  return (context) =>
    andThen(sum === undefined ? metrics.text() : sum(), (text) =>
      context.text(200, text, PROMETHEUS_TEXT, NO_STORE),
    );
}

import { andThen, type Awaitable } from '../../base/awaitable.ts';
import type { Handler } from '../../base/http/compose.ts';
import type { Metrics, SumMetrics } from '../../base/metrics.ts';
import { NO_STORE } from './probes.ts';

const PROMETHEUS_TEXT = 'text/plain; version=0.0.4; charset=utf-8';

/** How long a text is reused: anyone may ask, and some of its figures are costly. */
const SHARED_MS = 1_000;

/** Serves the metrics of this process, or those that `sum` adds up, at most a second old. */
export function metrics(metrics: Metrics, sum?: SumMetrics): Handler {
  let shared: Awaitable<string> = '';
  let readAtMs = -Infinity;
  return (context) => {
    const nowMs = performance.now();
    if (nowMs - readAtMs >= SHARED_MS) {
      readAtMs = nowMs;
      shared = sum === undefined ? metrics.text() : sum();
    }
    return andThen(shared, (text) => context.text(200, text, PROMETHEUS_TEXT, NO_STORE));
  };
}

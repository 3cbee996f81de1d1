import type { Handler } from '../http/compose.ts';
import type { Metrics } from '../metrics.ts';
import { NO_STORE } from './health.ts';

const PROMETHEUS_TEXT = 'text/plain; version=0.0.4; charset=utf-8';

export function metrics(metrics: Metrics): Handler {
  return (context) => context.text(200, metrics.text(), PROMETHEUS_TEXT, NO_STORE);
}

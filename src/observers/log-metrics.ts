import type { Logger } from '../log.ts';
import { Gauge, type Metrics } from '../metrics.ts';

/** Counts the lines that the log lost, if it knows. */
export function addLogMetrics(metrics: Metrics, log: Logger): void {
  const linesDropped = log.linesDropped?.bind(log);
  if (linesDropped === undefined) return;
  const help = 'Log lines dropped because the log could not be written.';
  metrics.add(new Gauge('layercode_log_lines_dropped_total', help, linesDropped, 'counter'));
}

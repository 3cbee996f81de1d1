import type { CallRecords } from '../records/call-recorder.ts';
import { Gauge, type Metrics } from '../metrics.ts';

/** How the records of calls do. */
export function addCallRecordMetrics(metrics: Metrics, records: CallRecords): void {
  const counter = (name: string, help: string, read: () => number): void => {
    metrics.add(new Gauge(name, help, read, 'counter'));
  };
  counter('layercode_call_records_written_total', 'Records of calls that were written.',
    () => records.counts().written);
  counter('layercode_call_records_lost_total', 'Records of calls that could not be written.',
    () => records.counts().lost);
  metrics.add(
    new Gauge(
      'layercode_call_records_waiting',
      'Calls that have ended, and whose record is not written yet.',
      () => records.counts().waiting,
    ),
  );
}

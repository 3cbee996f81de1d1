import { Gauge, type Metrics } from '../metrics.ts';
import type { CallRecords } from '../records/call-recorder.ts';

/** Metrics of call records. */
export function addCallRecordMetrics(metrics: Metrics, records: CallRecords): void {
  const counter = (name: string, help: string, read: () => number): void => {
    metrics.add(new Gauge(name, help, read, 'counter'));
  };
  counter('layercode_call_records_written_total', 'Call records written.',
    () => records.counts().written);
  counter('layercode_call_records_lost_total', 'Call records that could not be written.',
    () => records.counts().lost);
  metrics.add(
    new Gauge(
      'layercode_call_records_waiting',
      'Ended calls whose record is not written yet.',
      () => records.counts().waiting,
    ),
  );
}

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { Metrics } from '../../../src/base/metrics.ts';
import { addCallRecordMetrics } from '../../../src/server/observers/gauges.ts';

describe('the metrics of call records', () => {
  it('count the records written, lost and waiting, at each reading', () => {
    const metrics = new Metrics();
    let counts = { written: 1, lost: 2, waiting: 3 };
    const close = (): Promise<void> => Promise.resolve();
    addCallRecordMetrics(metrics, { ended: () => undefined, counts: () => counts, close });
    const samples = (): string[] => metrics.text().match(/^(?:# TYPE|\w+ \d).*$/gm) ?? [];
    assert.deepEqual(samples(), [
      '# TYPE layercode_call_records_written_total counter',
      'layercode_call_records_written_total 1',
      '# TYPE layercode_call_records_lost_total counter',
      'layercode_call_records_lost_total 2',
      '# TYPE layercode_call_records_waiting gauge',
      'layercode_call_records_waiting 3',
    ]);
    counts = { written: 4, lost: 5, waiting: 6 };
    assert.deepEqual(samples().filter((line) => !line.startsWith('#')), [
      'layercode_call_records_written_total 4',
      'layercode_call_records_lost_total 5',
      'layercode_call_records_waiting 6',
    ]);
  });
});

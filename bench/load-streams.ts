import { randomBytes } from 'node:crypto';
import { Faults } from './faults.ts';
import { createTurnConnection } from './turn-connection.ts';
import { formatTurnRequest } from './turn-request.ts';

export interface StreamsOptions {
  port: number;
  streams: number;
  /** Called once, when each stream has received its first event or failed. */
  onAllOpen: (open: number) => void;
}

export interface StreamsResult {
  streams: number;
  openSeconds: number;
  failures: number;
  faults: string[];
}

/**
 * Most streams waiting for their first event at once, so that the server sets the pace of opening.
 */
const MAX_OPENING = 64;

/** Opens one connection with one turn per stream, and waits until the server has ended them all. */
export function runStreams({ port, streams, onAllOpen }: StreamsOptions): Promise<StreamsResult> {
  const runId = randomBytes(4).toString('hex');
  const faults = new Faults();
  const startedAt = performance.now();
  let started = 0;
  let opened = 0;
  let ended = 0;
  let openSeconds = 0;

  return new Promise((resolve) => {
    function openNext(): void {
      if (started === streams) return;
      const index = started++;
      let hasOpened = false;
      const settleOpening = (): void => {
        if (hasOpened) return;
        hasOpened = true;
        opened++;
        if (opened === streams) {
          openSeconds = (performance.now() - startedAt) / 1000;
          onAllOpen(opened - faults.count);
        } else openNext();
      };
      const connection = createTurnConnection(port, { onFirstEvent: settleOpening });
      const request = formatTurnRequest({
        conversationId: `conv_${runId}_${index}`,
        turnId: `turn_${runId}_${index}`,
        text: 'Take your time, please.',
      });
      connection.run(request, 'Done.', (fault) => {
        if (fault !== undefined) faults.add(fault);
        connection.destroy();
        settleOpening();
        if (++ended === streams)
          resolve({ streams, openSeconds, failures: faults.count, faults: faults.reasons });
      });
    }
    for (let opening = 0; opening < MAX_OPENING; opening++) openNext();
  });
}

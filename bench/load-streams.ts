import { randomBytes } from 'node:crypto';
import { Faults } from './faults.ts';
import { percentile } from './stats.ts';
import { createTurnConnection } from './turn-connection.ts';
import { formatTurnRequest } from './turn-request.ts';

export interface StreamsLoad {
  readonly port: number;
  readonly streams: number;
}

export interface StreamsResult {
  streams: number;
  /**
   * From the start of a connection to its first event: the time within which 99 of 100 had theirs.
   */
  firstEventP99Ms: number;
  failures: number;
  faults: string[];
}

/** Callers do not wait for each other, so the pace is the same no matter how slow the server is. */
const OPENED_A_SECOND = 2_500;

/**
 * Opens one connection with one turn per stream, and waits until the server has ended all turns.
 * Calls `onAllOpen` once, when each stream has received its first event or failed.
 */
export function runStreams(
  { port, streams }: StreamsLoad,
  onAllOpen: (open: number) => void,
): Promise<StreamsResult> {
  const runId = randomBytes(4).toString('hex');
  const faults = new Faults();
  const startedAt = performance.now();
  const waits: number[] = [];
  let started = 0;
  let ended = 0;

  return new Promise((resolve) => {
    function open(): void {
      const index = started++;
      const openedAt = performance.now();
      let hasOpened = false;
      const settleOpening = (): void => {
        if (hasOpened) return;
        hasOpened = true;
        if (waits.push(performance.now() - openedAt) === streams)
          onAllOpen(streams - faults.count);
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
        if (++ended < streams) return;
        const { count: failures, reasons } = faults;
        const firstEventP99Ms = percentile(waits, 0.99);
        resolve({ streams, firstEventP99Ms, failures, faults: reasons });
      });
    }
    const timer = setInterval(() => {
      const due = ((performance.now() - startedAt) / 1000) * OPENED_A_SECOND;
      while (started < Math.min(due, streams)) open();
      if (started === streams) clearInterval(timer);
    }, 1);
  });
}

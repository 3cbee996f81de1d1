import { AsyncLocalStorage } from 'node:async_hooks';

import { isAbort } from '../../base/abort.ts';
import { framesOf, messageOf } from '../../base/thrown-values.ts';
import { oneLine } from '../terminal/text.ts';

/**
 * An error that nobody awaits would end the process and every run in it. Until this is closed, each
 * such error is noted with the run that it comes from, or with all current runs if its run is
 * unknown. As in a server, an abort does not count as an error.
 */
export function noteUnawaitedErrors() {
  const running = new AsyncLocalStorage<string[]>();
  const open = new Set<string[]>();
  const note = (error: unknown): void => {
    if (isAbort(error)) return;
    const own = running.getStore();
    for (const lines of own === undefined ? open : [own]) lines.push(lineOf(error));
  };
  process.on('uncaughtException', note); // rejections come here too
  return {
    /** Adds the errors that come from the run to `lines`, even after the run has ended. */
    async during<T>(lines: string[], run: () => Promise<T>): Promise<T> {
      open.add(lines);
      try {
        return await running.run(lines, run);
      } finally {
        open.delete(lines);
      }
    },
    close: () => void process.off('uncaughtException', note),
  };
}

/** What was thrown, and where. */
export function lineOf(error: unknown): string {
  const [frame] = error instanceof Error ? framesOf(error) : [];
  const where = frame === undefined ? '' : `, ${frame}`;
  return oneLine(`an error that nobody awaits: ${messageOf(error)}${where}`, 4_000);
}

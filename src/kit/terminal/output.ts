import type { Writable } from 'node:stream';
import { styleText } from 'node:util';

import type { Awaitable } from '../../base/awaitable.ts';
import { CommandError, type Terminal } from './command.ts';

const NOBODY_READS = 'nobody reads the output any more';

/**
 * Writes text. If the stream is full, returns a promise that resolves when it accepts more, or
 * never will again.
 */
export function write(stream: Writable, text: string): Awaitable<void> {
  if (stream.write(text) || stream.destroyed) return undefined;
  return new Promise((resolve) => {
    const done = (): void => {
      stream.off('drain', done);
      stream.off('close', done);
      resolve();
    };
    stream.on('drain', done);
    stream.on('close', done);
  });
}

/**
 * The terminal. It also counts as interrupted when nobody reads its output any more: when piped
 * into `head -1`, or once its window has been closed.
 */
export function withBrokenPipes(terminal: Terminal): Terminal {
  const controller = new AbortController();
  for (const stream of [terminal.stdout, terminal.stderr])
    stream.on('error', () => controller.abort(NOBODY_READS));
  return {
    ...terminal, interrupted: AbortSignal.any([terminal.interrupted, controller.signal]),
  };
}

export function interruptedError({ reason }: AbortSignal): CommandError {
  return new CommandError(reason === NOBODY_READS ? NOBODY_READS : 'interrupted');
}

/** Colours text, or leaves it as it is. */
type Paint = (style: 'dim' | 'green' | 'red' | 'cyan', text: string) => string;

/**
 * Uses colours on terminals that support them, unless the user has turned them off
 * (https://no-color.org).
 */
export function paintFor(
  stream: Terminal['stdout'],
  { NO_COLOR: noColour = '', TERM: term = '' }: Terminal['environment'],
): Paint {
  if (stream.isTTY !== true || noColour !== '' || term === 'dumb') return (_style, text) => text;
  // Otherwise newer Nodes would check the process's own stdout.
  return (style, text) => styleText(style, text, { validateStream: false });
}

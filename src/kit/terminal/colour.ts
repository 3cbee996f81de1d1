import { styleText } from 'node:util';

import type { Terminal } from './command.ts';

type Style = 'dim' | 'green' | 'red' | 'cyan';

/** Colours a text, or leaves it as it is. */
export type Paint = (style: Style, text: string) => string;

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

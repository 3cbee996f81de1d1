import { styleText } from 'node:util';

import type { Terminal } from './command.ts';

type Style = 'dim' | 'green' | 'red' | 'cyan';

/** Puts a text into a colour, or leaves it as it is. */
export type Paint = (style: Style, text: string) => string;

/** Colours are for a terminal that knows them, where nobody has asked for none (https://no-color.org). */
export function paintFor(
  stream: Terminal['stdout'],
  { NO_COLOR: noColour = '', TERM: term = '' }: Terminal['environment'],
): Paint {
  if (stream.isTTY !== true || noColour !== '' || term === 'dumb') return (_style, text) => text;
  // Newer Nodes would ask the process's own stdout once more.
  return (style, text) => styleText(style, text, { validateStream: false });
}

import { END } from './characters.ts';
import type { Container, Containers } from './containers.ts';
import type { Dropper } from './dropped-text.ts';

/**
 * The lines of a code block, up to its closing fence. As in CommonMark, a fence that is never
 * closed runs to the end of the quote or list item around it, or else of the text. To make that
 * rare, the closing fence is recognised wherever models put it: on its own line, indented or not,
 * at the end of a line of code, or with prose after it.
 *
 * Call it after the opening fence. `end` is told whether the text after the code is outside the
 * container.
 */
export function fencedCode(
  fence: string,
  containers: Containers,
  end: (isOutside: boolean) => void,
): Dropper {
  const mark = fence.charAt(0);
  let container = containers.innermost;
  let line = -1; // the opening fence
  let isLineStart = false; // while a line has nothing but white space, quote marks and fence marks
  let run = 0; // fence marks in a row, ignoring spaces after a closing one

  /** White space and quote marks before code. Any `>` beyond those at the fence are code. */
  function isPrefix(c: string): boolean {
    if (c === '>' && containers.quotes < container.quotes) containers.quotes++;
    else if (c === ' ' || c === '\t') containers.space(c);
    else return false;
    return true;
  }

  /** Whether the first character of a line, or the end of an empty one, is outside. */
  function isOutside(c: string): boolean {
    if (containers.quotes < container.quotes) return true;
    if (c === '\n' || containers.column >= container.column) return false;
    if (line > 0 || ITEM.includes(c)) return true;
    // Not CommonMark's rule: some models indent the fence, but not the code.
    container = NO_CONTAINER;
    return false;
  }

  return (c) => {
    const isSpace = c === ' ' || c === '\t';
    const isClosed = run >= fence.length;
    if (c === END || (isClosed && (c === '\n' || (isSpace && isLineStart)))) {
      end(false);
      return c;
    }
    if (c === mark) run++;
    if (c === mark || (isClosed && isSpace)) return undefined;
    if (isLineStart && !isClosed) {
      if (run === 0 && isPrefix(c)) return undefined;
      if (isOutside(c)) {
        end(true);
        return mark.repeat(run) + c;
      }
    }
    run = 0;
    isLineStart = c === '\n';
    if (isLineStart) {
      containers.startLine();
      line++;
    }
    return undefined;
  };
}

const NO_CONTAINER: Container = { quotes: 0, column: 0 };
/** What the next list item may begin with. Code seldom does. */
const ITEM = '-*+0123456789';

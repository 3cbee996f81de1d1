import { END, isBlank, isSpace, isUnspaced } from './characters.ts';

/**
 * Takes the next character of text to drop, however long. Returns undefined if it needs more,
 * otherwise the text to read again. It must give back `END`.
 */
export type Dropper = (c: string) => string | undefined;

/**
 * The path of a URL, with its port, query and fragment. Ends where GFM says: punctuation at its end
 * is text, and so is a `)` that the URL did not open
 * (https://github.github.com/gfm/#extended-autolink-path-validation).
 */
export function urlPath(): Dropper {
  let trail = ''; // punctuation that is part of the URL only if more of it follows
  let depth = 0;
  return (c) => {
    const isForeign = c > '\x7f' && (isUnspaced(c) || (c >= '\u2000' && c <= '\u206f'));
    if (isBlank(c) || isForeign || ENDS_URL.includes(c)) return trail + c;
    const closes = c === ')' && depth > 0;
    if (c === '(') depth++;
    else if (closes) depth--;
    if (closes || !TRAILING.includes(c)) trail = '';
    else if (trail.length < MAX_TRAIL) trail += c;
    return undefined;
  };
}

/**
 * The `https://example.com "title")` of a link, which ends with its line at the latest. If it is
 * not a link, as in `[sic](and more)`, its text is given back, unless it has 64 characters or more.
 */
export function destination(): Dropper {
  let held = '(';
  let depth = 0;
  let isAfterSpace = false;
  let quote = ''; // the quotation mark of the title
  let last = '';
  return (c) => {
    if (c === ')' && (quote === '' ? depth === 0 : last === quote)) return '';
    const isGap = c === ' ' || c === '\t';
    const isTitle = quote !== '' || `"'`.includes(c);
    if (c === END || c === '\n' || (isAfterSpace && !isGap && !isTitle)) {
      return held.length >= MAX_DESTINATION ? c : held + c;
    }
    if (c === '(') depth++;
    else if (c === ')') depth--;
    else if (isGap) isAfterSpace = true;
    else if (isAfterSpace && quote === '') quote = c;
    if (!isGap) last = c;
    if (held.length < MAX_DESTINATION) held += c;
    return undefined;
  };
}

/**
 * The rest of a comment, or of a tag from the value of its first attribute on. Ends before an empty
 * line at the latest. `end` is called where it ends.
 */
export function restOfTag(isComment: boolean, end: () => void): Dropper {
  let quote = '';
  let dashes = 0;
  let isLineStart = false; // while there is only white space since the line break
  return (c) => {
    const isClosed = c === '>' && (isComment ? dashes >= 2 : quote === '');
    const isEmptyLine = c === '\n' && isLineStart;
    if (isClosed || isEmptyLine || c === END) {
      end();
      return isClosed ? '' : isEmptyLine ? '\n\n' : END;
    }
    if (c === quote) quote = '';
    else if (quote === '' && `"'`.includes(c)) quote = c;
    dashes = c === '-' ? dashes + 1 : 0;
    isLineStart = c === '\n' || (isLineStart && isSpace(c));
    return undefined;
  };
}

/** Characters that a URL cannot contain, and `*`, which marks emphasis around it. */
const ENDS_URL = '<>"`|]*';
const TRAILING = ".,;:!?')}_~";
const MAX_TRAIL = 16;
const MAX_DESTINATION = 64;

/** A shorter part of a value could be anything. */
const SHORTEST_PART = 4;
/** A digit and the signs before it. Only this much of a text is searched, as it may be long. */
const MOST_PER_DIGIT = 16;

/**
 * If a text ends with only the beginning of a value, because the caller spoke over the rest (`it is
 * 4242 42`), where that starts. -1 if it ends otherwise, or with all of the value.
 */
export function startOfPart(text: string, value: string): number {
  return /^\d+$/.test(value) ? startOfDigits(text, value) : startOfText(text, value);
}

/** Spaces and dashes between digits do not count. */
function startOfDigits(text: string, value: string): number {
  const places: number[] = [];
  let digits = '';
  const first = Math.max(0, text.length - value.length * MOST_PER_DIGIT);
  for (let at = text.length - 1; at >= first && digits.length < value.length; at--) {
    const character = text[at] ?? '';
    if (/\d/.test(character)) {
      digits = character + digits;
      places.unshift(at);
    } else if (!/[\s.,-]/.test(character)) break;
  }
  if (digits === value) return -1;
  for (let from = 0; digits.length - from >= SHORTEST_PART; from++) {
    const part = digits.slice(from);
    if (part.length < value.length && value.startsWith(part)) return places[from] ?? -1;
  }
  return -1;
}

function startOfText(text: string, value: string): number {
  const end = text.trimEnd().toLowerCase();
  const whole = value.toLowerCase();
  if (end.endsWith(whole)) return -1;
  const last = end.length - SHORTEST_PART;
  for (let start = Math.max(0, end.length - whole.length + 1); start <= last; start++) {
    const isWhole = start === 0 || BEFORE.has(end[start - 1] ?? '');
    if (isWhole && end[start] === whole[0] && whole.startsWith(end.slice(start))) return start;
  }
  return -1;
}

/** What may stand in front of a value. */
const BEFORE: ReadonlySet<string> = new Set(' \t\n\r\u00a0\u202f<("');

/** A shorter part of a value could be anything. */
const SHORTEST_PART = 4;

/**
 * Where the beginning of a value starts that a text ends with, because the caller spoke over the
 * rest: `it is 4242 42`. -1 if it ends otherwise, or with all of the value.
 */
export function startOfPart(text: string, value: string): number {
  return /^\d+$/.test(value) ? startOfDigits(text, value) : startOfText(text, value);
}

/** Spaces and dashes between digits do not count. */
function startOfDigits(text: string, value: string): number {
  const places: number[] = [];
  let digits = '';
  for (let at = text.length - 1; at >= 0 && digits.length < value.length; at--) {
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
  if (end.endsWith(value.toLowerCase())) return -1;
  for (let length = Math.min(value.length - 1, end.length); length >= SHORTEST_PART; length--) {
    const start = end.length - length;
    const isWhole = start === 0 || /[\s<("]/.test(end[start - 1] ?? '');
    if (isWhole && end.endsWith(value.slice(0, length).toLowerCase())) return start;
  }
  return -1;
}

// The digits of all scripts: `\p{Nd}`.

import { lazyPattern } from '../../base/lazy-pattern.ts';

/** The value of a digit of any script, or -1. */
export function digitOf(code: number): number {
  if (code >= 0x30 && code <= 0x39) return code - 0x30;
  if (code < FIRST_OF_SCRIPTS) return -1;
  return (digitsOfScripts ??= valuesOfDigits()).get(code) ?? -1;
}

const [FIRST_OF_SCRIPTS, LAST_OF_SCRIPTS] = [0x660, 0x1ffff];
const DIGIT = lazyPattern(String.raw`\p{Nd}`, 'u');
let digitsOfScripts: ReadonlyMap<number, number> | undefined;

/**
 * In Unicode the ten digits of a script follow one another (section 4.6); mathematical digits do so
 * five times.
 */
function valuesOfDigits(): ReadonlyMap<number, number> {
  const values = new Map<number, number>();
  for (let code = FIRST_OF_SCRIPTS; code <= LAST_OF_SCRIPTS; code++)
    if (DIGIT().test(String.fromCodePoint(code)))
      values.set(code, ((values.get(code - 1) ?? 9) + 1) % 10);
  return values;
}

export function isUnicodeDigit(code: number): boolean {
  return digitOf(code) >= 0;
}

// What an agent's `redact` may be.

import type { Finder } from './finder.ts';

/** A name for built-in finders. */
export type FinderName = 'cards' | 'phones' | 'ibans' | 'emails';

/** In the order in which they are applied. */
export const FINDER_NAMES: readonly FinderName[] = ['emails', 'ibans', 'cards', 'phones'];

/** Returns a text without the values, which cannot be restored later. */
export type TextRedactor = (text: string) => string;

/**
 * What `redact` of `defineAgent` accepts: a name of built-in finders, a finder, a function of text,
 * or a list of these.
 */
export type Redact =
  FinderName | Finder | TextRedactor | readonly (FinderName | Finder | TextRedactor)[];

type RedactPart = FinderName | Finder | TextRedactor;

export function partsOf(redact: Redact | undefined): readonly RedactPart[] {
  return redact === undefined ? [] : [redact].flat();
}

export function isName(part: RedactPart): part is FinderName {
  return typeof part === 'string';
}

/** Throws a `TypeError` unless `redact` can be used. `place` begins its message. */
export function checkRedact(place: string, redact: Redact | undefined): void {
  for (const part of partsOf(redact)) {
    if (typeof part === 'function') continue;
    if (isName(part)) {
      if (FINDER_NAMES.includes(part)) continue;
      const known = FINDER_NAMES.map((name) => `"${name}"`).join(', ');
      throw new TypeError(`${place} redact takes the names ${known}, got ${JSON.stringify(part)}`);
    }
    const { kind, find }: Partial<Record<keyof Finder, unknown>> = part ?? {};
    if (typeof find !== 'function') {
      const wanted = 'names such as "cards", finders, or functions of text';
      throw new TypeError(`${place} redact must be ${wanted}, got ${kindOf(part)}`);
    }
    if (typeof kind === 'string' && KIND.test(kind)) continue;
    const rule = 'the kind of a finder must be 1–24 characters of a-z and -, and begin with a-z';
    throw new TypeError(`${place} redact: ${rule}, got ${JSON.stringify(kind)}`);
  }
}

const KIND = /^[a-z][a-z-]{0,23}$/;

function kindOf(value: unknown): string {
  if (value === null) return 'null';
  return typeof value === 'object' ? 'an object without find' : typeof value;
}

// What an agent's `redact` may be.

import type { Finder } from './finder.ts';
import { NAMED_FINDERS, type FinderName } from './named-finders.ts';

/** Returns a text without the values, which cannot be restored later. */
export type TextRedactor = (text: string) => string;

/**
 * What `redact` of `defineAgent` accepts: the name of finders, a finder, a function of text, or a
 * list of them.
 */
export type Redact =
  FinderName | Finder | TextRedactor | readonly (FinderName | Finder | TextRedactor)[];

type RedactPart = FinderName | Finder | TextRedactor;

/**
 * The parts of what `redact` was given, in order. Finders with a name stand where the first of
 * their names does, in an order of their own: digits of an IBAN may pass for those of a card.
 */
export function redactorsIn(redact: Redact | undefined): readonly (Finder | TextRedactor)[] {
  const parts = partsOf(redact);
  const first = parts.findIndex(isName);
  return parts.flatMap((part, index) => {
    if (!isName(part)) return [part];
    return index === first ? NAMES.filter((name) => parts.includes(name)).flatMap(findersOf) : [];
  });
}

const NAMES = Object.keys(NAMED_FINDERS) as readonly FinderName[];

function findersOf(name: FinderName): readonly Finder[] {
  return NAMED_FINDERS[name];
}

function partsOf(redact: Redact | undefined): readonly RedactPart[] {
  if (redact === undefined) return [];
  return isList(redact) ? redact : [redact];
}

function isName(part: RedactPart): part is FinderName {
  return typeof part === 'string';
}

/** The kinds of values that can have placeholders. */
export function kindsIn(redact: Redact | undefined): ReadonlySet<string> {
  return new Set(
    redactorsIn(redact).flatMap((part) => (typeof part === 'function' ? [] : [part.kind])),
  );
}

/** Throws a `TypeError` unless `redact` can be used. `place` begins its message. */
export function checkRedact(place: string, redact: Redact | undefined): void {
  for (const part of partsOf(redact)) {
    if (typeof part === 'function') continue;
    if (isName(part)) {
      if (NAMES.includes(part)) continue;
      const known = NAMES.map((name) => `"${name}"`).join(', ');
      throw new TypeError(`${place} redact has the names ${known}, got ${JSON.stringify(part)}`);
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

function isList(redact: Redact): redact is readonly RedactPart[] {
  return Array.isArray(redact);
}

function kindOf(value: unknown): string {
  if (value === null) return 'null';
  return typeof value === 'object' ? 'an object without find' : typeof value;
}

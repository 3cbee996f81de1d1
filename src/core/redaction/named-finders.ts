// The finders that are switched on by name, and what an agent's `redact` stands for.

import { cardExpiries, securityCodes } from './card-details.ts';
import { cardNumbers } from './card-numbers.ts';
import { emailAddresses } from './email-addresses.ts';
import type { Finder } from './finder.ts';
import { ibans } from './ibans.ts';
import { phoneNumbers } from './phone-numbers.ts';
import {
  FINDER_NAMES, isName, partsOf, type FinderName, type Redact, type TextRedactor,
} from './redact.ts';

/**
 * In the order of `FINDER_NAMES`: digits of an IBAN may pass for a card, and those of a card for a
 * phone number.
 */
const NAMED_FINDERS = {
  emails: [emailAddresses],
  ibans: [ibans],
  cards: [cardNumbers, cardExpiries, securityCodes],
  phones: [phoneNumbers],
} as const satisfies Readonly<Record<FinderName, readonly Finder[]>>;

/**
 * The parts of `redact`, in order. Named finders all come where the first name stands, in the order
 * of `FINDER_NAMES`.
 */
export function redactorsIn(redact: Redact | undefined): readonly (Finder | TextRedactor)[] {
  const parts = partsOf(redact);
  const first = parts.findIndex(isName);
  return parts.flatMap((part, index) => {
    if (!isName(part)) return [part];
    if (index !== first) return [];
    return FINDER_NAMES.filter((name) => parts.includes(name)).flatMap(
      (name): readonly Finder[] => NAMED_FINDERS[name],
    );
  });
}

/** The kinds of values that can have placeholders. */
export function kindsIn(redact: Redact | undefined): ReadonlySet<string> {
  return new Set(
    redactorsIn(redact).flatMap((part) => (typeof part === 'function' ? [] : [part.kind])),
  );
}

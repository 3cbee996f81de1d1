// The finders that are switched on by name.

import { cardExpiries, securityCodes } from './card-details.ts';
import { cardNumbers } from './card-numbers.ts';
import { emailAddresses } from './email-addresses.ts';
import type { Finder } from './finder.ts';
import { ibans } from './ibans.ts';
import { phoneNumbers } from './phone-numbers.ts';

/** The name of finders that every desk needs. */
export type FinderName = 'cards' | 'phones' | 'ibans' | 'emails';

/**
 * In the order in which they work: digits of an IBAN may pass for a card, and those of a card for a
 * phone number.
 */
export const NAMED_FINDERS = {
  emails: [emailAddresses],
  ibans: [ibans],
  cards: [cardNumbers, cardExpiries, securityCodes],
  phones: [phoneNumbers],
} as const satisfies Readonly<Record<FinderName, readonly Finder[]>>;

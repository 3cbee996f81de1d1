// The name of a field counts as the words around a value do: `{ "cvv": 417 }`.

import { cardExpiries, securityCodes } from './card-details.ts';
import { anyWordOf } from './finder.ts';
import { phoneNumbers } from './phone-numbers.ts';
import type { Kinds } from './placeholder.ts';

/** What is said before a value of a kind, and the names of fields that mean the same. */
const FIELDS = [
  [
    phoneNumbers.kind, 'phone',
    fieldsNamed(`
      phones? phone_?numbers? telephones? tel mobiles? mobile_?numbers? cell cellphones? landlines?
      whatsapp fax msisdn
    `),
  ],
  [
    securityCodes.kind, 'CVV',
    fieldsNamed(`
      cvv cvv2 cvc cvc2 cv2 csc security_code security_number verification_code verification_value
      card_code
    `),
  ],
  [
    cardExpiries.kind, 'expires',
    fieldsNamed('exp expiry expires expiration exp_date valid_thru valid_until valid_to'),
  ],
] as const;

/** What else a name may have: "customer phone", "phone home", "card expiry date". */
function fieldsNamed(names: string): RegExp {
  const more = anyWordOf('number no home work office private main value date code');
  return new RegExp(`(?:^| )${anyWordOf(names)}(?: ${more})?$`);
}

/**
 * The word that has the meaning of a field's name before a value of one of the kinds. Undefined for
 * any other name.
 */
export function wordForField(name: string, kinds: Kinds): string | undefined {
  if (name.length > LONGEST_NAME) return undefined;
  const words = name.replace(/([a-z\d])([A-Z])/g, '$1 $2').replace(/[\s_-]+/g, ' ').toLowerCase();
  return FIELDS.find(([kind, , pattern]) => kinds.has(kind) && pattern.test(words))?.[1];
}

/** In UTF-16 code units. */
const LONGEST_NAME = 40;

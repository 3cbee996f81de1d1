// What is said near a card number: the date on which the card expires, and its security code. Both
// finders search texts in which card numbers have already been replaced.

import { digitRunSteps, digitsIn, valueIn, type DigitRun } from './digit-runs.ts';
import { anyWordOf, steadyFinder, type FindingSteps } from './finder.ts';
import { meaningAfter } from './number-words.ts';

/** How far words such as "expires" may be from what they refer to, in UTF-16 code units. */
const NEAR = 40;
/** The same for a card number. A date may come in between. */
const NEAR_CARD = 60;

const CARD = /\[card [a-z\d]+\]/;
/**
 * A mark or placeholder at the end of a text, and any words after it that say nothing about what
 * follows.
 */
const AFTER_CARD = new RegExp(
  String.raw`\[(?:card|expiry) [a-z\d]+\]`
  + String.raw`(?:\s|[.,;:/-]|\b${anyWordOf('and then exp with plus it is its the uh um')}\b)*$`,
  'i',
);
/** In UTF-16 code units. */
const LONGEST_MARK = 40;
/** The next number after that of a card, with words of any language in between. */
const NEXT_TO_CARD = new RegExp(
  String.raw`\[(?:card|expiry) [a-z\d]+\]`
  + String.raw`((?:[^\d[\]]|(?<![\d,.])\d(?![\d,.])){0,${NEAR_CARD}})$`,
);
/** Words such as "Prüfnummer" and "code" are not about another number beside a card. */
const SECURITY = /prüf|sicher|kontroll|controle|\bcod(?:e|ice)\b/i;
const WRITTEN_DATE = /^\d{1,2} ?[/-] ?\d{2}(?:\d\d)?(?!\d)/;
const WRITTEN_CODE = /^\d{3,4}$/;
/** A year, or what has a unit after it, is no code. */
const NEVER_CODE = /^(?:19|20)\d\d/;
const UNIT = new RegExp(
  String.raw`^\s?(?:[€$£%]|°|${anyWordOf(`
    euros? eur dollars? pounds? pence cents? francs? kronor kr zł złotych percent o'clock uhr
  `)}\b)`,
  'i',
);
const EXPIRES = new RegExp(
  String.raw`\b${anyWordOf(`
    exp expiry expire expires expired expiring expiration valid_til valid_until valid_thru
    valid_through valid_to good_thru good_through
  `)}\b[^\d[\]]*$`,
  'i',
);
/** These refer to an expiry date only if the text has a card number. */
const MAY_EXPIRE = new RegExp(
  String.raw`\b${anyWordOf('month end ends date until till thru through runs_out')}\b[^\d[\]]*$`,
  'i',
);
const MONTH = new RegExp(
  String.raw`\b${anyWordOf('jan feb mar apr may june? july? aug sept? oct nov dec')}[a-z]*\.?,?\s+`
  + String.raw`(?:of\s+|the year\s+)?$`,
  'i',
);
const DATE = /^(?:0?[1-9]|1[0-2])(?:20)?(?:2[4-9]|3\d|4[0-5])$/;
/** `12 / 2027` and one more sign. */
const LONGEST_DATE = 10;
const YEAR = /^(?:20)?(?:2[4-9]|3\d|4[0-5])$/;

/** Whether a group of digits is the next number after that of a card, whatever is said between. */
function isNextToCard(text: string, start: number): boolean {
  const [, between] =
    NEXT_TO_CARD.exec(text.slice(Math.max(0, start - NEAR_CARD - LONGEST_MARK), start)) ?? [];
  if (between === undefined || /[€$£#]\s?$/.test(between)) return false;
  return SECURITY.test(between) || meaningAfter(between) !== 'other';
}

/**
 * Finds the date on which a card expires, `12/27`, `oh three twenty-eight` or `March 2027`, after a
 * card number or words such as "expires". If the text has a card number, dates after "until" and
 * the like count, too.
 */
export const cardExpiries = steadyFinder('expiry', expiriesIn);

function* expiriesIn(text: string): FindingSteps {
  const hasCard = CARD.test(text);
  const isMeantBy = (before: string, near: string): boolean => AFTER_CARD.test(before)
    || EXPIRES.test(near) || (hasCard && MAY_EXPIRE.test(near));
  for (const run of digitRunSteps(text, 2)) {
    if (run !== undefined) {
      const start = run.digits[0]?.start ?? 0;
      const before = text.slice(Math.max(0, start - NEAR_CARD), start);
      const near = before.slice(-NEAR);
      const isMeant = isMeantBy(before, near) || (hasCard
        && WRITTEN_DATE.test(text.slice(start, start + LONGEST_DATE)) && isNextToCard(text, start));
      const [month = ''] = MONTH.exec(near) ?? [];
      const beforeMonth = before.slice(0, before.length - month.length);
      if (month !== '' && (isMeant || isMeantBy(beforeMonth, beforeMonth))) {
        const count = countOf(run, YEAR, [4, 2]);
        const name = month.trim().slice(0, 3).toLowerCase();
        const { end, value } = valueIn(run, 0, count);
        if (count > 0) yield { start: start - month.length, end, value: `${name}${value}` };
      } else if (isMeant) {
        const count = countOf(run, DATE, [6, 5, 4, 3]);
        if (count > 0) yield valueIn(run, 0, count);
      }
    }
    yield;
  }
}

/**
 * How many of the first digits fit, if a word or a group ends there and no more than a security
 * code follows. 0 if none do.
 */
function countOf(run: DigitRun, pattern: RegExp, counts: readonly number[]): number {
  const { digits } = run;
  return counts.find((count) => {
    const rest = digits.length - count;
    return digits[count - 1]?.isLast === true && (rest === 0 || rest === 3 || rest === 4)
      && pattern.test(digitsIn(run, 0, count));
  }) ?? 0;
}

const SIDE = anyWordOf('on_the_back on_the_front on_the_reverse at_the_back');
const CODE = anyWordOf('cvv cvv2 cvc cvc2 cv2');
/** Said before a code. */
const CODE_BEFORE = new RegExp(
  String.raw`\b(?:${CODE}|${SIDE}|(?:three|four|3|4)[- ]digits?|${anyWordOf(`
    csc cid security_code security_number verification_code verification_number
    verification_value card_code
  `)})\b[^\d[\]]*$`,
  'i',
);
/** Said about any code. */
const ANY_CODE_BEFORE = /\b(?:code|digits|numbers?)\b[^\d[\].!?]*$/i;
const CODE_AFTER = new RegExp(
  String.raw`^[^\d[\].!?]{0,20}\b(?:${CODE}|${SIDE}`
  + String.raw`|(?:is|as|for) (?:the |my )?(?:security|verification) (?:code|number))\b`,
  'i',
);

/**
 * Finds the security code of a card, three or four digits, near words such as "CVV", or after a
 * card number or its date. If the text has a card number, digits after "code" count, too.
 */
export const securityCodes = steadyFinder('code', codesIn);

function* codesIn(text: string): FindingSteps {
  const hasCard = CARD.test(text);
  for (const run of digitRunSteps(text, 3)) {
    const count = run?.digits.length ?? 0;
    if (run !== undefined && (count === 3 || count === 4)) {
      const found = valueIn(run, 0, count);
      const { start, end } = found;
      const before = text.slice(Math.max(0, start - NEAR_CARD), start);
      const near = before.slice(-NEAR);
      const isMeant = CODE_BEFORE.test(near) || (hasCard && ANY_CODE_BEFORE.test(near))
        || AFTER_CARD.test(before) || CODE_AFTER.test(text.slice(end, end + NEAR))
        || (hasCard && isWrittenCode(text, start, end) && isNextToCard(text, start));
      if (isMeant) yield found;
    }
    yield;
  }
}

function isWrittenCode(text: string, start: number, end: number): boolean {
  const said = text.slice(start, end);
  return WRITTEN_CODE.test(said) && !NEVER_CODE.test(said) && !UNIT.test(text.slice(end, end + 20));
}

import { digitRunSteps, valueIn, type Digit, type DigitRun } from './digit-runs.ts';
import { anyWordOf, steadyFinder, type FindingSteps, type FoundValue } from './finder.ts';

const SHORTEST = 7;
/** ITU-T E.164. */
const LONGEST = 15;
/** How far words may be from a number that they refer to, in UTF-16 code units. */
const NEAR = 40;

/** Said about a phone number. */
const PHONE = new RegExp(
  String.raw`\b(?:number(?:['\u2019]s)?|${anyWordOf(`
    phone telephone tel mobile cell cellphone landline call calling called ring reach text sms
    whatsapp dial contact fax voicemail area_code
  `)})\b`,
  'i',
);
/** Said before "number" when it may be a telephone number. */
const OF_PHONE = anyWordOf(`
  phone telephone mobile cell contact home work office business fax callback direct daytime hotline
  service support emergency private personal local free new old best right current correct following
  other another my his her their our your the a whose this that what which s
`);
/** Said about other numbers. */
const OTHER = new RegExp(
  String.raw`(?:\b(?:(?<!area )code|${anyWordOf(`
    order invoice reference ref ticket tracking account customer policy serial article item isbn ean
    model booking confirmation reservation case id contract batch lot member membership loyalty
    passport version lottery insurance parcel claim meter tax vat registration
  `)})\b|(?<![a-z'\u2019])(?!${OF_PHONE} )[a-z]+ numbers?\b)[^.!?]*$`,
  'i',
);
/** A date in ISO 8601, whatever follows it. */
const DAY = /^(?:19|20)\d\d-[01]\d-[0-3]\d/;
const TENS = /ty\b|teen\b|\b(?:ten|eleven|twelve)\b/i;

/**
 * Finds phone numbers of 7 to 15 digits, written or said: with a `+`, with a leading 0, as they are
 * written in North America, and others near words such as "call". `+` is part of the value.
 */
export const phoneNumbers = steadyFinder('phone', phonesIn);

function* phonesIn(text: string): FindingSteps {
  for (const run of digitRunSteps(text, SHORTEST)) {
    if (run !== undefined) yield* numbersIn(run, text);
    yield;
  }
}

/** In digits: a few numbers next to each other. */
const LONGEST_LIST = 100;

/** `dialled`: with the trunk prefix 0, or with 00. `american`: as in the North American plan. */
function shapeOf(
  digits: readonly Digit[],
  start: number,
  end: number,
): 'dialled' | 'american' | 'any' {
  const digitAt = (place: number): number => digits[place]?.digit ?? 0;
  const [first, second, third] = [digitAt(start), digitAt(start + 1), digitAt(start + 2)];
  const count = end - start;
  if (first === 0 && second > 0 && count >= 9 && count <= 12) return 'dialled';
  if (first === 0 && second === 0 && third > 0 && count >= 10) return 'dialled';
  const area = end - 10;
  const isAmerican = count === 10 || (count === 11 && first === 1);
  return isAmerican && digitAt(area) > 1 && digitAt(area + 3) > 1 ? 'american' : 'any';
}

/** The phone numbers in a run of digits, which may have other numbers next to them. */
function* numbersIn(run: DigitRun, text: string): FindingSteps {
  const { digits } = run;
  for (let start = 0; start + SHORTEST <= digits.length;) {
    yield;
    const digit = digits[start];
    const isPlace = start === 0 || (digit?.isApart === true && digit.isFirst);
    const end = isPlace ? endOfNumber(run, text, start) : undefined;
    if (end !== undefined) yield numberIn(run, text, start, end);
    start = end ?? start + 1;
  }
}

/**
 * Where the longest number from `start` ends: preferably at the end of the run or at a comma,
 * otherwise after any group.
 */
function endOfNumber(run: DigitRun, text: string, start: number): number | undefined {
  const { digits } = run;
  const most = Math.min(digits.length, start + LONGEST);
  const ends = [];
  for (let end = most; end >= start + SHORTEST; end--)
    if (digits[end - 1]?.isLast === true) ends.push(end);
  const isWhole = (end: number): boolean => end === digits.length || digits[end]?.isApart === true;
  return [...ends.filter(isWhole), ...ends.filter((end) => !isWhole(end))]
    .find((end) => isNumber(run, text, start, end));
}

function isNumber(run: DigitRun, text: string, start: number, end: number): boolean {
  const { digits, hasPlus } = run;
  const [first, last] = [digits[start], digits[end - 1]];
  if (first === undefined || last === undefined) return false;
  if (first.isHomophone || last.isHomophone) return false;
  if (hasPlus && start === 0) return true;
  const shape = shapeOf(digits, start, end);
  // A long list is not searched for words near each digit.
  if (shape === 'any' && digits.length > LONGEST_LIST) return false;
  const said = text.slice(first.start, last.end);
  if (DAY.test(said)) return false;
  const before = text.slice(Math.max(0, first.start - NEAR), first.start);
  if (OTHER.test(before)) return false;
  if (shape === 'dialled') return true;
  const isMeant = PHONE.test(before) || PHONE.test(text.slice(last.end, last.end + NEAR));
  return isMeant || (shape === 'american' && isInThree(digits, said, end))
    || (end - start === SHORTEST && /^\d{3}-\d{4}$/.test(said));
}

/** In groups of 3, 3 and 4, or in words for single digits. */
function isInThree(digits: readonly Digit[], said: string, end: number): boolean {
  if (!/\d/.test(said)) return !TENS.test(said);
  return [end - 10, end - 7, end - 4].every((at) => digits[at]?.isFirst === true);
}

function numberIn(run: DigitRun, text: string, start: number, end: number): FoundValue {
  const found = valueIn(run, start, end);
  if (!run.hasPlus || start > 0) return found;
  const plus = /(?:\+|\bplus\s+)$/i.exec(text.slice(0, found.start));
  return { ...found, start: plus?.index ?? found.start, value: `+${found.value}` };
}

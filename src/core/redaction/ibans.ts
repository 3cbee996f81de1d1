import { DIGIT_WORDS } from './digit-words.ts';
import { steadyFinder, type FindingSteps } from './finder.ts';

/** How long the IBANs of each country are, from SWIFT's registry. */
const LENGTHS: ReadonlyMap<string, number> = new Map(
  (
    'AD24AE23AL28AT20AZ28BA20BE16BG22BH22BI27BR29BY28CH21CR22CY28CZ24DE22DJ27DK18DO28EE20EG29ES24'
    + 'FI18FK18FO18FR27GB22GE22GI23GL18GR27GT28HN28HR21HU28IE22IL23IQ23IS26IT27JO30KW30KZ20LB28LC32'
    + 'LI21LT20LU20LV21LY25MC27MD24ME22MK19MN20MR27MT31MU30NI28NL18NO15OM23PK24PL28PS29PT25QA29RO24'
    + 'RS22RU33SA24SC31SD18SE24SI19SK24SM27SO23ST25SV28TL23TN24TR26UA29VA22VG24XK20YE30'
  ).match(/.{4}/g)?.map((entry) => [entry.slice(0, 2), Number(entry.slice(2))]),
);
const SHORTEST = 15;

const SPELLING = [
  'alpha', 'bravo', 'charlie', 'delta', 'echo', 'foxtrot', 'golf', 'hotel', 'india', 'juliet',
  'kilo', 'lima', 'mike', 'november', 'oscar', 'papa', 'quebec', 'romeo', 'sierra', 'tango',
  'uniform', 'victor', 'whiskey', 'xray', 'yankee', 'zulu',
];

/** A part of what is written or said, and the letters and digits that it stands for. */
interface Part {
  readonly start: number;
  readonly end: number;
  readonly characters: string;
}

/**
 * Finds IBANs: letters and digits, as many as the country's IBANs have, that pass the check of ISO
 * 13616. In one group, in several, or spelled out: "D E eight nine", "Delta Echo eight nine".
 */
export const ibans = steadyFinder('iban', ibansIn);

function* ibansIn(text: string): FindingSteps {
  if (text.length < SHORTEST) return;
  let parts: Part[] = [];
  for (const part of partsOf(text)) {
    yield;
    if (part !== undefined) {
      parts.push(part);
      continue;
    }
    yield* numbersIn(parts);
    parts = [];
  }
}

/** Undefined for anything that cannot be in an IBAN, and at the end. */
function* partsOf(text: string): Generator<Part | undefined, void, undefined> {
  let end = 0;
  let times = 1;
  let timesStart: number | undefined;
  let tens: Part | undefined;
  for (const { 0: word, index } of text.matchAll(/[a-z\d]+/gi)) {
    if (!/^[\s,.\-\u00a0\u202f]{0,4}$/.test(text.slice(end, index))) {
      if (tens !== undefined) yield tens;
      tens = undefined;
      yield undefined;
    }
    end = index + word.length;
    const said = DIGIT_WORDS.get(word.toLowerCase());
    if (said?.kind === 'pause') continue;
    if (tens !== undefined) {
      const { start, characters: [ten] }: Part = tens;
      const isUnit = said?.kind === 'digits' && said.digits.length === 1 && said.begins;
      yield isUnit ? { start, end, characters: `${ten}${said.digits[0]}` } : tens;
      tens = undefined;
      if (isUnit) continue;
    }
    if (said?.kind === 'times') {
      [times, timesStart] = [said.times, index];
      continue;
    }
    if (said?.kind === 'tens') {
      tens = { start: index, end, characters: `${said.tens}0` };
      continue;
    }
    const characters = charactersOf(word);
    yield characters === undefined
      ? undefined
      : { start: timesStart ?? index, end, characters: characters.repeat(times) };
    [times, timesStart] = [1, undefined];
  }
  if (tens !== undefined) yield tens;
  yield undefined;
}

/** Undefined for a word that spells nothing. */
function charactersOf(word: string): string | undefined {
  const lower = word.toLowerCase();
  const said = DIGIT_WORDS.get(lower);
  if (said?.kind === 'digits') return said.digits.join('');
  if (said?.kind === 'homophone') return String(said.digit);
  const letter = SPELLING.indexOf(lower);
  if (letter >= 0) return String.fromCharCode(0x41 + letter);
  if (/\d/.test(word) || word.length === 1 || /^[A-Z]{2,4}$/.test(word)) return word.toUpperCase();
  return LENGTHS.has(word.toUpperCase()) ? word.toUpperCase() : undefined;
}

function* numbersIn(parts: readonly Part[]): FindingSteps {
  for (let first = 0; first < parts.length; first++) {
    const last = lastOfNumber(parts, first);
    yield;
    if (last === undefined) continue;
    const value = parts.slice(first, last + 1).map(({ characters }) => characters).join('');
    yield { start: parts[first]?.start ?? 0, end: parts[last]?.end ?? 0, value };
    first = last;
  }
}

function lastOfNumber(parts: readonly Part[], first: number): number | undefined {
  let characters = '';
  for (let last = first; last < parts.length; last++) {
    characters += parts[last]?.characters ?? '';
    if (characters.length < 4) continue;
    const length = LENGTHS.get(characters.slice(0, 2));
    if (length === undefined || !/^\d\d$/.test(characters.slice(2, 4))) return undefined;
    if (characters.length < length) continue;
    return characters.length === length && passes(characters) ? last : undefined;
  }
  return undefined;
}

/**
 * With the country and check digits last, and letters as 10 to 35, the rest modulo 97 must be 1.
 */
function passes(number: string): boolean {
  let rest = 0;
  for (const character of number.slice(4) + number.slice(0, 4)) {
    const value = Number.parseInt(character, 36);
    rest = (rest * (value > 9 ? 100 : 10) + value) % 97;
  }
  return rest === 1;
}

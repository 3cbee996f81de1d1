// Finds what differs from one run to the next, or belongs to one person: ids, numbers, addresses
// and times.

export type VaryingKind = 'id' | 'number' | 'email' | 'time';

const SHORT_DAY = '(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)';
const WEEKDAY = '(?:Mon|Tues|Wednes|Thurs|Fri|Satur|Sun)day';
const MONTH =
  '(?:Jan(?:uary)?|Feb(?:ruary)?|Mar(?:ch)?|Apr(?:il)?|May|June?|July?|Aug(?:ust)?'
  + '|Sep(?:tember)?|Oct(?:ober)?|Nov(?:ember)?|Dec(?:ember)?)';
const CLOCK = '\\d{1,2}:\\d\\d(?::\\d\\d(?:\\.\\d+)?)?';
const UUID = '[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}';
/** Random ids have both cases or several digits. Names of tools seldom do. */
const IS_RANDOM = '(?=[\\w-]*\\d)(?:(?=[\\w-]*[A-Z])(?=[\\w-]*[a-z])|(?=(?:[A-Za-z_-]*\\d){3}))';

/** Between groups of digits. No comma: a list with an invented value must still be JSON. */
const BETWEEN = '[\\s.\\u00ad\\u00b7\\u200b-\\u200f\\u2010-\\u2015\\u2026\\u2060-]{1,3}';

/** Tried in this order at each place, all in linear time. The forms of dates are `Date`'s. */
const PATTERNS: readonly (readonly [kind: VaryingKind, source: string])[] = [
  ['email', '(?<![\\w.+-])[\\w.+-]+@[\\w-]+(?:\\.[\\w-]+)+'],
  ['id', `(?<![\\w-])${UUID}(?![\\w-])`],
  [
    'time',
    '(?<![\\w.-])\\d{4}-\\d\\d-\\d\\d'
      + `(?:[T ]${CLOCK}(?:Z|[+-]\\d\\d:?\\d\\d)?)?(?![\\d-])`,
  ],
  ['time', `\\b${SHORT_DAY},? (?:\\d\\d? ${MONTH}|${MONTH} \\d\\d?),? \\d{4}\\b`],
  ['time', `(?:\\b\\d\\d?(?:st|nd|rd|th)? ${MONTH}|\\b${MONTH} \\d\\d?)\\b(?:,? \\d{4}\\b)?`],
  ['time', '(?<![\\w./])\\d\\d?[./]\\d\\d?[./]\\d{4}(?![\\w/])'],
  ['time', `(?<![\\w:.])${CLOCK}(?:[ \\u202f]?[AaPp][Mm]\\b)?(?![\\d:])`],
  ['time', `\\b${WEEKDAY}\\b`],
  ['id', `(?<![\\w-])(?=[\\w-]{16})(?=[\\w-]*[A-Za-z])${IS_RANDOM}[\\w-]+`],
  ['id', '(?<![\\w-])(?=[\\w-]*[A-Za-z_])(?=[\\w-]*\\d{6})[\\w-]+'],
  ['number', '(?<![\\w.])\\+(?=(?:[ ()./-]{0,2}\\d){6})\\d+(?:[ ()./-]{1,2}\\d{2,})*(?!\\w)'],
  ['number', '(?<![\\w.])0(?=(?:[ ()/-]{0,2}\\d){6})\\d+(?:[ ()/-]{1,2}\\d{2,})*(?!\\w)'],
  // Cards, as people say and write them.
  ['number', `(?<![\\w.])\\d{4}(?:${BETWEEN}\\d{4}){3}(?!\\w)`],
  ['number', `(?<![\\w.])\\d{4}${BETWEEN}\\d{6}${BETWEEN}\\d{4,5}(?!\\w)`],
  ['number', `(?<![\\w.])(?:\\d${BETWEEN}){12,}\\d(?!\\w)`],
  ['number', '(?<![\\w.])\\d{3}[ .-]\\d{3}[ .-]\\d{4}(?!\\w)'],
  ['number', '(?<![\\w.])\\d{6,}(?!\\w)'],
];

const ANY = new RegExp(PATTERNS.map(([, source]) => `(${source})`).join('|'), 'gu');

export function replaceVarying(
  text: string,
  replace: (value: string, kind: VaryingKind) => string,
): string {
  return text.replace(ANY, (value: string, ...groups: readonly unknown[]) => {
    const [kind] = PATTERNS[groups.findIndex((group) => group !== undefined)] ?? [];
    return kind === undefined ? value : replace(value, kind);
  });
}

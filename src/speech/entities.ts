// HTML entities: `&amp;`, `&#39;`, `&#x27;`. The names are those of HTML 4 that stand for Latin
// letters, punctuation, money and plain arithmetic:
// https://www.w3.org/TR/html401/sgml/entities.html

/** Runs of names whose code points are consecutive. */
const RUNS: readonly (readonly [first: number, names: string])[] = [
  [34, 'quot'],
  [38, 'amp apos'],
  [60, 'lt'],
  [62, 'gt'],
  [160, 'nbsp iexcl cent pound curren yen brvbar sect uml copy ordf laquo not shy reg macr'],
  [176, 'deg plusmn sup2 sup3 acute micro para middot cedil sup1 ordm raquo frac14 frac12 frac34'],
  [191, 'iquest Agrave Aacute Acirc Atilde Auml Aring AElig Ccedil Egrave Eacute Ecirc Euml'],
  [204, 'Igrave Iacute Icirc Iuml ETH Ntilde Ograve Oacute Ocirc Otilde Ouml times Oslash'],
  [217, 'Ugrave Uacute'],
  [219, 'Ucirc Uuml Yacute THORN szlig agrave aacute acirc atilde auml aring aelig ccedil egrave'],
  [233, 'eacute ecirc euml igrave iacute icirc iuml eth ntilde ograve oacute ocirc otilde ouml'],
  [247, 'divide oslash ugrave uacute ucirc uuml yacute thorn yuml'],
  [338, 'OElig oelig'],
  [352, 'Scaron scaron'],
  [376, 'Yuml'],
  [8211, 'ndash mdash'],
  [8216, 'lsquo rsquo sbquo'],
  [8220, 'ldquo rdquo bdquo'],
  [8226, 'bull'],
  [8230, 'hellip'],
  [8249, 'lsaquo rsaquo'],
  [8364, 'euro'],
  [8482, 'trade'],
  [8592, 'larr uarr rarr darr'],
  [8722, 'minus'],
  [8800, 'ne'],
  [8804, 'le ge'],
];

const CHARACTERS: ReadonlyMap<string, string> = new Map(
  RUNS.flatMap(([first, names]) =>
    names.split(' ').map((name, offset) => [name, String.fromCodePoint(first + offset)] as const),
  ),
);

/** The character of an entity; '' for one that does not exist. Undefined if it is text. */
export function characterOf(entity: string): string | undefined {
  const [, decimal, hexadecimal, name = ''] = ENTITY.exec(entity) ?? [];
  if (decimal === undefined && hexadecimal === undefined) return CHARACTERS.get(name);
  const code = decimal === undefined ? parseInt(hexadecimal ?? '', 16) : Number(decimal);
  const isCharacter = code <= 0x10ffff && (code < 0xd800 || code > 0xdfff);
  return isCharacter ? String.fromCodePoint(code) : '';
}

const ENTITY = /^&(?:#([0-9]+)|#[xX]([0-9a-fA-F]+)|([A-Za-z0-9]+));$/;

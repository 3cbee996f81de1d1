// HTML entities: `&amp;`, `&#39;`, `&#x27;`. The names are those of HTML 4 that stand for Latin
// letters, punctuation, money and plain arithmetic:
// https://www.w3.org/TR/html401/sgml/entities.html

/** A name without a number stands for the code point after that of the name before it. */
const NAMES = `
  quot=34 amp=38 apos lt=60 gt=62
  nbsp=160 iexcl cent pound curren yen brvbar sect uml copy ordf laquo not shy reg macr deg plusmn
  sup2 sup3 acute micro para middot cedil sup1 ordm raquo frac14 frac12 frac34 iquest
  Agrave Aacute Acirc Atilde Auml Aring AElig Ccedil Egrave Eacute Ecirc Euml Igrave Iacute Icirc
  Iuml ETH Ntilde Ograve Oacute Ocirc Otilde Ouml times Oslash Ugrave Uacute Ucirc Uuml Yacute THORN
  szlig agrave aacute acirc atilde auml aring aelig ccedil egrave eacute ecirc euml igrave iacute
  icirc iuml eth ntilde ograve oacute ocirc otilde ouml divide oslash ugrave uacute ucirc uuml yacute
  thorn yuml OElig=338 oelig Scaron=352 scaron Yuml=376
  ndash=8211 mdash lsquo=8216 rsquo sbquo ldquo=8220 rdquo bdquo bull=8226 hellip=8230
  lsaquo=8249 rsaquo euro=8364 trade=8482 larr=8592 uarr rarr darr minus=8722 ne=8800 le=8804 ge`;

const CHARACTERS = charactersOf(NAMES);

function charactersOf(names: string): ReadonlyMap<string, string> {
  let code = 0;
  const named = Array.from(names.matchAll(/(\w+)(?:=(\d+))?/g), ([, name = '', number]) => {
    code = number === undefined ? code + 1 : Number(number);
    return [name, String.fromCodePoint(code)] as const;
  });
  return new Map(named);
}

/** The character of an entity; '' for one that does not exist. Undefined if it is text. */
export function characterOf(entity: string): string | undefined {
  const [, decimal, hexadecimal, name = ''] = ENTITY.exec(entity) ?? [];
  if (decimal === undefined && hexadecimal === undefined) return CHARACTERS.get(name);
  const code = decimal === undefined ? parseInt(hexadecimal ?? '', 16) : Number(decimal);
  const isCharacter = code <= 0x10ffff && (code < 0xd800 || code > 0xdfff);
  return isCharacter ? String.fromCodePoint(code) : '';
}

const ENTITY = /^&(?:#([0-9]+)|#[xX]([0-9a-fA-F]+)|([A-Za-z0-9]+));$/;

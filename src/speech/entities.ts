// HTML entities: `&amp;`, `&#39;`, `&#x27;`. The names are those of HTML 4 without mathematics:
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
  [913, 'Alpha Beta Gamma Delta Epsilon Zeta Eta Theta Iota Kappa Lambda Mu Nu Xi Omicron Pi Rho'],
  [931, 'Sigma Tau Upsilon Phi Chi Psi Omega'],
  [945, 'alpha beta gamma delta epsilon zeta eta theta iota kappa lambda mu nu xi omicron pi rho'],
  [962, 'sigmaf sigma tau upsilon phi chi psi omega'],
  [8194, 'ensp emsp'],
  [8201, 'thinsp'],
  [8204, 'zwnj zwj lrm rlm'],
  [8211, 'ndash mdash'],
  [8216, 'lsquo rsquo sbquo'],
  [8220, 'ldquo rdquo bdquo'],
  [8226, 'bull'],
  [8230, 'hellip'],
  [8249, 'lsaquo rsaquo'],
  [8364, 'euro'],
  [8482, 'trade'],
  [8592, 'larr uarr rarr darr harr'],
  [8722, 'minus'],
  [8776, 'asymp'],
  [8800, 'ne'],
  [8804, 'le ge'],
];

const CHARACTERS: ReadonlyMap<string, string> = new Map(
  RUNS.flatMap(([first, names]) =>
    names.split(' ').map((name, offset) => [name, String.fromCodePoint(first + offset)] as const),
  ),
);
const MAX_NAME = 9;

/**
 * The result of reading an `&`. Speak `character`, even if it would be a mark; then read `again` as
 * text.
 */
export interface Entity {
  readonly character: string;
  readonly again: string;
}

/** Reads what may be an entity. "AT&T", "R&D" and `&unknown;` are text. */
export class EntityReader {
  #name = '';

  /** Call it after `&`. */
  start(): void {
    this.#name = '';
  }

  /** Takes the next character, '' at the end. Returns undefined if it needs more. */
  read(c: string): Entity | undefined {
    if (c === ';') {
      const character = characterOf(this.#name);
      return character === undefined ? this.#text(c) : { character, again: '' };
    }
    if (!/^[A-Za-z0-9#]$/.test(c) || this.#name.length === MAX_NAME) return this.#text(c);
    this.#name += c;
    return undefined;
  }

  #text(c: string): Entity {
    return { character: '&', again: this.#name + c };
  }
}

function characterOf(name: string): string | undefined {
  const number = /^#(?:([0-9]+)|[xX]([0-9a-fA-F]+))$/.exec(name);
  if (number === null) return CHARACTERS.get(name);
  const code = number[1] === undefined ? parseInt(number[2] ?? '', 16) : Number(number[1]);
  const isCharacter = code <= 0x10ffff && (code < 0xd800 || code > 0xdfff);
  return isCharacter ? String.fromCodePoint(code) : '';
}

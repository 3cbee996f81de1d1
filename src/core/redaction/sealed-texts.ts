import { parseJson } from '../../base/json.ts';
import { atOnce, type Steps } from '../../base/slices.ts';
import type { GivenValues } from './given-values.ts';
import { HeardValues } from './heard-part.ts';
import { markOf } from './placeholder.ts';
import type { Redaction } from './redaction.ts';
import { textsIn, withJsonTexts, withTexts, type Change, type Place } from './texts.ts';

/** In UTF-16 code units. Beyond that, all texts are examined again. */
const MOST_KNOWN = 4_194_304;

/** In UTF-16 code units. A longer text does not need the name of its field to be understood. */
const LONGEST_IN_FIELD = 80;
/** No value has fewer digits. */
const SHORTEST_IN_FIELD = 3;

/** The texts of one event or turn, with marks in place of values. Each is examined once. */
export class SealedTexts {
  readonly #redaction: Redaction;
  readonly #conversationId: string;
  readonly #isOurs: boolean;
  readonly #sealed = new Map<string, string>();
  #length = 0;
  #heardValues: HeardValues | undefined;
  #given: GivenValues | undefined;
  #revision = 0;

  /**
   * `isOurs`: whether tools and agents have made the texts, so that values that these were given
   * are replaced wherever they stand alone.
   */
  constructor(
    redaction: Redaction,
    conversationId: string,
    isOurs = false,
    given?: GivenValues,
  ) {
    this.#redaction = redaction;
    this.#conversationId = conversationId;
    this.#isOurs = isOurs;
    this.#given = given ?? redaction.givenIn(conversationId);
  }

  /** The same texts, as if tools and agents had made them. */
  ofOurs(): SealedTexts {
    return new SealedTexts(this.#redaction, this.#conversationId, true);
  }

  /** A hash of a text in which no value can be guessed. */
  idOf(text: string): string {
    return this.#redaction.idOf(text);
  }

  /** A result may come when the session is over, and its values are forgotten everywhere else. */
  get given(): GivenValues | undefined {
    const given = this.#redaction.givenIn(this.#conversationId);
    if (given !== undefined && given !== this.#given) {
      if (this.#given !== undefined) given.addAll(this.#given);
      this.#given = given;
    }
    return this.#given;
  }

  text(text: string): string {
    return atOnce(this.sealing(text));
  }

  /** All texts of a JSON value, except for those that `isKept`. */
  all<T>(value: T, isKept: IsKept = never): T {
    return withTexts(value, this.change(isKept));
  }

  /** The same for JSON text. */
  json(text: string): string {
    return withJsonTexts(text, this.change());
  }

  /** The same for each text and number of a JSON value. */
  change(isKept: IsKept = never): Required<Change> {
    return {
      text: (text, place) => (isKept(text) ? text : this.#field(text, place) ?? text),
      number: (value, place) =>
        isKept(String(value)) ? value : this.#field(value, place) ?? value,
    };
  }

  /** Undefined for a number that is no value. */
  #field(item: string | number, { name, holder }: Place): string | undefined {
    const given = this.#isOurs ? this.given : undefined;
    const sealed = typeof item === 'string' ? this.text(item) : given?.markOfNumber(item);
    if (sealed !== undefined && sealed !== item) return sealed;
    if (name === undefined) return sealed;
    const date = given === undefined ? undefined : dateIn(given, name, holder);
    if (date !== undefined) return date;
    const whole = this.#inField(item, name);
    if (whole === undefined) return sealed;
    const marked = this.text(whole);
    if (marked === whole) return sealed;
    const word = whole.slice(0, -String(item).length);
    return marked.startsWith(word) ? marked.slice(word.length) : marked;
  }

  /** A short text or a number, after the word that its field's name stands for. */
  #inField(item: string | number, name: string): string | undefined {
    const text = String(item);
    if (text.length > LONGEST_IN_FIELD || text.length < SHORTEST_IN_FIELD) return undefined;
    const word = this.#redaction.wordFor(name);
    return word === undefined ? undefined : `${word} ${text}`;
  }

  /** The same in steps, here and below: for a text, a heard text, a JSON value and JSON text. */
  *sealing(text: string): Steps<string> {
    const given = this.#isOurs ? this.given : undefined;
    if (given !== undefined && given.revision !== this.#revision) {
      this.#revision = given.revision;
      this.#sealed.clear();
      this.#length = 0;
    }
    const known = this.#sealed.get(text);
    if (known !== undefined) return known;
    // Those come first: a finder may take them for the beginning of another value.
    const rest = given === undefined ? text : yield* given.sealing(text);
    return this.keep(text, yield* this.#redaction.sealing(this.#conversationId, rest));
  }

  /**
   * What was heard of a reply, or spoken before it was cut off: it may end with the beginning of a
   * value.
   */
  *sealingHeard(text: string): Steps<string> {
    // This comes first: a part of a value may look like another value.
    this.#heardValues ??= new HeardValues(this.#redaction.valuesOf(this.#conversationId));
    const part = this.#heardValues.partAtEnd(text);
    if (part === undefined)
      return this.#redaction.withoutCut(this.#conversationId, yield* this.#sealingOurs(text));
    const before = yield* this.#sealingOurs(text.slice(0, part.start));
    return before + markOf(part.kind, part.letters);
  }

  /** An agent has said it. */
  *#sealingOurs(text: string): Steps<string> {
    return yield* this.sealing(this.given === undefined ? text : yield* this.given.sealing(text));
  }

  *sealingAll<T>(value: T, isKept: IsKept = never): Steps<T> {
    yield* this.learning(value, isKept);
    return this.all(value, isKept);
  }

  *sealingJson(text: string): Steps<string> {
    yield* this.learning(parseJson(text) ?? text);
    return this.json(text);
  }

  /** Looks at all texts of a JSON value, so that they are known from here on. */
  *learning(value: unknown, isKept: IsKept = never): Steps<void> {
    const inField = (item: string | number, name: string): string | undefined =>
      isKept(String(item)) ? undefined : this.#inField(item, name);
    for (const text of textsIn(value, inField)) {
      if (!isKept(text)) yield* this.sealing(text);
      yield;
    }
  }

  /** From here on, `text` is replaced by `sealed`. */
  keep(text: string, sealed: string): string {
    this.#length += text.length;
    if (this.#length > MOST_KNOWN) {
      this.#sealed.clear();
      this.#length = text.length;
    }
    this.#sealed.set(text, sealed);
    return sealed;
  }
}

type IsKept = (text: string) => boolean;

function never(): boolean {
  return false;
}

/** The mark of the date of which a field has the month or the year, and its object the rest. */
function dateIn(
  given: GivenValues,
  name: string,
  holder: Place['holder'] = {},
): string | undefined {
  if (!/(?:month|year)$/i.test(name)) return undefined;
  // `expMonth` and `expYear`, `exp_month` and `exp_year`, `month` and `year`.
  const parts = ['month', 'Month', 'MONTH', 'year', 'Year', 'YEAR'].map((part) =>
    holder[name.replace(/(?:month|year)$/i, part)]);
  const [month, year] = [parts.slice(0, 3), parts.slice(3)].map((same) =>
    same.find((part) => part !== undefined));
  return given.markOfDate(month, year);
}

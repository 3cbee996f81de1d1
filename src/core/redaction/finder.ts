/** A value in a text, at `start` up to but not including `end`, in UTF-16 code units. */
export interface FoundValue {
  readonly start: number;
  readonly end: number;
  /**
   * The value in a form in which equal values are equal strings, such as the digits of a card
   * number without spaces. Tools with `raw` get this. Default: the text from `start` to `end`.
   */
  readonly value?: string | undefined;
}

/** A value that was found in a conversation. */
export interface KnownValue {
  readonly kind: string;
  readonly value: string;
}

/** The values in a text, with pauses in between. */
export type FindingSteps = Generator<FoundValue | undefined, void, undefined>;

/** Finds values of one kind, such as `cardNumbers`. */
export interface Finder {
  /** The word in the placeholder: `card` for `[card 1]`. 1–24 characters of `a-z` and `-`. */
  readonly kind: string;
  /** The values in a text, in any order. The time it takes should grow no faster than the text. */
  find(text: string): Iterable<FoundValue>;
}

/** A finder that pauses in a long text by yielding undefined. */
interface SteadyFinder extends Finder {
  readonly steps: (text: string) => Iterable<FoundValue | undefined>;
  /** What a cut text ends with, if it can only be the beginning of a value. */
  readonly cutIn?: ((text: string) => FoundValue | undefined) | undefined;
}

/** What the finder finds, and its pauses. */
export function stepsOf(finder: Finder, text: string): Iterable<FoundValue | undefined> {
  const { steps }: Partial<SteadyFinder> = finder;
  return steps === undefined ? finder.find(text) : steps(text);
}

export function steadyFinder(
  kind: string,
  steps: SteadyFinder['steps'],
  cutIn?: SteadyFinder['cutIn'],
): Finder {
  const find = (text: string): FoundValue[] =>
    [...steps(text)].filter((one) => one !== undefined);
  return { kind, find, steps, cutIn } as Finder;
}

/** See `SteadyFinder`. Undefined for a finder that cannot tell. */
export function cutValueIn(finder: Finder, text: string): FoundValue | undefined {
  const { cutIn }: Partial<SteadyFinder> = finder;
  return cutIn?.(text);
}

/**
 * A pattern for any of the words, which are separated by blanks. `_` stands for a blank in a word.
 */
export function anyWordOf(words: string): string {
  return `(?:${words.trim().split(/\s+/).join('|').replaceAll('_', ' ')})`;
}

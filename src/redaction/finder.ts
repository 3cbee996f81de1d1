/** A value in a text, at `start` up to but not including `end`, in UTF-16 code units. */
export interface FoundValue {
  readonly start: number;
  readonly end: number;
  /**
   * The value in the form in which equal values are equal texts, such as the digits of a card
   * number without spaces. Tools with `raw` get this. Default: the text from `start` to `end`.
   */
  readonly value?: string | undefined;
}

/** Finds values of one kind, such as `cardNumbers`. */
export interface Finder {
  /** What stands in the placeholder: `card` for `[card 1]`. 1–24 characters of `a-z` and `-`. */
  readonly kind: string;
  /** The values in a text, in any order. Should take a time that grows no faster than the text. */
  find(text: string): Iterable<FoundValue>;
}

/** A finder that pauses in a long text: it then yields nothing. */
export interface SteadyFinder extends Finder {
  readonly steps: (text: string) => Iterable<FoundValue | undefined>;
  /** What a text ends with that was cut, if it can only be the beginning of a value. */
  readonly cutIn?: (text: string) => FoundValue | undefined;
}

/** What the finder finds, and its pauses. */
export function stepsOf(finder: Finder, text: string): Iterable<FoundValue | undefined> {
  const { steps }: Partial<SteadyFinder> = finder;
  return steps === undefined ? finder.find(text) : steps(text);
}

/** A finder that is made of its steps. */
export function steadyFinder(
  kind: string,
  steps: SteadyFinder['steps'],
  cutIn?: SteadyFinder['cutIn'],
): Finder {
  const find = (text: string): FoundValue[] =>
    [...steps(text)].filter((one) => one !== undefined);
  return { kind, find, steps, ...(cutIn === undefined ? {} : { cutIn }) } as Finder;
}

/** See `SteadyFinder`. Undefined for a finder that cannot say it. */
export function cutValueIn(finder: Finder, text: string): FoundValue | undefined {
  const { cutIn }: Partial<SteadyFinder> = finder;
  return cutIn?.(text);
}

/** Returns a text without the values, which cannot be restored later. */
export type TextRedactor = (text: string) => string;

/** What `redact` of `defineAgent` accepts: a finder, a function of text, or a list of them. */
export type Redact = Finder | TextRedactor | readonly (Finder | TextRedactor)[];

/** The parts of what `redact` was given, in order. */
export function redactorsIn(redact: Redact | undefined): readonly (Finder | TextRedactor)[] {
  if (redact === undefined) return [];
  return isList(redact) ? redact : [redact];
}

/** The kinds of values that can have placeholders. */
export function kindsIn(redact: Redact | undefined): ReadonlySet<string> {
  return new Set(
    redactorsIn(redact).flatMap((part) => (typeof part === 'function' ? [] : [part.kind])),
  );
}

/** Throws a `TypeError` unless `redact` can be used. `place` begins its message. */
export function checkRedact(place: string, redact: Redact | undefined): void {
  for (const part of redactorsIn(redact)) {
    if (typeof part === 'function') continue;
    const { kind, find }: Partial<Record<keyof Finder, unknown>> = part ?? {};
    if (typeof find !== 'function') {
      const wanted = 'a function of text, or finders such as cardNumbers and emailAddresses';
      throw new TypeError(`${place} redact must be ${wanted}, got ${kindOf(part)}`);
    }
    if (typeof kind === 'string' && KIND.test(kind)) continue;
    const rule = 'the kind of a finder must be 1–24 characters of a-z and -, and begin with a-z';
    throw new TypeError(`${place} redact: ${rule}, got ${JSON.stringify(kind)}`);
  }
}

const KIND = /^[a-z][a-z-]{0,23}$/;

function isList(redact: Redact): redact is readonly (Finder | TextRedactor)[] {
  return Array.isArray(redact);
}

function kindOf(value: unknown): string {
  if (value === null) return 'null';
  return typeof value === 'object' ? 'an object without find' : typeof value;
}

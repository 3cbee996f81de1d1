// Gives the values of a conversation their numbers, in the write that stores them, so that two
// processes never give the same number to two values.

import { object, type Field } from '../../base/fields.ts';
import {
  isPlaceholders, MOST_NUMBERED, nextName, withNames, withoutPlaceholders, type Kinds,
} from '../redaction/placeholder.ts';
import { madeOnce, withTexts } from '../redaction/texts.ts';
import type { Conversation } from './conversation.ts';
import type { TurnOpening } from './turn-opening.ts';
import type { TurnRecord } from './turn-record.ts';
import type { TurnSettlement } from './turn-settlement.ts';

/** What a store may hold as `placeholders`. */
export const placeholderNames: Field = {
  ...object,
  check: (value) => (isPlaceholders(value) ? undefined : object.check(undefined)),
};

/** The numbers of an agent's values, for an agent with `redact`. */
export class ValueNumbers {
  readonly #kinds: Kinds;

  constructor(kinds: Kinds) {
    this.#kinds = kinds;
  }

  /** A copy of a JSON value in which marks have become placeholders: `[card 1]`. */
  numbered<T>(conversation: Conversation, value: T): T {
    // Without the store nobody knows which numbers other processes assign.
    let isFull = conversation.isBehind === true;
    const nameOf = (letters: string, kind: string): string | undefined => {
      const { placeholders = {} } = conversation;
      if (Object.hasOwn(placeholders, letters)) return placeholders[letters];
      isFull ||= Object.keys(placeholders).length >= MOST_NUMBERED; // a text may ask very often
      if (isFull) return undefined; // the mark keeps its letters
      const name = nextName(kind, placeholders);
      conversation.placeholders = { ...placeholders, [letters]: name };
      return name;
    };
    return withTexts(value, madeOnce((text) => withNames(text, this.#kinds, nameOf)));
  }

  /** The same for what a turn begins with. */
  opening(conversation: Conversation, opening: TurnOpening): TurnOpening {
    const { interruption, transcript, text, running } = opening;
    // In the order in which they were said.
    const told = this.numbered(conversation, transcript?.lines);
    const copy = {
      interruption: this.numbered(conversation, interruption),
      transcript:
        transcript === undefined || told === undefined
          ? transcript
          : { ...transcript, lines: told },
      text: this.numbered(conversation, text),
      running: running?.map((settlement) => this.settlement(conversation, settlement)),
    };
    return { ...opening, ...copy };
  }

  /** The same for what a turn ends with. */
  settlement(conversation: Conversation, settlement: TurnSettlement): TurnSettlement {
    const { messages, sent, filler } = settlement;
    return { ...settlement, ...this.numbered(conversation, { messages, sent, filler }) };
  }
}

/**
 * Takes over the names from another copy of the conversation, before its turns are merged. A number
 * that stands for another value here is changed in `turns`, in place: by default, those of the
 * other copy.
 */
export function takeNames(
  conversation: Conversation,
  other: Conversation,
  turns: readonly TurnRecord[] = other.turns,
): void {
  const changes = new Map<string, string>();
  for (const [letters, name] of Object.entries(other.placeholders ?? {})) {
    const { placeholders = {} } = conversation;
    const known = Object.hasOwn(placeholders, letters) ? placeholders[letters] : undefined;
    const isTaken = Object.values(placeholders).includes(name);
    const kind = name.slice(0, name.indexOf(' '));
    const own = known ?? (isTaken ? nextName(kind, placeholders) : name);
    if (known === undefined) conversation.placeholders = { ...placeholders, [letters]: own };
    if (own !== name) changes.set(name, own);
  }
  if (changes.size === 0) return;
  for (const turn of turns) {
    const renamed = withTexts(turn, (text) =>
      withoutPlaceholders(text, (name) => `[${changes.get(name) ?? name}]`));
    Object.assign(turn, renamed);
  }
}

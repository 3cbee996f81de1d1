// Values such as card numbers in what was heard of a reply: see `redaction/`.

import { lettersOf, withoutLetters } from '../../base/words/spoken-words.ts';
import { placesOfPlaceholders } from './placeholder.ts';

/**
 * What was `heard` of a reply, with the reply's placeholder where only a part of a value was heard.
 * No finder recognises a part; only a process that has heard the value can.
 */
export function withWholeValues(heard: string, reply: string): string {
  if (heard === '' || !reply.includes('[')) return heard;
  const theirs = lettersOf(heard);
  let from = 0;
  let at = 0;
  for (const { start, end } of placesOfPlaceholders(reply)) {
    const before = lettersOf(reply.slice(from, start));
    if (!theirs.startsWith(before, at)) return heard;
    const rest = theirs.slice(at + before.length);
    const name = lettersOf(reply.slice(start, end));
    if (!rest.startsWith(name)) {
      if (name.startsWith(rest)) return heard; // `heard` ends here, or says the placeholder's name
      return reply.slice(0, end) + heardAfter(rest, reply.slice(end));
    }
    at += before.length + name.length;
    from = end;
  }
  return heard;
}

/** What was heard of `text`, which follows a value. */
function heardAfter(heard: string, text: string): string {
  const letters = lettersOf(text);
  for (let at = 1; at < heard.length; at++) {
    const count = heard.length - at;
    if (count <= letters.length && letters.startsWith(heard.slice(at)))
      return count < FEWEST ? '' : text.slice(0, text.length - withoutLetters(text, count).length);
  }
  return '';
}

/** Fewer letters could be found anywhere. */
const FEWEST = 3;

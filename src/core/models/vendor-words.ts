// The part of a vendor's answer that may be shown: words that cannot quote anybody.

import { asText } from './json.ts';

/** What vendors build their error codes, error types and finish reasons from. */
const TERMS: ReadonlySet<string> = new Set(`
  access account active allowed api argument assistant auth authentication authorization bad
  balance billing blocked body budget busy call calls cancelled capacity chat closed code
  completion connection content context cost country credit credits data deactivated deadline
  decommissioned denied deprecated disabled down duplicate empty end engine entity error exceeded
  exception exhausted expired extra fail failed failure feature field filter filtered finish
  flagged forbidden format found full function gateway generate generation hard id image inactive
  incomplete input insufficient internal invalid is json key large length limit limited limits list
  load loading long malformed many max message messages method missing model moderation no not
  object organization other out output over overflow overload overloaded parameter parameters parse
  parsing payload payment permission plan policy precondition processing project prompt property
  provider queue quota rate reached read recitation refusal refused region rejected repetition
  request requests required resource response role safety schema send sequence server service short
  size slow soft spend stop stopped stream string support supported suspended system template
  temporarily territory throttled throttling tier time timed timeout token tokens too tool tools
  turn type unauthenticated unauthorized unavailable unexpected unknown unprocessable unsafe
  unsupported upstream usage use used user validate validation value version violation
`.trim().split(/\s+/));

/** `context_length_exceeded`, `InternalServerError`, `RESOURCE_EXHAUSTED`, `down` */
const WORD = /^[A-Za-z]+(?:[_.-][A-Za-z]+)*$/;
const MAX_LENGTH = 64;

/**
 * A vendor's code as it is, if it consists of terms from the list above. Anything else becomes '':
 * even a single word may be one that the caller said, or the key.
 */
export function vendorWord(value: unknown): string {
  const word = asText(value);
  if (word.length > MAX_LENGTH || !WORD.test(word)) return '';
  const terms = word.match(/[A-Z]?[a-z]+|[A-Z]+(?![a-z])/g) ?? [];
  return terms.every((term) => TERMS.has(term.toLowerCase())) ? word : '';
}

/** What vendors and gateways call a reply that was cut at one of the model's limits. */
const CUT = /^(?:length|model_length|max(?:_output)?_tokens|model_context_window_exceeded)$/i;

/** Why an answer ended, in words that may be shown: `length` for all replies that were cut. */
export function finishReasonOf(reason: string | undefined): string | undefined {
  return CUT.test(reason ?? '') ? 'length' : vendorWord(reason) || undefined;
}

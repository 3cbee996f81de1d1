// What a platform knows about a call: what the caller has said, and what it tells about the
// replies.

import type { ProfileName, Telling } from './talk.ts';

/** Something that the caller said. Its words may be corrected as long as nothing follows. */
export interface Utterance {
  readonly n: number;
  words: string;
  /** What was said after it, as the platform tells it. */
  readonly told: ToldLine[];
  /** What was heard of the agent's replies, in the agent's own words. */
  heard: string;
  /** The newest reply, if the platform tells nothing about it. */
  untold: string;
}

export interface ToldLine {
  readonly text: string;
  /** Whether the platform said it, not the agent. */
  readonly isForeign: boolean;
}

export interface SentMessage {
  readonly role: 'system' | 'user' | 'assistant';
  readonly content: string;
}

/** The beginning of a line that the platform says in the agent's name. */
const FOREIGN = 'Message of the platform';

/** How the platform writes "alpha". */
const REWRITTEN = 'alfa';

export const FILLER = 'Just a moment please.';

export class PlatformCall {
  readonly utterances: Utterance[] = [];
  /** What the platform said before the caller spoke. */
  readonly greetings: ToldLine[] = [];
  /** How many of the older messages are sent. */
  keeps = Infinity;
  readonly #profile: ProfileName;
  #foreign = 0;
  #words = 0;

  constructor(profile: ProfileName, greets: boolean) {
    this.#profile = profile;
    if (greets) this.greetings.push(this.#foreignLine());
  }

  get last(): Utterance | undefined {
    return this.utterances.at(-1);
  }

  get knowsHeard(): boolean {
    return this.#profile === 'livekit';
  }

  speak(isYes: boolean): Utterance {
    const words = isYes ? 'Yes.' : this.#newWords();
    const utterance = { n: this.utterances.length, words, told: [], heard: '', untold: '' };
    this.utterances.push(utterance);
    return utterance;
  }

  correct(utterance: Utterance, how: 'longer' | 'other'): void {
    utterance.words = how === 'other'
      ? this.#newWords()
      : `${utterance.words} and more ${++this.#words}`;
  }

  #newWords(): string {
    this.#words += 1;
    return `Words ${this.#words} of mine`;
  }

  /** The first of the caller's words. Undefined if there is only one. */
  static beginningOf({ words }: Utterance): string | undefined {
    const list = words.split(' ');
    return list.length < 2 ? undefined : list.slice(0, Math.ceil(list.length / 2)).join(' ');
  }

  /** The platform tells how much of a reply was said. `received`: what came over the wire. */
  tell(utterance: Utterance, received: string, { part, style }: Telling): void {
    utterance.untold = ownPartOf(received);
    const isRewritten = style === 'rewritten' && !this.knowsHeard;
    const cut = received.slice(0, Math.round(part * received.length)).trim();
    const isInWord = cut.length < received.trim().length;
    const spoken = isRewritten && isInWord ? cut.split(' ').slice(0, -1).join(' ') : cut;
    if (lettersOf(spoken) === '') return;
    const text = isRewritten ? rewritten(spoken) : spoken;
    utterance.heard += ownPartOf(spoken);
    utterance.untold = '';
    utterance.told.push({ text, isForeign: false });
  }

  insert(isBehind: boolean): void {
    const lines = this.last?.told ?? this.greetings;
    const { last } = this;
    if (last !== undefined && !this.knowsHeard) {
      // Nobody knows whether the agent's reply was heard.
      last.heard += last.untold;
      last.untold = '';
    }
    const line = this.#foreignLine();
    if (isBehind) lines.push(line);
    else lines.unshift(line);
  }

  #foreignLine(): ToldLine {
    this.#foreign += 1;
    return { text: `${FOREIGN} number ${this.#foreign} x!`, isForeign: true };
  }

  /**
   * What was said before the last utterance, or in the whole call if nobody is speaking now, as far
   * as the platform sends it.
   */
  messages(isSilent: boolean): readonly SentMessage[] {
    const of = ({ text }: ToldLine): SentMessage => ({ role: 'assistant', content: text });
    const all = [
      ...this.greetings.map(of),
      ...this.before(isSilent).flatMap(({ words, told }) => [
        { role: 'user', content: words } as const,
        ...told.map(of),
      ]),
    ];
    return this.keeps < all.length ? all.slice(-this.keeps) : all;
  }

  /** Whether the platform tells only lines of its own, which say nothing about the reply. */
  isUntold({ told }: Utterance): boolean {
    return !this.knowsHeard && told.length > 0 && told.every(({ isForeign }) => isForeign);
  }

  /** The utterances in those messages. */
  before(isSilent: boolean): readonly Utterance[] {
    return isSilent ? this.utterances : this.utterances.slice(0, -1);
  }
}

/** The letters and digits, in lower case. */
export function lettersOf(text: string): string {
  return text.replaceAll(/<[^>]*>/g, ' ').toLowerCase().replaceAll(/[^a-z0-9]/g, '');
}

/**
 * The letters of what the agent has said, without what the platform has said in its name. For a
 * rewritten reply they are those of the original.
 */
export function ownLettersOf(text: string): string {
  const foreign = new RegExp(`${lettersOf(FOREIGN)}number\\d+x`, 'g');
  return lettersOf(text).replaceAll(foreign, '').replaceAll(REWRITTEN, 'alpha');
}

/** Whether any of it is the agent's reply, and not only a filler. */
export function isReply(told: string): boolean {
  return ownPartOf(ownLettersOf(told)) !== '';
}

/** The letters without leading fillers, even if those are cut off. */
function ownPartOf(spoken: string): string {
  const filler = lettersOf(FILLER);
  let letters = lettersOf(spoken);
  while (letters.startsWith(filler)) letters = letters.slice(filler.length);
  return filler.startsWith(letters) ? '' : letters;
}

/** Rewrites a text for speech, as platforms do. */
function rewritten(text: string): string {
  const words = text.split(' ');
  return words
    .map((word, index) => {
      const isInside = index > 0 && index < words.length - 1;
      if (isInside && word === 'alpha') return REWRITTEN;
      return isInside && word.endsWith('.') ? `${word.slice(0, -1)} <break time="1s"/>` : word;
    })
    .join(' ')
    .toUpperCase()
    .replaceAll(/<[^>]*>/g, (tag) => tag.toLowerCase());
}

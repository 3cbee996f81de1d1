/**
 * Bounds: entries, and UTF-16 code units of text. They keep `session.end` below any webhook's limit
 * for bodies. The oldest entries are dropped.
 */
const MAX_ENTRIES = 1_000;
const MAX_LENGTH = 262_144;

/** A type, because an interface is not assignable to JSON. */
type TranscriptEntry = {
  readonly role: 'user' | 'assistant';
  readonly text: string;
  /** Milliseconds since the epoch. */
  readonly timestamp: number;
  readonly turn_id: string;
};

/** Who said what, for `session.end`. */
export class SessionTranscript {
  readonly #entries: TranscriptEntry[] = [];
  #length = 0;

  get entries(): readonly TranscriptEntry[] {
    return [...this.#entries];
  }

  /** Replaces what the turn said before. Empty text leaves the turn out. */
  set(role: TranscriptEntry['role'], turnId: string, text: string): void {
    this.#remove(this.#entries.findIndex((entry) => entry.turn_id === turnId));
    if (text === '') return;
    this.#entries.push({ role, text, timestamp: Date.now(), turn_id: turnId });
    this.#length += text.length;
    while (
      this.#entries.length > MAX_ENTRIES
      || (this.#length > MAX_LENGTH && this.#entries.length > 1)
    ) {
      this.#remove(0);
    }
  }

  #remove(index: number): void {
    if (index === -1) return;
    for (const { text } of this.#entries.splice(index, 1)) this.#length -= text.length;
  }
}

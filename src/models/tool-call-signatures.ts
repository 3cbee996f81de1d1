// Gemini 3 and later sign their tool calls and refuse a history whose calls came back unsigned.
// https://ai.google.dev/gemini-api/docs/thought-signatures; on this wire the signature is `extra_content.google.thought_signature`.

import { BoundedMap } from '../base/bounded-map.ts';

const MAX_CALLS = 200;
const MAX_SIGNATURE_LENGTH = 65_536;

/** Google's documented stand-in for calls that another model made, or that a restart made us forget. */
const UNSIGNED = { google: { thought_signature: 'skip_thought_signature_validator' } };

/**
 * The `extra_content` of the latest 200 tool calls by call id, at most 64 KiB of JSON each. Only the calls of the current turn
 * are checked by the vendor, so this is memory for seconds, not history: it need not be stored.
 */
export class ToolCallSignatures {
  readonly #extraContents = new BoundedMap<string, unknown>(MAX_CALLS);

  remember(callId: string, extraContent: unknown): void {
    if (extraContent === undefined || JSON.stringify(extraContent).length > MAX_SIGNATURE_LENGTH) {
      return;
    }
    this.#extraContents.set(callId, extraContent);
  }

  /**
   * The `extra_content` to send with each of the calls one message made. Of parallel calls the vendor signs the first alone:
   * the stand-in is for a message without any signature.
   */
  recall(callIds: readonly string[]): readonly unknown[] {
    const found = callIds.map((id) => this.#extraContents.get(id));
    return found.some((extraContent) => extraContent !== undefined)
      ? found
      : found.map((_, index) => (index === 0 ? UNSIGNED : undefined));
  }
}

// Gemini 3 and later sign their tool calls, and refuse a history in which a call comes back
// unsigned: https://ai.google.dev/gemini-api/docs/thought-signatures. On this wire the signature is
// `extra_content.google.thought_signature`.

import { BoundedMap } from '../../base/bounded-map.ts';

const MAX_CALLS = 200;
const MAX_SIGNATURE_LENGTH = 65_536;

/** Google's documented stand-in for calls made by another model, or forgotten after a restart. */
const UNSIGNED = { google: { thought_signature: 'skip_thought_signature_validator' } };

/** Whether there is `extra_content`, of at most 65,536 UTF-16 code units of JSON. */
export function isSignature(extraContent: unknown): boolean {
  return extraContent !== undefined && extraContent !== null
    && JSON.stringify(extraContent).length <= MAX_SIGNATURE_LENGTH;
}

/**
 * The `extra_content` of the latest 200 tool calls by call id. Not stored: the vendor checks only
 * the calls of the current turn.
 */
export class ToolCallSignatures {
  readonly #extraContents = new BoundedMap<string, unknown>(MAX_CALLS);

  remember(callId: string, extraContent: unknown): void {
    if (extraContent !== undefined) this.#extraContents.set(callId, extraContent);
  }

  /**
   * The `extra_content` for each call of one message. Of parallel calls the vendor signs only the
   * first, so the stand-in is used only if a message has no signature at all.
   */
  recall(callIds: readonly string[]): readonly unknown[] {
    const found = callIds.map((id) => this.#extraContents.get(id));
    return found.some((extraContent) => extraContent !== undefined)
      ? found
      : found.map((_, index) => (index === 0 ? UNSIGNED : undefined));
  }
}

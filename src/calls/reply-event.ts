// What a reply can hold.

/**
 * What a turn sent to the caller, in order, so that it can be sent again. `json` is JSON text. It
 * is stored, and a newer version may have stored events of other types: readers skip them.
 */
export type SentEvent =
  | { readonly type: 'say'; readonly text: string; readonly isFiller?: true }
  | { readonly type: 'data'; readonly json: string }
  | { readonly type: 'hangup' }
  | {
      readonly type: 'transfer';
      readonly to: string;
      /** For the person who is called. */
      readonly briefing?: string;
    };

/**
 * One event of a reply: something the agent sent, or the information that the agent failed. The
 * apology is sent before that.
 */
export type ReplyEvent = SentEvent | { readonly type: 'error' };

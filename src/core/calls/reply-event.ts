// What a reply can hold.

/**
 * What a turn sent to the caller, event by event, so that it can be sent again. `json` is JSON
 * text. Events are stored, and a newer version may have stored other types: readers skip them.
 */
export type SentEvent =
  | { readonly type: 'say'; readonly text: string; readonly isFiller?: true }
  | { readonly type: 'data'; readonly json: string }
  | { readonly type: 'hangup' }
  | {
      readonly type: 'transfer';
      readonly to: string;
      /** For the person being called. */
      readonly briefing?: string;
    };

/**
 * One event of a reply: something the agent sent or, after the apology, the fact that it failed.
 */
export type ReplyEvent = SentEvent | { readonly type: 'error' };

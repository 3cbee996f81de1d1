import type { ReplyEvent } from '../../calls/reply-event.ts';
import type { CompletionToolCall, OfferedActions } from './call-actions.ts';

export interface PartOptions {
  /** The turn's id, or the conversation's if its turns have none. */
  readonly id: string;
  /** What ends a filler. */
  readonly fillerEnd: string;
  readonly actions: OfferedActions;
}

/** What an event of a reply becomes in a completion, streamed or whole. */
type CompletionPart =
  | { readonly type: 'text'; readonly text: string }
  | { readonly type: 'call'; readonly call: CompletionToolCall };

/** Undefined for what this wire cannot express, or for which the platform has no tool. */
export function partOf(
  event: ReplyEvent,
  { actions, fillerEnd, id }: PartOptions,
): CompletionPart | undefined {
  switch (event.type) {
    case 'say': {
      const { text, isFiller } = event;
      return { type: 'text', text: isFiller === true ? fillerText(text, fillerEnd) : text };
    }
    case 'hangup':
    case 'transfer': {
      const call = actions.callFor(event, id);
      return call === undefined ? undefined : { type: 'call', call };
    }
    case 'data':
      return undefined;
    case 'error':
      return undefined; // the caller has already heard the apology
    default:
      event satisfies never;
      return undefined;
  }
}

/** A filler with an ending that makes the platform speak it at once. */
function fillerText(text: string, end: string): string {
  // Escaped, because V8 keeps a chunk that is all ASCII in half the memory.
  return end === ' ' ? text : `${text.trimEnd().replace(/[.\u2026!]+$/, '')}${end}`;
}

// Server-Sent Events as text. Specified by
// https://html.spec.whatwg.org/multipage/server-sent-events.html#parsing-an-event-stream

/** One block of an event stream: an event with data, or a comment, which clients ignore. */
export type SseEvent =
  { readonly data: string; readonly event?: string } | { readonly comment: string };

const LINE_BREAK = /\r\n|\r|\n/;

/**
 * Formats one event, including its final blank line. Data with line breaks becomes several `data:`
 * lines, which the client joins with `\n`.
 *
 * Throws a `TypeError` if an event name or a comment contains a line break: it would end its field
 * early.
 */
export function encodeEvent(event: SseEvent): string {
  if ('comment' in event) return `: ${singleLine('comment', event.comment)}\n\n`;
  const name = event.event === undefined ? '' : `event: ${singleLine('event name', event.event)}\n`;
  return `${name}data: ${event.data.split(LINE_BREAK).join('\ndata: ')}\n\n`;
}

function singleLine(what: string, text: string): string {
  if (LINE_BREAK.test(text)) {
    throw new TypeError(`an SSE ${what} must be one line, got ${JSON.stringify(text)}`);
  }
  return text;
}

/**
 * One answer as it arrives: knows when the first event is there, when the answer is complete, and
 * whether it is correct.
 */
export interface TurnResponse {
  add(chunk: string): void;
  readonly hasEvent: boolean;
  readonly isComplete: boolean;
  /** What is wrong with the answer. Undefined if it is a 200 that speaks `content` and ends. */
  findFault(content: string, ending: string): string | undefined;
}

const CONTENT_LENGTH = /\r\ncontent-length: *(\d+)/i;
const CHUNKED = /\r\ntransfer-encoding: *chunked/i;
// Only the last chunk can look like this: an SSE event of JSON holds no carriage return.
const LAST_CHUNK = '\r\n0\r\n\r\n';

/**
 * Parses as little HTTP as possible, so that the client stays far cheaper than the server it
 * measures.
 */
export function createTurnResponse(): TurnResponse {
  let received = '';
  let bodyAt = 0;
  /** Length of head and body by content-length; 0 if chunked. */
  let length = 0;

  function readHead(): void {
    const headEnd = received.indexOf('\r\n\r\n');
    if (headEnd < 0) return;
    bodyAt = headEnd + 4;
    const head = received.slice(0, headEnd);
    // With neither header this is NaN, and the answer never completes. Servers that end an answer
    // by closing are not measured here.
    if (!CHUNKED.test(head)) length = bodyAt + Number(CONTENT_LENGTH.exec(head)?.[1]);
  }

  return {
    add(chunk) {
      received += chunk;
      if (bodyAt === 0) readHead();
    },
    get hasEvent() {
      return bodyAt > 0 && received.includes('data:', bodyAt);
    },
    get isComplete() {
      if (bodyAt === 0) return false;
      return length === 0 ? received.endsWith(LAST_CHUNK) : received.length >= length;
    },
    findFault(content, ending) {
      if (!received.startsWith('HTTP/1.1 200 '))
        return `answered ${JSON.stringify(received.slice(0, 300))}`;
      if (!received.includes(content, bodyAt))
        return `${JSON.stringify(content)} is not in ${JSON.stringify(received)}`;
      if (!received.includes(ending, bodyAt))
        return `no ${ending} in ${JSON.stringify(received)}`;
      return undefined;
    },
  };
}

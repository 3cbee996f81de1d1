import { encodeEvent } from '../sse/encode.ts';
import type { EventWriter } from './event-writer.ts';

const HEARTBEAT = encodeEvent({ comment: '' });

/**
 * Sends a comment every `intervalMs`, so that proxies do not close a silent stream. Call
 * `refresh()` on the timer with each event, and `clearInterval` at the end of the stream. Returns
 * undefined for 0, which turns heartbeats off.
 */
export function startHeartbeat(
  writer: EventWriter,
  intervalMs: number,
): NodeJS.Timeout | undefined {
  return intervalMs > 0 ? setInterval(beat, intervalMs, writer) : undefined;
}

/**
 * A stream without room is not silent: bytes are waiting to leave, and a comment would only add to
 * them.
 */
function beat(writer: EventWriter): void {
  if (writer.hasRoom) writer.sendComment(HEARTBEAT);
}

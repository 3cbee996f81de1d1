import { encodeEvent } from './encode.ts';
import type { EventWriter } from './event-writer.ts';

const HEARTBEAT = encodeEvent({ comment: '' });

/**
 * Sends a comment whenever `intervalMs` have passed, so that no proxy takes a silent stream for a
 * dead one. `refresh()` the timer with each event, and `clearInterval` it when the stream ends.
 * Returns undefined for 0: no heartbeats.
 */
export function startHeartbeat(
  writer: EventWriter,
  intervalMs: number,
): NodeJS.Timeout | undefined {
  return intervalMs > 0 ? setInterval(beat, intervalMs, writer) : undefined;
}

/** A stream that has no room is not silent: bytes wait to leave, and more would only pile up. */
function beat(writer: EventWriter): void {
  if (writer.hasRoom) writer.sendComment(HEARTBEAT);
}

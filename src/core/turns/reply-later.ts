import type { SentEvent } from '../calls/reply-event.ts';
import { findTurn } from '../conversations/conversation.ts';
import { sentEvents } from '../conversations/turn-record.ts';
import type { Delivery } from './delivery.ts';
import type { TurnHost } from './turn-run.ts';

/** How often the record is read. A turn of this process says so when it ends. */
const READ_MS = 1_000;

/**
 * For a delivery that has heard nothing of the reply, and whose turn goes on for another one: it
 * gets the whole reply once that is complete, so that neither of two identical requests is answered
 * with silence. Without a reply its stream ends. `turnId` may change until the record is open.
 * Never rejects.
 */
export async function replyLater(
  delivery: Delivery,
  turnId: () => string,
  host: Pick<TurnHost, 'conversations' | 'process' | 'options' | 'awaitEnd'>,
): Promise<void> {
  let sent: readonly SentEvent[] | undefined;
  try {
    sent = await replyOf(delivery, turnId, host);
  } catch (error) {
    const { event: { conversationId }, log } = delivery;
    const fields = { conversationId, turnId: turnId(), error };
    log.debug('a reply could not be sent to a second delivery', fields);
  }
  for (const event of sent ?? []) void delivery.send(event);
  delivery.end(sent === undefined ? 'cut short' : 'now');
}

async function replyOf(
  delivery: Delivery,
  turnId: () => string,
  host: Parameters<typeof replyLater>[2],
): Promise<readonly SentEvent[] | undefined> {
  const { event: { conversationId } } = delivery;
  const { conversations, process: own, options: { settings } } = host;
  const untilMs = performance.now() + 1_000 * settings.turnTimeoutSeconds;
  let wake = (): void => undefined;
  const woken = (): void => wake();
  const interval = setInterval(woken, READ_MS);
  const stop = host.awaitEnd(conversationId, woken);
  try {
    while (delivery.isOpen && performance.now() < untilMs) {
      const next = new Promise<void>((resolve) => {
        wake = resolve;
      });
      const conversation = await conversations.read(conversationId);
      const record = conversation === undefined ? undefined : findTurn(conversation, turnId());
      if (record === undefined || record.isDiscarded === true) return undefined;
      if (record.state === 'completed' || record.state === 'failed') return sentEvents(record);
      const { state, process = own } = record;
      if (state !== 'open') return undefined;
      const isElsewhere = process !== undefined && process !== own;
      if (isElsewhere && (await conversations.goneAmong([process])).has(process)) return undefined;
      await next;
    }
    return undefined;
  } finally {
    clearInterval(interval);
    stop();
  }
}

import { createHmac, createSecretKey } from 'node:crypto';

export const BENCH_SECRET = 'whsec_of_the_benches';

const key = createSecretKey(Buffer.from(BENCH_SECRET));

export interface TurnRequest {
  conversationId: string;
  turnId: string;
  text: string;
  /** Whether the connection is for this turn only. Default: the connection is kept. */
  isOnly?: boolean;
}

/** The bytes of one signed `message`, head and body. All ASCII, so a character is a byte. */
export function formatTurnRequest(
  { conversationId, turnId, text, isOnly = false }: TurnRequest,
): string {
  const body = JSON.stringify({
    type: 'message',
    session_id: conversationId,
    conversation_id: conversationId,
    turn_id: turnId,
    text,
  });
  const t = Math.floor(Date.now() / 1000);
  const v1 = createHmac('sha256', key).update(`${t}.${body}`).digest('hex');
  return (
    'POST /api/agent HTTP/1.1\r\nhost: 127.0.0.1\r\nuser-agent: bench\r\naccept: text/event-stream\r\n' +
    (isOnly ? 'connection: close\r\n' : '') +
    `content-type: application/json\r\ncontent-length: ${body.length}\r\nlayercode-signature: t=${t},v1=${v1}\r\n\r\n${body}`
  );
}

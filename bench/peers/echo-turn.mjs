// What the peers share with bare.mjs: the check of the signature, and the events of an echo.
import { createHmac, createSecretKey, timingSafeEqual } from 'node:crypto';

export const PORT = Number(process.env.PORT);
export const SECRET = process.env.LAYERCODE_WEBHOOK_SECRET;
const KEY = createSecretKey(Buffer.from(SECRET));

export const SSE_HEADERS = {
  'content-type': 'text/event-stream',
  'cache-control': 'no-cache, no-transform',
  'x-accel-buffering': 'no',
};

export function isSigned(header, rawBody) {
  const parts = /^t=(\d+),v1=([0-9a-f]{64})$/.exec(header ?? '');
  if (parts === null || Math.abs(Date.now() / 1000 - Number(parts[1])) > 300) return false;
  const expected = createHmac('sha256', KEY).update(`${parts[1]}.`).update(rawBody).digest();
  return timingSafeEqual(expected, Buffer.from(parts[2], 'hex'));
}

/** Writes the echo of an event to Node's response. */
export function answer(res, event) {
  const turn_id = event.turn_id;
  res.writeHead(200, SSE_HEADERS);
  res.write(`data: ${JSON.stringify({ type: 'response.tts', content: `You said: ${event.text}`, turn_id })}\n\n`);
  res.end(`data: ${JSON.stringify({ type: 'response.end', turn_id })}\n\n`);
}

// The yardstick of `npm run bench -- --only wires`: node:http with nothing around it. It checks the
// key, parses the request and writes the chunks of an echo turn, byte for byte like the server with
// AGENT=echo. Plain JavaScript, because the server also runs without a loader.
import { randomUUID, timingSafeEqual } from 'node:crypto';
import { createServer } from 'node:http';

const KEY = Buffer.from(process.env.CHAT_COMPLETIONS_KEYS ?? '');
const JSON_HEADERS = { 'content-type': 'application/json' };
const SSE_HEADERS = {
  'content-type': 'text/event-stream',
  'cache-control': 'no-cache, no-transform',
  'x-accel-buffering': 'no',
};

process.once('SIGTERM', () => process.exit());

createServer((req, res) => {
  if (req.url === '/health') {
    res.writeHead(200, JSON_HEADERS);
    res.end('{"status":"healthy"}');
    return;
  }
  const given = Buffer.from(req.headers.authorization?.slice('Bearer '.length) ?? '');
  if (given.length !== KEY.length || !timingSafeEqual(given, KEY)) {
    res.writeHead(401, JSON_HEADERS);
    res.end('{"error":{"message":"Incorrect API key provided"}}');
    return;
  }
  const chunks = [];
  req.on('data', (chunk) => chunks.push(chunk));
  req.on('end', () => answer(res, chunks.length === 1 ? chunks[0] : Buffer.concat(chunks)));
}).listen(Number(process.env.PORT ?? 8000), '127.0.0.1');

function answer(res, rawBody) {
  const { messages } = JSON.parse(rawBody.toString());
  const id = `chatcmpl-${randomUUID()}`;
  const created = Math.floor(Date.now() / 1000);
  const chunk = (delta, reason) => {
    const choices = [{ index: 0, delta, finish_reason: reason }];
    const object = 'chat.completion.chunk';
    return `data: ${JSON.stringify({ id, object, created, model: 'echo', choices })}\n\n`;
  };
  res.writeHead(200, SSE_HEADERS);
  res.write(chunk({ role: 'assistant', content: '' }, null));
  res.write(chunk({ content: `You said: ${messages.at(-1).content}` }, null));
  res.end(`${chunk({}, 'stop')}data: [DONE]\n\n`);
}

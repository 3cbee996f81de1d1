// The yardstick of `npm run bench`: node:http with nothing around it. It checks the signature,
// parses the JSON and writes the events of an echo turn, byte for byte like the server with
// AGENT=echo. What a server adds (history, limits, logs, metrics) is missing on purpose. Plain
// JavaScript, because the server also runs without a loader.
//
// BY_REQUIRE=1 loads node:http as the server does, which is the floor of its start:
// docs/decisions/005-tuned-for-v8.md. SLOW=1 sends the first piece at once and the rest on SIGUSR2,
// like the server with AGENT=bench/held-agent.mjs. With WITH_AGENT=1 it runs that agent: a
// generator with a signal, which every server with such agents has to hold.
import { createHmac, createSecretKey, timingSafeEqual } from 'node:crypto';
import { createRequire } from 'node:module';

const { createServer } =
  process.env.BY_REQUIRE === '1'
    ? createRequire(import.meta.url)('node:http')
    : await import('node:http');

const { LAYERCODE_WEBHOOK_SECRET: secret = 'whsec_of_the_benches' } = process.env;
const SECRET = createSecretKey(Buffer.from(secret));
const IS_SLOW = process.env.SLOW === '1';
const JSON_HEADERS = { 'content-type': 'application/json' };
const SSE_HEADERS = {
  'content-type': 'text/event-stream',
  'cache-control': 'no-cache, no-transform',
  'x-accel-buffering': 'no',
};
const held = [];
const agent =
  process.env.WITH_AGENT === '1' ? (await import(process.env.AGENT)).default : undefined;

process.once('SIGTERM', () => process.exit()); // with --cpu-prof, Node writes its profile then

process.on('SIGUSR2', () => {
  for (const { res, turnId } of held.splice(0)) {
    res.write(ttsEvent('Done.', turnId));
    res.end(endEvent(turnId));
  }
});

createServer((req, res) => {
  if (req.method === 'GET' && req.url === '/health') {
    res.writeHead(200, JSON_HEADERS);
    res.end('{"status":"healthy"}');
    return;
  }
  if (req.method !== 'POST' || req.url !== '/api/agent') {
    res.writeHead(404, JSON_HEADERS);
    res.end('{"error":"Not found"}');
    return;
  }
  const chunks = [];
  req.on('data', (chunk) => chunks.push(chunk));
  req.on('end', () => {
    const rawBody = chunks.length === 1 ? chunks[0] : Buffer.concat(chunks);
    if (isSigned(req.headers['layercode-signature'], rawBody)) answer(res, rawBody);
    else {
      res.writeHead(401, JSON_HEADERS);
      res.end('{"error":"Invalid signature"}');
    }
  });
}).listen(Number(process.env.PORT ?? 8000), '127.0.0.1');

function isSigned(header, rawBody) {
  const parts = /^t=(\d+),v1=([0-9a-f]{64})$/.exec(header ?? '');
  if (parts === null || Math.abs(Date.now() / 1000 - Number(parts[1])) > 300) return false;
  const expected = createHmac('sha256', SECRET).update(`${parts[1]}.`).update(rawBody).digest();
  return timingSafeEqual(expected, Buffer.from(parts[2], 'hex'));
}

function answer(res, rawBody) {
  let event;
  try {
    event = JSON.parse(rawBody.toString());
  } catch {
    res.writeHead(400, JSON_HEADERS);
    res.end('{"error":"Invalid JSON"}');
    return;
  }
  const turnId = event.turn_id;
  res.writeHead(200, SSE_HEADERS);
  if (agent !== undefined) void speak(res, turnId);
  else if (IS_SLOW) {
    res.write(ttsEvent('Hold on.', turnId));
    held.push({ res, turnId });
  } else {
    res.write(ttsEvent(`You said: ${event.text}`, turnId));
    res.end(endEvent(turnId));
  }
}

async function speak(res, turnId) {
  const { signal } = new AbortController();
  for await (const text of agent.onMessage({ signal })) res.write(ttsEvent(text, turnId));
  res.end(endEvent(turnId));
}

function ttsEvent(content, turnId) {
  return `data: ${JSON.stringify({ type: 'response.tts', content, turn_id: turnId })}\n\n`;
}

function endEvent(turnId) {
  return `data: ${JSON.stringify({ type: 'response.end', turn_id: turnId })}\n\n`;
}

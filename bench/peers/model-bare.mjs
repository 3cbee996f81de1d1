// The yardstick of bench:model: node:http and `fetch` with nothing around them. It parses each line
// of the model's answer and writes an event for each piece of text.
import { createServer } from 'node:http';
import { isSigned, PORT, SSE_HEADERS } from './echo-turn.mjs';
import { MODEL, PROMPT } from './model-turn.mjs';

const URL = 'https://api.openai.com/v1/chat/completions';

createServer((req, res) => {
  if (req.method === 'GET') return res.end();
  const chunks = [];
  req.on('data', (chunk) => chunks.push(chunk));
  req.on('end', () => {
    const rawBody = Buffer.concat(chunks);
    if (isSigned(req.headers['layercode-signature'], rawBody)) answer(res, JSON.parse(rawBody));
    else res.writeHead(401).end();
  });
}).listen(PORT, '127.0.0.1');

async function answer(res, { turn_id, text }) {
  const messages = [
    { role: 'system', content: PROMPT },
    { role: 'user', content: text },
  ];
  const body = JSON.stringify({ model: MODEL, messages, stream: true });
  const { body: stream } = await fetch(URL, { method: 'POST', body });
  res.writeHead(200, SSE_HEADERS);
  const reader = stream.getReader();
  const utf8 = new TextDecoder();
  for (;;) {
    const { done, value } = await reader.read();
    if (done) break;
    let events = '';
    // In this bench each chunk of the body holds whole lines.
    for (const line of utf8.decode(value, { stream: true }).split('\n')) {
      if (!line.startsWith('data: {')) continue;
      const content = JSON.parse(line.slice(6)).choices[0]?.delta.content;
      if (content) events += eventOf({ type: 'response.tts', content, turn_id });
    }
    if (events !== '') res.write(events);
  }
  res.end(eventOf({ type: 'response.end', turn_id }));
}

function eventOf(event) {
  return `data: ${JSON.stringify(event)}\n\n`;
}

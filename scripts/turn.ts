// npm run turn -- "Hello there": signs a message, posts it to the running server, and prints the reply as it is spoken.

import { parseArgs } from 'node:util';
import { randomUUID } from 'node:crypto';

import { readDevelopmentSecret } from '../src/development-secret.ts';
import { signPayload, SIGNATURE_HEADER } from '../src/layercode/signature.ts';
import { loadSettings } from '../src/load-settings.ts';
import { decodeEvents } from '../src/sse/decode.ts';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { url: { type: 'string' }, conversation: { type: 'string', default: 'terminal' }, secret: { type: 'string' } },
});
const text = positionals.join(' ');
if (text === '') fail('usage: npm run turn -- "Hello there" [--url URL] [--conversation ID] [--secret SECRET]');

const settings = loadSettings({ argv: [] });
const url = values.url ?? `http://localhost:${settings.port}${settings.agentRoute}`;
const secret = values.secret ?? settings.webhookSecrets[0] ?? readDevelopmentSecret(process.cwd());
if (secret === undefined) fail('no webhook secret: start the server here first (npm start), or set LAYERCODE_WEBHOOK_SECRET');

const body = JSON.stringify({
  type: 'message', text, turn_id: randomUUID(), session_id: values.conversation, conversation_id: values.conversation,
});
const response = await fetch(url, {
  method: 'POST',
  headers: { 'content-type': 'application/json', [SIGNATURE_HEADER]: signPayload(body, secret) },
  body,
}).catch((error: unknown) => fail(`no answer from ${url}: ${error instanceof Error ? String(error.cause ?? error) : String(error)}; is the server running? (npm start)`));
if (!response.ok || response.body === null) fail(`${response.status} ${await response.text()}`);

for await (const event of decodeEvents(response.body)) {
  const reply = JSON.parse(event.data) as { type: string; content?: unknown };
  if (reply.type === 'response.tts') process.stdout.write(String(reply.content));
  else if (reply.type === 'response.data') process.stderr.write(`\n[data] ${JSON.stringify(reply.content)}\n`);
  else if (reply.type === 'response.hangup') process.stderr.write('\n[hang-up]');
}
process.stdout.write('\n');

function fail(message: string): never {
  process.stderr.write(`${message}\n`);
  process.exit(1);
}

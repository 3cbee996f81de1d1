// npm run echo-path
// Prints the path of a message: the files in src in which, according to V8's coverage, a function
// runs while a second message is being echoed. Open these files to follow a message.

import { request } from 'node:http';
import { Session } from 'node:inspector/promises';
import { relative } from 'node:path';
import { fileURLToPath } from 'node:url';

import { getAgent } from '../src/core/agents/built-in/registry.ts';
import { signPayload } from '../src/core/wires/layercode/signature.ts';
import { createApp } from '../src/server/app/create-app.ts';
import { parseSettings } from '../src/server/settings/parse-settings.ts';

const SECRET = 'whsec_of_the_echo_path';
const SRC = fileURLToPath(new URL('../src', import.meta.url));

const settings = parseSettings({ LAYERCODE_WEBHOOK_SECRET: SECRET }, []);
const app = createApp(settings, await getAgent('echo'));
const { port } = await app.listen({ host: '127.0.0.1', port: 0 });

function bodyOf(turnId: string): string {
  const ids = { session_id: 's', conversation_id: 'c', turn_id: turnId };
  return JSON.stringify({ type: 'message', ...ids, text: 'Hello' });
}

/** Posts a signed message. Resolves with the reply once its connection is free. */
function post(body: string, signature: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const headers = { 'content-type': 'application/json', 'layercode-signature': signature };
    const posted = request({ port, path: '/api/agent', method: 'POST', headers }, (response) => {
      let reply = '';
      response.setEncoding('utf8').on('data', (text: string) => (reply += text));
      response.once('error', reject).once('end', () => setImmediate(resolve, reply));
    });
    posted.once('error', reject).end(body);
  });
}

const first = bodyOf('t-1');
await post(first, signPayload(first, SECRET));
const second = bodyOf('t-2');
const signature = signPayload(second, SECRET); // before the profiler counts
const session = new Session();
session.connect();
await session.post('Profiler.enable');
await session.post('Profiler.startPreciseCoverage', { callCount: true, detailed: false });
const reply = await post(second, signature);
const { result } = await session.post('Profiler.takePreciseCoverage');
session.disconnect();
await app.close();
if (!reply.includes('You said: Hello')) throw new Error(`no echo: ${reply}`);

const files = result
  .filter(({ url }) => url.startsWith('file:'))
  .map(({ url, functions }) => ({
    file: relative(SRC, fileURLToPath(url)),
    count: functions.filter(({ ranges }) => (ranges[0]?.count ?? 0) > 0).length,
  }))
  .filter(({ file, count }) => !file.startsWith('..') && count > 0)
  .sort((a, b) => (a.file < b.file ? -1 : 1));
for (const { file, count } of files) console.log(`${file.padEnd(44)} ${count} functions`);
console.log(`${files.length} files`);

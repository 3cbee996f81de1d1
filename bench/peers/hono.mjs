// An echo agent on Hono with LayerCode's SDK, as the SDK's page shows it.
import { serve } from '@hono/node-server';
import { streamResponse, verifySignature } from '@layercode/node-server-sdk';
import { Hono } from 'hono';
import { PORT, SECRET } from './echo-turn.mjs';

const app = new Hono();
app.get('/health', (context) => context.json({ status: 'healthy' }));
app.post('/api/agent', async (context) => {
  const payload = await context.req.text();
  const signature = context.req.header('layercode-signature') ?? '';
  if (!verifySignature({ payload, signature, secret: SECRET }))
    return context.json({ error: 'Invalid signature' }, 401);
  const event = JSON.parse(payload);
  return streamResponse(event, ({ stream }) => {
    stream.tts(`You said: ${event.text}`);
    stream.end();
  });
});
serve({ fetch: app.fetch, port: PORT, hostname: '127.0.0.1' });

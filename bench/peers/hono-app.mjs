// What the agents on Hono share, as the page of LayerCode's SDK shows it.
import { serve } from '@hono/node-server';
import { verifySignature } from '@layercode/node-server-sdk';
import { Hono } from 'hono';
import { PORT, SECRET } from './echo-turn.mjs';

/** Serves an agent. `answer` gets each event with a valid signature, and returns the response. */
export function serveOnHono(answer) {
  const app = new Hono();
  app.get('/health', (context) => context.json({ status: 'healthy' }));
  app.post('/api/agent', async (context) => {
    const payload = await context.req.text();
    const signature = context.req.header('layercode-signature') ?? '';
    if (!verifySignature({ payload, signature, secret: SECRET }))
      return context.json({ error: 'Invalid signature' }, 401);
    return answer(JSON.parse(payload));
  });
  serve({ fetch: app.fetch, port: PORT, hostname: '127.0.0.1' });
}

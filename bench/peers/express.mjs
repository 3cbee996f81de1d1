// An echo agent on Express: raw body, signature, and the reply written to Express's response.
import express from 'express';
import { answer, isSigned, PORT } from './echo-turn.mjs';

const app = express();
app.get('/health', (_req, res) => res.json({ status: 'healthy' }));
app.post('/api/agent', express.raw({ type: 'application/json' }), (req, res) => {
  if (isSigned(req.headers['layercode-signature'], req.body))
    answer(res, JSON.parse(req.body.toString()));
  else res.status(401).json({ error: 'Invalid signature' });
});
app.listen(PORT, '127.0.0.1');

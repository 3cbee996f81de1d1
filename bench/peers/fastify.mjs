// An echo agent on Fastify: raw body, signature, and the reply written to Node's response.
import fastify from 'fastify';
import { answer, isSigned, PORT } from './echo-turn.mjs';

const app = fastify();
app.addContentTypeParser('application/json', { parseAs: 'buffer' }, (_request, body, done) =>
  done(null, body),
);
app.get('/health', () => ({ status: 'healthy' }));
app.post('/api/agent', (request, reply) => {
  if (!isSigned(request.headers['layercode-signature'], request.body)) {
    reply.code(401).send({ error: 'Invalid signature' });
    return;
  }
  reply.hijack();
  answer(reply.raw, JSON.parse(request.body.toString()));
});
await app.listen({ port: PORT, host: '127.0.0.1' });

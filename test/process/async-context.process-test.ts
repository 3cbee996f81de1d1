// An async context that is entered around the listener of each worker's server, as a tracer loaded
// by `--import` does, reaches the agent.

import assert from 'node:assert/strict';
import { afterEach, describe, it } from 'node:test';

import { Workplace } from '../fixtures/spawned-server.ts';
import { WITHOUT_SQLITE } from '../fixtures/sqlite.ts';
import { say, serving, WORKERS_ENV } from './worker-turns.ts';

const workplace = new Workplace();
afterEach(() => workplace.clear());

/** Enters a new id around each request, and answers with it in a header. */
const TRACER = `
import { AsyncLocalStorage } from 'node:async_hooks';
import { randomUUID } from 'node:crypto';
import { Server } from 'node:http';
globalThis.tracer = new AsyncLocalStorage();
const { emit } = Server.prototype;
Server.prototype.emit = function (event, request, response) {
  if (event !== 'request') return emit.apply(this, arguments);
  const id = randomUUID();
  response.setHeader('x-trace', id);
  return globalThis.tracer.run(id, () => emit.apply(this, arguments));
};`;

/** Says which process it runs in, and then the id that it sees after a while. */
const AGENT = `export default {
  name: 'mine',
  async *onMessage() {
    yield String(process.pid);
    await new Promise((resolve) => setTimeout(resolve, 10));
    yield ' ' + globalThis.tracer.getStore();
  },
};`;

const LIMIT = { timeout: 30_000, skip: WITHOUT_SQLITE };

describe('a server with workers and a tracer', () => {
  it('runs each turn in the async context of its request', LIMIT, async () => {
    workplace.write('tracer.mjs', TRACER);
    workplace.write('agent.mjs', AGENT);
    const server = workplace.spawn({
      env: { ...WORKERS_ENV, CONVERSATION_STORE: 'sqlite:calls.db' },
      execArgv: ['--import', './tracer.mjs'],
    });
    const { url, workers } = await serving(server);
    const turns = await Promise.all(
      Array.from({ length: 20 }, async () => {
        const turn = await say(url, 'Hello');
        assert.equal(await turn.rest(), ` ${turn.reply.response.headers.get('x-trace')}`);
        return turn.pid;
      }),
    );
    // A worker that is busy takes none of them: which one accepts is the system's choice.
    assert.ok(turns.every((pid) => workers.includes(pid)), String(turns));
  });
});

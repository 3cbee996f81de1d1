import assert from 'node:assert/strict';
import { createServer, type RequestListener } from 'node:http';
import { describe, it, type TestContext } from 'node:test';

import { listen } from '../fixtures/listen.ts';
import { playCall, type SeenTurn } from './call.ts';

/** The only turn of a call to a server that answers like that. */
async function firstTurn(
  t: TestContext,
  patienceMs: number,
  answer: RequestListener,
): Promise<SeenTurn | undefined> {
  const { origin } = await listen(createServer(answer), t);
  const plan = { number: 1, turns: 0, random: () => 0.5, patienceMs };
  const { turns } = await playCall(origin, 'whsec_call', plan);
  return turns[0];
}

describe('a caller of a deploy test', () => {
  it('gives up a turn that gets no answer', { timeout: 30_000 }, async (t) => {
    const turn = await firstTurn(t, 100, () => undefined);
    assert.deepEqual(turn?.end, { kind: 'failed', failure: 'nothing for 100 ms' });
  });

  it('gives up a turn that begins and does not end', { timeout: 30_000 }, async (t) => {
    const turn = await firstTurn(t, 2_000, (_, response) => {
      response.setHeader('content-type', 'text/event-stream');
      response.write('data: {"type":"response.tts","content":"Hello "}\n\n');
    });
    assert.equal(turn?.heard, 'Hello ');
    assert.deepEqual(turn?.end, { kind: 'failed', failure: 'nothing for 2000 ms' });
  });

  it('says which status refused its turn', { timeout: 30_000 }, async (t) => {
    const turn = await firstTurn(t, 10_000, (_, response) => response.writeHead(502).end());
    assert.deepEqual(turn?.end, { kind: 'failed', failure: 'status 502' });
  });
});

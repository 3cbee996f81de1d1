import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { deferred } from '../../fixtures/app.ts';
import { jumpingClock } from '../../fixtures/clock.ts';
import {
  holding, messageEvent, parseAnswer, recordLog, serve, signed,
} from '../../fixtures/kernel.ts';

describe('the access log', () => {
  it('gives the method, the path without the query, the status and the level', async (t) => {
    const { log, next, text } = recordLog();
    await (await serve(t, { log })).fetch('/health?token=swordfish', { method: 'PUT' });
    const { method, path, status, level } = await next('request');
    assert.deepEqual([method, path, status, level], ['PUT', '/health', 405, 'info']);
    assert.equal(text().includes('swordfish'), false);
  });

  // A pipeline's second request has arrived before its first answer.
  it('does not count bytes of the previous answer in a pipeline', async (t) => {
    const { log, wait } = recordLog();
    const client = await (await serve(t, { log })).raw();
    client.send(
      'GET /openapi.json HTTP/1.1\r\nhost: x\r\n\r\nGET /health HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n',
    );
    await client.closed;
    const lengths = [...client.received.matchAll(/content-length: (\d+)/gi)].map(([, length]) =>
      Number(length),
    );
    assert.deepEqual(
      (await wait('request', 2)).map(({ bytes }) => bytes),
      lengths,
    );
  });

  it('is written when the answer ends and not when it begins', async (t) => {
    const { log, records, wait } = recordLog();
    const { agent, release } = holding();
    const served = await serve(t, { log, agent });
    const reader = (await served.fetch('/api/agent', signed(messageEvent()))).body!.getReader();
    await reader.read();
    const before = records().filter(({ msg }) => msg === 'request').length;
    release();
    await wait('request');
    assert.equal(before, 0);
  });

  it('says how long the request took, in milliseconds', async (t) => {
    const pass = jumpingClock(t);
    const { log, next } = recordLog();
    const served = await serve(t, { log });
    served.app.get('/slow', (context) => {
      pass(20_000);
      context.empty(204);
    });
    await served.fetch('/slow');
    const durationMs = Number((await next('request'))['durationMs']);
    assert.ok(durationMs >= 20_000 && durationMs < 30_000, String(durationMs));
  });

  it("gives a turn's outcome, conversation, turn, event and time to first speech", async (t) => {
    const { log, next } = recordLog();
    await (await (await serve(t, { log })).fetch('/api/agent', signed(messageEvent()))).text();
    const { outcome, conversationId, turnId, event, firstSpeechMs, durationMs } =
      await next('request');
    assert.deepEqual(
      [outcome, conversationId, turnId, event],
      ['completed', 'c1', 't1', 'message'],
    );
    const ms = Number(firstSpeechMs);
    assert.ok(ms > 0 && ms <= Number(durationMs), String(firstSpeechMs));
  });

  it('says that a turn\'s caller left, and that it was cut short', async (t) => {
    const { log, next } = recordLog();
    const { agent, release } = holding();
    t.after(release);
    const served = await serve(t, { log, agent });
    const controller = new AbortController();
    const response = await served.fetch('/api/agent', {
      ...signed(messageEvent()),
      signal: controller.signal,
    });
    await response.body!.getReader().read();
    controller.abort();
    const { outcome, isCutShort, status } = await next('request');
    assert.deepEqual([outcome, isCutShort, status], ['interrupted', true, 200]);
  });

  it('says why a request was refused', async (t) => {
    const { log, next } = recordLog();
    await (await serve(t, { log })).fetch('/api/agent', { method: 'POST', body: '{}' });
    const { status, error, signatureFault } = await next('request');
    assert.deepEqual([status, error, signatureFault], [401, 'Invalid signature', 'missing']);
  });

  it('has no status for a request that was never answered', async (t) => {
    const { log, next } = recordLog();
    const entered = deferred();
    const served = await serve(t, { log });
    served.app.get('/never', () => {
      entered.resolve();
      return new Promise(() => undefined);
    });
    const client = await served.raw();
    client.send('GET /never HTTP/1.1\r\nhost: x\r\n\r\n');
    await entered.promise;
    client.destroy();
    const line = await next('request');
    assert.deepEqual([line['status'], line['isCutShort']], [undefined, true]);
  });

  for (const [how, level, settings] of [
    ['when it is turned off', 'debug', { accessLog: false }],
    ['above level info', 'warn', {}],
  ] as const) {
    it(`is not written ${how}`, async (t) => {
      const { log, records } = recordLog({ level });
      const served = await serve(t, { log, settings });
      const client = await served.raw();
      client.send('GET /health HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n');
      assert.equal(parseAnswer(await client.until(/\}$/)).status, 200);
      await client.closed;
      await served.fetch('/health');
      assert.deepEqual(records(), []);
    });
  }
});

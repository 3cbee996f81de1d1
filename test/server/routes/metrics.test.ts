import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';

import { defineAgent, MemoryStore } from '../../../src/index.ts';
import { messageEvent, recordLog, serve, signed, type Served } from '../../fixtures/kernel.ts';
import { version } from './version.ts';

async function metricsOf(served: Served): Promise<string> {
  return (await served.fetch('/metrics')).text();
}

function sample(text: string, name: string): number | undefined {
  const line = text.split('\n').find((one) => one.startsWith(`${name} `));
  return line === undefined ? undefined : Number(line.slice(name.length + 1));
}

/** A server that has answered one turn, one unknown event and one bad request. */
async function busy(t: TestContext): Promise<string> {
  const { log, wait } = recordLog();
  const served = await serve(t, { log });
  const unknown = '{"type":"user.transcript.swordfish","session_id":"s"}';
  const odd = { method: 'PROPFIND', headers: { 'x-request-id': 'swordfish' } };
  for (const [path, init] of [
    ['/api/agent', signed(messageEvent())], ['/api/agent', signed(unknown)], ['/swordfish', odd],
  ] as const)
    await (await served.fetch(path, init)).text();
  await wait('request', 3);
  return metricsOf(served);
}

describe('GET /metrics', () => {
  it('uses the Prometheus text format, with nothing but comments and samples', async (t) => {
    const type = (await (await serve(t)).fetch('/metrics')).headers.get('content-type');
    assert.equal(type, 'text/plain; version=0.0.4; charset=utf-8');
    const text = await busy(t);
    const line = /^(# (HELP|TYPE) .+|[a-z_]\w*(\{\w+="[^"]*"(,\w+="[^"]*")*\})? -?[\d.e+-]+)$/;
    assert.deepEqual(text.trimEnd().split('\n').filter((one) => !line.test(one)), []);
    assert.ok(text.endsWith('\n'));
  });

  it('names every metric once, with HELP and TYPE', async (t) => {
    const text = await busy(t);
    const names = [...text.matchAll(/^# TYPE (\S+)/gm)].map(([, name]) => name);
    assert.deepEqual(names, [...new Set(names)]);
    const head = /^# HELP (\S+) \S.*\n# TYPE \1 (?:counter|gauge|histogram)$/gm;
    assert.deepEqual([...text.matchAll(head)].map(([, name]) => name), names);
  });

  it('counts a turn, an unknown event and a bad request, with no client-set label', async (t) => {
    const text = await busy(t);
    const build = `version="${version}",node="${process.versions.node}"`;
    for (const [name, value] of [
      ['layercode_turns_total{event="message",outcome="completed",wire="layercode"}', 1],
      ['layercode_events_total{event="other"}', 1],
      ['http_requests_total{method="POST",status="200"}', 2],
      ['http_requests_total{method="other",status="404"}', 1],
      ['layercode_first_speech_seconds_count{event="message"}', 1],
      [`layercode_build_info{${build}}`, 1],
      ['layercode_conversations', 1],
      ['layercode_open_streams', 0],
    ] as const)
      assert.equal(sample(text, name), value, name);
    assert.doesNotMatch(text, /swordfish/);
  });

  it('counts a stream while it is open', async (t) => {
    const served = await serve(t, {
      agent: defineAgent({
        name: 'endless',
        async *onMessage({ signal }) {
          yield 'first';
          await new Promise((resolve) => signal.addEventListener('abort', resolve));
        },
      }),
    });
    const response = await served.fetch('/api/agent', signed(messageEvent()));
    const reader = response.body!.getReader();
    await reader.read();
    const text = await metricsOf(served);
    await reader.cancel();
    assert.equal(sample(text, 'layercode_open_streams'), 1);
    assert.equal(sample(text, 'layercode_running_turns'), 1);
  });

  // 60 readers at once used to start 60 counts in the store, and no payment could start meanwhile.
  it('asks the store at most once a second, however many read', async (t) => {
    const store = new MemoryStore({ ttlMs: 60_000, maxConversations: 10 });
    let count = 0;
    t.mock.method(store, 'count', () => (count += 1));
    let nowMs = 5_000; // stands still: 60 readings may take a second
    t.mock.method(performance, 'now', () => nowMs);
    const served = await serve(t, { store });
    const readAll = async (): Promise<Set<string>> =>
      new Set(await Promise.all(Array.from({ length: 60 }, () => metricsOf(served))));
    assert.deepEqual([(await readAll()).size, count], [1, 1]);
    nowMs += 1_000;
    assert.deepEqual([(await readAll()).size, count], [1, 2]);
  });

  it('answers 404 with METRICS=false', async (t) => {
    const served = await serve(t, { settings: { metrics: false } });
    assert.equal((await served.fetch('/metrics')).status, 404);
  });
});

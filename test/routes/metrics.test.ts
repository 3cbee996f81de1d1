import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';

import { defineAgent, MemoryStore, type ConversationStore } from '../../src/index.ts';
import { jumpingClock } from '../fixtures/clock.ts';
import { messageEvent, recordLog, serve, signed, type Served } from '../fixtures/kernel.ts';
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
  await (await served.fetch('/api/agent', signed(messageEvent()))).text();
  await (
    await served.fetch(
      '/api/agent',
      signed('{"type":"user.transcript.swordfish","session_id":"s"}'),
    )
  ).text();
  await (
    await served.fetch('/swordfish', {
      method: 'PROPFIND',
      headers: { 'x-request-id': 'swordfish' },
    })
  ).text();
  await wait('request', 3);
  return metricsOf(served);
}

describe('GET /metrics', () => {
  it('is the Prometheus text format', async (t) => {
    assert.equal(
      (await (await serve(t)).fetch('/metrics')).headers.get('content-type'),
      'text/plain; version=0.0.4; charset=utf-8',
    );
  });

  const documented: readonly (readonly [name: string, type: string])[] = [
    ['http_requests_total', 'counter'],
    ['layercode_conversations', 'gauge'],
    ['layercode_events_total', 'counter'],
    ['layercode_turns_total', 'counter'],
    ['layercode_first_speech_seconds', 'histogram'],
    ['layercode_open_streams', 'gauge'],
    ['layercode_running_turns', 'gauge'],
    ['layercode_build_info', 'gauge'],
    ['process_resident_memory_bytes', 'gauge'],
    ['process_cpu_seconds_total', 'counter'],
    ['process_start_time_seconds', 'gauge'],
    ['nodejs_heap_size_used_bytes', 'gauge'],
    ['nodejs_eventloop_lag_p99_seconds', 'gauge'],
    ['nodejs_eventloop_utilization', 'gauge'],
  ];
  for (const [name, type] of documented) {
    it(`has ${name} with HELP, TYPE and a sample`, async (t) => {
      const pattern = new RegExp(
        `^# HELP ${name} \\S.*\n# TYPE ${name} ${type}\n${name}(_bucket)?(\\{.*\\})? [\\d.e+-]+$`,
        'm',
      );
      assert.match(await busy(t), pattern);
    });
  }

  it('names every metric once', async (t) => {
    const names = [...(await busy(t)).matchAll(/^# TYPE (\S+)/gm)].map(([, name]) => name);
    assert.deepEqual(names, [...new Set(names)]);
  });

  it('holds nothing but comments and samples', async (t) => {
    const strange = (await busy(t))
      .trimEnd()
      .split('\n')
      .filter(
        (line) =>
          !/^(# (HELP|TYPE) .+|[a-z_]\w*(\{\w+="[^"]*"(,\w+="[^"]*")*\})? -?[\d.e+-]+)$/.test(line),
      );
    assert.deepEqual(strange, []);
  });

  it('ends with a line break', async (t) => assert.equal((await busy(t)).endsWith('\n'), true));

  it('counts turns by event and outcome', async (t) => {
    const labels = 'event="message",outcome="completed",wire="layercode"';
    assert.equal(sample(await busy(t), `layercode_turns_total{${labels}}`), 1);
  });

  it('counts a failed turn as failed', async (t) => {
    const served = await serve(t, {
      agent: defineAgent({ name: 'failing', onMessage: () => Promise.reject(new Error('x')) }),
    });
    await (await served.fetch('/api/agent', signed(messageEvent()))).text();
    const labels = 'event="message",outcome="failed",wire="layercode"';
    assert.equal(sample(await metricsOf(served), `layercode_turns_total{${labels}}`), 1);
  });

  it('counts events of unknown types together', async (t) => {
    assert.equal(sample(await busy(t), 'layercode_events_total{event="other"}'), 1);
  });

  it('counts requests by method and status', async (t) => {
    assert.equal(sample(await busy(t), 'http_requests_total{method="POST",status="200"}'), 2);
  });

  it('counts methods that it does not know together', async (t) => {
    assert.equal(sample(await busy(t), 'http_requests_total{method="other",status="404"}'), 1);
  });

  it('has no label that a client chose', async (t) =>
    assert.equal((await busy(t)).includes('swordfish'), false));

  it('counts each first speech in every bucket above it', async (t) => {
    const bucket = /^layercode_first_speech_seconds_bucket\{event="message",le="\S+"\} (\d+)$/gm;
    const counts = [...(await busy(t)).matchAll(bucket)].map(([, count]) => Number(count));
    assert.deepEqual(
      [
        counts.length,
        counts.at(-1),
        counts.every((count, index) => index === 0 || count >= (counts[index - 1] ?? 0)),
      ],
      [15, 1, true],
    );
  });

  it('counts as many first speeches as turns that spoke', async (t) => {
    assert.equal(sample(await busy(t), 'layercode_first_speech_seconds_count{event="message"}'), 1);
  });

  it('tells the versions of the package and of Node', async (t) => {
    const { node } = process.versions;
    const name = `layercode_build_info{version="${version}",node="${node}"}`;
    assert.equal(sample(await busy(t), name), 1);
  });

  it('counts the conversations held', async (t) =>
    assert.equal(sample(await busy(t), 'layercode_conversations'), 1));

  it('counts no stream after it ended', async (t) =>
    assert.equal(sample(await busy(t), 'layercode_open_streams'), 0));

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
    assert.deepEqual(
      [sample(text, 'layercode_open_streams'), sample(text, 'layercode_running_turns')],
      [1, 1],
    );
  });

  describe('beside a store that answers with promises', () => {
    const store = (count: () => Promise<number>): ConversationStore => {
      const inner = new MemoryStore({ ttlMs: 60_000, maxConversations: 10 });
      return {
        read: (id) => inner.read(id),
        update: (id, change) => inner.update(id, change),
        close: () => inner.close(),
        count,
      };
    };

    it('says how many conversations there were at the reading before', async (t) => {
      let count = 3;
      const pass = jumpingClock(t);
      const served = await serve(t, { store: store(async () => count++) });
      const readings: string[] = [];
      for (let reading = 0; reading < 3; reading++, pass(1_000))
        readings.push(await metricsOf(served));
      assert.deepEqual(
        readings.map((text) => sample(text, 'layercode_conversations')),
        [undefined, 3, 4],
      );
    });

    // Was: 60 at once started 60 counts in the store, and no payment could start meanwhile.
    it('asks it once a second, however many read', async (t) => {
      let count = 0;
      let nowMs = 5_000; // it stands still: 60 readings may take a second
      t.mock.method(performance, 'now', () => nowMs);
      const served = await serve(t, { store: store(async () => ++count) });
      const readAll = async (): Promise<Set<string>> =>
        new Set(await Promise.all(Array.from({ length: 60 }, () => metricsOf(served))));
      assert.deepEqual([(await readAll()).size, count], [1, 1]);
      nowMs += 1_000;
      assert.deepEqual([(await readAll()).size, count], [1, 2]);
    });

    it('asks it no more while it does not answer', async (t) => {
      let asked = 0;
      const pass = jumpingClock(t);
      const never = (): Promise<number> => {
        asked += 1;
        return new Promise(() => undefined);
      };
      const served = await serve(t, { store: store(never) });
      for (let reading = 0; reading < 3; reading++, pass(1_000)) await metricsOf(served);
      assert.equal(asked, 1);
    });

    // Was: nobody awaited the promise, and the process ended.
    it('is served while the store fails, and the process lives', async (t) => {
      const rejections: unknown[] = [];
      const note = (error: unknown): void => void rejections.push(error);
      process.on('unhandledRejection', note);
      t.after(() => process.off('unhandledRejection', note));
      const served = await serve(t, {
        store: store(() => Promise.reject(new Error('the database is away'))),
      });
      const readings = [await metricsOf(served), await metricsOf(served)];
      assert.deepEqual(
        [readings.map((text) => sample(text, 'layercode_conversations')), rejections],
        [[undefined, undefined], []],
      );
    });

    it('is served while the store throws', async (t) => {
      const served = await serve(t, {
        store: store(() => {
          throw new Error('the database is away');
        }),
      });
      const text = await metricsOf(served);
      assert.deepEqual(
        [sample(text, 'layercode_conversations'), sample(text, 'layercode_open_streams')],
        [undefined, 0],
      );
    });
  });

  it('is 404 with METRICS=false', async (t) => {
    assert.equal(
      (await (await serve(t, { settings: { metrics: false } })).fetch('/metrics')).status,
      404,
    );
  });
});

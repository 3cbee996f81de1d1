import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import {
  deferred,
  fired,
  Listener,
  messageEvent,
  rawRequest,
  serve,
  Told,
  until,
  within,
} from '../../../fixtures/app.ts';
import { mockTimers } from '../../../fixtures/clock.ts';
import { wireBody } from '../../../fixtures/wire.ts';

describe("the session dialect's stream", () => {
  it('is written as single data lines of JSON, with turn_id in every object', async (t) => {
    const { client } = serve(t, {
      onMessage(_turn, reply) {
        reply.say('Hi.\nBye.');
        reply.data({ a: ['\n', null] });
        reply.hangup();
      },
    });
    const text = await (await client.post(messageEvent())).response.text();
    assert.equal(text, [
      { type: 'response.tts', content: 'Hi.\nBye.', turn_id: 't-1' },
      { type: 'response.data', content: { a: ['\n', null] }, turn_id: 't-1' },
      { type: 'response.hangup', turn_id: 't-1' },
      { type: 'response.end', turn_id: 't-1' },
    ].map((event) => `data: ${JSON.stringify(event)}\n\n`).join(''));
  });

  it('has exactly the headers that keep proxies from buffering and compressing', async (t) => {
    const { client } = serve(t, {});
    const { headers } = (
      await client.post(messageEvent(), { headers: { 'accept-encoding': 'gzip, br' } })
    ).response;
    const named = ['content-type', 'cache-control', 'x-accel-buffering', 'content-encoding'].map(
      (name) => headers.get(name),
    );
    assert.deepEqual(named, ['text/event-stream', 'no-cache, no-transform', 'no', null]);
  });

  it('begins with the headers and the first event in one packet', async (t) => {
    const begun = deferred();
    const first = deferred();
    const { raw, client } = serve(t, {
      async *onMessage({ signal }) {
        begun.resolve();
        await first.promise;
        yield 'One.';
        await fired(signal);
      },
    });
    const connection = await raw();
    connection.write(rawRequest(messageEvent()));
    await within(begun.promise, 'the agent');
    // meanwhile, headers that were sent alone would arrive
    await (await client.post(wireBody('data'))).json();
    first.resolve();
    await connection.read((text) => text.includes('\r\n\r\n'), 'headers');
    assert.match(
      connection.chunks[0]?.toString() ?? '',
      /^HTTP\/1\.1 200 [^]*text\/event-stream[^]*"content":"One\."/,
    );
  });

  it('holds no comments by default', async (t) => {
    const clock = mockTimers(t, ['setInterval']);
    const { client } = serve(t, {
      onMessage: async (_turn, { say }) => {
        say('Well. ');
        clock.tick(600_000);
        await new Promise((resolve) => setImmediate(resolve));
        say('At last.');
      },
    });
    assert.doesNotMatch(await (await client.post(messageEvent())).response.text(), /^:/m);
  });

  it('holds comments while nothing is said, if they are turned on', async (t) => {
    const gate = deferred();
    const { raw } = serve(
      t,
      {
        onMessage: async () => {
          await gate.promise;
          return 'At last.';
        },
      },
      { environment: { HEARTBEAT_SECONDS: '0.05' } },
    );
    const connection = await raw();
    connection.write(rawRequest(messageEvent()));
    await connection.read((text) => (text.match(/^:/gm)?.length ?? 0) >= 2, 'two comments');
    gate.resolve();
    assert.match(
      await connection.read((text) => text.includes('response.end'), 'the end'),
      /At last\./,
    );
  });
});

describe('MAX_STREAMS', () => {
  const holding = (
    t: Parameters<typeof serve>[0],
  ): ReturnType<typeof serve> & { told: Told<string> } => {
    const told = new Told<string>();
    const served = serve(t, {
      async *onMessage({ text, signal }) {
        told.tell(text);
        yield 'Well,';
        await fired(signal);
      },
    }, { environment: { MAX_STREAMS: '1' } });
    return { ...served, told };
  };

  it('refuses a turn beyond it, and touches neither agent, history nor running turn', async (t) => {
    const { client, told, history, interrupted } = holding(t);
    await new Listener(await client.say('first')).next();
    const { status, response } = await client.say('second');
    const { error } = (await response.json()) as { error: string };
    assert.deepEqual([status, response.headers.get('retry-after')], [503, '1']);
    assert.match(error, /no more streams/);
    assert.deepEqual(
      [told.all, await history(), interrupted.all],
      [['first'], [['user', 'first'], ['assistant', '', 'open']], []],
    );
  });

  it('leaves room again once a stream has ended', async (t) => {
    const { client, metric } = serve(t, {}, { environment: { MAX_STREAMS: '1' } });
    for (let turn = 0; turn < 3; turn++) {
      const reply = await client.say('again');
      await reply.text();
      await until(() => metric('layercode_open_streams') === 0, 'the stream to be closed');
      assert.equal(reply.status, 200);
    }
  });

  it('leaves room again once a stream has been dropped', async (t) => {
    const { client, interrupted, metric } = holding(t);
    const reply = await client.say('first');
    await new Listener(reply).next();
    reply.drop();
    await interrupted.next();
    await until(() => metric('layercode_open_streams') === 0, 'the stream to be closed');
    assert.equal((await client.say('second')).status, 200);
  });

  it('does not refuse data', async (t) => {
    const { client } = holding(t);
    await new Listener(await client.say('first')).next();
    assert.equal((await client.post(wireBody('data'))).status, 200);
  });
});

import assert from 'node:assert/strict';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { describe, it, type TestContext } from 'node:test';

import { SseEncoder } from '../../../src/base/http/event-stream.ts';
import { Destination, tick } from './destination.ts';

/** A stream whose connection takes no more: the event `a` waits in it. */
async function stalled(
  t: TestContext,
  stallTimeoutMs?: number,
): Promise<{ destination: Destination; encoder: SseEncoder }> {
  const destination = new Destination({ room: false });
  const encoder = new SseEncoder(
    destination,
    stallTimeoutMs === undefined ? {} : { stallTimeoutMs },
  );
  t.after(() => encoder.destroy()); // its timer would keep the process alive
  encoder.send({ data: 'a' });
  await tick();
  return { destination, encoder };
}

// Waiting, stalling and ending are tested with `EventWriter`, which does the work.
describe('SseEncoder', () => {
  it('encodes what it sends, and needs no flush', async () => {
    const destination = new Destination();
    const encoder = new SseEncoder(destination);
    assert.equal(encoder.send({ data: 'a' }), true);
    assert.equal(encoder.send({ event: 'e', data: 'b' }), true);
    assert.equal(encoder.send({ comment: 'c' }), true);
    await tick();
    assert.deepEqual(destination.calls, ['write data: a\n\nevent: e\ndata: b\n\n: c\n\n']);
    assert.equal(encoder.finish({ data: 'd' }), true);
    assert.deepEqual(destination.calls.slice(1), ['end data: d\n\n']);
  });

  it('counts events, but not comments, as unsent', () => {
    const encoder = new SseEncoder(new Destination());
    encoder.send({ data: 'a' });
    encoder.send({ comment: 'b' });
    assert.equal(encoder.unsentEvents, 1);
  });

  it('writes what a stream pipes into it, and ends with it', async () => {
    const destination = new Destination();
    const encoder = new SseEncoder(destination);
    await pipeline(
      Readable.from([{ data: 'a' }, { comment: 'b' }, { event: 'c', data: 'd' }]),
      encoder,
    );
    assert.equal(
      destination.calls.map((call) => call.replace(/^\w+ /, '')).join(''),
      'data: a\n\n: b\n\nevent: c\ndata: d\n\n',
    );
    assert.equal(destination.calls.at(-1)?.startsWith('end'), true);
    assert.equal(destination.destroyed, false);
  });

  it('accepts the next event from write() only when there is room again', async (t) => {
    const { destination, encoder } = await stalled(t);
    const taken: string[] = [];
    encoder.write({ data: 'b' }, () => taken.push('b'));
    encoder.write({ data: 'c' }, () => taken.push('c'));
    await tick();
    assert.deepEqual([taken, destination.calls], [[], ['write data: a\n\n']]);
    destination.drain();
    await tick();
    assert.deepEqual(taken, ['b', 'c']);
    assert.equal(destination.calls.slice(1).join(''), 'write data: b\n\nwrite data: c\n\n');
  });

  it('neither accepts nor checks anything after the end', () => {
    const encoder = new SseEncoder(new Destination());
    encoder.finish();
    assert.equal(encoder.send({ event: 'two\nlines', data: '' }), false);
    encoder.finish({ event: 'two\nlines', data: '' });
  });

  it('finishes as a stream once its end has left, and not while the end waits', async (t) => {
    const { destination, encoder } = await stalled(t);
    let isFinished = false;
    encoder.end(() => (isFinished = true));
    destination.emit('drain'); // the end is handed over, and waits
    await tick();
    assert.equal(isFinished, false);
    destination.drain();
    await tick();
    assert.equal(isFinished, true);
  });

  it('finishes as a stream even if finish() was called before end()', async () => {
    // The callback of end() used to wait for an end that had already been written.
    const encoder = new SseEncoder(new Destination());
    encoder.send({ data: 'a' });
    encoder.finish();
    await new Promise<void>((resolve) => encoder.end(resolve));
    assert.equal(encoder.writableFinished, true);
  });

  it('ends a pipe, and its source, when the client leaves', async () => {
    // The source used to be read to its end for nobody, and a pipe cut at its end never finished.
    for (const room of [true, false]) {
      const destination = new Destination({ room });
      let isReturned = false;
      async function* source(): AsyncGenerator<{ data: string }> {
        try {
          for (let count = 0; ; count++) {
            yield { data: String(count) };
            await tick();
            if (count === 2) destination.close();
          }
        } finally {
          isReturned = true;
        }
      }
      if (!room) setImmediate(() => destination.close());
      await assert.rejects(pipeline(Readable.from(source()), new SseEncoder(destination)), {
        code: 'ERR_STREAM_PREMATURE_CLOSE',
      });
      await tick();
      assert.equal(isReturned, true);
    }
  });

  it('gives the callback of end() an error when the client leaves or stops reading', async (t) => {
    const { destination, encoder } = await stalled(t);
    const ended = new Promise((resolve) => encoder.end(resolve));
    destination.close();
    assert.equal(((await ended) as { code?: string }).code, 'ERR_STREAM_DESTROYED');
    const { encoder: unread } = await stalled(t, 5);
    assert.equal(
      ((await new Promise((resolve) => unread.end(resolve))) as { code?: string }).code,
      'ERR_STREAM_DESTROYED',
    );
  });

  it('destroys the response when destroyed, and accepts nothing from then on', async () => {
    const destination = new Destination();
    const encoder = new SseEncoder(destination);
    encoder.send({ data: 'a' });
    encoder.destroy();
    assert.equal(encoder.send({ data: 'b' }), false);
    await tick();
    assert.deepEqual(destination.calls, ['destroy']);
  });
});

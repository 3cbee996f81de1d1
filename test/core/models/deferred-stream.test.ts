import assert from 'node:assert/strict';
import { getEventListeners } from 'node:events';
import { describe, it } from 'node:test';

import { DeferredStream } from '../../../src/core/models/deferred-stream.ts';
import type { ModelDelta } from '../../../src/core/models/model.ts';
import { deferred } from '../../fixtures/app.ts';

const OVER = { done: true, value: undefined } as const;

function word(text: string): ModelDelta {
  return { type: 'text', text };
}

/** A model's stream that is moved by hand, and what was asked of it. */
class Source implements AsyncGenerator<ModelDelta, void, undefined> {
  readonly requests: {
    readonly promise: Promise<IteratorResult<ModelDelta, void>>;
    readonly give: (text: string) => void;
    readonly fail: (error: Error) => void;
    readonly end: () => void;
  }[] = [];
  returns = 0;

  next(): Promise<IteratorResult<ModelDelta, void>> {
    const { promise, resolve, reject } = deferred<IteratorResult<ModelDelta, void>>();
    this.requests.push({
      promise,
      give: (text) => resolve({ done: false, value: word(text) }),
      fail: reject,
      end: () => resolve(OVER),
    });
    return promise;
  }

  async return(): Promise<IteratorResult<ModelDelta, void>> {
    this.returns += 1;
    for (const { end } of this.requests) end();
    return OVER;
  }

  throw(): Promise<never> {
    throw new Error('nobody throws into a stream');
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.return();
  }
}

/** A stream that asks the source, once `isReady`. */
function open({ signal } = new AbortController(), isReady?: Promise<void>) {
  const source = new Source();
  const stream = new DeferredStream(signal, async (ask) => {
    if (isReady !== undefined) await isReady;
    return ask(() => source);
  });
  return { source, stream };
}

describe('a deferred stream', () => {
  it('asks nobody before its reader asks', async () => {
    const { source, stream } = open();
    assert.equal(source.requests.length, 0);
    await stream.return();
  });

  it('passes each request to the model itself once the model has given a delta', async () => {
    const { source, stream } = open();
    const first = stream.next();
    source.requests[0]?.give('One');
    assert.deepEqual((await first).value, word('One'));
    assert.equal(stream.next(), source.requests[1]?.promise);
  });

  it('answers requests in order if they precede the first answer', async () => {
    const { source, stream } = open();
    const both = [stream.next(), stream.next()];
    source.requests[0]?.give('One');
    await both[0];
    await new Promise(setImmediate);
    source.requests[1]?.give('two');
    const deltas = (await Promise.all(both)).map(({ value }) => value);
    assert.deepEqual(deltas, [word('One'), word('two')]);
  });

  it('listens to its signal only until the first delta', async () => {
    const caller = new AbortController();
    const listeners = (): number => getEventListeners(caller.signal, 'abort').length;
    const { source, stream } = open(caller);
    const first = stream.next();
    assert.equal(listeners(), 1);
    source.requests[0]?.give('One');
    await first;
    assert.equal(listeners(), 0);
  });

  it('is over after a failure', async () => {
    const { source, stream } = open();
    const [first, second] = [stream.next(), stream.next()];
    source.requests[0]?.fail(new Error('no'));
    await assert.rejects(first, /no/);
    assert.deepEqual([await second, await stream.next()], [OVER, OVER]);
    assert.equal(source.requests.length, 1);
  });

  for (const when of ['before the first delta', 'after it'] as const) {
    it(`ends the model's stream when its reader stops ${when}`, async () => {
      const { source, stream } = open();
      const first = stream.next();
      if (when === 'after it') {
        source.requests[0]?.give('One');
        await first;
      }
      const pending = when === 'after it' ? stream.next() : first;
      await stream.return();
      assert.deepEqual([await pending, await stream.next()], [OVER, OVER]);
      assert.equal(source.returns, 1);
    });
  }

  for (const stop of ['its reader stops', 'its signal aborts'] as const) {
    it(`asks nobody once ${stop}`, async () => {
      const caller = new AbortController();
      const loading = deferred();
      const { source, stream } = open(caller, loading.promise);
      const first = stream.next();
      if (stop === 'its reader stops') await stream.return();
      else caller.abort();
      loading.resolve();
      assert.deepEqual([await first, source.requests.length], [OVER, 0]);
    });
  }

  it('begins nothing if its signal has already aborted', async () => {
    let begun = 0;
    const stream = new DeferredStream(AbortSignal.abort(), () => {
      begun += 1;
      return new Promise(() => undefined);
    });
    assert.deepEqual([await stream.next(), begun], [OVER, 0]);
  });

  it('ends a stream whose first delta came after its signal aborted', async () => {
    const caller = new AbortController();
    const { source, stream } = open(caller);
    const first = stream.next();
    caller.abort();
    source.requests[0]?.give('One');
    assert.deepEqual([await first, await stream.next()], [OVER, OVER]);
    assert.equal(source.returns, 1);
  });
});

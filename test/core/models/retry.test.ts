import assert from 'node:assert/strict';
import { getEventListeners } from 'node:events';
import { describe, it } from 'node:test';

import { ModelError, type ChatModel, type ModelDelta } from '../../../src/core/models/model.ts';
import { withFallbacks, withRetries, type RetryOptions } from '../../../src/core/models/retry.ts';
import { HELLO, read } from './reading.ts';

const text = (said: string): ModelDelta => ({ type: 'text', text: said });
const retryable = new ModelError('http_error', 'a: HTTP 500', { retryable: true, status: 500 });
const refused = new ModelError('key_refused', 'a: key refused', { status: 401 });

/** A model that plays one script per request: what it yields, then an error or the end. */
function scripted(
  name: string,
  ...scripts: readonly (readonly (ModelDelta | ModelError)[])[]
): ChatModel & { asked: number } {
  const model = {
    name,
    asked: 0,
    async *stream(): AsyncGenerator<ModelDelta, void, undefined> {
      for (const step of scripts[model.asked++] ?? []) {
        if (step instanceof ModelError) throw step;
        yield step;
      }
    },
    warm: () => Promise.resolve(),
    problems: () => [`problem of ${name}`],
    isUsable: () => name !== 'unusable',
  };
  return model;
}

/** Retry options that note the waits instead of waiting. */
function noting(random = 1): RetryOptions & { waits: number[] } {
  const waits: number[] = [];
  return { waits, random: () => random, sleep: (ms) => Promise.resolve(void waits.push(ms)) };
}

describe('withRetries', () => {
  it('asks again with doubled waits until the model answers', async () => {
    const model = scripted('a', [retryable], [retryable], [text('Hi')]);
    const options = noting();
    assert.deepEqual((await read(withRetries(model, options))).deltas, [text('Hi')]);
    assert.deepEqual(options.waits, [200, 400]);
  });

  it('reports each retry, but not the failure that it gives up on', async () => {
    const told: string[] = [];
    const onProblem = (problem: string): number => told.push(problem);
    const model = scripted('a', [retryable], [retryable], [retryable]);
    await read(withRetries(model, noting()), { onProblem });
    assert.deepEqual(told, Array(2).fill('a: HTTP 500; asking again'));
  });

  it('waits between half and all of the delay, at most two seconds', async () => {
    const failing = Array.from({ length: 6 }, () => [retryable]);
    const shortest = noting(0);
    await read(withRetries(scripted('a', ...failing), { ...shortest, attempts: 6 }));
    assert.deepEqual(shortest.waits, [100, 200, 400, 800, 1_000]);
  });

  it('throws the last error after three attempts', async () => {
    const model = scripted('a', [retryable], [retryable], [retryable], [text('late')]);
    assert.equal((await read(withRetries(model, noting()))).error, retryable);
    assert.equal(model.asked, 3);
  });

  it('does not ask again if that cannot help', async () => {
    const model = scripted('a', [refused], [text('Hi')]);
    assert.equal((await read(withRetries(model, noting()))).error, refused);
    assert.equal(model.asked, 1);
  });

  it('passes on an error after the first delta', async () => {
    const model = scripted('a', [text('Hel'), retryable], [text('Hello')]);
    const { deltas, error } = await read(withRetries(model, noting()));
    assert.deepEqual([deltas, error, model.asked], [[text('Hel')], retryable, 1]);
  });

  it('waits as long as the vendor asks, up to 3 seconds, and not at all beyond that', async () => {
    const limited = (retryAfterMs: number): ModelError =>
      new ModelError('rate_limited', 'a: HTTP 429', { retryable: true, retryAfterMs });
    const options = noting();
    await read(withRetries(scripted('a', [limited(3_000)], [text('Hi')]), options));
    assert.deepEqual(options.waits, [3_000]);
    const tooLong = limited(3_001);
    assert.equal(
      (await read(withRetries(scripted('a', [tooLong], [text('Hi')]), options))).error,
      tooLong,
    );
    assert.equal(options.waits.length, 1);
  });

  it('stops waiting when its signal aborts, quietly', async () => {
    const caller = new AbortController();
    const model = scripted('a', [retryable], [text('Hi')]);
    const reading = read(withRetries(model, { baseDelayMs: 60_000, maxDelayMs: 60_000 }), {
      signal: caller.signal,
    });
    await new Promise(setImmediate);
    caller.abort();
    assert.deepEqual(await reading, { deltas: [], text: '', error: undefined });
    assert.deepEqual([model.asked, getEventListeners(caller.signal, 'abort').length], [1, 0]);
  });

  it('stops waiting when its reader stops', async () => {
    const stream = withRetries(scripted('a', [retryable], [text('Hi')]), {
      baseDelayMs: 60_000,
      maxDelayMs: 60_000,
    }).stream(HELLO, { signal: new AbortController().signal });
    const pending = stream.next();
    await new Promise(setImmediate);
    await stream.return();
    assert.equal((await pending).done, true);
  });
});

describe('withFallbacks', () => {
  for (const error of [refused, retryable, new ModelError('empty_reply', 'a: empty')]) {
    it(`asks the next model after ${error.code}`, async () => {
      const told: string[] = [];
      const model = withFallbacks([scripted('a', [error]), scripted('b', [text('Hi')])]);
      const { text: said } = await read(model, { onProblem: (problem) => told.push(problem) });
      assert.deepEqual([said, told], ['Hi', [`${error.message}; asking b`]]);
    });
  }

  it('never changes the model in mid-reply', async () => {
    const second = scripted('b', [text('Hello')]);
    const { deltas, error } = await read(
      withFallbacks([scripted('a', [text('Hel'), retryable]), second]),
    );
    assert.deepEqual([deltas, error, second.asked], [[text('Hel')], retryable, 0]);
  });

  it('throws the error of the last model', async () => {
    assert.equal(
      (await read(withFallbacks([scripted('a', [refused]), scripted('b', [retryable])]))).error,
      retryable,
    );
  });

  it('does not ask the next model after an abort', async () => {
    const second = scripted('b', [text('Hi')]);
    const caller = new AbortController();
    const first = scripted('a');
    const dying: ChatModel = {
      ...first,
      async *stream() {
        caller.abort();
        throw retryable;
      },
    };
    assert.deepEqual(
      (await read(withFallbacks([dying, second]), { signal: caller.signal })).error,
      undefined,
    );
    assert.equal(second.asked, 0);
  });

  it('is the model itself if there is only one', () => {
    const only = scripted('a');
    assert.equal(withFallbacks([only]), only);
  });

  it('joins names and problems, and is usable while one model is', () => {
    const model = withFallbacks([scripted('unusable'), scripted('b')]);
    assert.deepEqual(
      [model.name, model.problems(), model.isUsable()],
      ['unusable,b', ['problem of unusable', 'problem of b'], true],
    );
    assert.equal(withFallbacks([scripted('unusable')]).isUsable(), false);
    assert.throws(() => withFallbacks([]), RangeError);
  });
});

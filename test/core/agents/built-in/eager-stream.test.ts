import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { EagerStream } from '../../../../src/core/agents/built-in/eager-stream.ts';
import { deferred, within } from '../../../fixtures/app.ts';

async function all(texts: AsyncIterable<string>): Promise<string[]> {
  const read: string[] = [];
  for await (const text of texts) read.push(text);
  return read;
}

function eager(source: () => AsyncGenerator<string, void, undefined>): EagerStream {
  return new EagerStream(source());
}

describe('EagerStream', () => {
  it('reads its source before anybody listens', async () => {
    const read = deferred();
    const stream = eager(async function* () {
      yield 'One';
      yield 'Two';
      read.resolve();
    });
    await within(read.promise, 'the source to be read');
    assert.deepEqual(await all(stream.texts()), ['One', 'Two']);
  });

  it('is ready once the first text has come', async () => {
    const gate = deferred();
    const stream = eager(async function* () {
      yield 'One';
      await gate.promise;
    });
    assert.equal(stream.isReady, false);
    await within(stream.ready, 'ready');
    assert.equal(stream.isReady, true);
    gate.resolve();
  });

  it('is ready at the end of a source without text', async () => {
    const stream = eager(async function* () {});
    await within(stream.ready, 'ready');
    assert.equal(stream.isReady, true);
    assert.deepEqual(await all(stream.texts()), []);
  });

  it('causes no unhandled rejection when nobody reads a failure', async () => {
    await eager(async function* () {
      throw new Error('down');
    }).ready;
    // node:test fails the file for an unhandled rejection
    await new Promise((resolve) => setImmediate(resolve));
  });

  it('passes on what came before the failure, then throws', async () => {
    const stream = eager(async function* () {
      yield 'One';
      throw new Error('down');
    });
    await stream.ready;
    const read: string[] = [];
    await assert.rejects(
      (async () => {
        for await (const text of stream.texts()) read.push(text);
      })(),
      { message: 'down' },
    );
    assert.deepEqual(read, ['One']);
  });

  it('passes texts on to a waiting reader as they arrive', async () => {
    const gates = [deferred(), deferred()];
    const texts = eager(async function* () {
      yield 'One';
      await gates[0]?.promise;
      yield 'Two';
      yield 'Three';
      await gates[1]?.promise;
      yield 'Four';
    }).texts();
    assert.equal((await within(texts.next(), 'One')).value, 'One');
    const second = texts.next();
    gates[0]?.resolve();
    assert.equal((await within(second, 'Two')).value, 'Two');
    assert.equal((await within(texts.next(), 'Three')).value, 'Three');
    gates[1]?.resolve();
    assert.deepEqual(await within(all(texts), 'the rest'), ['Four']);
  });

  it('ends its source when it is cancelled', async () => {
    const ended = deferred();
    const stream = eager(async function* () {
      try {
        for (;;) {
          yield 'more';
          await new Promise((resolve) => setImmediate(resolve));
        }
      } finally {
        ended.resolve();
      }
    });
    await stream.ready;
    await within(stream.cancel(), 'cancel');
    await within(ended.promise, 'the end of the source');
    await stream.cancel();
  });
});

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import type { Context } from '../../src/http/context.ts';
import { HttpError } from '../../src/http/errors.ts';
import { Shutdown, type ShutdownOptions } from '../../src/http/shutdown.ts';
import { mockTimers } from '../fixtures/clock.ts';

const AT_ONCE: ShutdownOptions = {
  isReplaced: false,
  onDraining: async () => undefined,
  drainDelayMs: 0,
  timeoutMs: 60_000,
  onTimeout: () => undefined,
};

/** What becomes of a request: its headers, or the error and them. */
function ask(shutdown: Shutdown): { error: HttpError | undefined; headers: string[] } {
  const headers: string[] = [];
  const context = {
    setHeader: (name: string, value: string) => headers.push(`${name}: ${value}`),
  } as unknown as Context;
  try {
    shutdown.check(context);
    return { error: undefined, headers };
  } catch (error) {
    assert.ok(error instanceof HttpError);
    return { error, headers };
  }
}

/** Some rounds of the event loop, in which all that needs no clock happens. */
async function rounds(): Promise<void> {
  for (let count = 0; count < 5; count++) await new Promise((resolve) => setImmediate(resolve));
}

describe('Shutdown', () => {
  it('serves until it is closed, with nothing said of it', () => {
    const shutdown = new Shutdown();
    assert.deepEqual([shutdown.isReady, ask(shutdown)], [true, { error: undefined, headers: [] }]);
  });

  it('still serves while it drains, and has connections closed', async (t) => {
    const clock = mockTimers(t, ['setTimeout']);
    const shutdown = new Shutdown();
    const closed = shutdown.close(undefined, { ...AT_ONCE, drainDelayMs: 5_000 });
    await rounds();
    clock.tick(4_999);
    await rounds();
    assert.deepEqual(
      [shutdown.isReady, ask(shutdown)],
      [false, { error: undefined, headers: ['connection: close'] }],
    );
    clock.tick(1);
    await closed;
  });

  it('refuses with 503 once the drain delay is over, while responses are open', async () => {
    const shutdown = new Shutdown();
    shutdown.enter();
    const closed = shutdown.close(undefined, AT_ONCE);
    await rounds();
    const { error, headers } = ask(shutdown);
    assert.deepEqual(
      [error?.status, error?.headers, headers],
      [503, ['retry-after', '1'], ['connection: close']],
    );
    shutdown.leave();
    await closed;
  });

  it('is closed, and refuses, when the last response is over', async () => {
    const shutdown = new Shutdown();
    shutdown.enter();
    shutdown.enter();
    let isClosed = false;
    const closed = shutdown.close(undefined, AT_ONCE).then(() => void (isClosed = true));
    shutdown.leave();
    await rounds();
    assert.equal(isClosed, false);
    shutdown.leave();
    await closed;
    assert.equal(ask(shutdown).error?.status, 503);
  });

  it('interrupts what is open at the timeout, and gives it a second', async (t) => {
    const clock = mockTimers(t, ['setTimeout']);
    const shutdown = new Shutdown();
    shutdown.enter();
    let interrupted = 0;
    let isClosed = false;
    const options = { ...AT_ONCE, onTimeout: () => void (interrupted += 1) };
    const closed = shutdown.close(undefined, options).then(() => void (isClosed = true));
    const counts: (number | boolean)[] = [];
    for (const ms of [59_999, 1, 999, 1]) {
      await rounds();
      clock.tick(ms);
      await rounds();
      counts.push(interrupted, isClosed);
    }
    await closed;
    assert.deepEqual(counts, [0, false, 1, false, 1, false, 1, true]);
  });

  it('waits until all are told before it refuses', async () => {
    const shutdown = new Shutdown();
    let told!: () => void;
    const closed = shutdown.close(undefined, {
      ...AT_ONCE,
      onDraining: () => new Promise((resolve) => (told = resolve)),
    });
    await rounds();
    assert.equal(ask(shutdown).error, undefined);
    told();
    await closed;
    assert.equal(ask(shutdown).error?.status, 503);
  });

  it('is closed once, however often it is asked to be', async () => {
    const shutdown = new Shutdown();
    let count = 0;
    const options = { ...AT_ONCE, onDraining: async () => void (count += 1) };
    await Promise.all([shutdown.close(undefined, options), shutdown.close(undefined, options)]);
    assert.equal(count, 1);
  });
});

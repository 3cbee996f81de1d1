import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import type { Context } from '../../../src/base/http/context.ts';
import { HttpError } from '../../../src/base/http/errors.ts';
import { Shutdown, type ShutdownParts } from '../../../src/server/app/shutdown.ts';
import { mockTimers } from '../../fixtures/clock.ts';
import { RUN_OPTIONS } from '../../fixtures/turns.ts';

const TIMES = {
  drainDelaySeconds: 0, drainCallsSeconds: 0, shutdownTimeoutSeconds: 60, turnTimeoutSeconds: 120,
};

/** The shutdown of an app that closes at once if nothing is open. */
function createShutdown(
  times: Partial<typeof TIMES> = {},
  parts: Partial<Record<keyof ShutdownParts, object>> = {},
  turns = { interruptAll: (): void => undefined, close: async (): Promise<void> => undefined },
): Shutdown {
  const store = { close: () => undefined };
  const settings = { ...TIMES, ...times };
  const all = { settings, store, tracing: RUN_OPTIONS.tracing, ...parts } as ShutdownParts;
  return new Shutdown(all, [{ turns }], new Set());
}

/** What becomes of a request: its headers, and the error if it is refused. */
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
  it('serves until it is closed, and adds no header', () => {
    const shutdown = createShutdown();
    assert.deepEqual([shutdown.isReady, ask(shutdown)], [true, { error: undefined, headers: [] }]);
  });

  it('still serves while it drains, and closes connections', async (t) => {
    const clock = mockTimers(t, ['setTimeout']);
    const shutdown = createShutdown({ drainDelaySeconds: 5 });
    const closed = shutdown.close(undefined, false);
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
    const shutdown = createShutdown();
    shutdown.enter();
    const closed = shutdown.close(undefined, false);
    await rounds();
    const { error, headers } = ask(shutdown);
    assert.deepEqual(
      [error?.status, error?.headers, headers],
      [503, ['retry-after', '1'], ['connection: close']],
    );
    shutdown.leave();
    await closed;
  });

  it('is closed, and refuses requests, once the last response has ended', async () => {
    const shutdown = createShutdown();
    shutdown.enter();
    shutdown.enter();
    let isClosed = false;
    const closed = shutdown.close(undefined, false).then(() => void (isClosed = true));
    shutdown.leave();
    await rounds();
    assert.equal(isClosed, false);
    shutdown.leave();
    await closed;
    assert.equal(ask(shutdown).error?.status, 503);
  });

  it('interrupts what is open at the timeout, and gives it one more second', async (t) => {
    const clock = mockTimers(t, ['setTimeout']);
    let interrupted = 0;
    const turns = { interruptAll: () => void (interrupted += 1), close: async () => undefined };
    const shutdown = createShutdown({}, {}, turns);
    shutdown.enter();
    let isClosed = false;
    const closed = shutdown.close(undefined, false).then(() => void (isClosed = true));
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

  it('waits until everybody has been told before it refuses requests', async () => {
    let told!: () => void;
    const platform = { close: () => new Promise<void>((resolve) => (told = resolve)) };
    const shutdown = createShutdown({}, { platform });
    const closed = shutdown.close(undefined, false);
    await rounds();
    assert.equal(ask(shutdown).error, undefined);
    told();
    await closed;
    assert.equal(ask(shutdown).error?.status, 503);
  });

  it('closes only once, however often it is asked to', async () => {
    let count = 0;
    const shutdown = createShutdown({}, { store: { close: () => void (count += 1) } });
    await Promise.all([shutdown.close(undefined, false), shutdown.close(undefined, false)]);
    assert.equal(count, 1);
  });

  it('closes turns only once if a replaced app is told to hurry', async () => {
    let count = 0;
    const close = async (): Promise<void> => void (count += 1);
    const shutdown = createShutdown({}, {}, { interruptAll: () => undefined, close });
    shutdown.enter();
    const closed = shutdown.close(undefined, true);
    await rounds();
    void shutdown.close(undefined, false);
    shutdown.leave();
    await closed;
    await rounds();
    assert.equal(count, 1);
  });

  it('closes writers before what they write to', async () => {
    const closed: string[] = [];
    const closing = (name: string): { close(): Promise<void> } => ({
      close: async () => void closed.push(name),
    });
    const parts = {
      platform: closing('platform'), records: closing('records'), channel: closing('channel'),
      store: closing('store'),
    };
    const turns = { ...closing('turns'), interruptAll: () => undefined };
    const shutdown = createShutdown({}, parts, turns);
    await shutdown.close(undefined, false);
    assert.deepEqual(closed, ['platform', 'turns', 'records', 'channel', 'store']);
  });
});

import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';

import { EventWriter } from '../../../src/base/http/event-writer.ts';
import { mockTimers, type Clock } from '../../fixtures/clock.ts';
import { Destination, tick } from './destination.ts';

function open(
  t: TestContext,
  intervalMs: number,
): {
  clock: Clock;
  destination: Destination;
  writer: EventWriter;
} {
  const clock = mockTimers(t, ['setInterval']);
  const destination = new Destination();
  const writer = new EventWriter(destination);
  writer.flush();
  writer.beatEvery(intervalMs);
  return { clock, destination, writer };
}

describe('the heartbeat of an EventWriter', () => {
  it('sends a comment after each interval, and does not count it as an event', async (t) => {
    const { clock, destination, writer } = open(t, 1_000);
    clock.tick(999);
    await tick();
    assert.deepEqual(destination.calls, []);
    for (let beat = 0; beat < 2; beat++) {
      clock.tick(1_000);
      assert.equal(writer.unsentEvents, 0);
      await tick();
    }
    assert.deepEqual(destination.calls, ['write : \n\n', 'write : \n\n']);
  });

  it('is off at 0', async (t) => {
    const { clock, destination } = open(t, 0);
    clock.tick(3_600_000);
    await tick();
    assert.deepEqual(destination.calls, []);
  });

  it('restarts after each event, but not after a comment', async (t) => {
    const { clock, destination, writer } = open(t, 1_000);
    clock.tick(999);
    void writer.send('data: a\n\n');
    clock.tick(999);
    await tick();
    assert.deepEqual(destination.calls, ['write data: a\n\n']);
    void writer.sendComment(': b\n\n');
    clock.tick(1);
    await tick();
    assert.deepEqual(destination.calls.slice(1), ['write : b\n\n: \n\n']);
  });

  it('adds nothing to what waits for a client that does not read', async (t) => {
    const { clock, destination, writer } = open(t, 1_000);
    destination.room = false;
    writer.send('data: a\n\n');
    await tick();
    clock.tick(5_000);
    assert.equal(writer.unsentEvents, 1);
    destination.drain();
    assert.deepEqual(destination.calls, ['write data: a\n\n']);
  });

  for (const end of ['finish', 'destroy'] as const)
    it(`leaves no timer after ${end}()`, () => {
      const timers = (): number =>
        process.getActiveResourcesInfo().filter((kind) => kind === 'Timeout').length;
      const before = timers();
      const writer = new EventWriter(new Destination());
      writer.beatEvery(1_000);
      assert.equal(timers(), before + 1);
      writer[end]();
      assert.equal(timers(), before);
    });
});

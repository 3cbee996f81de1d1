import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';

import { EventWriter } from '../../src/http/event-writer.ts';
import { startHeartbeat } from '../../src/http/heartbeat.ts';
import { Destination, tick } from './destination.ts';
import { mockTimers, type Clock } from '../fixtures/clock.ts';

function open(
  t: TestContext,
  intervalMs: number,
): {
  clock: Clock;
  destination: Destination;
  writer: EventWriter;
  timer: NodeJS.Timeout | undefined;
} {
  const clock = mockTimers(t, ['setInterval']);
  const destination = new Destination();
  const writer = new EventWriter(destination);
  writer.flush();
  return { clock, destination, writer, timer: startHeartbeat(writer, intervalMs) };
}

describe('startHeartbeat', () => {
  it('sends a comment after each interval, which is no event', async (t) => {
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

  it('is off at 0', (t) => {
    assert.equal(open(t, 0).timer, undefined);
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

  it('sends nothing after the end', async (t) => {
    const { clock, destination, writer } = open(t, 1_000);
    writer.finish();
    clock.tick(5_000);
    await tick();
    assert.deepEqual(destination.calls, ['end ']);
  });
});

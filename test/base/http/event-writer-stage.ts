import assert from 'node:assert/strict';
import type { TestContext } from 'node:test';

import {
  EventWriter,
  type EventWriterListener,
  type EventWriterOptions,
} from '../../../src/base/http/event-writer.ts';
import { Destination } from './destination.ts';

/** What a writer reported about the end of its stream. */
class Ending implements EventWriterListener {
  readonly told: string[] = [];

  finished(): void {
    this.told.push('finished');
  }

  destroyed(): void {
    this.told.push('destroyed');
  }
}

export interface Written {
  readonly destination: Destination;
  readonly writer: EventWriter;
  readonly ending: Ending;
}

export function open(options: EventWriterOptions = {}): Written {
  const destination = new Destination();
  const ending = new Ending();
  const writer = new EventWriter(destination, options, ending);
  writer.flush();
  return { destination, writer, ending };
}

/** A connection that takes no more: the event `a` waits in it. */
export function stalled(t: TestContext, options: EventWriterOptions = {}): Written {
  const written = open(options);
  t.after(() => written.writer.destroy()); // its timer would keep the process alive
  written.destination.room = false;
  assert.equal(written.writer.send('data: a\n\n'), true); // the stall is not known yet
  written.writer.flush();
  return written;
}

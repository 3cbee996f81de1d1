// A complete reply departs with others, a moment after its turn ended. Whatever happens in that
// moment, history says what was sent.

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import type { CallerMessage } from '../../src/calls/call-event.ts';
import { createLogger } from '../../src/log.ts';
import type { DeliveredTurn, Delivery } from '../../src/turns/delivery.ts';
import type { StreamEnd } from '../../src/turns/machine.ts';
import type { Turns } from '../../src/turns/turns.ts';
import { callerMessage, turnsOf } from '../fixtures/turns.ts';

const log = createLogger({ level: 'silent', write: () => undefined });

/** A stream whose end departs with others. `hasRoom`: whether it can leave once it has to. */
class Stream implements Delivery {
  readonly event: CallerMessage;
  turn: DeliveredTurn | undefined;
  readonly headers = {};
  readonly log = log;
  readonly said: string[] = [];
  readonly outcomes: string[] = [];
  readonly hasRoom: boolean;
  isOpen = true;
  hasLeft = false;

  constructor(turnId: string, hasRoom: boolean) {
    this.hasRoom = hasRoom;
    this.event = callerMessage(turnId, `Words of ${turnId}`);
  }

  get unsent(): number {
    return this.hasLeft ? 0 : this.said.length;
  }

  send(event: Parameters<Delivery['send']>[0]): boolean {
    if (event.type === 'say') this.said.push(event.text);
    return true;
  }

  end(when: StreamEnd = 'now'): boolean {
    this.hasLeft ||= when !== 'with others' && this.hasRoom;
    return this.hasLeft;
  }

  onOutcome({ outcome }: Parameters<Delivery['onOutcome']>[0]): void {
    this.outcomes.push(outcome);
  }
}

function begin(hasRoom = true): {
  turns: Turns;
  stream: Stream;
  history: () => Promise<readonly string[]>;
} {
  const { turns, conversations } = turnsOf(() => 'Yes.');
  const stream = new Stream('t-1', hasRoom);
  turns.start(stream);
  assert.deepEqual([stream.said, stream.outcomes], [['Yes.'], []]);
  return {
    turns,
    stream,
    history: async () =>
      (await conversations.getHistory('c-1')).map((message) =>
        message.role === 'assistant' ? `${message.state}: ${message.content}` : message.content,
      ),
  };
}

describe('a turn whose complete reply is about to leave', () => {
  it('is completed when the reply has left', async () => {
    const { stream, history } = begin();
    stream.end();
    stream.turn?.delivered();
    assert.deepEqual(stream.outcomes, ['completed']);
    assert.deepEqual(await history(), ['Words of t-1', 'completed: Yes.']);
  });

  it('no longer counts as running', () => assert.equal(begin().turns.count, 0));

  it('is interrupted if its connection closes first', async () => {
    const { stream, history } = begin(false);
    stream.turn?.dropped();
    assert.deepEqual(stream.outcomes, ['interrupted']);
    assert.deepEqual(await history(), ['Words of t-1']);
  });

  it('sends the reply, and is completed, before a newer turn begins', async () => {
    const { turns, stream, history } = begin();
    const newer = new Stream('t-2', true);
    turns.start(newer);
    assert.deepEqual([stream.hasLeft, stream.outcomes], [true, ['completed']]);
    newer.end();
    newer.turn?.delivered();
    const both = ['Words of t-1', 'completed: Yes.', 'Words of t-2', 'completed: Yes.'];
    assert.deepEqual(await history(), both);
  });

  it('is interrupted by a newer turn if the client has no room', () => {
    const { turns, stream } = begin(false);
    turns.start(new Stream('t-2', true));
    assert.deepEqual([stream.hasLeft, stream.outcomes], [false, ['interrupted']]);
  });

  it('is completed before the same turn is delivered again, which replays it', () => {
    const { turns, stream } = begin();
    const again = new Stream('t-1', true);
    turns.start(again);
    assert.deepEqual([stream.outcomes, again.outcomes], [['completed'], ['replayed']]);
    assert.deepEqual(again.said, ['Yes.']);
  });

  it('sends the reply before an interruption that came too late', () => {
    const { turns, stream } = begin();
    assert.equal(turns.interrupt('c-1', 'user_interrupted'), false);
    assert.deepEqual([stream.hasLeft, stream.outcomes], [true, ['completed']]);
  });

  it('sends the reply before the server closes', async () => {
    const { turns, stream } = begin();
    await turns.close(0);
    assert.deepEqual([stream.hasLeft, stream.outcomes], [true, ['completed']]);
  });

  it('is found like any other when its client had no room in time', () => {
    const { stream } = begin(false);
    stream.turn?.delayed();
    stream.turn?.dropped();
    assert.deepEqual(stream.outcomes, ['interrupted']);
  });
});

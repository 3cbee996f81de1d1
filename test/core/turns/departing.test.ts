// A complete reply departs with others, a moment after its turn has ended. Whatever happens in that
// moment, history says what was sent.

import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';

import type { StreamEnd } from '../../../src/core/turns/machine.ts';
import { Client, CONVERSATION, Process } from './plain-deliveries.ts';

/**
 * A client whose stream departs with others. `hasRoom`: whether the stream can leave once it has
 * to.
 */
class Departing extends Client {
  hasLeft = false;
  readonly #hasRoom: boolean;

  constructor(turnId: string, hasRoom = true) {
    super(turnId);
    this.#hasRoom = hasRoom;
  }

  override get unsent(): number {
    return this.hasLeft ? 0 : this.sent.length;
  }

  override end(when: StreamEnd = 'now'): boolean {
    this.hasLeft ||= when !== 'with others' && this.#hasRoom;
    return this.hasLeft;
  }
}

/** A process, and a client whose reply is complete and about to leave. */
function begin(
  t: TestContext, hasRoom = true,
): { readonly process: Process; readonly client: Departing } {
  const process = new Process(t, {});
  const client = process.start(new Departing('t1', hasRoom));
  assert.deepEqual([client.said, client.outcomes], ['Yes.', []]);
  return { process, client };
}

function leaves(client: Departing): void {
  client.end();
  client.turn?.delivered();
}

describe('a turn whose complete reply is about to leave', () => {
  it('no longer counts as running, and is completed when the reply has left', async (t) => {
    const { process, client } = begin(t);
    assert.equal(process.turns.count, 0);
    leaves(client);
    assert.deepEqual(client.outcomes, ['completed']);
    assert.deepEqual(await process.history(), ['user: t1', 'completed: Yes.']);
  });

  it('is interrupted if its connection closes first', async (t) => {
    const { process, client } = begin(t, false);
    client.turn?.dropped();
    assert.deepEqual(client.outcomes, ['interrupted']);
    assert.deepEqual(await process.history(), ['user: t1']);
  });

  it('sends the reply, and is completed, before a newer turn begins', async (t) => {
    const { process, client } = begin(t);
    const newer = process.start(new Departing('t2'));
    assert.deepEqual([client.hasLeft, client.outcomes], [true, ['completed']]);
    leaves(newer);
    const both = ['user: t1', 'completed: Yes.', 'user: t2', 'completed: Yes.'];
    assert.deepEqual(await process.history(), both);
  });

  it('is interrupted by a newer turn if its client has no room', (t) => {
    const { process, client } = begin(t, false);
    process.start(new Departing('t2'));
    assert.deepEqual([client.hasLeft, client.outcomes], [false, ['interrupted']]);
  });

  it('is completed before it is delivered again, which replays it', (t) => {
    const { process, client } = begin(t);
    const again = process.start(new Departing('t1'));
    assert.deepEqual([client.outcomes, again.outcomes], [['completed'], ['replayed']]);
    assert.equal(again.said, 'Yes.');
  });

  for (const [what, happen] of [
    ['an interruption, which comes too late', ({ turns }: Process) =>
      assert.equal(turns.interrupt(CONVERSATION, 'user_interrupted'), false)],
    ['the server closes', ({ turns }: Process) => turns.close(0)],
  ] as const)
    it(`sends the reply before ${what}`, async (t) => {
      const { process, client } = begin(t);
      await happen(process);
      assert.deepEqual([client.hasLeft, client.outcomes], [true, ['completed']]);
    });

  it('is interrupted when its connection closes if the client had no room in time', (t) => {
    const { client } = begin(t, false);
    client.turn?.delayed();
    client.turn?.dropped();
    assert.deepEqual(client.outcomes, ['interrupted']);
  });
});

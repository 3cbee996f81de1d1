// A turn goes to another process and back, while its run still goes on in the first one.

import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';

import type { MessageTurn } from '../../src/agents/agent.ts';
import { sharing } from '../conversations/stores/machines.ts';
import { PartsInMemory, type SharedParts } from '../conversations/stores/parts-in-memory.ts';
import { deferred, serve, Told, type Deferred, type Served } from '../fixtures/app.ts';

const BOOK = { id: 'call-1', name: 'book', args: '{"table":4}' };
const EVENT = { turn_id: 't1', conversation_id: 'c' } as const;

/** A process whose agent says a word, and books when the test lets it. It ends on `end`. */
interface Machine extends Served {
  readonly booked: Told<string>;
  readonly mayBook: Deferred<void>;
  readonly end: Deferred<void>;
  /** What the agent has been told of its booking. */
  readonly results: Told<string>;
}

function machine(t: TestContext, name: string, shared: SharedParts): Machine {
  const [booked, results] = [new Told<string>(), new Told<string>()];
  const [mayBook, end] = [deferred(), deferred()];
  const book = (): Promise<string> => {
    booked.tell(name);
    return Promise.resolve(JSON.stringify(`booked by ${name}`));
  };
  const onMessage = async function* ({ journal }: MessageTurn): AsyncGenerator<string> {
    yield 'Let me see. ';
    await mayBook.promise;
    const [outcome] = await journal.runTools([BOOK], () => ({ run: book }));
    results.tell(outcome?.content ?? '');
    await end.promise;
    yield 'Done.';
  };
  const store = sharing(new PartsInMemory(shared));
  return { ...serve(t, { onMessage }, { store }), booked, results, mayBook, end };
}

/** Both use one database, and no messages go between them. */
function two(t: TestContext): readonly [Machine, Machine] {
  const shared: SharedParts = new Map();
  return [machine(t, 'a', shared), machine(t, 'b', shared)];
}

describe('a turn that comes back to a process', () => {
  it('has the results of the calls that the other one has made meanwhile', async (t) => {
    const [a, b] = two(t);
    const first = await a.client.say('Book', EVENT);
    const second = await b.client.say('Book', EVENT);
    b.mayBook.resolve();
    assert.equal(await b.results.next('the booking'), '"booked by b"');
    const third = await a.client.say('Book', EVENT);
    a.mayBook.resolve();
    assert.equal(await a.results.next('the booking'), '"booked by b"');
    assert.equal(a.booked.all.length, 0);
    for (const { end } of [a, b]) end.resolve();
    await Promise.all([first, second, third].map((reply) => reply.text()));
  });
});

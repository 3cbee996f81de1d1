// Turns in processes that share a store and send each other messages.

import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';

import { parseProcessMessage } from '../../../src/core/turns/other-processes.ts';
import { deferred, fired, until, type TestAgent } from '../../fixtures/app.ts';
import { spoken, type AskingBack } from '../conversations/asking-back.ts';
import { hold, ID, machines, says, type Machine } from './machines.ts';
import { Booking } from './plain-deliveries.ts';

const DONE = [' Done.', 'response.end'];
const HELD = [['user', 'hold'], ['assistant', 'hold? Done.', 'completed']];

function ended({ outcomes }: AskingBack, outcome: string): Promise<void> {
  return until(() => outcomes()[outcome] === 1, `the turn that is ${outcome}`);
}

describe('a newer turn on another process', () => {
  it('ends the running turn, and history keeps what that had said', async (t) => {
    const { a, b } = machines(t);
    await says(a, 'Hello');
    const held = await hold(a);
    assert.equal(await says(b, 'Stop'), 'Stop?');
    assert.deepEqual([await held.rest(), a.aborted], [['response.end'], ['hold']]);
    await ended(a, 'interrupted');
    await a.app.conversations.getHistory('c');
    assert.deepEqual(await b.history('c'), [
      ['user', 'Hello'], ['assistant', 'Hello?', 'completed'],
      ['user', 'hold'], ['assistant', 'hold?', 'interrupted'],
      ['user', 'Stop'], ['assistant', 'Stop?', 'completed'],
    ]);
  });

  it('counts even if no message arrives: the older run cannot write a word', async (t) => {
    const { a, b, post } = machines(t);
    post.loses = () => true;
    const held = await hold(a);
    await says(b, 'Stop');
    a.go('hold');
    assert.deepEqual(await held.rest(), DONE);
    await ended(a, 'completed');
    const history = await b.history('c');
    assert.deepEqual(history.at(-1), ['assistant', 'Stop?', 'completed']);
    assert.deepEqual(history[0], ['user', 'hold']);
  });
});

describe('the end of a session on another process', () => {
  const SESSION = { session_id: 's' };
  const end = ({ client }: Machine, session_id: string): Promise<unknown> =>
    client.post({ type: 'session.end', session_id, ...ID });

  it("ends the session's turns", async (t) => {
    const { a, b } = machines(t);
    const held = await hold(a, 'hold', SESSION);
    await end(b, 's');
    assert.deepEqual([await held.rest(), a.aborted], [['response.end'], ['hold']]);
  });

  it('leaves the turns of other sessions alone', async (t) => {
    const { a, b, post } = machines(t);
    const held = await hold(a, 'hold', SESSION);
    post.delays = (message) => message.includes('"left"');
    await end(b, 'other');
    await until(() => post.messages.some((text) => text.includes('"left"')), 'the message');
    post.deliver();
    a.go('hold');
    assert.deepEqual(await held.rest(), DONE);
  });
});

describe('a turn that is delivered again', () => {
  it('runs anew in another process, and the first agent is told of no interruption', async (t) => {
    const told: string[] = [];
    const { a, b } = machines(t, { onInterrupted: ({ turnId }) => void told.push(turnId) });
    const [held, moved] = [await hold(a), await hold(b)];
    assert.deepEqual([await held.rest(), a.aborted], [['response.end'], ['hold']]);
    b.go('hold');
    assert.deepEqual(await moved.rest(), DONE);
    assert.deepEqual([a.runs, b.runs, told], [['hold'], ['hold'], []]);
    assert.deepEqual([a.outcomes()['taken_over'], b.outcomes()['completed']], [1, 1]);
    assert.deepEqual(await b.history('c'), HELD);
  });

  it('can come back to its first process', async (t) => {
    const { a, b } = machines(t);
    const held = await hold(a);
    const moved = await hold(b);
    assert.deepEqual(await held.rest(), ['response.end']);
    const back = await hold(a);
    assert.deepEqual(await moved.rest(), ['response.end']);
    a.go('hold');
    assert.deepEqual(await back.rest(), DONE);
    assert.deepEqual([a.runs, b.runs], [['hold', 'hold'], ['hold']]);
    assert.deepEqual(await a.history('c'), HELD);
  });

  /** An agent that waits for `mayGo` before it answers "Hello". */
  function waiting(): { agent: TestAgent; asked: Promise<void>; go: () => void } {
    const [asked, mayGo] = [deferred(), deferred()];
    const agent: TestAgent = {
      async *onMessage({ text }) {
        asked.resolve();
        if (text === 'Hello') await mayGo.promise;
        yield `${text}? `;
        yield 'Yes.';
      },
    };
    return { agent, asked: asked.promise, go: mayGo.resolve };
  }

  // A platform that asks twice at the same moment listens to only one answer: three of eight
  // callers heard nothing.
  for (const [where, second] of [['another process', 'b'], ['the same process', 'a']] as const)
    it(`gives both deliveries the whole reply if the second went to ${where}`, async (t) => {
      const { agent, asked, go } = waiting();
      const all = machines(t, agent);
      const deliver = async ({ client }: AskingBack): Promise<string> =>
        spoken(client.say('Hello', { turn_id: 't', ...ID }));
      const first = deliver(all.a);
      await asked;
      const isLost = second === 'b'
        ? until(() => all.a.app.runningTurns === 0, 'its turn to be lost')
        : until(() => all.a.parts.calls.includes('read'), 'a look at the record');
      const other = deliver(all[second]);
      await isLost;
      go();
      assert.deepEqual(await Promise.all([first, other]), ['Hello? Yes.', 'Hello? Yes.']);
      const kept = [['user', 'Hello'], ['assistant', 'Hello? Yes.', 'completed']];
      assert.deepEqual(await all.b.history('c'), kept);
    });

  it('is over for both deliveries if the caller speaks again', async (t) => {
    const { agent, asked } = waiting();
    const { a, b } = machines(t, agent);
    const both = [a, b].map((machine) => says(machine, 'Hello'));
    await asked;
    assert.equal(await says(b, 'Stop'), 'Stop? Yes.');
    assert.deepEqual(await Promise.all(both), ['', '']);
  });
});

describe('a tool call that another process is running', () => {
  /** Its result, or the placeholder for that, as a process sees it. */
  async function result({ messages }: Machine): Promise<string | undefined> {
    return (await messages('c')).find(({ role }) => role === 'tool')?.content;
  }

  it('does not count as lost in a newer turn, and its result is kept', async (t) => {
    const booking = new Booking();
    const { a, b } = machines(t, { onMessage: booking.onMessage({ whenInterrupted: 'finish' }) });
    const first = says(a, 'Book');
    const work = await booking.begun();
    assert.equal(await says(b, 'Next'), 'Yes.');
    assert.equal(await result(b), '{"status":"still running"}');
    assert.doesNotMatch(b.logLines.join(''), /the outcome of a tool call is unknown/);
    work.resolve('"booked"');
    await first;
    await until(() => a.app.runningTurns === 0, 'the end');
    await a.app.close();
    assert.equal(await result(b), '"booked"');
  });
});

describe('the next run of a turn whose tool is running in another process', () => {
  it('waits a moment for the result, and has it in its history', async (t) => {
    const booking = new Booking();
    const books = booking.onMessage({ whenInterrupted: 'finish' });
    const { a, b, post } = machines(t, {
      async onMessage(turn, reply) {
        const result = turn.history.find(({ role }) => role === 'tool');
        if (result !== undefined) return result.content;
        await books(turn, reply);
        await fired(turn.signal); // otherwise its reply is sent again
        return undefined;
      },
    });
    void a.client.say('Book', { turn_id: 'book', ...ID });
    const work = await booking.begun();
    const again = b.client.say('Book', { turn_id: 'book', ...ID });
    await until(() => post.messages.some((text) => text.includes('"waiting"')), 'the wait');
    work.resolve('"booked"');
    assert.equal(await spoken(again), '"booked"');
  });

  // Seed 7229 of the platforms: the second delivery was waiting for the first one's tool when the
  // caller went on. It ran in the end, and history had a reply that nobody had asked for.
  it('does not begin if the caller has gone on while it waited', async (t) => {
    const booking = new Booking();
    const books = booking.onMessage({ whenInterrupted: 'finish' });
    const { a, b, c, post } = machines(t, {
      async onMessage(turn, reply) {
        if (turn.text !== 'Book') return 'Yes.';
        if (turn.history.some(({ role }) => role === 'tool')) return 'Booked.';
        await books(turn, reply);
        await fired(turn.signal); // otherwise its reply is sent again
        return undefined;
      },
    });
    void a.client.say('Book', { turn_id: 'Book', ...ID });
    const work = await booking.begun();
    const again = says(b, 'Book');
    await until(() => post.messages.some((text) => text.includes('"waiting"')), 'the wait');
    assert.equal(await says(c, 'Next'), 'Yes.');
    work.resolve('"booked"');
    assert.equal(await again, '');
    assert.equal(b.outcomes()['stale'], 1);
  });
});

describe('a message from another process', () => {
  const LOOK = '{"type":"look","conversationId":"c"}';

  for (const [name, text] of Object.entries({
    'text that is not JSON': '{"type":',
    'JSON that is not an object': '["look"]',
    'an object that lacks a field': '{"type":"look"}',
    'an object with a field of the wrong type': '{"type":"look","conversationId":1}',
    'about a session of the wrong type': '{"type":"look","conversationId":"c","left":null}',
    'from an empty address': '{"type":"look","conversationId":"c","waiting":""}',
    'from an address that is too long':
      `{"type":"look","conversationId":"c","waiting":"${'a'.repeat(257)}"}`,
  }))
    it(`is refused if it is ${name}`, () => {
      assert.throws(() => parseProcessMessage(text), TypeError);
    });

  it('that makes no sense changes nothing, and the log says so', async (t) => {
    const { a, post } = machines(t);
    post.forge('a', 'nonsense');
    assert.equal(await says(a, 'Hello'), 'Hello?');
    assert.match(a.logLines.join(''), /a message from another process was not understood/);
  });

  it('of a type that this version does not know is silently ignored', async (t) => {
    const { a, post } = machines(t);
    for (const type of ['hello', 'constructor', 'interrupt', 'ask', 'answer', 'erased'])
      post.forge('a', JSON.stringify({ type, id: 'x', sent: 0, event: { type: 'say' } }));
    assert.equal(await says(a, 'Hello'), 'Hello?');
    assert.doesNotMatch(a.logLines.join(''), /another process/);
  });

  // Other tenants of a Redis can write whatever they like.
  it('with arbitrary fields stops neither the process nor another turn', async (t) => {
    const { a, post } = machines(t);
    const held = await hold(a);
    const right = { type: 'look', conversationId: 'other', waiting: 'b', left: 's' };
    for (const value of [null, 0, -1, '', 'x', true, [], [null], {}])
      for (const field of ['conversationId', 'waiting', 'left', 'type', '__proto__'])
        post.forge('a', JSON.stringify({ ...right, [field]: value }));
    a.go('hold');
    assert.deepEqual(await held.rest(), DONE);
    assert.equal(await says(a, 'Hello'), 'Hello?');
  });

  /**
   * How often the store of a process was read for these messages, while a turn was running there.
   */
  async function readsFor(
    t: TestContext, messages: readonly string[], isRead: boolean,
  ): Promise<number> {
    const { a, post } = machines(t);
    const held = await hold(a);
    const { length } = a.parts.calls;
    for (const message of messages) post.forge('a', message);
    if (isRead) await until(() => a.parts.calls.length > length, 'the read');
    a.go('hold');
    await held.rest();
    assert.deepEqual(a.aborted, []);
    return a.parts.calls.slice(length).filter((call) => call === 'read').length;
  }

  it('causes one read of the store, and at most one per second', async (t) => {
    assert.equal(await readsFor(t, new Array<string>(1_000).fill(LOOK), true), 1);
  });

  // It would put off the read that is needed when a turn is ended elsewhere.
  it('causes no read if the sender is only waiting for a call', async (t) => {
    assert.equal(await readsFor(t, [LOOK.replace('}', ',"waiting":"b"}')], false), 0);
  });

  it('carries ids and keys, but not a word from a caller, an agent or a tool', async (t) => {
    const paid = deferred();
    const { a, b, post } = machines(t, {
      async *onMessage({ text, journal }) {
        yield `${text}?`;
        if (!text.startsWith('hold')) return;
        const calls = [{ id: 'x', name: 'spoken', args: '{"spoken":1}' }];
        await journal.runTools(calls, () => ({
          whenInterrupted: 'finish',
          run: () => paid.promise.then(() => '{"spoken":2}'),
        }));
      },
    });
    const turn = { turn_id: 'again' };
    await hold(a, 'hold spoken', turn);
    const taken = await hold(b, 'hold spoken', turn);
    await until(() => post.messages.some((text) => text.includes('look')), 'the take-over');
    paid.resolve();
    assert.deepEqual(await taken.rest(), ['response.end']);
    await says(a, 'spoken, too');
    await a.app.conversations.clear('c');
    const sent = post.messages.map((text) => JSON.parse(text) as { readonly type: string });
    assert.deepEqual([...new Set(sent.map(({ type }) => type))], ['look']);
    for (const text of post.messages) assert.doesNotMatch(text, /spoken/);
  });
});

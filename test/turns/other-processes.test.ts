// Turns in processes that share a store and send each other messages.

import assert from 'node:assert/strict';
import { EventEmitter, once } from 'node:events';
import { describe, it } from 'node:test';

import type { MessageTurn } from '../../src/agents/agent.ts';
import { parseProcessMessage } from '../../src/turns/process-message.ts';
import { hold, HeldReply, spoken, type AskingBack } from '../conversations/asking-back.ts';
import { deferred, messageEvent, rawRequest, until } from '../fixtures/app.ts';
import { ID, machines, says } from './machines.ts';

describe('a newer turn on another process', () => {
  it('ends the one that runs, and history keeps what that one had said', async (t) => {
    const { a, b } = machines(t);
    await says(a, 'Hello');
    const held = await hold(a, 'hold', 'hold', ID);
    assert.equal(await says(b, 'Stop'), 'Stop?');
    assert.deepEqual(await held.rest(), ['response.end']);
    assert.deepEqual(a.aborted, ['hold']);
    await until(() => a.outcomes()['interrupted'] === 1, 'the interruption');
    await a.app.conversations.getHistory('c');
    assert.deepEqual(await b.history('c'), [
      ['user', 'Hello'], ['assistant', 'Hello?', 'completed'],
      ['user', 'hold'], ['assistant', 'hold?', 'interrupted'],
      ['user', 'Stop'], ['assistant', 'Stop?', 'completed'],
    ]);
  });

  it('decides what was heard if the platform reports it', async (t) => {
    const { a, b } = machines(t);
    const held = await hold(a, 'hold', 'hold', ID);
    await says(b, 'Stop', {
      interruption_context: {
        previous_turn_interrupted: true, text_heard: 'ho', assistant_turn_id: 'hold',
      },
    });
    await held.rest();
    await until(() => a.outcomes()['interrupted'] === 1, 'the interruption');
    assert.deepEqual((await b.history('c'))[1], ['assistant', 'ho', 'interrupted']);
  });

  it('counts even if no message arrives: the older run cannot write a word', async (t) => {
    const { a, b, post } = machines(t);
    post.loses = () => true;
    const held = await hold(a, 'hold', 'hold', ID);
    await says(b, 'Stop');
    a.go('hold');
    assert.deepEqual(await held.rest(), [' Done.', 'response.end']);
    await until(() => a.outcomes()['completed'] === 1, 'the end');
    const history = await b.history('c');
    assert.deepEqual(history.at(-1), ['assistant', 'Stop?', 'completed']);
    assert.deepEqual(history[0], ['user', 'hold']);
  });

  it('ends the older run that is delivered again, even if that request is dropped', async (t) => {
    const { a, b, post } = machines(t);
    post.loses = () => true;
    const held = await hold(a, 'hold', 'hold', ID);
    await says(b, 'Stop');
    a.parts.hold();
    const { length } = a.parts.calls;
    const connection = await a.raw();
    connection.write(rawRequest(messageEvent({ text: 'hold', turn_id: 'hold', ...ID })));
    await until(() => a.parts.calls.length > length, 'the claim');
    connection.socket.destroy();
    await until(() => a.logLines.some((line) => line.includes('"isCutShort":true')), 'the drop');
    a.parts.release();
    assert.deepEqual(await held.rest(), ['response.end']);
    assert.deepEqual(a.aborted, ['hold']);
  });
});

describe('the end of a session on another process', () => {
  it('ends its turns', async (t) => {
    const { a, b } = machines(t);
    const held = await hold(a, 'hold', 'hold', { ...ID, session_id: 's' });
    await b.client.post({ type: 'session.end', session_id: 's', ...ID });
    assert.deepEqual(await held.rest(), ['response.end']);
    assert.deepEqual(a.aborted, ['hold']);
  });

  it('leaves the turns of other sessions alone', async (t) => {
    const { a, b, post } = machines(t);
    const held = await hold(a, 'hold', 'hold', { ...ID, session_id: 's' });
    post.delays = (message) => message.includes('"left"');
    await b.client.post({ type: 'session.end', session_id: 'other', ...ID });
    await until(() => post.messages.some((text) => text.includes('"left"')), 'the message');
    post.deliver();
    a.go('hold');
    assert.deepEqual(await held.rest(), [' Done.', 'response.end']);
  });
});

describe('a turn that is delivered again to another process', () => {
  async function again(b: AskingBack): Promise<HeldReply> {
    return new HeldReply(await b.client.say('hold', { turn_id: 'hold', ...ID }));
  }

  it('runs there from the start, and the older stream ends', async (t) => {
    const { a, b } = machines(t);
    const held = await hold(a, 'hold', 'hold', ID);
    const moved = await again(b);
    assert.equal(await moved.next(), 'hold?');
    assert.deepEqual(await held.rest(), ['response.end']);
    b.go('hold');
    assert.deepEqual(await moved.rest(), [' Done.', 'response.end']);
    assert.deepEqual([a.runs, b.runs], [['hold'], ['hold']]);
    assert.deepEqual([a.outcomes()['taken_over'], b.outcomes()['completed']], [1, 1]);
    assert.deepEqual(await b.history('c'), [
      ['user', 'hold'], ['assistant', 'hold? Done.', 'completed'],
    ]);
  });

  it('aborts the agent there, which is not told of an interruption', async (t) => {
    const told: string[] = [];
    const { a, b } = machines(t, { onInterrupted: ({ turnId }) => void told.push(turnId) });
    const held = await hold(a, 'hold', 'hold', ID);
    const moved = await again(b);
    await held.rest();
    assert.deepEqual(a.aborted, ['hold']);
    b.go('hold');
    await moved.rest();
    assert.deepEqual(told, []);
  });

  it('comes back to the first process', async (t) => {
    const { a, b } = machines(t);
    await hold(a, 'hold', 'hold', ID);
    const moved = await again(b);
    await moved.next();
    const back = await again(a);
    assert.equal(await back.next(), 'hold?');
    assert.deepEqual(await moved.rest(), ['response.end']);
    a.go('hold');
    assert.deepEqual(await back.rest(), [' Done.', 'response.end']);
    assert.deepEqual(await a.history('c'), [
      ['user', 'hold'], ['assistant', 'hold? Done.', 'completed'],
    ]);
  });

  it('runs there even if no message arrives: the older run cannot write a word', async (t) => {
    const { a, b, post } = machines(t);
    post.loses = () => true;
    const held = await hold(a, 'hold', 'hold', ID);
    const moved = await again(b);
    await moved.next();
    a.go('hold');
    assert.deepEqual(await held.rest(), [' Done.', 'response.end']);
    b.go('hold');
    assert.deepEqual(await moved.rest(), [' Done.', 'response.end']);
    assert.deepEqual(await b.history('c'), [
      ['user', 'hold'], ['assistant', 'hold? Done.', 'completed'],
    ]);
  });

  // A platform that asks twice at the same moment listens to one of both: three of eight callers
  // heard nothing.
  for (const [where, second] of [['another process', 'b'], ['the same process', 'a']] as const)
    it(`has the whole reply for both deliveries if the other came to ${where}`, async (t) => {
      const gates = new EventEmitter();
      const all = machines(t, {
        async *onMessage({ text, signal }) {
          gates.emit('asked');
          await once(gates, 'go', { signal });
          yield `${text}? `;
          yield 'Yes.';
        },
      });
      const deliver = async ({ client }: AskingBack): Promise<string> =>
        spoken(client.say('Hello', { turn_id: 't', ...ID }));
      const asked = once(gates, 'asked');
      const first = deliver(all.a);
      await asked;
      const isLost = second === 'b'
        ? until(() => all.a.app.runningTurns === 0, 'its turn to be lost')
        : until(() => all.a.parts.calls.includes('read'), 'a look at the record');
      const other = deliver(all[second]);
      await isLost;
      gates.emit('go');
      assert.deepEqual(await Promise.all([first, other]), ['Hello? Yes.', 'Hello? Yes.']);
      assert.deepEqual(await all.b.history('c'), [
        ['user', 'Hello'], ['assistant', 'Hello? Yes.', 'completed'],
      ]);
    });

  it('is over for both if the caller goes on', async (t) => {
    const gates = new EventEmitter();
    const { a, b } = machines(t, {
      async *onMessage({ text, signal }) {
        gates.emit('asked');
        if (text === 'Hello') await once(gates, 'go', { signal });
        yield `${text}?`;
      },
    });
    const [first, second] = [a, b].map(({ client }) =>
      spoken(client.say('Hello', { turn_id: 't', ...ID })));
    await once(gates, 'asked');
    assert.equal(await says(b, 'Stop'), 'Stop?');
    assert.deepEqual(await Promise.all([first, second]), ['', '']);
  });

  it('is answered from history once it is complete', async (t) => {
    const { a, b } = machines(t);
    await says(a, 'Hello');
    assert.equal(await says(b, 'Hello'), 'Hello?');
    assert.deepEqual(b.runs, []);
  });
});

describe('a tool call that another process runs', () => {
  /** An agent that pays, from when it emits `begun` until the test emits `paid`. */
  function paying(gate: EventEmitter): { onMessage(turn: MessageTurn): AsyncIterable<string> } {
    return {
      async *onMessage({ text, journal }: MessageTurn) {
        yield `${text}?`;
        if (!text.startsWith('hold')) return;
        const calls = [{ id: 'x', name: 'pay', args: '{}' }];
        await journal.runTools(calls, () => ({
          whenInterrupted: 'finish',
          run: async () => {
            gate.emit('begun');
            await once(gate, 'paid');
            return '{"paid":true}';
          },
        }));
      },
    };
  }

  it('is not taken for lost by a newer turn, and its result is kept', async (t) => {
    const gate = new EventEmitter();
    const { a, b } = machines(t, paying(gate));
    const begun = once(gate, 'begun');
    await hold(a, 'hold', 'hold', ID);
    await begun;
    assert.equal(await says(b, 'Next'), 'Next?');
    const during = (await b.messages('c')).find(({ role }) => role === 'tool');
    assert.deepEqual(during?.role === 'tool' && during.state, 'running');
    gate.emit('paid');
    await until(() => a.app.runningTurns === 0, 'the end');
    await a.app.close();
    const after = (await b.messages('c')).find(({ role }) => role === 'tool');
    assert.deepEqual(after?.role === 'tool' && [after.state, after.content],
      ['completed', '{"paid":true}']);
  });

  it('is awaited for a moment by the next run of its turn, whose prompt has the result', async (t) => {
    const gate = new EventEmitter();
    const { a, b, post } = machines(t, {
      async *onMessage(turn) {
        const results = turn.history.filter(({ role }) => role === 'tool');
        yield* results.map(({ content }) => content);
        if (results.length > 0) return;
        yield* paying(gate).onMessage(turn);
        await once(turn.signal, 'abort'); // otherwise its reply is sent again
      },
    });
    const begun = once(gate, 'begun');
    await hold(a, 'hold', 'hold', ID);
    await begun;
    const again = b.client.say('hold', { turn_id: 'hold', ...ID });
    await until(() => post.messages.some((text) => text.includes('"waiting"')), 'the wait');
    gate.emit('paid');
    assert.equal(await spoken(again), '{"paid":true}');
  });

  // Seed 60004307 of the fleet: the process answered that it did not run the call any more.
  it('is not taken for lost after its end, which its process cannot store yet', async (t) => {
    const gate = new EventEmitter();
    const { a, b } = machines(t, paying(gate));
    const begun = once(gate, 'begun');
    const held = await hold(a, 'hold', 'hold', ID);
    await begun;
    a.parts.failWith = new Error('the store does not answer');
    gate.emit('paid');
    await held.rest();
    await until(() => a.store.health().isDegraded, 'the outage');
    assert.equal(await says(b, 'Next'), 'Next?');
    const called = async (): Promise<string | undefined> =>
      (await b.messages('c')).find(({ role }) => role === 'tool')?.content;
    assert.equal(await called(), '{"status":"still running"}');
    assert.doesNotMatch(b.logLines.join(''), /the outcome of a tool call is unknown/);
    a.parts.failWith = undefined;
    await until(() => a.store.health().turnsWaiting === 0, 'the writes');
    assert.equal(await called(), '{"paid":true}');
  });
});

describe('a message from another process', () => {
  for (const [name, text] of Object.entries({
    'text that is not JSON': '{"type":',
    'JSON that is no object': '["look"]',
    'a missing field': '{"type":"look"}',
    'a field of another type': '{"type":"look","conversationId":1}',
    'a session of another type': '{"type":"look","conversationId":"c","left":null}',
    'an address of nobody': '{"type":"look","conversationId":"c","waiting":""}',
    'one with an address of any length':
      `{"type":"look","conversationId":"c","waiting":"${'a'.repeat(257)}"}`,
  })) {
    it(`is refused if it is ${name}`, () => {
      assert.throws(() => parseProcessMessage(text), TypeError);
    });
  }

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
  it('with arbitrary fields ends no process and no other turn', async (t) => {
    const { a, post } = machines(t);
    const held = await hold(a, 'hold', 'hold', ID);
    const fields = ['conversationId', 'waiting', 'left', 'type', '__proto__'];
    for (const value of [null, 0, -1, '', 'x', true, [], [null], {}]) {
      for (const field of fields) {
        const right = { type: 'look', conversationId: 'other', waiting: 'b', left: 's' };
        post.forge('a', JSON.stringify({ ...right, [field]: value }));
      }
    }
    a.go('hold');
    assert.deepEqual(await held.rest(), [' Done.', 'response.end']);
    assert.equal(await says(a, 'Hello'), 'Hello?');
  });

  it('costs one read of the store, and at most one per second', async (t) => {
    const { a, post } = machines(t);
    const held = await hold(a, 'hold', 'hold', ID);
    const { length } = a.parts.calls;
    for (let count = 0; count < 1_000; count++)
      post.forge('a', '{"type":"look","conversationId":"c"}');
    await until(() => a.parts.calls.length > length, 'the read');
    a.go('hold');
    await held.rest();
    const reads = a.parts.calls.slice(length).filter((call) => call === 'read');
    assert.equal(reads.length, 1);
    assert.deepEqual(a.aborted, []);
  });

  // It would put off the look that is needed when a turn is ended elsewhere.
  it('costs no read if the sender only waits for a call', async (t) => {
    const { a, post } = machines(t);
    const held = await hold(a, 'hold', 'hold', ID);
    const { length } = a.parts.calls;
    post.forge('a', '{"type":"look","conversationId":"c","waiting":"b"}');
    a.go('hold');
    await held.rest();
    assert.equal(a.parts.calls.slice(length).includes('read'), false);
  });

  it('carries ids and keys, and not a word of a caller, an agent or a tool', async (t) => {
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
    const again = { turn_id: 'again', ...ID };
    await hold(a, 'hold spoken', 'again', ID);
    const taken = new HeldReply(await b.client.say('hold spoken', again));
    assert.equal(await taken.next(), 'hold spoken?');
    await until(() => post.messages.some((text) => text.includes('look')), 'the take-over');
    paid.resolve();
    assert.deepEqual(await taken.rest(), ['response.end']);
    await says(a, 'spoken, too');
    await a.app.conversations.clear('c');
    const sent = post.messages.map((text) => JSON.parse(text) as { readonly type: string });
    const types = new Set(sent.map(({ type }) => type));
    assert.deepEqual([...types], ['look']);
    for (const text of post.messages) assert.doesNotMatch(text, /spoken/);
  });
});

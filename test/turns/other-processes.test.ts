// Turns in processes that share a store and send each other messages.

import assert from 'node:assert/strict';
import { EventEmitter, once } from 'node:events';
import { describe, it, type TestContext } from 'node:test';

import { defineAgent } from '../../src/agents/define-agent.ts';
import { defineState } from '../../src/agents/state.ts';
import type { Channel } from '../../src/base/channel.ts';
import { SharedStore } from '../../src/conversations/stores/shared-store.ts';
import { createLogger } from '../../src/log.ts';
import { parseProcessMessage } from '../../src/turns/process-message.ts';
import {
  askingBack, hold, HeldReply, spoken, type AskingBack,
} from '../conversations/asking-back.ts';
import { PartsInMemory, type SharedParts } from '../conversations/stores/parts-in-memory.ts';
import { mockTimers } from '../fixtures/clock.ts';
import { messageEvent, rawRequest, until, type TestAgent } from '../fixtures/app.ts';

const ID = { conversation_id: 'c' } as const;

/** Carries messages between the processes of a test. */
class Post {
  readonly messages: string[] = [];
  /** The messages that get lost. */
  loses: (message: string) => boolean = () => false;
  /** The messages that wait for `deliver`. */
  delays: (message: string) => boolean = () => false;
  readonly #delayed: (() => void)[] = [];
  readonly #listeners = new Map<string, (message: string) => void>();

  channel(address: string): Channel {
    return {
      address,
      send: (to, message) => {
        this.messages.push(message);
        if (this.loses(message)) return;
        const arrive = (): void => this.#listeners.get(to)?.(message);
        if (this.delays(message)) this.#delayed.push(arrive);
        else setImmediate(arrive);
      },
      listen: (listener) => void this.#listeners.set(address, listener),
      close: () => void this.#listeners.delete(address),
    };
  }

  deliver(): void {
    for (const arrive of this.#delayed.splice(0)) arrive();
  }

  /** Delivers a message that none of our processes has sent. */
  forge(address: string, message: string): void {
    this.#listeners.get(address)?.(message);
  }

  /** Cuts a process off without telling the others. */
  kill(address: string): void {
    this.#listeners.delete(address);
  }
}

interface Machines {
  readonly a: AskingBack;
  readonly b: AskingBack;
  readonly c: AskingBack;
  readonly post: Post;
}

function machines(
  t: TestContext,
  agent: TestAgent = {},
  environment?: Readonly<Record<string, string>>,
): Machines {
  const shared: SharedParts = new Map();
  const post = new Post();
  const open = (address: string): AskingBack => {
    const store = new SharedStore(new PartsInMemory(shared, { isSlow: true }), {
      ttlMs: 3_600_000,
      maxRemembered: 100,
      timeoutMs: 5_000,
      log: createLogger({ level: 'silent', write: () => undefined }),
    });
    return askingBack(t, store, agent, post.channel(address), environment);
  };
  return { a: open('a'), b: open('b'), c: open('c'), post };
}

function says(
  { client }: AskingBack,
  words: string,
  fields: Readonly<Record<string, unknown>> = {},
): Promise<string> {
  return spoken(client.say(words, { turn_id: words, ...ID, ...fields }));
}

describe('a newer turn on another process', () => {
  it('ends the one that runs, and history keeps what that had said', async (t) => {
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

  it('is true though no message arrives: the older run can write no word', async (t) => {
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
    await b.client.post({ type: 'session.end', session_id: 'other', ...ID });
    await until(() => post.messages.some((text) => text.includes('interrupt')), 'the message');
    a.go('hold');
    assert.deepEqual(await held.rest(), [' Done.', 'response.end']);
  });
});

describe('a turn that is delivered again to another process', () => {
  const gates = new EventEmitter();

  async function again(b: AskingBack): Promise<HeldReply> {
    return new HeldReply(await b.client.say('hold', { turn_id: 'hold', ...ID }));
  }

  it('goes on there: what was said so far, and the rest, and the agent is not asked twice', async (t) => {
    const { a, b } = machines(t);
    const held = await hold(a, 'hold', 'hold', ID);
    const moved = await again(b);
    assert.equal(await moved.next(), 'hold?');
    assert.deepEqual(await held.rest(), ['response.end']);
    a.go('hold');
    assert.deepEqual(await moved.rest(), [' Done.', 'response.end']);
    assert.deepEqual([a.runs, b.runs], [['hold'], []]);
    assert.deepEqual([a.outcomes()['taken_over'], b.outcomes()['completed']], [1, 1]);
    assert.deepEqual(await b.history('c'), [
      ['user', 'hold'], ['assistant', 'hold? Done.', 'completed'],
    ]);
  });

  it('comes back to the first process', async (t) => {
    const { a, b } = machines(t);
    await hold(a, 'hold', 'hold', ID);
    const moved = await again(b);
    assert.equal(await moved.next(), 'hold?');
    const back = await again(a);
    assert.equal(await back.next(), 'hold?');
    assert.deepEqual(await moved.rest(), ['response.end']);
    a.go('hold');
    assert.deepEqual(await back.rest(), [' Done.', 'response.end']);
    assert.deepEqual([a.runs, b.runs], [['hold'], []]);
  });

  it('is interrupted by a caller who leaves the second process', async (t) => {
    const { a, b } = machines(t);
    await hold(a, 'hold', 'hold', ID);
    const moved = await again(b);
    assert.equal(await moved.next(), 'hold?');
    moved.drop();
    await until(() => a.aborted.length === 1, 'the abort');
    await until(() => b.outcomes()['interrupted'] === 1, 'the outcome');
    assert.deepEqual(await b.history('c'), [
      ['user', 'hold'], ['assistant', 'hold?', 'interrupted'],
    ]);
  });

  it('keeps only what had reached that caller, though more was on its way', async (t) => {
    const gate = new EventEmitter();
    const { a, b, post } = machines(t, {
      async *onMessage({ text, signal }) {
        yield `${text}?`;
        await once(gate, 'more', { signal });
        yield ' More.';
        gate.emit('said');
        await once(gate, 'never', { signal });
      },
    });
    await hold(a, 'hold', 'hold', ID);
    const moved = await again(b);
    assert.equal(await moved.next(), 'hold?');
    post.loses = (message) => message.includes('More.');
    const said = once(gate, 'said');
    gate.emit('more');
    await said;
    moved.drop();
    await until(() => b.outcomes()['interrupted'] === 1, 'the outcome');
    await until(() => a.app.runningTurns === 0, 'the end');
    await a.app.conversations.getHistory('c');
    assert.deepEqual(await b.history('c'), [
      ['user', 'hold'], ['assistant', 'hold?', 'interrupted'],
    ]);
  });

  it('is interrupted by a caller who leaves before the first process has answered', async (t) => {
    const { a, b, post } = machines(t);
    await hold(a, 'hold', 'hold', ID);
    post.delays = (message) => /"type":"(answer|event)"/.test(message);
    const connection = await b.raw();
    connection.write(rawRequest(messageEvent({ text: 'hold', turn_id: 'hold', ...ID })));
    await until(() => post.messages.some((text) => text.includes('"answer"')), 'the answer');
    connection.socket.destroy();
    await until(() => b.outcomes()['interrupted'] === 1, 'the drop');
    post.delays = () => false;
    post.deliver();
    await until(() => a.aborted.length === 1, 'the abort');
  });

  it('ends there when a newer turn begins on the first', async (t) => {
    const { a, b } = machines(t);
    await hold(a, 'hold', 'hold', ID);
    const moved = await again(b);
    assert.equal(await moved.next(), 'hold?');
    assert.equal(await says(a, 'Stop'), 'Stop?');
    assert.deepEqual(await moved.rest(), ['response.end']);
    assert.deepEqual(await b.history('c'), [
      ['user', 'hold'], ['assistant', 'hold?', 'interrupted'],
      ['user', 'Stop'], ['assistant', 'Stop?', 'completed'],
    ]);
  });

  it('is spoken to its end though the first process is to close', async (t) => {
    const { a, b } = machines(t, {}, { SHUTDOWN_TIMEOUT_SECONDS: '10' });
    await hold(a, 'hold', 'hold', ID);
    const moved = await again(b);
    assert.equal(await moved.next(), 'hold?');
    const closed = a.app.close();
    await new Promise((resolve) => setTimeout(resolve, 50)); // no event says that it waits
    a.go('hold');
    assert.deepEqual(await moved.rest(), [' Done.', 'response.end']);
    await closed;
    assert.deepEqual(await b.history('c'), [
      ['user', 'hold'], ['assistant', 'hold? Done.', 'completed'],
    ]);
  });

  it('runs again if the first process does not answer', async (t) => {
    const { a, b, post } = machines(t);
    await hold(a, 'hold', 'hold', ID);
    post.kill('a');
    const moved = await again(b);
    assert.equal(await moved.next(), 'hold?');
    b.go('hold');
    assert.deepEqual(await moved.rest(), [' Done.', 'response.end']);
    assert.deepEqual(b.runs, ['hold']);
    assert.deepEqual((await b.history('c')).at(-1), ['assistant', 'hold? Done.', 'completed']);
  });

  it('is spoken from the start where a word is lost on the way', async (t) => {
    const { a, b, post } = machines(t, {
      async *onMessage({ text }) {
        yield `${text}?`;
        if (text !== 'hold') return;
        await once(gates, 'one');
        yield ' One.';
        await once(gates, 'two');
        yield ' Two.';
        await once(gates, 'three');
      },
    });
    await hold(a, 'hold', 'hold', ID);
    const moved = await again(b);
    assert.equal(await moved.next(), 'hold?');
    post.loses = (message) => message.includes('"text":" One."');
    gates.emit('one');
    await until(() => post.messages.some((message) => message.includes(' One.')), 'the loss');
    gates.emit('two');
    assert.equal(await moved.next(), 'hold?');
    moved.drop();
  });

  it('is answered from history where its last word is lost on the way', async (t) => {
    const { a, b, post } = machines(t);
    await hold(a, 'hold', 'hold', ID);
    const moved = await again(b);
    assert.equal(await moved.next(), 'hold?');
    post.loses = (message) => message.includes('"type":"event"');
    a.go('hold');
    assert.deepEqual(await moved.rest(), ['hold? Done.', 'response.end']);
    assert.deepEqual(b.runs, []);
  });

  it('runs again if the first process dies in the middle', async (t) => {
    const { a, b, post } = machines(t);
    await hold(a, 'hold', 'hold', ID);
    const clock = mockTimers(t, ['setTimeout', 'setInterval']);
    const moved = await again(b);
    assert.equal(await moved.next(), 'hold?');
    post.loses = () => true;
    clock.tick(2_999);
    assert.deepEqual(b.runs, []);
    clock.tick(1);
    assert.equal(await moved.next(), 'hold?');
    b.go('hold');
    assert.deepEqual(await moved.rest(), [' Done.', 'response.end']);
  });

  it('goes on as long as the first process shows signs of life', async (t) => {
    const { a, b } = machines(t);
    await hold(a, 'hold', 'hold', ID);
    const clock = mockTimers(t, ['setTimeout', 'setInterval']);
    const moved = await again(b);
    assert.equal(await moved.next(), 'hold?');
    for (let seconds = 0; seconds < 10; seconds++) {
      clock.tick(1_000);
      await new Promise((resolve) => setImmediate(() => setImmediate(resolve)));
    }
    a.go('hold');
    assert.deepEqual(await moved.rest(), [' Done.', 'response.end']);
    assert.deepEqual(b.runs, []);
  });

  describe('and is complete', () => {
    const COMPLETE = 'hold? Done.';
    const INTERRUPTED = { previous_turn_interrupted: true };
    const isWord = (message: string): boolean => message.includes('"left"');

    interface Complete extends Machines {
      /** What the agents were told of interruptions. */
      readonly told: readonly string[];
      /** Says how much has left, as if `b` had said it now. Resolves when that is stored. */
      left(sent: number, hasEnded?: boolean): Promise<unknown>;
    }

    /** A turn that runs on `a`, and whose whole reply `b` has sent. What `b` says of it is lost. */
    async function completeOnB(t: TestContext, agent: TestAgent = {}): Promise<Complete> {
      const told: string[] = [];
      const { a, b, c, post } = machines(t, {
        onInterrupted: ({ text }) => void told.push(text),
        ...agent,
      });
      await hold(a, 'hold', 'hold', ID);
      const moved = await again(b);
      assert.equal(await moved.next(), 'hold?');
      post.loses = isWord;
      a.go('hold');
      assert.deepEqual(await moved.rest(), [' Done.', 'response.end']);
      await until(() => post.messages.some(isWord), 'the word');
      const { id, ...word } = JSON.parse(post.messages.find(isWord) ?? '');
      assert.deepEqual(word, { type: 'left', sent: 2, hasEnded: true });
      await a.app.conversations.getHistory('c');
      return {
        a, b, c, post, told,
        left: (sent, hasEnded) => {
          post.forge('a', JSON.stringify({ type: 'left', id, sent, hasEnded }));
          return a.app.close();
        },
      };
    }

    it('is cut to what had reached that caller, if that process says so', async (t) => {
      const { b, left, told } = await completeOnB(t);
      await left(1);
      assert.deepEqual(await b.history('c'), [
        ['user', 'hold'], ['assistant', 'hold?', 'interrupted'],
      ]);
      assert.deepEqual(told, ['hold?']);
    });

    it('is cut to it though a newer turn has begun meanwhile', async (t) => {
      const { a, b, left } = await completeOnB(t);
      assert.equal(await says(a, 'Next'), 'Next?');
      assert.deepEqual((await b.history('c'))[1], ['assistant', COMPLETE, 'completed']);
      await left(1);
      assert.deepEqual((await b.history('c'))[1], ['assistant', 'hold?', 'interrupted']);
    });

    it('counts as heard as far as the platform says, and the agent is told once', async (t) => {
      const { b, left, told } = await completeOnB(t);
      await says(b, 'Next', { interruption_context: { ...INTERRUPTED, text_heard: 'ho' } });
      await left(1);
      assert.deepEqual((await b.history('c'))[1], ['assistant', 'ho', 'interrupted']);
      assert.deepEqual(told, ['ho']);
    });

    it('stays interrupted where the platform does not say what was heard', async (t) => {
      const { b, left, told } = await completeOnB(t);
      await says(b, 'Next', { interruption_context: INTERRUPTED });
      await left(2, true);
      assert.deepEqual((await b.history('c'))[1], ['assistant', COMPLETE, 'interrupted']);
      assert.deepEqual(told, [COMPLETE]);
    });

    it('stays interrupted where the platform interrupts it by an event', async (t) => {
      const { a, b, left } = await completeOnB(t);
      const timestamp = '2026-01-01T00:00:00.000Z';
      const call = { call_id: 'c', agent_id: 'a-1', timestamp, transcript: '', metadata: {} };
      await (await a.client.post({ type: 'user_interrupted', ...call })).events();
      await left(2, true);
      assert.deepEqual((await b.history('c'))[1], ['assistant', COMPLETE, 'interrupted']);
    });

    it('stays complete where a third process has said all of it again', async (t) => {
      const { b, c, left, told } = await completeOnB(t);
      assert.deepEqual(await (await again(c)).rest(), [COMPLETE, 'response.end']);
      await left(1);
      assert.deepEqual((await b.history('c'))[1], ['assistant', COMPLETE, 'completed']);
      assert.deepEqual(told, []);
    });

    it('stays complete if that process says no more', async (t) => {
      const { a, b, left } = await completeOnB(t);
      await a.app.close();
      await left(1);
      assert.deepEqual((await b.history('c'))[1], ['assistant', COMPLETE, 'completed']);
    });

    for (const [ms, reply, state] of [
      [2_999, 'hold?', 'interrupted'],
      [3_000, COMPLETE, 'completed'],
    ] as const) {
      it(`is ${state} if that process says after ${ms} ms that less has left`, async (t) => {
        const { a, b, post } = machines(t);
        await hold(a, 'hold', 'hold', ID);
        const moved = await again(b);
        assert.equal(await moved.next(), 'hold?');
        const clock = mockTimers(t, ['setTimeout', 'setInterval']);
        post.loses = isWord;
        a.go('hold');
        assert.deepEqual(await moved.rest(), [' Done.', 'response.end']);
        await until(() => post.messages.some(isWord), 'the word');
        const { id } = JSON.parse(post.messages.find(isWord) ?? '');
        clock.tick(ms);
        post.forge('a', JSON.stringify({ type: 'left', id, sent: 1 }));
        await a.app.conversations.getHistory('c');
        assert.deepEqual((await b.history('c'))[1], ['assistant', reply, state]);
      });
    }

    it('is waited for by a process that is to close', async (t) => {
      const { a, b, post } = machines(t, {}, { SHUTDOWN_TIMEOUT_SECONDS: '10' });
      await hold(a, 'hold', 'hold', ID);
      const moved = await again(b);
      assert.equal(await moved.next(), 'hold?');
      post.delays = isWord;
      a.go('hold');
      assert.deepEqual(await moved.rest(), [' Done.', 'response.end']);
      await until(() => post.messages.some(isWord), 'the word');
      const closed = a.app.close();
      const { id } = JSON.parse(post.messages.find(isWord) ?? '');
      await new Promise((resolve) => setTimeout(resolve, 50)); // no event says that it waits
      post.forge('a', JSON.stringify({ type: 'left', id, sent: 1 }));
      await closed;
      assert.deepEqual((await b.history('c'))[1], ['assistant', 'hold?', 'interrupted']);
    });

    it('leaves the state of a newer turn alone', async (t) => {
      const gate = new EventEmitter();
      const cart = defineState((): { items: string[] } => ({ items: [] }));
      const { a, b, c, post } = machines(t, defineAgent({
        name: 'cart',
        state: cart,
        async *onMessage({ text, state }) {
          state.items.push(text);
          yield state.items.join();
          if (text === 'hold') await once(gate, 'go');
        },
      }));
      const held = new HeldReply(await a.client.say('hold', { turn_id: 'hold', ...ID }));
      assert.equal(await held.next(), 'hold');
      const moved = await again(b);
      assert.equal(await moved.next(), 'hold');
      post.loses = isWord;
      gate.emit('go');
      assert.deepEqual(await moved.rest(), ['response.end']);
      await a.app.conversations.getHistory('c');
      assert.equal(await says(c, 'two'), 'hold,two');
      await c.app.close();
      await a.app.close();
      assert.equal(await says(b, 'three'), 'hold,two,three');
    });

    it('that was silent is not what the platform says was heard', async (t) => {
      const gate = new EventEmitter();
      const { a, b, post } = machines(t, {
        async onMessage({ text }, reply) {
          if (text !== 'hold') return `${text}?`;
          reply.data({ at: 1 });
          await once(gate, 'go');
          return reply.end();
        },
      });
      await says(a, 'Hello');
      const held = new HeldReply(await a.client.say('hold', { turn_id: 'hold', ...ID }));
      assert.equal(await held.next(), 'response.data');
      const moved = await again(b);
      assert.equal(await moved.next(), 'response.data');
      post.loses = isWord;
      gate.emit('go');
      assert.deepEqual(await moved.rest(), ['response.end']);
      await a.app.conversations.getHistory('c');
      await says(b, 'Next', { interruption_context: { ...INTERRUPTED, text_heard: 'Hel' } });
      await a.app.close();
      assert.deepEqual(await b.history('c'), [
        ['user', 'Hello'], ['assistant', 'Hel', 'interrupted'],
        ['user', 'hold'],
        ['user', 'Next'], ['assistant', 'Next?', 'completed'],
      ]);
    });

    it('is complete though all of it arrives at once', async (t) => {
      const told: string[] = [];
      const { a, b, post } = machines(t, { onInterrupted: ({ text }) => void told.push(text) });
      await hold(a, 'hold', 'hold', ID);
      post.delays = (message) => /"type":"(answer|event|end)"/.test(message);
      const connection = again(b);
      await until(() => post.messages.some((text) => text.includes('"answer"')), 'the answer');
      a.go('hold');
      await until(() => post.messages.some((text) => text.includes('"end"')), 'the end');
      post.delays = () => false;
      post.deliver(); // without a pause between the messages
      assert.deepEqual(await (await connection).rest(), ['hold?', ' Done.', 'response.end']);
      await until(() => post.messages.some(isWord), 'the word');
      await a.app.close();
      assert.deepEqual((await b.history('c'))[1], ['assistant', COMPLETE, 'completed']);
      assert.deepEqual(told, []);
    });
  });

  // Errors of HTTP clients have their request, which has the error. They have no form in JSON.
  it('fails there, too, whatever the agent throws', async (t) => {
    const gate = new EventEmitter();
    const { a, b, post } = machines(t, {
      async *onMessage({ text }) {
        yield `${text}?`;
        await once(gate, 'fail');
        const error: Error & { request?: unknown } = new Error('401: key-of-the-shop is wrong');
        error.request = { error, key: 'key-of-the-shop' };
        throw error;
      },
    });
    await hold(a, 'hold', 'hold', ID);
    const moved = await again(b);
    assert.equal(await moved.next(), 'hold?');
    gate.emit('fail');
    assert.equal((await moved.rest()).at(-1), 'response.end');
    await until(() => b.outcomes()['failed'] === 1, 'the outcome');
    assert.doesNotMatch(post.messages.join(''), /key-of-the-shop/);
  });

  it('is answered from history once it is complete', async (t) => {
    const { a, b } = machines(t);
    await says(a, 'Hello');
    assert.equal(await says(b, 'Hello'), 'Hello?');
    assert.deepEqual(b.runs, []);
  });
});

describe('a tool call that another process runs', () => {
  it('is not taken for lost by a newer turn, and its result is kept', async (t) => {
    const gate = new EventEmitter();
    const { a, b } = machines(t, {
      async *onMessage({ text, journal }) {
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
    });
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
});

describe('a message from another process', () => {
  for (const [name, text] of Object.entries({
    'text that is not JSON': '{"type":',
    'JSON that is no object': '["interrupt"]',
    'an unknown type': '{"type":"hello"}',
    'a name of every object': '{"type":"constructor"}',
    'a missing field': '{"type":"interrupt"}',
    'a field of another type': '{"type":"ask","id":1,"from":"b","conversationId":"c","calls":[]}',
    'an unknown event': '{"type":"event","id":"x","sent":0,"event":{"type":"sing"}}',
    'an event without its text': '{"type":"event","id":"x","sent":0,"event":{"type":"say"}}',
    'a list of usage that is none':
      '{"type":"end","id":"x","sent":1,"report":{"outcome":"completed","usage":null}}',
    'an unknown outcome': '{"type":"end","id":"x","sent":1,"report":{"outcome":"fine"}}',
  })) {
    it(`is refused where it is ${name}`, () => {
      assert.equal(parseProcessMessage(text), undefined);
    });
  }

  it('that makes no sense changes nothing, and the log says so', async (t) => {
    const { a, post } = machines(t);
    post.forge('a', 'nonsense');
    assert.equal(await says(a, 'Hello'), 'Hello?');
    assert.match(a.logLines.join(''), /a message from another process was not understood/);
  });

  for (const speakers of [7, 'sales', [7]]) {
    it(`has no speakers that are ${JSON.stringify(speakers)}`, () => {
      const report = { outcome: 'completed', speakers };
      const message = JSON.stringify({ type: 'end', id: 'q', report });
      assert.equal(parseProcessMessage(message), undefined);
    });
  }

  it('about an older run leaves the one that runs alone', async (t) => {
    const { a, post } = machines(t);
    const held = await hold(a, 'hold', 'hold', ID);
    post.forge('a', '{"type":"interrupt","conversationId":"c","runId":-1}');
    a.go('hold');
    assert.deepEqual(await held.rest(), [' Done.', 'response.end']);
    assert.deepEqual(a.aborted, []);
  });

  it('about things that are over changes nothing', async (t) => {
    const { a, post } = machines(t);
    for (const message of [
      '{"type":"interrupt","conversationId":"c","runId":1}',
      '{"type":"answer","id":"x","from":"b","calls":[],"isFollowing":true}',
      '{"type":"alive","id":"x"}',
      '{"type":"event","id":"x","sent":0,"event":{"type":"say","text":"a"}}',
      '{"type":"end","id":"x","sent":1,"report":{"outcome":"completed"}}',
      '{"type":"left","id":"x","sent":1}',
      '{"type":"ask","id":"x","from":"b","conversationId":"c","runId":1,"calls":["k"]}',
    ])
      post.forge('a', message);
    assert.equal(await says(a, 'Hello'), 'Hello?');
  });
});

// Turns of a platform that sends the whole call with each request, and may ask for another reply
// before it has spoken one. Deliveries are plain objects, so no socket is needed.

import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';

import type { Agent, ToolCallContext, ToolRun, TurnJournal } from '../../src/agents/agent.ts';
import { defineAgent } from '../../src/agents/define-agent.ts';
import { defineState } from '../../src/agents/state/state.ts';
import type { Transcript } from '../../src/calls/call-event.ts';
import { ConversationManager } from '../../src/conversations/manager.ts';
import { MemoryStore } from '../../src/conversations/memory-store.ts';
import { createLogger } from '../../src/log.ts';
import * as agentWork from '../../src/turns/agent-work.ts';
import type { Delivery } from '../../src/turns/delivery.ts';
import { Turns } from '../../src/turns/turns.ts';
import { deferred, Told, until, type Deferred } from '../fixtures/app.ts';
import { jumpingClock, mockTimers, type Clock } from '../fixtures/clock.ts';
import { transcriptOf } from '../fixtures/transcript.ts';
import { callerMessage } from '../fixtures/turns.ts';

const CONVERSATION = 'c-1';
const BOOK = { id: 'call-1', name: 'book', args: '{"table":4}' };
const SETTLE_MS = 700;

type Work = Deferred<string> & { readonly context: ToolCallContext };

/** A tool whose calls the test ends. */
class Booking {
  readonly works: Work[] = [];
  readonly #begun = new Told<Work>();

  readonly run = (context: ToolCallContext): Promise<string> => {
    const work = { ...deferred<string>(), context };
    this.works.push(work);
    this.#begun.tell(work);
    return work.promise;
  };

  begun(): Promise<Work> {
    return this.#begun.next('the tool');
  }

  /** Calls it, and returns its result. */
  async result(journal: TurnJournal, more: Partial<ToolRun> = {}): Promise<string> {
    const [outcome] = await journal.runTools([BOOK], () => ({ run: this.run, ...more }));
    return outcome?.content ?? '';
  }
}

interface Request {
  readonly turnId: string;
  readonly text: string;
  /** The call so far: see `transcriptOf`. Null on a wire that sends each thing once. */
  readonly lines?: readonly string[] | null;
  readonly told?: Partial<Transcript>;
}

/** The turns of one agent in one conversation, and what they said, logged and came to. */
class Call {
  readonly turns: Turns;
  readonly said: string[] = [];
  readonly outcomes: string[] = [];
  readonly logged: string[] = [];
  readonly conversations = new ConversationManager(
    new MemoryStore({ ttlMs: 3_600_000, maxConversations: 10 }),
  );
  readonly #log = createLogger({
    level: 'warn',
    write: (line) => this.logged.push((JSON.parse(line) as { msg: string }).msg),
  });

  constructor(t: TestContext, agent: Partial<Agent>, settleMs = 0) {
    this.turns = new Turns({
      agentWork,
      agent: defineAgent({ name: 'tested', onMessage: () => 'Yes.', ...agent }),
      conversations: this.conversations,
      turnTimeoutMs: 60_000,
      firstWordTimeoutMs: 60_000,
      settleMs,
    });
    t.after(() => this.turns.interruptAll('the test is over'));
  }

  ask({ turnId, text, lines = [], told }: Request): void {
    const transcript = lines === null ? undefined : transcriptOf(lines, told);
    const delivery: Delivery = {
      event: { ...callerMessage(turnId, text, CONVERSATION), transcript },
      headers: {},
      turn: undefined,
      log: this.#log,
      unsent: 0,
      isOpen: true,
      send: (event) => {
        if (event.type === 'say') this.said.push(event.text);
        return true;
      },
      end: () => true,
      onOutcome: ({ outcome }) => void this.outcomes.push(`${turnId} ${outcome}`),
    };
    this.turns.start(delivery);
  }

  async over(count: number): Promise<void> {
    await until(() => this.outcomes.length === count, `the end of ${count} turns`);
  }

  async results(): Promise<string[]> {
    const history = await this.conversations.getHistory(CONVERSATION);
    return history
      .filter((message) => message.role === 'tool')
      .map(({ turnId, state, content }) => `${turnId} ${state} ${content}`);
  }
}

/** Enough for everything that waits for no timer. */
async function idle(): Promise<void> {
  for (let round = 0; round < 5; round++) await new Promise((resolve) => setImmediate(resolve));
}

/** Books if the words begin like that. */
function booksWith(booking: Booking, more: Partial<ToolRun> = {}): Agent['onMessage'] {
  return async ({ text, journal }, reply) => {
    await reply.say(text.startsWith('Book') ? await booking.result(journal, more) : 'Yes.');
  };
}

describe('a turn that is replaced', () => {
  it('is aborted', async (t) => {
    const reasons: unknown[] = [];
    const call = new Call(t, {
      onMessage: ({ text, signal }) => {
        if (text === 'Hello there') return 'Hi.';
        signal.addEventListener('abort', () => reasons.push(signal.reason));
        return new Promise(() => undefined);
      },
    });
    call.ask({ turnId: 't1', text: 'Hello' });
    call.ask({ turnId: 't2', text: 'Hello there' });
    await call.over(2);
    assert.deepEqual(call.outcomes, ['t1 interrupted', 't2 completed']);
    assert.equal(reasons.length, 1);
  });

  it('leaves no words in history', async (t) => {
    const call = new Call(t, {});
    call.ask({ turnId: 't1', text: 'Hello' });
    call.ask({ turnId: 't2', text: 'Hello there' });
    const history = await call.conversations.getHistory(CONVERSATION);
    assert.deepEqual(history.map(({ content }) => content), ['Hello there', 'Yes.']);
  });

  it('goes on if the same words come late, which get no reply', async (t) => {
    const call = new Call(t, { onMessage: () => new Promise(() => undefined) });
    call.ask({ turnId: 't1', text: 'Hello there' });
    call.ask({ turnId: 't2', text: 'Hello' });
    await call.over(1);
    assert.deepEqual([call.outcomes, call.turns.count], [['t2 stale'], 1]);
  });
});

describe('a tool call repeated by the turn that replaces its own', () => {
  it('gives the stored result, and runs once', async (t) => {
    const booking = new Booking();
    const call = new Call(t, { onMessage: booksWith(booking) });
    call.ask({ turnId: 't1', text: 'Book' });
    (await booking.begun()).resolve('"booked"');
    await call.over(1);
    call.ask({ turnId: 't2', text: 'Book it' });
    await call.over(2);
    assert.deepEqual(call.said, ['"booked"', '"booked"']);
    assert.equal(booking.works.length, 1);
  });

  it('gives the result of a call that still runs, and runs once', async (t) => {
    const booking = new Booking();
    const call = new Call(t, { onMessage: booksWith(booking, { whenInterrupted: 'finish' }) });
    call.ask({ turnId: 't1', text: 'Book' });
    const work = await booking.begun();
    call.ask({ turnId: 't2', text: 'Book it' });
    await idle();
    work.resolve('"booked"');
    await call.over(2);
    assert.deepEqual([call.said, booking.works.length], [['"booked"'], 1]);
  });

  it('has the same key when it runs again because the first call was interrupted', async (t) => {
    const booking = new Booking();
    const call = new Call(t, { onMessage: booksWith(booking) });
    call.ask({ turnId: 't1', text: 'Book' });
    const first = await booking.begun();
    first.context.signal.addEventListener('abort', () =>
      first.resolve(Promise.reject(first.context.signal.reason) as unknown as string));
    call.ask({ turnId: 't2', text: 'Book it' });
    const second = await booking.begun();
    second.resolve('"booked"');
    await call.over(2);
    assert.equal(first.context.idempotencyKey, second.context.idempotencyKey);
  });

  it('has another key in the next turn, and runs', async (t) => {
    const booking = new Booking();
    const call = new Call(t, { onMessage: booksWith(booking) });
    call.ask({ turnId: 't1', text: 'Book' });
    const first = await booking.begun();
    first.resolve('"booked"');
    await call.over(1);
    call.ask({ turnId: 't2', text: 'Book', lines: ['user: Book', 'agent: "booked"'] });
    const second = await booking.begun();
    second.resolve('"booked again"');
    await call.over(2);
    assert.notEqual(first.context.idempotencyKey, second.context.idempotencyKey);
  });

  it('runs with other arguments, and the agent is told what was done', async (t) => {
    const booking = new Booking();
    const histories: string[][] = [];
    const call = new Call(t, {
      onMessage: async ({ text, journal, history }, reply) => {
        histories.push(history.map(({ role, content }) => `${role} ${content}`));
        const book = { ...BOOK, args: JSON.stringify({ for: text }) };
        const [outcome] = await journal.runTools([book], () => ({ run: booking.run }));
        await reply.say(outcome?.content ?? '');
      },
    });
    call.ask({ turnId: 't1', text: 'Book' });
    (await booking.begun()).resolve('"booked"');
    await call.over(1);
    call.ask({ turnId: 't2', text: 'Book for two' });
    (await booking.begun()).resolve('"booked for two"');
    await call.over(2);
    assert.deepEqual(histories[1], ['assistant ', 'tool "booked"', 'user Book for two']);
  });
});

describe('a turn whose call had already been made by another turn', () => {
  // Seed 4080: nothing was done in it, so its state went nowhere else.
  it('leaves no state to the turn that replaces it', async (t) => {
    const state = defineState(() => ({ heard: [] as string[] }));
    const seen: string[][] = [];
    const call = new Call(t, {
      state,
      onMessage: async (turn, reply) => {
        const { heard } = turn.state as { heard: string[] };
        seen.push([...heard]);
        heard.push(turn.text);
        const pay = { run: () => Promise.resolve('"paid"'), once: () => 'the order' };
        const [outcome] = await turn.journal.runTools([BOOK], () => pay);
        await reply.say(outcome?.content ?? '');
      },
    });
    call.ask({ turnId: 't1', text: 'Pay' });
    await call.over(1);
    const lines = ['user: Pay', 'agent: "paid"'];
    call.ask({ turnId: 't2', text: 'Pay now', lines });
    await call.over(2);
    call.ask({ turnId: 't3', text: 'Pay right now', lines });
    await call.over(3);
    assert.deepEqual(seen, [[], ['Pay'], ['Pay']]);
  });
});

/** A call whose first turn calls the tool, and waits for its settling time. */
async function askedToBook(t: TestContext, more: Partial<ToolRun> = {}): Promise<{
  clock: Clock; booking: Booking; call: Call;
}> {
  const clock = mockTimers(t, ['setTimeout']);
  const booking = new Booking();
  const call = new Call(t, { onMessage: booksWith(booking, more) }, SETTLE_MS);
  call.ask({ turnId: 't1', text: 'Book' });
  await idle();
  return { clock, booking, call };
}

describe('a tool with effects', () => {
  it('starts when its turn has lasted for the settling time', async (t) => {
    const { clock, booking } = await askedToBook(t);
    clock.tick(SETTLE_MS - 300);
    await idle();
    const tooEarly = booking.works.length;
    clock.tick(300);
    await idle();
    assert.deepEqual([tooEarly, booking.works.length], [0, 1]);
  });

  it('also waits if it acts once', async (t) => {
    const more = { once: () => 'table 4', repeatable: true };
    const { booking } = await askedToBook(t, more);
    assert.equal(booking.works.length, 0);
  });

  it('never starts if a newer turn arrives meanwhile', async (t) => {
    const { clock, booking, call } = await askedToBook(t);
    call.ask({ turnId: 't2', text: 'No, wait' });
    clock.tick(SETTLE_MS);
    await idle();
    assert.deepEqual(call.outcomes, ['t1 interrupted', 't2 completed']);
    assert.equal(booking.works.length, 0);
  });

  it('stops waiting when its turn ends', async (t) => {
    mockTimers(t, ['setTimeout']);
    const results: string[] = [];
    const call = new Call(t, {
      onMessage: async ({ journal }) => {
        results.push(await new Booking().result(journal));
      },
    }, SETTLE_MS);
    call.ask({ turnId: 't1', text: 'Book' });
    await idle();
    call.turns.interrupt(CONVERSATION, 'the caller left');
    await idle();
    assert.deepEqual(results, ['{"error":"interrupted"}']);
  });

  it('never starts if the caller leaves meanwhile', async (t) => {
    const { clock, booking, call } = await askedToBook(t);
    call.turns.interrupt(CONVERSATION, 'the caller left');
    clock.tick(SETTLE_MS);
    await idle();
    assert.equal(booking.works.length, 0);
  });

  it('keeps the turn that replaces it waiting no longer than its own time', async (t) => {
    const { clock, booking, call } = await askedToBook(t);
    clock.tick(SETTLE_MS - 300);
    call.ask({ turnId: 't2', text: 'Book it' });
    await idle();
    clock.tick(300);
    await idle();
    const tooEarly = booking.works.length;
    clock.tick(SETTLE_MS - 300);
    await idle();
    assert.deepEqual([tooEarly, booking.works.length], [0, 1]);
  });

  it('starts at once if the model has taken that long', async (t) => {
    mockTimers(t, ['setTimeout']);
    const jump = jumpingClock(t);
    const booking = new Booking();
    const model = deferred();
    const call = new Call(t, {
      onMessage: async (turn, reply) => {
        await model.promise;
        await booksWith(booking)(turn, reply);
      },
    }, SETTLE_MS);
    call.ask({ turnId: 't1', text: 'Book' });
    jump(SETTLE_MS);
    model.resolve();
    await idle();
    assert.equal(booking.works.length, 1);
  });

  it('that the agent runs itself is noted when its turn has lasted that long', async (t) => {
    const clock = mockTimers(t, ['setTimeout']);
    const noted = deferred();
    let isNoted = false;
    const call = new Call(t, {
      onMessage: async ({ journal }) => {
        await journal.noteToolCalls([BOOK]);
        isNoted = true;
        noted.resolve();
        return 'Booked.';
      },
    }, SETTLE_MS);
    call.ask({ turnId: 't1', text: 'Book' });
    await idle();
    const tooEarly = isNoted;
    clock.tick(SETTLE_MS);
    await noted.promise;
    assert.equal(tooEarly, false);
  });

  it('starts at once on a wire that sends everything once', async (t) => {
    mockTimers(t, ['setTimeout']);
    const booking = new Booking();
    const call = new Call(t, { onMessage: booksWith(booking) }, SETTLE_MS);
    call.ask({ turnId: 't1', text: 'Book', lines: null });
    await idle();
    assert.equal(booking.works.length, 1);
  });
});

describe('a repeatable tool', () => {
  it('starts at once', async (t) => {
    const { booking } = await askedToBook(t, { repeatable: true });
    assert.equal(booking.works.length, 1);
  });
});

describe('onSessionStart of a call that has no event for its start', () => {
  it('is called once', (t) => {
    const told: string[] = [];
    const call = new Call(t, {
      onSessionStart: ({ conversationId }) => void told.push(conversationId),
    });
    call.ask({ turnId: 't1', text: 'Hello' });
    call.ask({ turnId: 't2', text: 'Hello there' });
    call.ask({ turnId: 't3', text: 'Bye', lines: ['user: Hello there', 'agent: Yes.'] });
    assert.deepEqual(told, [CONVERSATION]);
  });

  it('gets a reply that is over, and sends nothing', (t) => {
    const seen: unknown[] = [];
    const call = new Call(t, {
      onSessionStart: (_turn, reply) => void seen.push(reply.isOver, reply.say('Welcome.')),
    });
    call.ask({ turnId: 't1', text: 'Hello' });
    assert.deepEqual([seen, call.said], [[true, false], ['Yes.']]);
  });

  it('may return words, which nobody reads', (t) => {
    const call = new Call(t, { onSessionStart: () => 'Welcome.' });
    call.ask({ turnId: 't1', text: 'Hello' });
    assert.deepEqual(call.said, ['Yes.']);
  });

  it('does not end the turn by ending its reply', (t) => {
    const call = new Call(t, { onSessionStart: (_turn, reply) => reply.end() });
    call.ask({ turnId: 't1', text: 'Hello' });
    assert.deepEqual(call.said, ['Yes.']);
  });

  it('is over before the agent hears the first words', async (t) => {
    const gate = deferred();
    const order: string[] = [];
    const call = new Call(t, {
      onSessionStart: async () => {
        await gate.promise;
        order.push('start');
      },
      onMessage: () => {
        order.push('message');
        return 'Yes.';
      },
    });
    call.ask({ turnId: 't1', text: 'Hello' });
    await idle();
    gate.resolve();
    await call.over(1);
    assert.deepEqual(order, ['start', 'message']);
  });

  const failures: readonly (readonly [how: string, hook: () => Promise<undefined>])[] = [
    ['throws', () => {
      throw new Error('no database');
    }],
    ['rejects', () => Promise.reject(new Error('no database'))],
  ];
  for (const [how, onSessionStart] of failures)
    it(`is logged, and the turn goes on, if it ${how}`, async (t) => {
      const call = new Call(t, { onSessionStart });
      call.ask({ turnId: 't1', text: 'Hello' });
      await call.over(1);
      assert.deepEqual([call.logged, call.said], [['onSessionStart failed'], ['Yes.']]);
    });

  it('is not called on a wire that sends everything once', (t) => {
    const told: string[] = [];
    const call = new Call(t, { onSessionStart: ({ turnId }) => void told.push(turnId) });
    call.ask({ turnId: 't1', text: 'Hello', lines: null });
    assert.deepEqual(told, []);
  });
});

describe('a request that names no conversation', () => {
  const told = { isAnonymous: true };
  const lines = ['agent: Welcome.', 'user: A', 'agent: a'];

  it('has its transcript and the words of the caller for history', (t) => {
    let seen: unknown;
    const call = new Call(t, {
      onMessage: ({ history }) => {
        seen = history.map(({ role, content }) => `${role}: ${content}`);
        return 'Yes.';
      },
    });
    call.ask({ turnId: 't1', text: 'B', lines, told });
    assert.deepEqual(seen, ['assistant: Welcome.', 'user: A', 'assistant: a', 'user: B']);
  });

  it('leaves nothing in the store', async (t) => {
    const call = new Call(t, {});
    call.ask({ turnId: 't1', text: 'B', lines, told });
    await call.over(1);
    assert.deepEqual(await call.conversations.getHistory(CONVERSATION), []);
  });

  it('ends no other turn', async (t) => {
    const gate = deferred();
    const call = new Call(t, {
      onMessage: async () => {
        await gate.promise;
        return 'Yes.';
      },
    });
    call.ask({ turnId: 't1', text: 'B', lines, told });
    call.ask({ turnId: 't2', text: 'C', lines, told });
    gate.resolve();
    await call.over(2);
    assert.deepEqual(call.outcomes, ['t1 completed', 't2 completed']);
  });
});

describe('the state of a turn that was discarded', () => {
  interface Order {
    tables: number;
  }
  const state = defineState((): Order => ({ tables: 0 }));

  /** Books one more table with every request, with a tool that may run again. */
  function counting(t: TestContext, booking: Booking): Call {
    return new Call(t, defineAgent({
      name: 'tested',
      state,
      onMessage: async ({ journal, state: order }, reply) => {
        order.tables += 1;
        const result = await booking.result(journal, {
          repeatable: true,
          whenInterrupted: 'finish',
          run: async (context) => {
            const content = await booking.run(context);
            order.tables += 10;
            return content;
          },
        });
        await reply.say(`${order.tables} ${result}`);
      },
    }));
  }

  it('is gone for the turn that replaces it, whose tool runs again', async (t) => {
    const booking = new Booking();
    const call = counting(t, booking);
    call.ask({ turnId: 't1', text: 'Book' });
    (await booking.begun()).resolve('{}');
    await call.over(1);
    call.ask({ turnId: 't2', text: 'Book it' });
    (await booking.begun()).resolve('{"again":true}');
    await call.over(2);
    assert.deepEqual(call.said, ['11 {}', '11 {"again":true}']);
  });

  it('is gone even while its tool still holds it and has stored nothing of it', async (t) => {
    const booking = new Booking();
    const call = new Call(t, defineAgent({
      name: 'tested',
      state,
      onMessage: async ({ journal, text, state: order }) => {
        const run = (context: ToolCallContext): Promise<string> => {
          order.tables += 10;
          return booking.run(context);
        };
        if (text === 'Book')
          await booking.result(journal, { repeatable: true, whenInterrupted: 'finish', run });
        return `${order.tables}`;
      },
    }));
    call.ask({ turnId: 't1', text: 'Hello' });
    await call.over(1);
    const lines = ['user: Hello', 'agent: 0'];
    call.ask({ turnId: 't2', text: 'Book', lines });
    const work = await booking.begun();
    call.ask({ turnId: 't3', text: 'Book later', lines });
    work.resolve('{}');
    await call.over(3);
    assert.deepEqual(call.said, ['0', '0']);
  });

  it('is not changed by its tool that ends late and runs again', async (t) => {
    const booking = new Booking();
    const call = counting(t, booking);
    call.ask({ turnId: 't1', text: 'Book' });
    const late = await booking.begun();
    call.ask({ turnId: 't2', text: 'Book it' });
    await idle();
    late.resolve('{}');
    await call.over(2);
    assert.deepEqual(await call.conversations.getState(CONVERSATION), { tables: 1 });
  });

  it('leaves no repeatable call in history', async (t) => {
    const booking = new Booking();
    const call = counting(t, booking);
    call.ask({ turnId: 't1', text: 'Book' });
    const late = await booking.begun();
    call.ask({ turnId: 't2', text: 'Book it' });
    await idle();
    late.resolve('"late"');
    await call.over(2);
    const ofFirst = (await call.results()).filter((result) => result.startsWith('t1 '));
    assert.deepEqual(ofFirst, []);
  });
});

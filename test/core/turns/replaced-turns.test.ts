// Turns of a platform that sends the whole call with each request, and may ask for another reply
// before it has spoken one.

import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';

import type { Agent, ToolRun } from '../../../src/core/agents/agent.ts';
import { defineAgent } from '../../../src/core/agents/define-agent.ts';
import type { Transcript } from '../../../src/core/calls/call-event.ts';
import { defineState } from '../../../src/core/state/state.ts';
import { deferred, fired, until } from '../../fixtures/app.ts';
import { jumpingClock, mockTimers, type Clock } from '../../fixtures/clock.ts';
import { transcriptOf } from '../../fixtures/transcript.ts';
import { PromisedStore } from '../conversations/promised-store.ts';
import {
  BOOK, Booking, CONVERSATION, idle, memory, Process, type Work,
} from './plain-deliveries.ts';

const SETTLE_MS = 700;
const FINISH = { whenInterrupted: 'finish' } as const;

/** One call. */
class Call extends Process {
  #turns = 0;

  constructor(t: TestContext, agent: Partial<Agent>, settleMs = 0) {
    super(t, agent, { settings: { settleMs } });
  }

  /** Turns are called t1, t2, and so on. `lines`: the call so far, as `transcriptOf` takes it. */
  ask(text: string, lines: readonly string[] = [], told?: Partial<Transcript>): void {
    this.#turns += 1;
    this.deliver(`t${this.#turns}`, text, transcriptOf(lines, told));
  }
}

/** A call that has asked to book. The tool is running until the test ends it. */
async function booking(
  t: TestContext, more: Partial<ToolRun> = {},
): Promise<{ call: Call; tool: Booking; work: Work }> {
  const tool = new Booking();
  const call = new Call(t, { onMessage: tool.onMessage(more) });
  call.ask('Book');
  return { call, tool, work: await tool.begun() };
}

describe('a turn that is replaced', () => {
  it('is aborted, and leaves no words in history', async (t) => {
    const reasons: unknown[] = [];
    const call = new Call(t, {
      onMessage: ({ text, signal }) => {
        if (text === 'Hello there') return 'Hi.';
        signal.addEventListener('abort', () => reasons.push(signal.reason));
        return new Promise(() => undefined);
      },
    });
    call.ask('Hello');
    call.ask('Hello there');
    await call.over(2);
    assert.deepEqual(call.outcomes, ['t1 interrupted', 't2 completed']);
    assert.equal(reasons.length, 1);
    assert.deepEqual(await call.history(), ['user: Hello there', 'completed: Hi.']);
  });
});

describe('a tool call made again by a later turn', () => {
  it('gives the stored result, and runs only once, if that turn replaces the first', async (t) => {
    const { call, tool, work } = await booking(t);
    work.resolve('"booked"');
    await call.over(1);
    call.ask('Book it');
    await call.over(2);
    assert.deepEqual([call.said, tool.works.length], [['"booked"', '"booked"'], 1]);
  });

  it('has another key, and runs again, if that turn follows the first', async (t) => {
    const { call, tool, work } = await booking(t);
    work.resolve('"booked"');
    await call.over(1);
    call.ask('Book', ['user: Book', 'agent: "booked"']);
    const second = await tool.begun();
    second.resolve('"booked again"');
    await call.over(2);
    assert.notEqual(work.context.idempotencyKey, second.context.idempotencyKey);
  });

  it('runs if its arguments are different, and the agent is told what was done', async (t) => {
    const tool = new Booking();
    const histories: string[][] = [];
    const call = new Call(t, {
      onMessage: async ({ text, journal, history }) => {
        histories.push(history.map(({ role, content }) => `${role} ${content}`));
        const book = { ...BOOK, args: JSON.stringify({ for: text }) };
        const [outcome] = await journal.runTools([book], () => ({ run: tool.run }));
        return outcome?.content ?? '';
      },
    });
    for (const [index, text] of ['Book', 'Book for two'].entries()) {
      call.ask(text);
      (await tool.begun()).resolve('"booked"');
      await call.over(index + 1);
    }
    assert.deepEqual(histories[1], ['assistant ', 'tool "booked"', 'user Book for two']);
  });
});

describe('a turn whose call had already been made by another turn', () => {
  // Seed 4080: nothing was done in that turn, so its state is not passed on.
  it('passes no state on to the turn that replaces it', async (t) => {
    const seen: string[][] = [];
    const call = new Call(t, {
      state: defineState(() => ({ heard: [] as string[] })),
      onMessage: async ({ state, text, journal }) => {
        const { heard } = state as { heard: string[] };
        seen.push([...heard]);
        heard.push(text);
        const pay = { run: () => Promise.resolve('"paid"'), once: () => 'the order' };
        const [outcome] = await journal.runTools([BOOK], () => pay);
        return outcome?.content ?? '';
      },
    });
    call.ask('Pay');
    await call.over(1);
    for (const [index, text] of ['Pay now', 'Pay right now'].entries()) {
      call.ask(text, ['user: Pay', 'agent: "paid"']);
      await call.over(index + 2);
    }
    assert.deepEqual(seen, [[], ['Pay'], ['Pay']]);
  });
});

/** A call whose first turn calls the tool, and waits for its settling time. */
async function settling(t: TestContext, more: Partial<ToolRun> = {}): Promise<{
  readonly call: Call;
  readonly works: readonly Work[];
  /** Lets time pass, and returns how many calls have begun by then. */
  readonly after: (ms: number) => Promise<number>;
}> {
  const clock: Clock = mockTimers(t, ['setTimeout']);
  const tool = new Booking();
  const call = new Call(t, { onMessage: tool.onMessage(more) }, SETTLE_MS);
  call.ask('Book');
  await idle();
  const after = async (ms: number): Promise<number> => {
    clock.tick(ms);
    await idle();
    return tool.works.length;
  };
  return { call, works: tool.works, after };
}

describe('a tool with effects', () => {
  it('starts when its turn has lasted for the settling time', async (t) => {
    const { after } = await settling(t);
    assert.deepEqual([await after(SETTLE_MS - 300), await after(300)], [0, 1]);
  });

  it('does not wait if it is repeatable', async (t) => {
    assert.equal((await settling(t, { repeatable: true })).works.length, 1);
  });

  it('delays the turn that replaces its own by no more than the settling time', async (t) => {
    const { call, after } = await settling(t);
    await after(SETTLE_MS - 300);
    call.ask('Book it');
    await idle();
    assert.deepEqual([await after(300), await after(SETTLE_MS - 300)], [0, 1]);
  });

  it('starts at once if the model has taken longer than the settling time', async (t) => {
    mockTimers(t, ['setTimeout']);
    const jump = jumpingClock(t);
    const [tool, model] = [new Booking(), deferred()];
    const call = new Call(t, {
      onMessage: async (turn, reply) => {
        await model.promise;
        await tool.onMessage()(turn, reply);
      },
    }, SETTLE_MS);
    call.ask('Book');
    jump(SETTLE_MS);
    model.resolve();
    await idle();
    assert.equal(tool.works.length, 1);
  });

  it('that the agent runs itself is noted only after the settling time', async (t) => {
    const clock = mockTimers(t, ['setTimeout']);
    const noted = deferred();
    let isNoted = false;
    const call = new Call(t, {
      onMessage: async ({ journal }) => {
        await journal.noteToolCalls([BOOK]);
        isNoted = true;
        noted.resolve();
      },
    }, SETTLE_MS);
    call.ask('Book');
    await idle();
    assert.equal(isNoted, false);
    clock.tick(SETTLE_MS);
    await noted.promise;
  });

  it('starts at once on a wire that sends everything only once', async (t) => {
    mockTimers(t, ['setTimeout']);
    const tool = new Booking();
    new Call(t, { onMessage: tool.onMessage() }, SETTLE_MS).deliver('t1', 'Book');
    await idle();
    assert.equal(tool.works.length, 1);
  });
});

describe('onSessionStart for a call that has no event for its start', () => {
  it('is called once', (t) => {
    const told: string[] = [];
    const call = new Call(t, {
      onSessionStart: ({ conversationId }) => void told.push(conversationId),
    });
    call.ask('Hello');
    call.ask('Hello there');
    call.ask('Bye', ['user: Hello there', 'agent: Yes.']);
    assert.deepEqual(told, [CONVERSATION]);
  });

  it('may return words or end its reply, neither of which sends anything', (t) => {
    for (const onSessionStart of [
      () => 'Welcome.',
      (_turn, reply) => {
        assert.deepEqual([reply.isOver, reply.say('Welcome.')], [true, false]);
        reply.end();
      },
    ] as const satisfies readonly Agent['onSessionStart'][]) {
      const call = new Call(t, { onSessionStart });
      call.ask('Hello');
      assert.deepEqual([call.said, call.logged], [['Yes.'], []]);
    }
  });

  it('is over before the agent hears the first words', async (t) => {
    const gate = deferred();
    const order: string[] = [];
    const call = new Call(t, {
      onSessionStart: async () => {
        await gate.promise;
        order.push('start');
      },
      onMessage: () => void order.push('message'),
    });
    call.ask('Hello');
    await idle();
    gate.resolve();
    await call.over(1);
    assert.deepEqual(order, ['start', 'message']);
  });

  for (const [how, onSessionStart] of [
    ['throws', () => { throw new Error('no database'); }],
    ['rejects', () => Promise.reject(new Error('no database'))],
  ] as const)
    it(`is logged if it ${how}, and the turn goes on`, async (t) => {
      const call = new Call(t, { onSessionStart });
      call.ask('Hello');
      await call.over(1);
      assert.deepEqual([call.logged, call.said], [['onSessionStart failed'], ['Yes.']]);
    });

  it('is not called on a wire that sends everything only once', (t) => {
    const call = new Call(t, { onSessionStart: () => assert.fail('it was called') });
    call.deliver('t1', 'Hello');
    assert.deepEqual([call.said, call.logged], [['Yes.'], []]);
  });
});

describe('a request that names no conversation', () => {
  const ANONYMOUS = { isAnonymous: true };
  const LINES = ['agent: Welcome.', 'user: A', 'agent: a'];

  it('has its transcript as history, and leaves nothing in the store', async (t) => {
    let seen: unknown;
    const call = new Call(t, {
      onMessage: ({ history }) => {
        seen = history.map(({ role, content }) => `${role}: ${content}`);
        return 'Yes.';
      },
    });
    call.ask('B', LINES, ANONYMOUS);
    assert.deepEqual(seen, ['assistant: Welcome.', 'user: A', 'assistant: a', 'user: B']);
    await call.over(1);
    assert.deepEqual(await call.history(), []);
  });

  it('does not end another turn', async (t) => {
    const gate = deferred();
    const call = new Call(t, { onMessage: () => gate.promise.then(() => 'Yes.') });
    for (const text of ['B', 'C']) call.ask(text, LINES, ANONYMOUS);
    gate.resolve();
    await call.over(2);
    assert.deepEqual(call.outcomes, ['t1 completed', 't2 completed']);
  });
});

describe('the state of a turn that was discarded', () => {
  const state = defineState((): { tables: number } => ({ tables: 0 }));
  const asking = defineState((): { asked: string[] } => ({ asked: [] }));

  /** Books one more table with every request, with a tool that may run again. */
  function counting(t: TestContext, tool: Booking): Call {
    return new Call(t, defineAgent({
      name: 'tested',
      state,
      onMessage: async ({ journal, state: order }) => {
        order.tables += 1;
        const result = await tool.result(journal, {
          ...FINISH,
          repeatable: true,
          run: async (context) => {
            const content = await tool.run(context);
            order.tables += 10;
            return content;
          },
        });
        return `${order.tables} ${result}`;
      },
    }));
  }

  it('is gone for the turn that replaces it, whose tool runs again', async (t) => {
    const tool = new Booking();
    const call = counting(t, tool);
    for (const [index, text] of ['Book', 'Book it'].entries()) {
      call.ask(text);
      (await tool.begun()).resolve(`"${text}"`);
      await call.over(index + 1);
    }
    assert.deepEqual(call.said, ['11 "Book"', '11 "Book it"']);
  });

  for (const [what, more, said] of [
    ['stays if it may be that of a tool that was running', FINISH, 'Book, Book it'],
    ['is gone if only a tool was running that may run again', { ...FINISH, repeatable: true },
      'Book it'],
    ['stays if it may be that of a tool that the agent was running itself', undefined,
      'Book, Book it'],
  ] as const)
    it(what, async (t) => {
      const tool = new Booking();
      const saved = deferred();
      const call = new Call(t, defineAgent({
        name: 'tested',
        state: asking,
        async onMessage({ text, journal, state: { asked } }) {
          if (text === 'Book') {
            if (more === undefined) await journal.noteToolCalls([BOOK]);
            else {
              void tool.result(journal, more);
              await tool.begun();
            }
          }
          asked.push(text);
          await journal.saveState();
          saved.resolve();
          return text === 'Book' ? new Promise(() => undefined) : asked.join(', ');
        },
      }));
      call.ask('Book');
      await saved.promise;
      call.ask('Book it');
      await call.over(2);
      assert.deepEqual(call.said, [said]);
      for (const work of tool.works) work.resolve('"booked"');
    });

  // Seed 124 of the platforms on Redis: the call might have made the changes, for all that its
  // record said.
  it('is gone, although another process was running a tool meanwhile', async (t) => {
    const tool = new Booking();
    const agent = defineAgent({
      name: 'tested',
      state: asking,
      onMessage: async ({ text, journal, state: { asked } }) => {
        asked.push(text);
        return text === 'Book' ? tool.result(journal, FINISH) : asked.join(', ');
      },
    });
    const store = memory();
    const [a, b] = ['a', 'b'].map((process) => new Process(t, agent, { store, process }));
    assert.ok(a !== undefined && b !== undefined);
    b.deliver('t1', 'Book', transcriptOf([]));
    await tool.begun();
    for (const [index, text] of ['Hello', 'Hello there'].entries()) {
      a.deliver(`t${index + 2}`, text, transcriptOf(['user: Book']));
      await a.over(index + 1);
    }
    assert.deepEqual(a.said, ['Book, Hello', 'Book, Hello there']);
  });

  // Seed 3555 of the platforms: the run of the discarded turn was not over here, and its changes
  // were still in the object that all turns of the process share.
  it('is gone in its own process, too, if the turn that replaced it comes there later', async (t) => {
    let runs = 0;
    const agent = defineAgent({
      name: 'tested',
      state: asking,
      onMessage: ({ text, signal, state: { asked } }) => {
        runs += 1;
        asked.push(text);
        return runs < 3 ? fired(signal).then(() => '') : asked.join(', ');
      },
    });
    const store = new PromisedStore(memory());
    const [a, b] = ['a', 'b'].map((process) => new Process(t, agent, { store, process }));
    assert.ok(a !== undefined && b !== undefined);
    a.deliver('t1', 'Book', transcriptOf([]));
    await until(() => runs === 1, 'the first run');
    const dropped = b.deliver('t2', 'Book it', transcriptOf([]));
    await until(() => runs === 2, 'the second run');
    dropped.turn?.dropped();
    a.deliver('t2', 'Book it', transcriptOf([]));
    await a.over(2);
    assert.deepEqual(a.said, ['Book it, Book it']); // an interrupted run keeps its changes
  });
});

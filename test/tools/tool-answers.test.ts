// What a process answers when another one asks about its tool calls.

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import type { ConversationManager } from '../../src/conversations/manager.ts';
import { newTurn } from '../../src/conversations/turn-record.ts';
import { createLogger } from '../../src/log.ts';
import { ToolAnswers, type OwnToolAnswer } from '../../src/tools/tool-answers.ts';
import { RunningToolCall, RunningToolCalls } from '../../src/tools/tool-calls-running.ts';
import { mockTimers } from '../fixtures/clock.ts';
import { claim, remembering } from './claims.ts';

const NONE: ReadonlySet<string> = new Set();
const never = (): Promise<never> => new Promise(() => {});
const done = { state: 'completed', content: '1' } as const;

/** The conversations of a process whose call has ended, which the store does not know yet. */
const ended = remembering({
  turns: [{
    ...newTurn('t', 'completed', 1),
    messages: [
      {
        role: 'tool', turnId: 't', toolCallId: 'x', key: 'k', process: 'a', state: 'completed',
        content: '1',
      },
    ],
  }],
});

/** Process `a`. */
class Stage {
  readonly calls = new RunningToolCalls();
  /** Who was told of the end of which call. */
  readonly told: string[] = [];
  readonly lines: string[] = [];
  readonly answers: ToolAnswers;

  constructor(conversations: ConversationManager = remembering({})) {
    this.answers = new ToolAnswers(
      { calls: this.calls, conversations, process: 'a' },
      (process, key) => void this.told.push(`${process} ${key}`),
      createLogger({ level: 'warn', write: (line) => void this.lines.push(line) }),
    );
  }

  running(...calls: readonly string[]): OwnToolAnswer {
    return this.answers.running({ from: 'b', conversationId: 'c', calls });
  }

  async claimed(calls: readonly string[], left = NONE): Promise<OwnToolAnswer> {
    return this.answers.claimed({ from: 'b', conversationId: 'c', calls }, () => left);
  }

  add(key: string, does?: 'claims' | 'asks'): RunningToolCall {
    const call = new RunningToolCall();
    call.isClaimer = does === 'claims';
    if (does === 'asks') call.askingTurn = { isOver: false };
    this.calls.add(key, call);
    return call;
  }
}

describe('the answer to a process that asks what runs', () => {
  it('names the calls that run here, and no claims', () => {
    const stage = new Stage(remembering({ onceCalls: { paid: claim } }));
    stage.add('k');
    assert.deepEqual(stage.running('k', 'paid', 'other'), {
      calls: ['k'], claimed: undefined, idle: [],
    });
  });

  it('names one that has ended, as long as the store does not have its end', () => {
    assert.deepEqual(new Stage(ended).running('k').calls, ['k']);
  });

  it('says under which keys nothing began', () => {
    const stage = new Stage();
    stage.calls.noteUnconfirmed('k', new RunningToolCall());
    stage.add('other', 'claims');
    assert.deepEqual(stage.running('k', 'other').idle, ['k']);
  });
});

describe('the answer to a process that is about to claim a key', () => {
  it('names a call that has claimed it here, and one that is about to', async () => {
    const stage = new Stage();
    stage.add('claimed', 'claims');
    stage.add('asking', 'asks');
    const { calls } = await stage.claimed(['claimed', 'asking', 'other']);
    assert.deepEqual(calls, ['claimed', 'asking']);
  });

  it('does not name a call that waits for one of another process', async () => {
    const stage = new Stage();
    stage.add('k');
    assert.deepEqual((await stage.claimed(['k'])).calls, []);
  });

  it('does not name one that lets the other go first, unless it has claimed the key', async () => {
    const stage = new Stage();
    stage.add('claimed', 'claims');
    stage.add('asking', 'asks');
    const { calls } = await stage.claimed(['claimed', 'asking'], new Set(['claimed', 'asking']));
    assert.deepEqual(calls, ['claimed']);
  });

  it('names its own claims, but not those under which nothing began', async () => {
    const onceCalls = {
      own: claim, idle: claim, done: { ...claim, state: 'completed' },
      other: { ...claim, process: 'b' },
    } as const;
    const stage = new Stage(remembering({ onceCalls }));
    stage.calls.noteUnconfirmed('idle', new RunningToolCall());
    stage.calls.noteUnconfirmed('done', new RunningToolCall()); // before it was paid
    const { claimed } = await stage.claimed(Object.keys(onceCalls));
    assert.deepEqual(claimed, ['own', 'done']);
  });

  it('waits until the store has the claims back', async () => {
    let putBack = (): void => undefined;
    const back = new Promise<void>((resolve) => (putBack = resolve));
    const stage = new Stage(remembering({ onceCalls: { k: claim } }, () => back));
    let isAnswered = false;
    const answered = stage.claimed(['k']).then(({ claimed }) => {
      isAnswered = true;
      return claimed;
    });
    await new Promise((resolve) => setImmediate(resolve));
    assert.equal(isAnswered, false);
    putBack();
    assert.deepEqual(await answered, ['k']);
  });

  it('names a call that has begun while the store got the claims back', async () => {
    let putBack = (): void => undefined;
    const back = new Promise<void>((resolve) => (putBack = resolve));
    const stage = new Stage(remembering({}, () => back));
    const answered = stage.claimed(['k']);
    stage.add('k', 'claims');
    putBack();
    assert.deepEqual((await answered).calls, ['k']);
  });

  it('comes from memory after 100 ms if the store hangs', async (t) => {
    const clock = mockTimers(t, ['setTimeout']);
    const answered = new Stage(remembering({ onceCalls: { k: claim } }, never)).claimed(['k']);
    clock.tick(100);
    assert.deepEqual((await answered).claimed, ['k']);
  });

  it('comes from memory if the store cannot put anything back, and the log says so', async () => {
    const fails = (): Promise<never> => Promise.reject(new Error('down'));
    const stage = new Stage(remembering({ onceCalls: { k: claim } }, fails));
    assert.deepEqual((await stage.claimed(['k'])).claimed, ['k']);
    assert.match(stage.lines.join(''), /a conversation could not be put back/);
  });

  it('comes at once if all calls run here, though the store hangs', async (t) => {
    mockTimers(t, ['setTimeout']); // so it is never given up
    const stage = new Stage(remembering({ onceCalls: { k: claim } }, never));
    stage.add('k', 'claims');
    assert.deepEqual(await stage.claimed(['k']), { calls: ['k'], claimed: [], idle: [] });
  });

  it('waits for the store if only some of them run here', async () => {
    const stage = new Stage(remembering({ onceCalls: { paid: claim } }, async () => undefined));
    stage.add('k', 'claims');
    assert.deepEqual(await stage.claimed(['k', 'paid']), {
      calls: ['k'], claimed: ['paid'], idle: [],
    });
  });

  it('to a greeting, which is about no call, does not touch the store', () => {
    let reads = 0;
    const stage = new Stage(remembering({}, async () => void (reads += 1)));
    const greeting = { from: 'b', conversationId: '', calls: [] };
    const answer = stage.answers.claimed(greeting, () => NONE); // at once: no promise
    assert.deepEqual(answer, { calls: [], claimed: [], idle: [] });
    assert.equal(reads, 0);
  });
});

describe('a process that was told that a call runs', () => {
  it('is told of its end, once', () => {
    const stage = new Stage();
    const call = stage.add('k');
    stage.running('k');
    stage.running('k');
    call.end(done);
    assert.deepEqual(stage.told, []); // its result is not stored
    stage.calls.remove('k', call);
    assert.deepEqual(stage.told, ['b k']);
  });

  it('is told of the end of the next one only if it asks again', () => {
    const stage = new Stage();
    for (const asks of [true, false, true]) {
      const call = stage.add('k');
      if (asks) stage.running('k');
      stage.calls.remove('k', call);
    }
    assert.deepEqual(stage.told, ['b k', 'b k']);
  });

  it('is not told if the call had ended, and only the store did not know it', () => {
    const stage = new Stage(ended);
    stage.running('k');
    const call = stage.add('k');
    stage.calls.remove('k', call);
    assert.deepEqual(stage.told, []);
  });

  it('is one of a thousand at the most', () => {
    const stage = new Stage();
    const call = stage.add('k');
    for (let n = 0; n < 1_100; n++)
      stage.answers.running({ from: `forged ${n}`, conversationId: 'c', calls: ['k'] });
    stage.calls.remove('k', call);
    assert.equal(stage.told.length, 1_000);
  });
});

// What a process learns from all others before a call that acts once.

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import type { ConversationManager } from '../../src/conversations/manager.ts';
import { createLogger } from '../../src/log.ts';
import { RunningToolCall, RunningToolCalls } from '../../src/tools/tool-calls-running.ts';
import { OtherProcesses, type OwnTurns } from '../../src/turns/other-processes.ts';
import { mockTimers, quickClock } from '../fixtures/clock.ts';
import { Post } from '../fixtures/post.ts';
import { claim, remembering } from '../tools/claims.ts';

const log = createLogger({ level: 'silent', write: () => undefined });
const NONE = new Set<string>();
const SLOW_MS = 30;

interface Given {
  /** Whether a call is to claim the key `k`. Default: there is no such call. */
  readonly isAsking?: () => boolean;
  readonly conversations?: ConversationManager;
}

/** The turns of process `a`. */
function turns({ isAsking, conversations = remembering({}) }: Given = {}): OwnTurns {
  const calls = new RunningToolCalls();
  if (isAsking !== undefined) {
    const call = new RunningToolCall();
    call.askingTurn = {
      get isOver() {
        return !isAsking();
      },
    };
    calls.add('k', call);
  }
  return {
    calls, conversations, process: 'a',
    interruptOwn: () => false,
    giveAway: () => undefined,
  };
}

/** Those of a process that is to claim the call. */
const asking = turns({ isAsking: () => true });
/** Those of a process that remembers having claimed it. */
const paid = turns({ conversations: remembering({ onceCalls: { k: claim } }) });

/** Those of one that takes longer than a process on the same machine does to answer. */
const paidAndSlow = turns({
  conversations: remembering(
    { onceCalls: { k: claim } },
    () => new Promise((resolve) => setTimeout(resolve, SLOW_MS)),
  ),
});

function open(post: Post, address: string, own = turns()): OtherProcesses {
  return new OtherProcesses(post.channel(address), own, log);
}

async function isClaimed(by: OtherProcesses): Promise<boolean> {
  const answers = await by.askAll('c', ['k'], NONE);
  return answers.isClaimed('k');
}

describe('a process that leaves', () => {
  it('leaves no timer behind', (t) => {
    const clock = mockTimers(t, ['setTimeout']);
    const post = new Post();
    const a = open(post, 'a');
    post.reopen('a');
    a.close();
    assert.equal(clock.isSet(0, 60_000), false);
  });
});

describe('a question to all processes', () => {
  it('reaches those that one before, while no message arrived, did not', async (t) => {
    quickClock(t);
    const post = new Post();
    open(post, 'a', paid);
    const b = open(post, 'b', asking);
    post.loses = () => true;
    assert.equal(await isClaimed(b), false);
    post.loses = () => false;
    assert.equal(await isClaimed(b), true);
  });

  it('reaches those that this process could not greet at its start', async (t) => {
    quickClock(t);
    const post = new Post();
    open(post, 'a', paid);
    post.loses = () => true;
    const b = open(post, 'b', asking);
    post.loses = () => false;
    assert.equal(await isClaimed(b), true);
  });

  it('waits for one that was silent before, though another has answered', async (t) => {
    quickClock(t);
    const post = new Post();
    open(post, 'a', paidAndSlow);
    open(post, 'c');
    const b = open(post, 'b', asking);
    assert.equal(await isClaimed(b), true);
    post.loses = (message) => message.includes('"from":"a"');
    assert.equal(await isClaimed(b), false);
    post.loses = () => false;
    assert.equal(await isClaimed(b), true);
  });

  it('goes also to one that has greeted by itself after its messages were lost', async (t) => {
    const { stop } = quickClock(t);
    const post = new Post();
    post.loses = (message) => message.includes('"from":"a"');
    open(post, 'a', paid);
    open(post, 'c');
    const b = open(post, 'b', asking);
    assert.equal(await isClaimed(b), false);
    post.loses = () => false;
    post.reopen('a');
    await new Promise((resolve) => setImmediate(resolve)); // its greeting arrives
    post.delays = (message) => message.includes('"from":"a"'); // it takes long to answer
    stop();
    const claimed = isClaimed(b);
    for (let turns = 0; turns < 20; turns++) await new Promise((resolve) => setImmediate(resolve));
    post.deliver();
    assert.equal(await claimed, true);
  });

  it('is doubtful while no answer can arrive, and then as long as another is silent', async (t) => {
    const { pass } = quickClock(t);
    const post = new Post();
    open(post, 'a', paid);
    const b = open(post, 'b', asking);
    assert.equal(await isClaimed(b), true);
    for (const address of ['a', 'b']) post.close(address);
    const isDoubtful = async (): Promise<boolean> =>
      (await b.askAll('c', ['k'], NONE)).areDoubtful;
    assert.equal(await isDoubtful(), true);
    post.reopen('b');
    assert.equal(await isDoubtful(), true);
    post.reopen('a');
    assert.equal(await isDoubtful(), false);
    post.close('a');
    assert.equal(await isDoubtful(), true);
    pass(5_000);
    assert.equal(await isDoubtful(), false);
  });

  it('is doubtful after an outage in which this process began: who is missing?', async (t) => {
    const post = new Post();
    open(post, 'a', paid);
    open(post, 'c');
    for (const address of ['a', 'b', 'c']) post.close(address);
    const b = open(post, 'b', asking);
    post.reopen('b');
    const isDoubtful = async (): Promise<boolean> =>
      (await b.askAll('c', ['k'], NONE)).areDoubtful;
    assert.equal(await isDoubtful(), true);
    post.reopen('c');
    assert.equal(await isDoubtful(), true); // it knows one of the two
    post.reopen('a');
    const now = performance.now();
    t.mock.method(performance, 'now', () => now + 5_000);
    assert.equal(await isDoubtful(), false);
    assert.equal(await isClaimed(b), true);
  });

  it('is not doubtful where this process began before, though nobody answers', async () => {
    const post = new Post();
    const b = open(post, 'b', asking);
    assert.equal((await b.askAll('c', ['k'], NONE)).areDoubtful, false);
    post.reopen('b'); // it has had the time to get to know the others
    assert.equal((await b.askAll('c', ['k'], NONE)).areDoubtful, false);
  });

  it('leaves a call running whose process may not be connected again yet', async (t) => {
    const { pass } = quickClock(t);
    const post = new Post();
    open(post, 'a');
    const b = open(post, 'b', asking);
    const isRunning = async (): Promise<boolean> => {
      const answers = await b.ask('c', new Map([['a', ['k']]]), 3);
      if (post.isClosed('a')) assert.equal(answers.isAlive('a'), false); // it has not answered
      return answers.isCallRunning('k', 'a');
    };
    assert.equal(await isRunning(), false); // it says so
    post.close('a');
    assert.equal(await isRunning(), false);
    post.close('b');
    assert.equal(await isRunning(), true);
    post.reopen('b');
    assert.equal(await isRunning(), true);
    pass(5_000);
    assert.equal(await isRunning(), false);
  });

  for (const [what, order] of [
    ['first', ['a', 'b']], ['second', ['b', 'a']],
  ] as const) {
    it(`lets the lower address go first if both are to claim, and it asks ${what}`, async (t) => {
      quickClock(t);
      const post = new Post();
      const asking = new Set<string>();
      const opened = new Map(['a', 'b'].map((address) =>
        [address, open(post, address, turns({ isAsking: () => asking.has(address) }))]));
      const runners = await Promise.all(order.map(async (address) => {
        asking.add(address);
        const answers = await opened.get(address)?.askAll('c', ['k'], NONE);
        return [address, answers?.runnerOf('k')] as const;
      }));
      assert.deepEqual(Object.fromEntries(runners), { a: undefined, b: 'a' });
    });
  }

  it('lets it go first even if its answers are lost', async (t) => {
    quickClock(t);
    const post = new Post();
    const [a, b] = ['a', 'b'].map((address) => open(post, address, asking));
    post.loses = (message) => message.includes('"type":"answer"');
    const answers = b?.askAll('c', ['k'], NONE);
    void a?.askAll('c', ['k'], NONE);
    assert.equal((await answers)?.runnerOf('k'), 'a');
  });

  it('lets it go first though an older question about the key is over', async (t) => {
    const { pass } = quickClock(t);
    const post = new Post();
    const b = open(post, 'b', asking);
    const older = b.askAll('c', ['k'], NONE);
    pass(100);
    const newer = b.askAll('c', ['k'], NONE);
    await older;
    const a = open(post, 'a', turns({ isAsking: () => true }));
    post.loses = (message) => message.includes('"type":"answer"');
    void a.askAll('c', ['k'], NONE);
    assert.equal((await newer).runnerOf('k'), 'a');
  });

  it('lets the lower address go first though the other one asks before it answers', async (t) => {
    quickClock(t);
    const post = new Post();
    let isAsking = false;
    const a = open(post, 'a', asking);
    const slow = remembering({}, () => new Promise((resolve) => setTimeout(resolve, SLOW_MS)));
    const b = open(post, 'b', turns({ isAsking: () => isAsking, conversations: slow }));
    const first = a.askAll('c', ['k'], NONE);
    await new Promise((resolve) => setImmediate(resolve)); // it arrives
    isAsking = true;
    const second = b.askAll('c', ['k'], NONE);
    assert.deepEqual([(await first).runnerOf('k'), (await second).runnerOf('k')], [undefined, 'a']);
  });

  // Both waited for each other until the time of their turns was up.
  it('lets it go first though its own question is over when it answers', async (t) => {
    quickClock(t);
    const post = new Post();
    let putBack = (): void => undefined;
    const back = new Promise<void>((resolve) => (putBack = resolve));
    let isHeld = false;
    const slow = remembering({}, async () => isHeld ? back : undefined);
    const [a, b] = [open(post, 'a', asking), open(post, 'b', turns({
      isAsking: () => true, conversations: slow,
    }))];
    for (const each of [a, b]) await isClaimed(each); // they know each other
    isHeld = true;
    const [second, first] = [b.askAll('c', ['k'], NONE), a.askAll('c', ['k'], NONE)];
    const ofB = (await second).runnerOf('k');
    putBack();
    assert.deepEqual([(await first).runnerOf('k'), ofB], [undefined, 'a']);
  });

  it('is let ahead by all calls of a process that are to claim the key', async (t) => {
    quickClock(t);
    const post = new Post();
    const [a, b] = [open(post, 'a', turns({ isAsking: () => true })), open(post, 'b', asking)];
    post.loses = (message) => message.includes('"from":"a"') && message.includes('"answer"');
    const all = await Promise.all([b, b, a].map((each) => each.askAll('c', ['k'], NONE)));
    assert.deepEqual(all.map((answers) => answers.runnerOf('k')), ['a', 'a', undefined]);
  });

  it('finds a process that has asked before, and is to claim the key next', async (t) => {
    quickClock(t);
    const post = new Post();
    await isClaimed(open(post, 'b', asking)); // its own question is over
    const answers = await open(post, 'a', asking).askAll('c', ['k'], NONE);
    assert.equal(answers.runnerOf('k'), 'b');
  });

  it('is put three times to a process that only the record names, and may be away', async (t) => {
    quickClock(t);
    const post = new Post();
    const b = open(post, 'b', asking);
    open(post, 'a');
    await isClaimed(b);
    post.messages.length = 0;
    post.reopen('b');
    const { areDoubtful } = await b.askAll('c', ['k'], new Set(['c']));
    const asked = post.messages.filter((text) => text.includes('"calls":["k"],"isClaiming":true'));
    assert.deepEqual([areDoubtful, asked.length], [true, 6]); // everyone, and that process
  });

  it('waits for none that has answered only a question by name: it may be older', async (t) => {
    quickClock(t);
    const post = new Post();
    open(post, 'a');
    const b = open(post, 'b', asking);
    await isClaimed(b);
    post.forge('b', '{"type":"answer","id":"x","from":"older","calls":[]}');
    post.messages.length = 0;
    await isClaimed(b);
    assert.equal(post.messages.filter((text) => text.includes('"type":"ask"')).length, 1);
  });

  it('is repeated without the calls that are not to be claimed any more', async (t) => {
    quickClock(t);
    const post = new Post();
    let isAsking = true;
    const a = open(post, 'a', turns({ isAsking: () => isAsking }));
    post.messages.length = 0; // it has greeted
    const question = a.askAll('c', ['k'], new Set(['gone']));
    isAsking = false;
    await question;
    const calls = post.messages.map((text) => /"calls":(\[.*\])/.exec(text)?.[1]);
    // To everyone and to that process, three times.
    assert.deepEqual(calls, ['["k"]', '["k"]', '[]', '[]', '[]', '[]']);
  });

  it('may be answered with null where a list is missing', async (t) => {
    quickClock(t);
    const post = new Post();
    const b = open(post, 'b', asking);
    const claimed = isClaimed(b);
    const { id } = JSON.parse(post.messages.at(-1) ?? '') as { readonly id: string };
    const answer = { type: 'answer', id, from: 'x', calls: [], claimed: null, idle: null };
    assert.doesNotThrow(() => post.forge('b', JSON.stringify(answer)));
    assert.equal(await claimed, false);
  });

  it('ends with the last answer once all are known', async (t) => {
    const { stop } = quickClock(t);
    const post = new Post();
    open(post, 'a', paid);
    const b = open(post, 'b', asking);
    await isClaimed(b);
    stop(); // so the time to answer never ends
    assert.equal(await isClaimed(b), true);
  });
});

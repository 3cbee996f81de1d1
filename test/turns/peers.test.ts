// Which processes are expected to answer, and when the silence of one proves that it is gone.

import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';

import { Peers } from '../../src/turns/peers.ts';
import { jumpingClock, mockTimers } from '../fixtures/clock.ts';

class Stage {
  readonly channel = { isOpen: true };
  greetings = 0;
  readonly peers: Peers;
  readonly pass: (ms: number) => void;

  constructor(t: TestContext) {
    const clock = mockTimers(t, ['setTimeout']);
    const jump = jumpingClock(t);
    this.pass = (ms) => {
      jump(ms);
      clock.tick(ms);
    };
    this.peers = new Peers(this.channel, () => (this.greetings += 1));
  }
}

describe('the peers of a process', () => {
  it('are greeted at its start and after each outage', (t) => {
    const stage = new Stage(t);
    stage.peers.greet();
    stage.peers.reopened();
    assert.equal(stage.greetings, 2);
  });

  it('are a thousand at the most', (t) => {
    const { peers } = new Stage(t);
    for (let n = 0; n < 1_100; n++) peers.note(`forged ${n}`);
    assert.equal(peers.all.size, 1_000);
  });

  for (const [what, silent, hasAnswers, mayLackSome] of [
    ['all have answered', [], true, false],
    ['nobody has answered', [], false, true],
    ['a peer was silent', ['a'], true, true],
    ['a process was silent that is no peer', ['record'], true, false],
  ] as const) {
    it(`${mayLackSome ? 'may not be all' : 'are all'} if ${what}`, (t) => {
      const { peers } = new Stage(t);
      peers.greet();
      for (const peer of ['a', 'b']) peers.note(peer);
      assert.equal(peers.mayLackSome, true);
      peers.askedAll(new Set(silent), hasAnswers);
      assert.equal(peers.mayLackSome, mayLackSome);
    });
  }

  it('may not be all after an outage', (t) => {
    const { peers } = new Stage(t);
    peers.note('a');
    peers.askedAll(new Set(), true);
    peers.reopened();
    assert.equal(peers.mayLackSome, true);
  });

  it('are those that have answered the last question', (t) => {
    const { peers } = new Stage(t);
    for (const peer of ['a', 'b']) peers.note(peer);
    assert.equal(peers.askedAll(new Set(['a']), true), false);
    assert.deepEqual([...peers.all], ['b']);
  });

  it('stay if their silence proves nothing', (t) => {
    const stage = new Stage(t);
    stage.peers.note('a');
    stage.channel.isOpen = false;
    assert.equal(stage.peers.askedAll(new Set(['a']), false), true);
    assert.deepEqual([...stage.peers.all], ['a']);
  });
});

describe('silence', () => {
  it('proves nothing while no message arrives here', (t) => {
    const stage = new Stage(t);
    stage.channel.isOpen = false;
    assert.equal(stage.peers.isDoubtful(true), true);
  });

  it('proves nothing in the five seconds after an outage', (t) => {
    const { peers, pass } = new Stage(t);
    peers.greet();
    pass(150);
    assert.equal(peers.isDoubtful(true), false);
    peers.reopened();
    assert.deepEqual([peers.isDoubtful(true), peers.isDoubtful(false)], [true, false]);
    pass(4_999);
    assert.equal(peers.isDoubtful(true), true);
    pass(1);
    assert.equal(peers.isDoubtful(true), false);
  });

  it('of a process that nobody knows is in doubt, too, if this one began in the outage', (t) => {
    const stage = new Stage(t);
    const { channel, peers, pass } = stage;
    channel.isOpen = false;
    peers.greet();
    pass(150);
    channel.isOpen = true;
    peers.reopened();
    assert.equal(peers.isDoubtful(false), true);
    pass(4_999);
    assert.equal(peers.isDoubtful(false), true);
    pass(1);
    assert.equal(peers.isDoubtful(false), false);
    peers.reopened(); // now it knows all
    assert.equal(peers.isDoubtful(false), false);
  });

  it('of a process that nobody knows is in doubt until others have had the time to greet', (t) => {
    const { peers, pass } = new Stage(t);
    peers.greet();
    pass(100);
    peers.reopened(); // they may need longer now
    pass(150);
    assert.equal(peers.isDoubtful(false), true);
  });

  it('of a process that nobody knows is in no doubt because a later outage goes on', (t) => {
    const { channel, peers, pass } = new Stage(t);
    peers.greet();
    pass(150);
    peers.reopened();
    channel.isOpen = false;
    pass(5_000);
    channel.isOpen = true;
    peers.reopened();
    assert.equal(peers.isDoubtful(false), false);
  });
});

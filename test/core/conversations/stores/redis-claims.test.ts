import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { UnsafeClaim } from '../../../../src/core/conversations/store.ts';
import { RedisClaims } from '../../../../src/core/conversations/stores/redis-claims.ts';

const ON_TWO = { replicas: 2, isOnDisk: false };
const ON_DISK = { replicas: 0, isOnDisk: true };

/** A server that answers each tick's commands together, when it is told to. */
class SlowServer {
  readonly written: string[][] = [];
  #ticks: (() => void)[] = [];
  readonly #waits: readonly unknown[];

  /** Answers to `WAIT` and `WAITAOF`. */
  constructor(...waits: unknown[]) {
    this.#waits = waits;
  }

  command(command: string[]): Promise<unknown> {
    this.written.push(command);
    const [name = ''] = command;
    return new Promise((resolve, reject) => {
      this.#ticks.push(() => {
        const wait = this.#waits.at(0);
        if (command[1] === 'fails') reject(new Error('WRONGTYPE'));
        else if (!name.startsWith('WAIT')) resolve(command[1]);
        else if (wait instanceof Error) reject(wait);
        else resolve(wait);
      });
    });
  }

  /** Answers once something has been written. */
  async answer(): Promise<void> {
    while (this.#ticks.length === 0) await new Promise(setImmediate);
    for (const tick of this.#ticks.splice(0)) tick();
  }
}

/** A claim that a server has answered. `wait`: the answer to what it waits for. */
async function claimed(on: typeof ON_TWO, wait: unknown): Promise<{
  readonly answer: unknown; readonly confirm: () => void; readonly written: readonly string[][];
}> {
  const server = new SlowServer(wait);
  const writing = new RedisClaims(server, on).write(['EVAL', 'a']);
  await server.answer();
  return { ...(await writing), written: server.written };
}

describe('a claim on replicas', () => {
  it('is confirmed by as many replicas as required', async () => {
    const { answer, confirm, written } = await claimed(ON_TWO, 2);
    assert.equal(answer, 'a');
    confirm();
    assert.deepEqual(written, [['EVAL', 'a'], ['WAIT', '2', '400']]);
  });

  it('is unsafe if a replica is missing', async () => {
    assert.throws((await claimed(ON_TWO, 1)).confirm, UnsafeClaim);
  });

  it('is unsafe if its wait fails, and the error says why', async () => {
    const lost = new Error('the connection was lost');
    const { confirm } = await claimed(ON_TWO, lost);
    assert.throws(confirm, (error) => error instanceof UnsafeClaim && error.cause === lost);
  });

  it('shares one wait with claims made during another wait, and says when it leaves',
    async () => {
      const server = new SlowServer(2);
      const claims = new RedisClaims(server, ON_TWO);
      const left: string[] = [];
      const write = (name: string): Promise<unknown> =>
        claims.write(['EVAL', name], () => left.push(name));
      const first = write('a');
      while (server.written.length === 0) await new Promise(setImmediate);
      const others = ['b', 'c'].map(write);
      assert.deepEqual(left, ['a']);
      await server.answer();
      await first;
      await server.answer();
      await Promise.all(others);
      assert.deepEqual(left, ['a', 'b', 'c']);
      assert.deepEqual(server.written.map(([, argument]) => argument), ['a', '2', 'b', 'c', '2']);
    });

  it('is not affected by another claim whose script failed', async () => {
    const server = new SlowServer(2);
    const claims = new RedisClaims(server, ON_TWO);
    const writing = ['fails', 'b'].map((name) => claims.write(['EVAL', name]));
    await server.answer();
    const [failed, made] = await Promise.allSettled(writing);
    assert.equal(failed?.status, 'rejected');
    assert.equal(made?.status, 'fulfilled');
  });
});

describe('a claim on the disk', () => {
  for (const [waited, isSafe] of [[[1, 0], true], [[0, 1], false]] as const)
    it(`${isSafe ? "is confirmed if the server's" : "is unsafe if only a replica's"} disk has it`,
      async () => {
        const { confirm, written } = await claimed(ON_DISK, waited);
        if (isSafe) confirm();
        else assert.throws(confirm, UnsafeClaim);
        assert.deepEqual(written.at(-1), ['WAITAOF', '1', '0', '1500']);
      });
});

// Talks to the workers of a server, and tests what any shared store must make of turns on several.

import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { describe, it } from 'node:test';

import { createTestClient, type TestEvent, type TestReply } from '../../../src/kit/test-client.ts';
import { SECRET, type SpawnedServer } from '../../fixtures/spawned-server.ts';

/** An agent that says which process it runs in, and holds a turn until that gets SIGUSR2. */
export const AGENT = `export default {
  name: 'mine',
  async *onMessage({ text, signal }) {
    yield String(process.pid);
    if (text === 'block') setImmediate(() => { for (;;); });
    if (text === 'fail') setTimeout(() => { throw new Error('out of nowhere'); });
    if (text === 'hold') await new Promise((resolve) => {
      process.once('SIGUSR2', resolve);
      signal.addEventListener('abort', resolve);
    });
    yield ' Done.';
  },
};`;

/** All that a server with two workers needs, except the store. */
export const WORKERS_ENV = {
  LAYERCODE_WEBHOOK_SECRET: SECRET,
  NODE_ENV: 'production',
  DRAIN_DELAY_SECONDS: '0',
  AGENT: './agent.mjs',
  WORKERS: '2',
};

export interface Service {
  readonly server: SpawnedServer;
  readonly url: string;
  /** Process ids. */
  readonly workers: readonly number[];
}

/** Resolves when both workers listen. */
export async function serving(server: SpawnedServer): Promise<Service> {
  const lines = await server.lines('listening', 2);
  return { server, url: await server.url(), workers: lines.map(workerOf) };
}

export function workerOf(line: Readonly<Record<string, unknown>>): number {
  return Number(line['worker']);
}

/** A reply whose first words are the id of the process that gives it. */
export class Turn {
  readonly reply: TestReply;
  readonly pid: number;
  readonly #events: AsyncIterator<TestEvent>;

  private constructor(reply: TestReply, events: AsyncIterator<TestEvent>, pid: number) {
    this.reply = reply;
    this.#events = events;
    this.pid = pid;
  }

  static async begin(reply: TestReply): Promise<Turn> {
    const events = reply[Symbol.asyncIterator]();
    const { value } = await events.next();
    return new Turn(reply, events, Number(value?.content));
  }

  /** What is said after the first words; rejects if the connection breaks. */
  async rest(): Promise<string> {
    let text = '';
    for (;;) {
      const { value, done } = await this.#events.next();
      if (done === true) return text;
      if (typeof value.content === 'string') text += value.content;
    }
  }

  release(): void {
    process.kill(this.pid, 'SIGUSR2');
  }
}

function messageOf(text: string, conversationId: string = randomUUID()): object {
  const ids = { session_id: 's', conversation_id: conversationId, turn_id: randomUUID() };
  return { type: 'message', ...ids, text };
}

/** Over a connection of its own, because one that is kept alive leads to the same worker again. */
function deliver(url: string, message: object): Promise<Turn> {
  return post(url, message, { connection: 'close' });
}

async function post(
  url: string, message: object, headers: Readonly<Record<string, string>>,
): Promise<Turn> {
  const client = createTestClient(url, { secret: SECRET });
  return Turn.begin(await client.post(message, { headers }));
}

export function say(url: string, text: string, conversationId?: string): Promise<Turn> {
  return deliver(url, messageOf(text, conversationId));
}

/** A turn on a worker other than these, which may accept calls for a moment longer. */
export async function sayToNew(
  url: string, workers: readonly number[], conversationId?: string,
): Promise<Turn> {
  for (;;) {
    const turn = await say(url, 'Hello', conversationId);
    if (!workers.includes(turn.pid)) return turn;
    assert.equal(await turn.rest(), ' Done.');
  }
}

/** A turn held in a process that is right. Connections go now to one, now to the other. */
export async function hold(url: string, isRight: (pid: number) => boolean): Promise<Turn> {
  for (;;) {
    const turn = await say(url, 'hold');
    if (isRight(turn.pid)) return turn;
    turn.reply.drop();
  }
}

/** `serve` starts a server with `AGENT` and `WORKERS_ENV`. */
export function workerTurnsContract(
  name: string,
  skip: string | false,
  serve: () => Promise<Service>,
): void {
  const limit = { timeout: 30_000, skip };

  describe(`turns on several workers ${name}`, () => {
    it('are interrupted by a newer turn elsewhere', limit, async () => {
      const { url } = await serve();
      for (;;) {
        const conversationId = randomUUID();
        const older = await say(url, 'hold', conversationId);
        const newer = await say(url, 'Hello', conversationId);
        assert.equal(await newer.rest(), ' Done.');
        assert.equal(await older.rest(), '');
        if (older.pid !== newer.pid) return;
      }
    });

    it('are taken over when they are delivered again elsewhere', limit, async () => {
      const { url } = await serve();
      for (;;) {
        const message = messageOf('hold');
        const first = await deliver(url, message);
        const again = await deliver(url, message);
        assert.equal(await first.rest(), '');
        again.release();
        assert.equal(await again.rest(), ' Done.');
        if (again.pid !== first.pid) return;
      }
    });

    it('run again elsewhere if their worker is killed', limit, async () => {
      const { url } = await serve();
      const message = messageOf('hold');
      // On a connection that will close, `fetch` takes a broken body for a whole one.
      const first = await post(url, message, {});
      process.kill(first.pid, 'SIGKILL');
      await assert.rejects(first.rest());
      const again = await deliver(url, message);
      assert.notEqual(again.pid, first.pid);
      again.release();
      assert.equal(await again.rest(), ' Done.');
    });
  });
}

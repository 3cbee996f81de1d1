// Which conversations are read for a mark that the store may have lost, and when.

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { emptyConversation, type Conversation } from '../../src/conversations/conversation.ts';
import { createLogger } from '../../src/log.ts';
import { ErasureMarks } from '../../src/turns/erasure-marks.ts';
import { deferred } from '../fixtures/app.ts';
import { mockTimers } from '../fixtures/clock.ts';

class Conversations {
  /** What this process remembers. */
  readonly known = new Map<string, Conversation>();
  isStoreAway = false;
  /** What was read, in order. */
  readonly read: string[] = [];
  /** When a read ends. */
  answer: Promise<unknown> = Promise.resolve();

  async recall(conversationId: string): Promise<Conversation | undefined> {
    this.read.push(conversationId);
    await this.answer;
    return this.remembered(conversationId);
  }

  remembered(conversationId: string): Conversation | undefined {
    return this.known.get(conversationId);
  }

  remember(conversationId: string, erasedAt?: number): void {
    const conversation = emptyConversation(conversationId);
    this.known.set(
      conversationId, erasedAt === undefined ? conversation : { ...conversation, erasedAt },
    );
  }

  /** Those that are read after an outage: the marks that are kept. */
  readAfterOutage(marks: ErasureMarks): readonly string[] {
    this.read.length = 0;
    marks.reopened();
    marks.close();
    return [...this.read];
  }
}

function open(): {
  readonly conversations: Conversations;
  readonly marks: ErasureMarks;
  readonly lines: readonly string[];
} {
  const conversations = new Conversations();
  const lines: string[] = [];
  const log = createLogger({ level: 'warn', write: (line) => void lines.push(line) });
  return { conversations, marks: new ErasureMarks(conversations, log), lines };
}

describe('the mark of an erasure', () => {
  it('is read after an outage, and again five seconds after the last of several', async (t) => {
    const clock = mockTimers(t, ['setTimeout']);
    const { conversations, marks } = open();
    conversations.remember('c', 1);
    marks.note('c');
    marks.reopened();
    await new Promise((resolve) => setImmediate(resolve));
    clock.tick(3_000);
    marks.reopened();
    await new Promise((resolve) => setImmediate(resolve));
    clock.tick(4_999);
    assert.equal(conversations.read.length, 2);
    clock.tick(1);
    assert.equal(conversations.read.length, 3);
  });

  it('is forgotten beyond a thousand, the one that was told of first', () => {
    const { conversations, marks } = open();
    for (let n = 0; n < 1_000; n++) marks.note(`c${n}`);
    marks.note('c0'); // erased once more
    marks.note('another');
    const read = conversations.readAfterOutage(marks);
    assert.equal(read.length, 1_000);
    assert.deepEqual(['c0', 'c1', 'another'].map((id) => read.includes(id)), [true, false, true]);
  });

  for (const [what, given] of Object.entries({
    'that this process remembers': { erasedAt: 1, isKept: true },
    'that may still come, as the store is away': { isAway: true, isKept: true },
    'that was never there': { isKept: false },
    'of a conversation that this process does not remember': {
      isAway: true, isUnknown: true, isKept: false,
    },
  } as Readonly<Record<string, {
    readonly erasedAt?: number;
    readonly isAway?: boolean;
    readonly isUnknown?: boolean;
    readonly isKept: boolean;
  }>>)) {
    const { erasedAt, isAway = false, isUnknown = false, isKept } = given;
    it(`${what} is ${isKept ? 'kept' : 'not kept'}`, async () => {
      const { conversations, marks } = open();
      if (!isUnknown) conversations.remember('c', erasedAt);
      conversations.isStoreAway = isAway;
      marks.note('c');
      await marks.read('c');
      assert.deepEqual(conversations.readAfterOutage(marks), isKept ? ['c'] : []);
    });
  }

  it('is kept from a message alone', async () => {
    const { conversations, marks } = open();
    conversations.remember('c', 1);
    await marks.read('c');
    assert.deepEqual(conversations.readAfterOutage(marks), ['c']);
  });

  it('is read once more if messages came during a read', async () => {
    const { conversations, marks } = open();
    const answer = deferred();
    conversations.answer = answer.promise;
    const read = marks.read('c');
    for (let n = 0; n < 10; n++) void marks.read('c');
    answer.resolve();
    await read;
    assert.equal(conversations.read.length, 2);
  });

  it('is kept if the read fails, and the log says so', async () => {
    const { conversations, marks, lines } = open();
    marks.note('c');
    conversations.answer = Promise.reject(new Error('down'));
    await marks.read('c');
    assert.match(lines.join(''), /a conversation could not be put back/);
    assert.deepEqual(conversations.readAfterOutage(marks), ['c']);
  });
});

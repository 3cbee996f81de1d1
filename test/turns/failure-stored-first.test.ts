// Where processes share conversations, a failure is stored before the stream ends. The same turn
// may be delivered again in that moment.

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { defineAgent } from '../../src/agents/define-agent.ts';
import type { ReplyEvent } from '../../src/calls/reply-event.ts';
import { ConversationManager } from '../../src/conversations/manager.ts';
import { MemoryStore } from '../../src/conversations/memory-store.ts';
import type { ConversationStore } from '../../src/conversations/store.ts';
import { createLogger } from '../../src/log.ts';
import * as agentWork from '../../src/turns/agent-work.ts';
import type { DeliveredTurn, Delivery } from '../../src/turns/delivery.ts';
import { Turns } from '../../src/turns/turns.ts';
import { deferred } from '../fixtures/app.ts';
import { callerMessage } from '../fixtures/turns.ts';

class Stream implements Delivery {
  readonly event = callerMessage('t-1', 'Hello');
  readonly headers = {};
  readonly log = createLogger({ level: 'silent', write: () => undefined });
  readonly unsent = 0;
  readonly sent: ReplyEvent[] = [];
  turn: DeliveredTurn | undefined;
  isOpen = true;
  outcome = deferred<string>();

  send(event: ReplyEvent): boolean {
    this.sent.push(event);
    return true;
  }

  end(): boolean {
    this.isOpen = false;
    return true;
  }

  onOutcome({ outcome }: Parameters<Delivery['onOutcome']>[0]): void {
    this.outcome.resolve(outcome);
  }
}

describe('a failed turn that is delivered again while its end is stored', () => {
  it('tells the newer stream that it has failed, like the older one', async () => {
    const store: ConversationStore = new MemoryStore({ ttlMs: 60_000, maxConversations: 1 });
    const update = store.update.bind(store);
    const gate = deferred();
    const agent = defineAgent({
      name: 'failing',
      onMessage(_turn, { say }) {
        void say('One.');
        store.update = async (id, change) => {
          store.update = update; // only the next write is slow
          await gate.promise;
          return update(id, change);
        };
        throw new Error('no more');
      },
      apology: 'Sorry.',
    });
    const turns = new Turns({
      agentWork,
      agent, conversations: new ConversationManager(store), process: 'p-1',
      turnTimeoutMs: 3_000, firstWordTimeoutMs: 3_000, storeTimeoutMs: 3_000,
    });
    const [older, newer] = [new Stream(), new Stream()];
    turns.start(older);
    turns.start(newer);
    assert.equal(await older.outcome.promise, 'taken over');
    gate.resolve();
    assert.equal(await newer.outcome.promise, 'failed');
    assert.deepEqual(older.sent.at(-1), { type: 'error' });
    assert.deepEqual(newer.sent, older.sent);
  });
});

// A reader that stops reading: the agent waits for it, for a while, and the process outlives it.

import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';

import type { Context } from '../../../../src/base/http/context.ts';
import { EventWriter } from '../../../../src/base/http/event-writer.ts';
import { createLogger } from '../../../../src/base/log.ts';
import type { Reply } from '../../../../src/core/agents/agent.ts';
import type { Delivery } from '../../../../src/core/turns/delivery.ts';
import { SessionEncoder } from '../../../../src/core/wires/layercode/encoders.ts';
import { ReplyStream } from '../../../../src/core/wires/reply-stream.ts';
import { Destination } from '../../../base/http/destination.ts';
import {
  deferred,
  fired,
  messageEvent,
  rawRequest,
  serve,
  Told,
  until,
  within,
  type RawConnection,
  type Served,
} from '../../../fixtures/app.ts';
import { callerMessage, turnsOf } from '../../../fixtures/turns.ts';

// More than the kernel takes for a connection on the loopback (4 MiB to send, the reader's window).
// Each of these characters is six bytes on the wire, so that they fit into a reply of at most
// 1,048,576 characters.
const PIECE = '\u0001'.repeat(10_000);
const PIECES = 100;
/**
 * Whether a reply of all pieces has arrived. Megabytes are not searched before there are enough.
 */
const isWhole = (text: string): boolean =>
  text.length > 6 * PIECES * PIECE.length && text.includes('response.end');

function streamOver(destination: Destination, heartbeatMs: number): ReplyStream {
  const context = {
    eventWriter: () => new EventWriter(destination),
    onClose: () => undefined,
  } as unknown as Context;
  return new ReplyStream(context, new SessionEncoder('t-1'), heartbeatMs);
}

describe('ReplyStream', () => {
  it('accepts nothing more while its end waits to depart', () => {
    const reply = streamOver(new Destination(), 0);
    assert.equal(reply.send({ type: 'say', text: 'word' }), true);
    assert.equal(reply.end('with others'), false);
    assert.deepEqual([reply.isOpen, reply.send({ type: 'say', text: 'late' })], [false, false]);
  });
});

describe('a turn that begins and ends on a connection that is gone', () => {
  // Nothing else would ever end it: the drop was reported while it began.
  it('is interrupted, and no longer runs', async () => {
    const { turns, conversations } = turnsOf(() => 'Yes.');
    const outcomes: string[] = [];
    let isDropped = false;
    const delivery: Delivery = {
      event: callerMessage('t-1', 'Hello?'),
      isOpen: false,
      unsent: 1,
      headers: {},
      turn: undefined,
      log: createLogger({ level: 'silent', write: () => undefined }),
      send: () => true,
      end() {
        if (!isDropped) {
          isDropped = true;
          delivery.turn?.dropped();
        }
        return false;
      },
      onOutcome: ({ outcome }) => void outcomes.push(outcome),
    };
    turns.start(delivery);
    assert.deepEqual([turns.count, outcomes], [0, ['interrupted']]);
    const history = await conversations.getHistory('c-1');
    assert.deepEqual(history, [{ role: 'user', content: 'Hello?', turnId: 't-1' }]);
  });
});

/** A turn whose caller reads nothing from the first byte on; `speak` is the agent. */
async function unread(
  t: TestContext,
  speak: (reply: Reply) => void | Promise<void>,
  environment = {},
): Promise<Served & { connection: RawConnection }> {
  const served = serve(
    t,
    { onMessage: (turn, reply) => (turn.text === 'Hello?' ? speak(reply) : 'Yes.') },
    { environment },
  );
  const connection = await served.raw();
  connection.stopReading();
  connection.write(rawRequest(messageEvent()));
  return { ...served, connection };
}

/** An agent that waits for room, as a generator does. */
function waiting(): {
  speak: (reply: Reply) => Promise<void>;
  said: () => number;
  stuck: Told<number>;
} {
  let count = 0;
  const stuck = new Told<number>();
  return {
    stuck,
    said: () => count,
    async speak(reply) {
      for (; count < PIECES; count++) {
        const taken = reply.say(PIECE);
        if (taken instanceof Promise) stuck.tell(count);
        if (!(await taken)) return;
        await new Promise((resolve) => setImmediate(resolve)); // as when a model's next token comes
      }
    },
  };
}

describe('a caller that stops reading', () => {
  it('keeps its stream open, but an agent that is done does not count as running', async (t) => {
    const ended = deferred();
    const { app, metric } = await unread(t, (reply) => {
      for (let count = 0; count < PIECES; count++) void reply.say(PIECE);
      reply.end();
      ended.resolve();
    });
    await within(ended.promise, 'the agent');
    assert.deepEqual([app.runningTurns, metric('layercode_running_turns')], [0, 0]);
    // Not in the round in which the reply was to depart.
    await until(() => metric('layercode_open_streams') === 1, 'an open stream');
  });

  it('keeps a generator from running ahead', async (t) => {
    let yielded = 0;
    const { raw, client, app } = serve(t, {
      async *onMessage({ text, signal }) {
        if (text !== 'Hello?') yield 'Yes.';
        else
          for (; yielded < PIECES && !signal.aborted; yielded++) {
            yield PIECE;
            await new Promise((resolve) => setImmediate(resolve));
          }
      },
    });
    const connection = await raw();
    connection.stopReading();
    connection.write(rawRequest(messageEvent()));
    let before = -1;
    // It is stuck once it has not moved during a turn of another conversation.
    while (before !== yielded || yielded === 0) {
      before = yielded;
      await (await client.say('other', { conversation_id: 'another' })).text();
    }
    assert.deepEqual([yielded < PIECES, app.runningTurns], [true, 1]);
  });

  it('and leaves frees the waiting agent, and did not receive what was waiting', async (t) => {
    const over = deferred();
    const { speak, stuck, said } = waiting();
    const { connection, interrupted } = await unread(t, (reply) => speak(reply).then(over.resolve));
    await stuck.next();
    connection.socket.destroy();
    await within(over.promise, 'the agent to go on');
    // The waiting piece was not sent, nor was the one before it known to be.
    assert.ok((await interrupted.next()).text.length < (said() + 1) * PIECE.length);
  });

  it('gets the whole reply when it reads again, even if the agent does not wait', async (t) => {
    // Previously the caller was cut off once 1 MiB was waiting, even while reading.
    const saidAll = new Told<void>();
    const { connection, history } = await unread(t, (reply) => {
      for (let piece = 0; piece < PIECES; piece++) void reply.say(PIECE);
      saidAll.tell();
    });
    await saidAll.next();
    connection.socket.resume();
    await connection.read(isWhole, 'the end');
    assert.equal(connection.text.match(/\\u0001/g)?.length, PIECES * PIECE.length);
    assert.equal((await history('c-1'))[1]?.[2], 'completed');
  });

  it('and leaves has only what was sent in history, even if the agent does not wait', async (t) => {
    const saidAll = new Told<void>();
    const { connection, interrupted, messages } = await unread(t, async (reply) => {
      for (let piece = 0; piece < PIECES; piece++) {
        void reply.say(PIECE);
        await new Promise((resolve) => setImmediate(resolve));
      }
      saidAll.tell();
      await fired(reply.signal);
    });
    await saidAll.next();
    connection.socket.destroy();
    await interrupted.next('the turn to be interrupted');
    const kept = (await messages('c-1'))[1]?.content.length ?? 0;
    assert.ok(kept < PIECES * PIECE.length, `${kept / PIECE.length} of ${PIECES} pieces are kept`);
  });

  it("cannot hear the apology at the turn's timeout, and the turn fails", async (t) => {
    const { speak, stuck } = waiting();
    const { history, app } = await unread(t, speak, { TURN_TIMEOUT_SECONDS: '0.3' });
    await stuck.next();
    await until(() => app.runningTurns === 0, 'the timeout');
    assert.equal((await history('c-1'))[1]?.[2], 'failed');
  });
});

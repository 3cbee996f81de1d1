import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { OPCODES } from '../../../src/base/websocket/frame.ts';
import { deferred } from '../../fixtures/app.ts';
import { clientFrame, close, text } from './client-frames.ts';
import { FAR_AWAY_MS, open, openPending, turns } from './connection-stage.ts';

describe('WebSocketConnection, with a peer that breaks the rules,', { timeout: 20_000 }, () => {
  for (const [what, frame, code, reason] of [
    [
      'a frame that is not masked', text('a', { mask: undefined }),
      1002, 'a client must mask its frames',
    ],
    [
      'HTTP', Buffer.from('GET / HTTP/1.1\r\n\r\n'),
      1002, 'a reserved bit is set, and no extension was agreed on',
    ],
    [
      'a binary message', clientFrame(OPCODES.binary, 'a'),
      1003, 'a message must be text, not binary',
    ],
    ['a text that is not UTF-8', text(Uint8Array.of(0xff)), 1007, 'a text message must be UTF-8'],
    [
      'a message beyond the bound', text('x'.repeat(11)),
      1009, 'a message must have at most 10 bytes',
    ],
    [
      'a close code that must not be sent', close(1006),
      1002, 'a close frame must not have the code 1006',
    ],
  ] as const) {
    it(`closes with ${code} for ${what}, delivers nothing after it, and reports it`, async (t) => {
      const { connection, peer, texts, closes } = await open(t, { maxMessageBytes: 10 });
      peer.send(text('before'), frame, text('behind'), close(4000));
      assert.deepEqual(await peer.rest(), [`close ${code} ${reason}`, 'end']);
      assert.deepEqual(
        [await closes.next(), texts.all, connection.isOpen],
        [{ code, reason }, ['before'], false],
      );
    });
  }

  it('reads on until the peer ends its side: a reset would lose the close frame', async (t) => {
    const { peer, closes, socket } = await open(
      t,
      { closeTimeoutMs: FAR_AWAY_MS },
      { allowHalfOpen: true },
    );
    const bytes = Buffer.concat([text('', { mask: undefined }), Buffer.alloc(8 * 1_048_576)]);
    peer.send(bytes);
    assert.deepEqual(await peer.rest(), ['close 1002 a client must mask its frames', 'end']);
    while (socket.bytesRead < bytes.length) await turns(1);
    assert.deepEqual(closes.all, []);
    peer.socket.end();
    assert.equal((await closes.next()).code, 1002);
  });

  it("does not wait forever for the peer's end", async (t) => {
    const { peer, closes } = await open(t, { closeTimeoutMs: 20 }, { allowHalfOpen: true });
    peer.send(text('', { mask: undefined }));
    assert.equal((await closes.next()).code, 1002);
  });

  it('ends on a violation after its own close frame, without a second one', async (t) => {
    const { connection, peer, closes } = await open(t);
    connection.close(4000);
    peer.send(text('a', { mask: undefined }));
    assert.deepEqual(await peer.rest(), ['close 4000', 'end']);
    assert.deepEqual(await closes.next(), { code: 1002, reason: 'a client must mask its frames' });
  });
});

describe('a WebSocketConnection whose onText fails', { timeout: 20_000 }, () => {
  for (const [what, fail] of [
    [
      'throws',
      (error: Error): void => {
        throw error;
      },
    ],
    ['rejects', (error: Error) => Promise.reject(error)],
  ] as const) {
    it(`closes with 1011 when that ${what}, and reports the error to its owner only`, async (t) => {
      const error = new Error('secret');
      const heard: string[] = [];
      const { peer, closes } = await open(t, {
        onText(message) {
          heard.push(message);
          return fail(error);
        },
      });
      peer.send(text('a'), text('b'));
      assert.equal(await peer.next(), 'close 1011 internal error');
      peer.send(close(1011));
      assert.deepEqual(await peer.rest(), ['end']);
      assert.deepEqual(await closes.next(), { code: 1011, reason: 'internal error', error });
      assert.deepEqual(heard, ['a']);
    });
  }

  it('sends 1011 even if the peer does not answer', async (t) => {
    const error = new Error('secret');
    const { peer, closes } = await open(t, {
      onText: () => Promise.reject(error),
      closeTimeoutMs: 20,
    });
    peer.send(text('a'));
    assert.deepEqual(await closes.next(), { code: 1011, reason: 'internal error', error });
  });

  it('completes a close that is under way, and reports the error with it', async (t) => {
    const pending = deferred();
    const error = new Error('too late');
    const { connection, peer, closes, heard } = await openPending(t, pending.promise);
    peer.send(text('a'));
    await heard.next();
    connection.close(4000);
    pending.reject(error);
    assert.equal(await peer.next(), 'close 4000');
    peer.send(close(4000));
    assert.deepEqual(await closes.next(), { code: 4000, reason: '', error });
  });

  it('drops what onText throws after the end', async (t) => {
    const pending = deferred();
    const { connection, peer, closes, heard } = await openPending(t, pending.promise);
    peer.send(text('a'));
    await heard.next();
    connection.destroy();
    await closes.next();
    pending.reject(new Error('nobody is there'));
    await turns();
    assert.equal(closes.all.length, 1);
  });
});

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import type { ReplyEvent } from '../../../src/calls/reply-event.ts';
import { SseDecoder, type DecodedEvent } from '../../../src/sse/decode.ts';
import { callEncoder, SessionEncoder } from '../../../src/wires/layercode/encoders.ts';

const session = (event: ReplyEvent, turnId?: string): string =>
  new SessionEncoder(turnId).event(event);
const call = (event: ReplyEvent): string => callEncoder.event(event);

function received(text: string): DecodedEvent[] {
  return new SseDecoder().push(Buffer.from(text));
}

const AWKWARD_TEXTS = [
  'plain',
  ' leading and trailing ',
  'line\nbreak',
  'both\r\nkinds',
  'a\rb',
  '\n',
  'quote " and \\ backslash',
  'data: x',
  '[DONE]',
  '{"type":"response.end"}',
  'é語👋🏽',
  '\u2028\u2029',
  '\u0000\u001b[31m',
  '</script>',
  '',
];

describe('SessionEncoder', () => {
  it('speaks', () => {
    assert.equal(
      session({ type: 'say', text: 'Hi.' }, 't1'),
      'data: {"type":"response.tts","content":"Hi.","turn_id":"t1"}\n\n',
    );
  });

  it('sends data', () => {
    assert.equal(
      session({ type: 'data', json: '{"a":[1,null]}' }, 't1'),
      'data: {"type":"response.data","content":{"a":[1,null]},"turn_id":"t1"}\n\n',
    );
  });

  it('hangs up', () => {
    assert.equal(
      session({ type: 'hangup' }, 't1'),
      'data: {"type":"response.hangup","turn_id":"t1"}\n\n',
    );
  });

  it('ends', () => {
    const end = new SessionEncoder('t1').end();
    assert.equal(end, 'data: {"type":"response.end","turn_id":"t1"}\n\n');
  });

  it('has no word for a failure: the apology has been said', () => {
    assert.equal(session({ type: 'error' }, 't1'), '');
  });

  it('sends no turn_id where the request had none', () => {
    assert.equal(
      session({ type: 'say', text: 'Hi.' }),
      'data: {"type":"response.tts","content":"Hi."}\n\n',
    );
    assert.equal(
      session({ type: 'data', json: 'null' }),
      'data: {"type":"response.data","content":null}\n\n',
    );
    assert.equal(session({ type: 'hangup' }), 'data: {"type":"response.hangup"}\n\n');
    assert.equal(new SessionEncoder(undefined).end(), 'data: {"type":"response.end"}\n\n');
  });

  it('says nothing of a filler: the caller hears it like any other text', () => {
    assert.equal(
      session({ type: 'say', text: 'Hm.', isFiller: true }, 't1'),
      'data: {"type":"response.tts","content":"Hm.","turn_id":"t1"}\n\n',
    );
  });

  it('writes an event on one line, whatever text and id, and both arrive as they were', () => {
    for (const text of AWKWARD_TEXTS) {
      const line = session({ type: 'say', text }, text);
      assert.match(line, /^data: [^\r\n]*\n\n$/);
      const [event, ...rest] = received(line);
      assert.deepEqual(rest, []);
      assert.equal(event?.event, 'message');
      assert.deepEqual(JSON.parse(event?.data ?? ''), {
        type: 'response.tts',
        content: text,
        turn_id: text,
      });
    }
  });

  it('keeps half of a surrogate pair from becoming bytes that are no UTF-8', () => {
    const line = session({ type: 'say', text: '\ud83d' });
    assert.equal(Buffer.from(line).toString('utf8'), line);
  });
});

for (const [name, encode] of [['SessionEncoder', session], ['callEncoder', call]] as const) {
  describe(name, () => {
    it('has no word for a transfer: the turn may have run on another wire before', () => {
      assert.equal(encode({ type: 'transfer', to: '+15550100' }), '');
    });

    it('has no word for what a newer server stored of a reply', () => {
      assert.equal(encode({ type: 'newer' } as unknown as ReplyEvent), '');
    });
  });
}

describe('callEncoder', () => {
  it('speaks', () =>
    assert.equal(call({ type: 'say', text: 'Hi.' }), 'event: message\ndata: Hi.\n\n'));
  it('sends data', () =>
    assert.equal(
      call({ type: 'data', json: '{"a":1}' }),
      'event: data\ndata: {"a":1}\n\n',
    ));
  it('hangs up, with data, without which a client dispatches nothing', () => {
    assert.equal(call({ type: 'hangup' }), 'event: hangup\ndata: {}\n\n');
  });
  it('tells of a failure in a fixed sentence', () => {
    assert.equal(
      call({ type: 'error' }),
      'event: error\ndata: {"error":"Internal server error"}\n\n',
    );
  });
  it('ends', () => assert.equal(callEncoder.end(undefined), 'event: done\ndata: [DONE]\n\n'));

  it('writes a text with line breaks as lines of one event, and the client gets line feeds', () => {
    assert.equal(
      call({ type: 'say', text: 'a\r\nb\n' }),
      'event: message\ndata: a\ndata: b\ndata: \n\n',
    );
    for (const text of AWKWARD_TEXTS) {
      assert.deepEqual(received(call({ type: 'say', text })), [
        { event: 'message', data: text.replace(/\r\n|\r/g, '\n') },
      ]);
    }
  });
});

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { SseDecoder, type DecodedEvent } from '../../../../src/base/sse/decode.ts';
import type { ReplyEvent } from '../../../../src/core/calls/reply-event.ts';
import { callEncoder, SessionEncoder } from '../../../../src/core/wires/layercode/encoders.ts';

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

describe('an encoder', () => {
  for (const [what, event, session, call] of [
    ['writes what is said', { type: 'say', text: 'Hi.' },
      '{"type":"response.tts","content":"Hi."}', 'event: message\ndata: Hi.\n\n'],
    ['writes a filler like any other text', { type: 'say', text: 'Hm.', isFiller: true },
      '{"type":"response.tts","content":"Hm."}', 'event: message\ndata: Hm.\n\n'],
    ['writes data', { type: 'data', json: '{"a":[1,null]}' },
      '{"type":"response.data","content":{"a":[1,null]}}', 'event: data\ndata: {"a":[1,null]}\n\n'],
    ['writes a hang-up with data, without which a client dispatches nothing', { type: 'hangup' },
      '{"type":"response.hangup"}', 'event: hangup\ndata: {}\n\n'],
    ['reports a failure only in the call dialect: the apology has been said', { type: 'error' },
      '', 'event: error\ndata: {"error":"Internal server error"}\n\n'],
    ['has no word for a transfer: the turn may have run on another wire before',
      { type: 'transfer', to: '+15550100' }, '', ''],
    ['has no word for what a newer server stored in a reply',
      { type: 'newer' } as unknown as ReplyEvent, '', ''],
  ] as readonly (readonly [string, ReplyEvent, string, string])[])
    it(what, () => {
      const line = session && `data: ${session}\n\n`;
      assert.equal(new SessionEncoder(undefined).event(event), line);
      const named = line.replace(/}\n/, ',"turn_id":"t1"}\n');
      assert.equal(new SessionEncoder('t1').event(event), named);
      assert.equal(callEncoder.event(event), call);
    });

  it('ends a stream', () => {
    const end = 'data: {"type":"response.end","turn_id":"t1"}\n\n';
    assert.equal(new SessionEncoder('t1').end(), end);
    assert.equal(new SessionEncoder(undefined).end(), 'data: {"type":"response.end"}\n\n');
    assert.equal(callEncoder.end(undefined), 'event: done\ndata: [DONE]\n\n');
  });
});

describe('SessionEncoder', () => {
  it('writes an event on one line, whatever its text and id, which arrive as they were', () => {
    for (const text of AWKWARD_TEXTS) {
      const line = new SessionEncoder(text).event({ type: 'say', text });
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

  it('keeps half of a surrogate pair from becoming bytes that are not UTF-8', () => {
    const line = new SessionEncoder('t1').event({ type: 'say', text: '\ud83d' });
    assert.equal(Buffer.from(line).toString('utf8'), line);
  });
});

describe('callEncoder', () => {
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

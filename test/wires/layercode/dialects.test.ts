import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import type { ReplyEvent } from '../../../src/calls/reply-event.ts';
import { callDialect } from '../../../src/wires/layercode/call-dialect.ts';
import type { Dialect } from '../../../src/wires/layercode/dialect.ts';
import { sessionDialect } from '../../../src/wires/layercode/session-dialect.ts';
import { SseDecoder, type DecodedEvent } from '../../../src/sse/decode.ts';

function wire(dialect: Dialect, event: ReplyEvent, turnId?: string): string {
  return dialect.event(event, dialect.tail(turnId));
}

function end(dialect: Dialect, turnId?: string): string {
  return dialect.end(dialect.tail(turnId));
}

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

describe('sessionDialect', () => {
  it('speaks', () => {
    assert.equal(
      wire(sessionDialect, { type: 'say', text: 'Hi.' }, 't1'),
      'data: {"type":"response.tts","content":"Hi.","turn_id":"t1"}\n\n',
    );
  });

  it('sends data', () => {
    assert.equal(
      wire(sessionDialect, { type: 'data', json: '{"a":[1,null]}' }, 't1'),
      'data: {"type":"response.data","content":{"a":[1,null]},"turn_id":"t1"}\n\n',
    );
  });

  it('hangs up', () => {
    assert.equal(
      wire(sessionDialect, { type: 'hangup' }, 't1'),
      'data: {"type":"response.hangup","turn_id":"t1"}\n\n',
    );
  });

  it('ends', () => {
    assert.equal(end(sessionDialect, 't1'), 'data: {"type":"response.end","turn_id":"t1"}\n\n');
  });

  it('has no word for a failure: the apology has been said', () => {
    assert.equal(wire(sessionDialect, { type: 'error' }, 't1'), '');
  });

  it('sends no turn_id where the request had none', () => {
    assert.equal(
      wire(sessionDialect, { type: 'say', text: 'Hi.' }),
      'data: {"type":"response.tts","content":"Hi."}\n\n',
    );
    assert.equal(
      wire(sessionDialect, { type: 'data', json: 'null' }),
      'data: {"type":"response.data","content":null}\n\n',
    );
    assert.equal(wire(sessionDialect, { type: 'hangup' }), 'data: {"type":"response.hangup"}\n\n');
    assert.equal(end(sessionDialect), 'data: {"type":"response.end"}\n\n');
  });

  it('says nothing of a filler: the caller hears it like any other text', () => {
    assert.equal(
      wire(sessionDialect, { type: 'say', text: 'Hm.', isFiller: true }, 't1'),
      'data: {"type":"response.tts","content":"Hm.","turn_id":"t1"}\n\n',
    );
  });

  it('writes an event on one line, whatever the text and the id, and both arrive as they were', () => {
    for (const text of AWKWARD_TEXTS) {
      const line = wire(sessionDialect, { type: 'say', text }, text);
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
    const line = wire(sessionDialect, { type: 'say', text: '\ud83d' });
    assert.equal(Buffer.from(line).toString('utf8'), line);
  });
});

describe('callDialect', () => {
  it('speaks', () =>
    assert.equal(wire(callDialect, { type: 'say', text: 'Hi.' }), 'event: message\ndata: Hi.\n\n'));
  it('sends data', () =>
    assert.equal(
      wire(callDialect, { type: 'data', json: '{"a":1}' }),
      'event: data\ndata: {"a":1}\n\n',
    ));
  it('hangs up, with data, without which a client dispatches nothing', () => {
    assert.equal(wire(callDialect, { type: 'hangup' }), 'event: hangup\ndata: {}\n\n');
  });
  it('tells of a failure in a fixed sentence', () => {
    assert.equal(
      wire(callDialect, { type: 'error' }),
      'event: error\ndata: {"error":"Internal server error"}\n\n',
    );
  });
  it('ends', () => assert.equal(end(callDialect), 'event: done\ndata: [DONE]\n\n'));

  it('never sends a turn_id', () => {
    for (const event of [
      { type: 'say', text: 'a' },
      { type: 'data', json: '1' },
      { type: 'hangup' },
      { type: 'error' },
    ] as const) {
      assert.equal(wire(callDialect, event, 'secret-turn').includes('secret-turn'), false);
    }
    assert.equal(end(callDialect, 'secret-turn').includes('secret-turn'), false);
  });

  it('writes a text with line breaks as lines of one event, and the client gets line feeds', () => {
    assert.equal(
      wire(callDialect, { type: 'say', text: 'a\r\nb\n' }),
      'event: message\ndata: a\ndata: b\ndata: \n\n',
    );
    for (const text of AWKWARD_TEXTS) {
      assert.deepEqual(received(wire(callDialect, { type: 'say', text })), [
        { event: 'message', data: text.replace(/\r\n|\r/g, '\n') },
      ]);
    }
  });
});

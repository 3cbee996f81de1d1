import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { SseDecoder } from '../../../src/base/sse/decode.ts';
import { encodeEvent, type SseEvent } from '../../../src/base/sse/encode.ts';

const TABLE: readonly (readonly [title: string, event: SseEvent, text: string])[] = [
  ['writes data on one line and closes the block', { data: 'hello' }, 'data: hello\n\n'],
  [
    'names the event before its data',
    { event: 'message', data: 'hello' },
    'event: message\ndata: hello\n\n',
  ],
  ['writes empty data, which a client dispatches', { data: '' }, 'data: \n\n'],
  ['writes an empty name as a field', { event: '', data: 'x' }, 'event: \ndata: x\n\n'],
  ['writes data with a line feed as two lines', { data: 'a\nb' }, 'data: a\ndata: b\n\n'],
  ['takes \\r\\n for one line break', { data: 'a\r\nb' }, 'data: a\ndata: b\n\n'],
  ['takes a lone \\r for a line break', { data: 'a\rb' }, 'data: a\ndata: b\n\n'],
  ['takes \\n\\r for two line breaks', { data: 'a\n\rb' }, 'data: a\ndata: \ndata: b\n\n'],
  ['keeps line breaks at both ends', { data: '\na\n' }, 'data: \ndata: a\ndata: \n\n'],
  ['keeps a space at the start of data', { data: ' a' }, 'data:  a\n\n'],
  ['leaves colons in data alone', { data: 'data: x' }, 'data: data: x\n\n'],
  [
    'leaves U+2028, U+2029, U+0085, form feed and vertical tab alone: none is a line break here',
    { data: 'a\u2028b\u2029c\u0085d\fe\vf' },
    'data: a\u2028b\u2029c\u0085d\fe\vf\n\n',
  ],
  ['leaves characters beyond the basic plane whole', { data: '👋🏽' }, 'data: 👋🏽\n\n'],
  ['writes a comment', { comment: 'still here' }, ': still here\n\n'],
  ['writes an empty comment', { comment: '' }, ': \n\n'],
];

describe('encodeEvent', () => {
  for (const [title, event, text] of TABLE) {
    it(title, () => assert.equal(encodeEvent(event), text));
  }

  for (const lineBreak of ['\n', '\r', '\r\n']) {
    it(`refuses an event name with ${JSON.stringify(lineBreak)}, which would end its field early`, () => {
      assert.throws(() => encodeEvent({ event: `a${lineBreak}data: forged`, data: 'x' }), {
        name: 'TypeError',
        message: `an SSE event name must be one line, got ${JSON.stringify(`a${lineBreak}data: forged`)}`,
      });
    });

    it(`refuses a comment with ${JSON.stringify(lineBreak)}`, () => {
      assert.throws(() => encodeEvent({ comment: `a${lineBreak}` }), {
        name: 'TypeError',
        message: /^an SSE comment must be one line, got "/,
      });
    });
  }

  it('writes what is read back unchanged, for every kind of event with data', () => {
    const decoder = new SseDecoder();
    for (const [, event] of TABLE) {
      if ('comment' in event) assert.deepEqual(decoder.push(Buffer.from(encodeEvent(event))), []);
      else {
        assert.deepEqual(decoder.push(Buffer.from(encodeEvent(event))), [
          {
            event: event.event === undefined || event.event === '' ? 'message' : event.event,
            data: event.data.replace(/\r\n|\r/g, '\n'),
          },
        ]);
      }
    }
  });
});

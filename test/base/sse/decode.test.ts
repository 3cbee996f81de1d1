import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import {
  decodeEvents,
  SseDecoder,
  type DecodedEvent,
} from '../../../src/base/sse/decode.ts';

function decode(text: string | Uint8Array, maxEventLength?: number): DecodedEvent[] {
  return new SseDecoder(maxEventLength).push(typeof text === 'string' ? Buffer.from(text) : text);
}

function message(data: string): DecodedEvent {
  return { event: 'message', data };
}

const TABLE: readonly (readonly [
  title: string,
  stream: string,
  events: readonly DecodedEvent[],
])[] = [
  ['reads an event', 'data: a\n\n', [message('a')]],
  ['reads the name of an event', 'event: done\ndata: a\n\n', [{ event: 'done', data: 'a' }]],
  [
    'reads a name that comes after the data',
    'data: a\nevent: done\n\n',
    [{ event: 'done', data: 'a' }],
  ],
  [
    'takes the last of several names',
    'event: a\nevent: b\ndata: x\n\n',
    [{ event: 'b', data: 'x' }],
  ],
  ['treats an empty name as message', 'event: a\nevent:\ndata: x\n\n', [message('x')]],
  [
    'forgets a name with its event',
    'event: a\ndata: x\n\ndata: y\n\n',
    [{ event: 'a', data: 'x' }, message('y')],
  ],
  ['forgets the name of an event without data', 'event: a\n\ndata: y\n\n', [message('y')]],
  ['joins lines of data with line feeds', 'data: a\ndata: b\n\n', [message('a\nb')]],
  ['joins empty lines of data too', 'data\ndata:\ndata: \n\n', [message('\n\n')]],
  ['dispatches empty data', 'data:\n\n', [message('')]],
  ['strips one space and no more', 'data:  a\n\ndata:b\n\n', [message(' a'), message('b')]],
  ['does not strip a tab', 'data:\ta\n\n', [message('\ta')]],
  ['keeps colons in a value', 'data: a: b:\n\n', [message('a: b:')]],
  ['skips comments', ': hello\n:\n:data: x\ndata: a\n: in between\ndata: b\n\n', [message('a\nb')]],
  ['does not take a lone comment for an event', ': heartbeat\n\n', []],
  [
    'skips id, retry and fields that it does not know',
    'id: 1\nretry: 5\nfoo: x\nfoo\ndata: a\n\n',
    [message('a')],
  ],
  ['compares field names exactly', 'Data: x\n data: x\ndata : x\ndatax: x\n\n', []],
  ['never dispatches an event without data', 'event: done\n\n\n\n', []],
  [
    'never dispatches an event without a blank line after it',
    'data: a\n\ndata: b\n',
    [message('a')],
  ],
  ['never dispatches an unended line', 'data: a\n\ndata: b', [message('a')]],
  ['reads \\r\\n', 'event: e\r\ndata: a\r\ndata: b\r\n\r\n', [{ event: 'e', data: 'a\nb' }]],
  ['reads a lone \\r', 'event: e\rdata: a\rdata: b\r\r', [{ event: 'e', data: 'a\nb' }]],
  [
    'reads line endings of all kinds in one stream',
    'data: a\r\n\ndata: b\r\rdata: c\n\r\ndata: d\n\n',
    [message('a'), message('b'), message('c'), message('d')],
  ],
  ['takes \\n\\r for two line endings', 'data: a\n\rdata: b\n\n', [message('a'), message('b')]],
  ['strips one BOM at the start', '\uFEFFdata: a\n\n', [message('a')]],
  ['strips no second BOM', '\uFEFF\uFEFFdata: a\n\n', []],
  ['keeps a BOM inside the stream', 'data: \uFEFFa\n\n\uFEFFdata: x\n\n', [message('\uFEFFa')]],
  [
    'does not end lines at U+2028, U+0085 or \\f',
    'data: a\u2028b\u0085c\fd\n\n',
    [message('a\u2028b\u0085c\fd')],
  ],
  ['reads characters of two, three and four bytes', 'data: é語👋🏽\n\n', [message('é語👋🏽')]],
];

describe('SseDecoder', () => {
  for (const [title, stream, events] of TABLE) {
    it(title, () => assert.deepEqual(decode(stream), events));
  }

  it('reads every stream of the table the same when cut in two at any byte', () => {
    for (const [title, stream, events] of TABLE) {
      const bytes = Buffer.from(stream);
      for (let offset = 0; offset <= bytes.length; offset++) {
        const decoder = new SseDecoder();
        const decoded = [
          ...decoder.push(bytes.subarray(0, offset)),
          ...decoder.push(bytes.subarray(offset)),
        ];
        assert.deepEqual(decoded, events, `${title}, cut at ${offset}`);
      }
    }
  });

  it('reads every stream of the table the same, byte by byte and with empty chunks between', () => {
    for (const [title, stream, events] of TABLE) {
      const decoder = new SseDecoder();
      const decoded: DecodedEvent[] = [];
      for (const byte of Buffer.from(stream)) {
        decoded.push(...decoder.push(Uint8Array.of(byte)));
        decoded.push(...decoder.push(new Uint8Array(0)));
      }
      assert.deepEqual(decoded, events, title);
    }
  });

  it('takes a \\r\\n cut in two for one line ending, even right before a code point', () => {
    const bytes = Buffer.from('data: a\r\n👋: x\r\n\r\n');
    for (let first = 0; first <= bytes.length; first++) {
      for (let second = first; second <= bytes.length; second++) {
        const decoder = new SseDecoder();
        const chunks = [
          bytes.subarray(0, first),
          bytes.subarray(first, second),
          bytes.subarray(second),
        ];
        assert.deepEqual(
          chunks.flatMap((chunk) => decoder.push(chunk)),
          [message('a')],
          `cut at ${first} and ${second}`,
        );
      }
    }
  });

  it('dispatches an event with the chunk that ends it, not with the next', () => {
    const decoder = new SseDecoder();
    assert.deepEqual(decoder.push(Buffer.from('data: a\r\n\r')), [message('a')]);
    assert.deepEqual(decoder.push(Buffer.from('\ndata: b\n')), []);
    assert.deepEqual(decoder.push(Buffer.from('\n')), [message('b')]);
  });

  it('replaces bytes that are not UTF-8 and reads on', () => {
    assert.deepEqual(
      decode(
        Buffer.from([...Buffer.from('data: a'), 0xff, 0xc3, ...Buffer.from('b\n\ndata: c\n\n')]),
      ),
      [message('a\ufffd\ufffdb'), message('c')],
    );
  });

  it('does not change the chunk that it was given', () => {
    const chunk = Buffer.from('\uFEFFdata: a\r\n\r\n');
    const before = Buffer.from(chunk);
    decode(chunk);
    assert.deepEqual(chunk, before);
  });

  it('keeps an event of exactly the limit and throws for one character more', () => {
    assert.deepEqual(decode(`data: ${'x'.repeat(4)}\n\n`, 10), [
      message('xxxx'),
    ]);
    const longest = 10;
    assert.throws(() => decode('data: xxxxx', longest), {
      name: 'RangeError',
      message: 'an event of the stream is longer than 10 characters',
    });
    assert.deepEqual(decode('data: xxxxx\ndata: xxxx\n\n', longest), [message('xxxxx\nxxxx')]);
    assert.throws(() => decode('data: xxxxx\ndata: xxxxx\n\n', longest), RangeError);
  });

  it('bounds an event by its lines together, its name included, however small the chunks', () => {
    const decoder = new SseDecoder(20);
    assert.throws(() => {
      for (let count = 0; count < 20; count++)
        for (const character of 'data: xx\n') decoder.push(Buffer.from(character));
    }, RangeError);
    assert.throws(
      () => decode(`event: ${'e'.repeat(15)}\ndata: ${'x'.repeat(10)}\n\n`, 20),
      RangeError,
    );
  });

  it('bounds an endless line, such as a comment', () => {
    const decoder = new SseDecoder(100);
    assert.throws(() => {
      for (let count = 0; count < 20; count++) decoder.push(Buffer.from(': still here '));
    }, RangeError);
  });

  it('bounds each event separately, not the stream and not the chunk', () => {
    const events = decode('data: xxxx\n\n'.repeat(1_000), 10);
    assert.equal(events.length, 1_000);
  });

  it('bounds events at 1,048,576 characters by default', () => {
    assert.equal(decode(`data: ${'x'.repeat(1_048_570)}\n\n`)[0]?.data.length, 1_048_570);
    assert.throws(() => decode(`data: ${'x'.repeat(1_048_571)}`), RangeError);
  });
});

describe('unfinished', () => {
  const table: readonly (readonly [stream: string, events: readonly DecodedEvent[]])[] = [
    ['data: a', [message('a')]],
    ['data: a\n', [message('a')]],
    ['data: a\r', [message('a')]],
    ['data: a\n\nevent: e\ndata: b\ndata: c', [{ event: 'e', data: 'b\nc' }]],
    ['data: a\n\n', []],
    ['data: a\n\n: comment', []],
    ['event: e', []],
    ['', []],
  ];

  it('returns the event that was left without a blank line at the end of the stream', () => {
    for (const [stream, events] of table) {
      const decoder = new SseDecoder();
      decoder.push(Buffer.from(stream));
      assert.deepEqual(decoder.unfinished(), events, JSON.stringify(stream));
      assert.deepEqual(decoder.unfinished(), [], 'once');
    }
  });

  it('is the same however the bytes were cut, even within a code point', () => {
    const bytes = Buffer.from('data: Grüß');
    for (let at = 0; at <= bytes.length; at++) {
      const decoder = new SseDecoder();
      decoder.push(bytes.subarray(0, at));
      decoder.push(bytes.subarray(at));
      assert.deepEqual(decoder.unfinished(), [message('Grüß')]);
    }
  });
});

describe('decodeEvents', () => {
  it('yields the events of all chunks in order, except a last one without its blank line', async () => {
    async function* chunks(): AsyncGenerator<Uint8Array> {
      yield Buffer.from('data: a\n');
      yield Buffer.from('\nda');
      yield Buffer.from('ta: b\n\ndata: c\n\ndata: d\n');
    }
    const events: DecodedEvent[] = [];
    for await (const event of decodeEvents(chunks())) events.push(event);
    assert.deepEqual(events, [message('a'), message('b'), message('c')]);
  });

  it('yields an event before the next chunk exists', async () => {
    let asked = 0;
    async function* chunks(): AsyncGenerator<Uint8Array> {
      asked = 1;
      yield Buffer.from('data: a\n\n');
      asked = 2;
      yield Buffer.from('data: b\n\n');
    }
    const events = decodeEvents(chunks());
    assert.deepEqual((await events.next()).value, message('a'));
    assert.equal(asked, 1);
    await events.return();
  });

  it('cancels the stream when the reader stops', async () => {
    let isReleased = false;
    async function* chunks(): AsyncGenerator<Uint8Array> {
      try {
        for (;;) yield Buffer.from('data: a\n\n');
      } finally {
        isReleased = true;
      }
    }
    for await (const event of decodeEvents(chunks())) {
      assert.deepEqual(event, message('a'));
      break;
    }
    assert.equal(isReleased, true);
  });

  it('cancels the stream when an event outgrows its limit', async () => {
    let isReleased = false;
    async function* chunks(): AsyncGenerator<Uint8Array> {
      try {
        for (;;) yield Buffer.from(`data: ${'a'.repeat(400_000)}\n`);
      } finally {
        isReleased = true;
      }
    }
    await assert.rejects(decodeEvents(chunks()).next(), RangeError);
    assert.equal(isReleased, true);
  });
});

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { WebSocketError } from '../../../src/base/websocket/close.ts';
import {
  encodeFrame,
  FrameDecoder,
  OPCODES,
  type Received,
} from '../../../src/base/websocket/frame.ts';
import { processorMs } from '../../fixtures/processor-time.ts';
import { randomOf } from '../../fixtures/random.ts';
import {
  clientFrame,
  close,
  fragments,
  NO_MASK,
  parseServerFrames,
  text,
} from './client-frames.ts';

interface Outcome {
  readonly received: Received[];
  /** The code of the breach that ended it. */
  readonly code?: number;
}

function decode(chunks: Iterable<Buffer>, maxMessageBytes?: number): Outcome {
  const decoder = new FrameDecoder(maxMessageBytes);
  const received: Received[] = [];
  try {
    for (const chunk of chunks) {
      decoder.push(chunk);
      for (let next = decoder.next(); next !== undefined; next = decoder.next()) {
        received.push(next);
      }
    }
  } catch (error) {
    if (!(error instanceof WebSocketError)) throw error;
    return { received, code: error.code };
  }
  return { received };
}

/** Views of chunks of any sizes; a size of 0 is an empty chunk. */
function* split(bytes: Buffer, nextSize: () => number): Generator<Buffer> {
  for (let start = 0; start < bytes.length;) {
    const size = nextSize();
    yield bytes.subarray(start, start + size);
    start += size;
  }
}

function said(message: string): Received {
  return { type: 'text', text: message };
}

function control(type: 'ping' | 'pong', payload = ''): Received {
  return { type, payload: Buffer.from(payload) };
}

function ping(payload = ''): Buffer {
  return clientFrame(OPCODES.ping, payload);
}

/** More fragments follow. */
const OPEN = { isFinal: false };
const [abc1, abc2, abc3] = fragments('a', 'b', 'c') as [Buffer, Buffer, Buffer];

const VALID: readonly (readonly [
  title: string,
  frames: readonly Buffer[],
  received: readonly Received[],
])[] = [
  [
    'reads the masked "Hello" of RFC 6455 §5.7',
    [Buffer.from('818537fa213d7f9f4d5158', 'hex')],
    [said('Hello')],
  ],
  ['reads an empty text', [text('')], [said('')]],
  ['reads characters of one to four bytes', [text('aé語👋🏽')], [said('aé語👋🏽')]],
  ['keeps a byte-order mark', [text('\ufeffa\ufeff')], [said('\ufeffa\ufeff')]],
  ['keeps U+0000 and U+FFFF', [text('a\0\uffff')], [said('a\0\uffff')]],
  [
    'reads texts one after another',
    [text('a'), text('b'), text('')],
    [said('a'), said('b'), said('')],
  ],
  ['joins fragments', [abc1, abc2, abc3, text('d')], [said('abc'), said('d')]],
  [
    'joins empty fragments',
    [...fragments('', '', 'a', '', ''), ...fragments('', '')],
    [said('a'), said('')],
  ],
  [
    'joins a code point that is cut between fragments',
    fragments(...[...Buffer.from('é👋')].map((byte) => Uint8Array.of(byte))),
    [said('é👋')],
  ],
  [
    'reads control frames between fragments',
    [abc1, ping('1'), clientFrame(OPCODES.pong), abc2, ping(), abc3],
    [control('ping', '1'), control('pong'), control('ping'), said('abc')],
  ],
  [
    'reads a close frame between fragments',
    [abc1, close(1000)],
    [{ type: 'close', code: 1000, reason: '' }],
  ],
  [
    'reads control frames of 125 bytes',
    [ping('p'.repeat(125)), close(1000, 'r'.repeat(123))],
    [control('ping', 'p'.repeat(125)), { type: 'close', code: 1000, reason: 'r'.repeat(123) }],
  ],
  [
    'reads a close frame with a reason',
    [close(3000, 'adiós')],
    [{ type: 'close', code: 3000, reason: 'adiós' }],
  ],
  [
    'reads a close frame without a code as 1005',
    [close()],
    [{ type: 'close', code: 1005, reason: '' }],
  ],
];

/** The last byte is the one that shows the breach. The limit for a message is 100 bytes. */
const BREACHES: readonly (readonly [what: string, bytes: readonly Buffer[], code: number])[] = [
  ['a frame that is not masked', [text('', { mask: undefined })], 1002],
  ...[1, 2, 3, 4, 5, 6, 7].map(
    (reserved) =>
      [`the reserved bits ${reserved}`, [text('', { reserved }).subarray(0, 2)], 1002] as const,
  ),
  ...[3, 4, 5, 6, 7, 11, 12, 13, 14, 15].map(
    (opcode) => [`the opcode ${opcode}`, [clientFrame(opcode).subarray(0, 2)], 1002] as const,
  ),
  ...[8, 9, 10].map(
    (opcode) =>
      [
        `a fragment of the control frame ${opcode}`,
        [clientFrame(opcode, '', OPEN).subarray(0, 2)],
        1002,
      ] as const,
  ),
  ...[8, 9, 10].map(
    (opcode) =>
      [
        `126 bytes in the control frame ${opcode}`,
        [clientFrame(opcode, 'x'.repeat(126)).subarray(0, 2)],
        1002,
      ] as const,
  ),
  ['a continuation of nothing', [clientFrame(OPCODES.continuation).subarray(0, 2)], 1002],
  [
    'a continuation after the last one',
    [abc1, abc3, clientFrame(OPCODES.continuation, '', OPEN).subarray(0, 2)],
    1002,
  ],
  ['a text inside a fragmented one', [abc1, text('').subarray(0, 2)], 1002],
  [
    'a binary message inside a fragmented text',
    [abc1, abc2, clientFrame(OPCODES.binary).subarray(0, 2)],
    1002,
  ],
  ['a binary message', [clientFrame(OPCODES.binary).subarray(0, 2)], 1003],
  ['a fragmented binary message', [clientFrame(OPCODES.binary, '', OPEN).subarray(0, 2)], 1003],
  ['a length below 126 in 16 bits', [text('', { length: 125, lengthBits: 16 })], 1002],
  ['a length below 65,536 in 64 bits', [text('', { length: 65_535, lengthBits: 64 })], 1002],
  ['a length beyond the bound', [text('', { length: 101 })], 1009],
  ['a length beyond the bound in 16 bits', [text('', { length: 126 })], 1009],
  ['a length beyond the bound in 64 bits', [text('', { length: 65_536 })], 1009],
  ['a length of 2^53 + 1', [text('', { length: 2n ** 53n + 1n })], 1009],
  ['the topmost bit of a length', [text('', { length: 2n ** 63n })], 1009],
  [
    'the topmost bit of a length that is short without it',
    [text('', { length: 2n ** 63n + 1n })],
    1009,
  ],
  [
    'a fragment beyond the bound of its message',
    [
      ...fragments('a'.repeat(60), 'a'.repeat(40), '').slice(0, 2),
      clientFrame(OPCODES.continuation, '', { length: 1 }),
    ],
    1009,
  ],
  ['a byte that UTF-8 does not have', [text(Uint8Array.of(0x61, 0xff))], 1007],
  ['a code point in more bytes than it needs', [text(Uint8Array.of(0xc0))], 1007],
  ['a surrogate', [text(Uint8Array.of(0xed, 0xa0))], 1007],
  ['a code point beyond U+10FFFF', [text(Uint8Array.of(0xf4, 0x90))], 1007],
  ['a text that ends inside a code point', [text(Buffer.from('a👋').subarray(0, 4))], 1007],
  [
    'a last fragment that ends inside a code point',
    fragments('a', Uint8Array.of(0xf0), Uint8Array.of(0x9f)),
    1007,
  ],
  ['an empty last fragment inside a code point', fragments(Uint8Array.of(0xc3), ''), 1007],
  [
    'a code point that the next fragment does not continue',
    fragments(Uint8Array.of(0xc3), 'a', 'b'),
    1007,
  ],
  [
    'a fault in a fragment that is not the last',
    fragments('a', Uint8Array.of(0x80), 'b'),
    1007,
  ],
  ['a close frame of one byte', [clientFrame(OPCODES.close, Uint8Array.of(3))], 1002],
  ['a close code that must not be sent', [close(1006)], 1002],
  ['a wrong close code whose reason is wrong too', [close(1005, Uint8Array.of(0xff))], 1002],
  ['a close reason that is not UTF-8', [close(1000, Uint8Array.of(0x61, 0xff))], 1007],
  ['a close reason that ends inside a code point', [close(1000, Uint8Array.of(0xf0, 0x9f))], 1007],
];
const BOUND = 100;

describe('FrameDecoder', () => {
  for (const [title, frames, received] of VALID) {
    it(title, () => assert.deepEqual(decode(frames), { received }));
  }

  it('reads every row of the table the same, in one chunk and cut at every offset', () => {
    for (const [title, frames, received] of VALID) {
      const bytes = Buffer.concat(frames);
      for (let offset = 0; offset <= bytes.length; offset++) {
        assert.deepEqual(
          decode([bytes.subarray(0, offset), bytes.subarray(offset)]),
          { received },
          `${title}, cut at ${offset}`,
        );
      }
    }
  });

  it('reads every row of the table the same, byte by byte and with empty chunks between', () => {
    for (const [title, frames, received] of VALID) {
      let size = 0;
      assert.deepEqual(
        decode(split(Buffer.concat(frames), () => (size = 1 - size))),
        { received },
        title,
      );
    }
  });

  for (const [what, frames, code] of BREACHES) {
    it(`refuses ${what} with ${code}, at the byte that shows it`, () => {
      const bytes = Buffer.concat(frames);
      const { code: early } = decode([bytes.subarray(0, -1)], BOUND);
      assert.deepEqual(
        [
          early,
          decode([bytes], BOUND).code,
          decode(
            split(bytes, () => 1),
            BOUND,
          ).code,
        ],
        [undefined, code, code],
      );
    });
  }

  for (const length of [0, 1, 125, 126, 127, 65_535, 65_536, 65_537]) {
    it(`reads a text of ${length.toLocaleString('en')} bytes, masked with any key`, () => {
      const message = 'abcdefg'.repeat(Math.ceil(length / 7)).slice(0, length);
      const masks = [
        undefined,
        NO_MASK,
        Uint8Array.of(1, 2, 3, 4),
        Uint8Array.of(255, 0, 255, 128),
      ];
      for (const mask of masks) {
        assert.deepEqual(decode([text(message, mask === undefined ? {} : { mask })]), {
          received: [said(message)],
        });
      }
    });
  }

  it('keeps a message of exactly the limit in bytes and refuses one byte more', () => {
    assert.deepEqual(decode([text('é'.repeat(50))], BOUND), { received: [said('é'.repeat(50))] });
    assert.equal(decode([text(`${'é'.repeat(50)}a`)], BOUND).code, 1009);
  });

  it('bounds messages at 1,048,576 bytes by default', () => {
    assert.equal(decode([text('x'.repeat(1_048_576))]).received.length, 1);
    assert.equal(decode([text('x'.repeat(1_048_577))]).code, 1009);
  });

  it('bounds the fragments of each message together, without control frames', () => {
    const message = ['a'.repeat(99), '', 'b'];
    const frames = fragments(...message).flatMap((frame) => [ping('p'.repeat(125)), frame]);
    assert.equal(
      decode([...frames, ...frames], BOUND).received.filter(({ type }) => type === 'text').length,
      2,
    );
    assert.equal(decode(fragments(...message, 'c'), BOUND).code, 1009);
  });

  it('delivers one message at a time, and reads on where it stopped', () => {
    const decoder = new FrameDecoder();
    decoder.push(Buffer.concat([text('a'), text('b')]));
    assert.deepEqual([decoder.next(), decoder.hasInput], [said('a'), true]);
    decoder.push(text('c').subarray(0, 3));
    decoder.push(text('c').subarray(3));
    assert.deepEqual(
      [decoder.next(), decoder.next(), decoder.hasInput, decoder.next()],
      [said('b'), said('c'), false, undefined],
    );
  });

  it('does not change the chunk that it was given, nor keep it', () => {
    const chunk = Buffer.concat([ping('ping'), ...fragments('a', 'b')]);
    const before = Buffer.from(chunk);
    const decoder = new FrameDecoder();
    decoder.push(chunk.subarray(0, -1));
    const received = decoder.next();
    assert.equal(decoder.next(), undefined);
    assert.deepEqual(chunk, before);
    chunk.fill(0);
    assert.deepEqual(received, control('ping', 'ping'));
    decoder.push(before.subarray(-1));
    assert.deepEqual(decoder.next(), said('ab'));
  });

  it('uses memory for what has arrived, not for what was announced', () => {
    const decoders = Array.from({ length: 256 }, () => new FrameDecoder());
    const before = process.memoryUsage().arrayBuffers;
    for (const decoder of decoders) {
      decoder.push(
        Buffer.concat([text('', { length: 1_048_576, mask: NO_MASK }), Buffer.from('abc')]),
      );
      assert.equal(decoder.next(), undefined);
    }
    assert.ok(process.memoryUsage().arrayBuffers - before < 16 * 1_048_576);
  });

  it('reads 1 MiB byte by byte without copying it over and over', () => {
    const message = 'é'.repeat(524_288);
    const begun = process.cpuUsage();
    assert.deepEqual(decode(split(text(message, { mask: NO_MASK }), () => 1)), {
      received: [said(message)],
    });
    assert.ok(processorMs(begun) < 4_000); // quadratic work takes minutes
  });

  it('reads a message in 100,000 fragments, most of them empty, without copying it over and over', () => {
    const empty = clientFrame(OPCODES.continuation, '', OPEN);
    const small = clientFrame(OPCODES.continuation, 'abc', OPEN);
    const frames = Array.from({ length: 100_000 }, (_, index) =>
      index % 10 === 0 ? small : empty,
    );
    const begun = process.cpuUsage();
    assert.deepEqual(decode([abc1, ...frames, clientFrame(OPCODES.continuation)]), {
      received: [said(`a${'abc'.repeat(10_000)}`)],
    });
    assert.ok(processorMs(begun) < 4_000);
  });
});

/** A random valid conversation: its frames, and what they say. */
function converse(below: (bound: number) => number): {
  readonly bytes: Buffer;
  readonly received: Received[];
} {
  const frames: Buffer[] = [];
  const received: Received[] = [];
  const add = (opcode: number, payload: string | Uint8Array, isFinal = true): void => {
    frames.push(
      clientFrame(opcode, payload, {
        isFinal,
        mask: Uint8Array.from({ length: 4 }, () => below(256)),
      }),
    );
  };
  const addControls = (): void => {
    while (below(3) === 0) {
      const type = below(2) === 0 ? 'ping' : 'pong';
      const payload = 'p'.repeat(below(126));
      add(OPCODES[type], payload);
      received.push(control(type, payload));
    }
  };
  for (let messages = 1 + below(5); messages > 0; messages--) {
    const message =
      ['a', 'é', '語', '👋', 'wide awake '][below(5)]?.repeat([0, 1, 5, 40, 200][below(5)] ?? 0) ??
      '';
    let rest = Buffer.from(message);
    let opcode: number = OPCODES.text;
    for (let fragment = below(4); fragment > 0; fragment--) {
      const size = below(rest.length + 1);
      add(opcode, rest.subarray(0, size), false);
      addControls();
      rest = rest.subarray(size);
      opcode = OPCODES.continuation;
    }
    add(opcode, rest);
    received.push(said(message));
    addControls();
  }
  return { bytes: Buffer.concat(frames), received };
}

describe('FrameDecoder, fed at random,', () => {
  const random = randomOf(6455);
  const below = (bound: number): number => Math.floor(random() * bound);

  it('ends at worst with a close code when bytes are damaged, however they are split', () => {
    const codes = new Map<number | undefined, number>();
    for (let round = 0; round < 3_000; round++) {
      const { bytes } = converse(below);
      for (let count = below(4); count >= 0; count--) {
        bytes[below(Math.min(bytes.length, 1 + below(bytes.length)))] = below(256);
      }
      const damaged = bytes.subarray(below(2) === 0 ? 0 : below(bytes.length));
      const outcome = decode([damaged], 10_000);
      const inPieces = decode(split(damaged, () => below(50)), 10_000);
      assert.deepEqual(inPieces, outcome, `round ${round}, split`);
      codes.set(outcome.code, (codes.get(outcome.code) ?? 0) + 1);
    }
    // each of these occurred, and no other
    assert.deepEqual([...codes.keys()].sort(), [1002, 1003, 1007, 1009, undefined]);
  });
});

describe('encodeFrame', () => {
  const HEADERS: readonly (readonly [length: number, header: string])[] = [
    [0, '8100'],
    [1, '8101'],
    [125, '817d'],
    [126, '817e007e'],
    [127, '817e007f'],
    [65_535, '817effff'],
    [65_536, '817f0000000000010000'],
    [1_048_576, '817f0000000000100000'],
  ];
  for (const [length, header] of HEADERS) {
    it(`announces ${length.toLocaleString('en')} bytes in the shortest form`, () => {
      const frame = encodeFrame(OPCODES.text, 'x'.repeat(length));
      assert.equal(frame.subarray(0, -length || undefined).toString('hex'), header);
      assert.equal(frame.subarray(header.length / 2).toString(), 'x'.repeat(length));
    });
  }

  it('makes the frames of RFC 6455 §5.7', () => {
    assert.equal(encodeFrame(OPCODES.text, 'Hello').toString('hex'), '810548656c6c6f');
    assert.equal(encodeFrame(OPCODES.ping, Buffer.from('Hello')).toString('hex'), '890548656c6c6f');
  });

  it('sends text as UTF-8, a lone surrogate as U+FFFD', () => {
    const bytes = Buffer.concat(
      ['é👋', '\ud83d', 'a\udc4bb'].map((message) => encodeFrame(OPCODES.text, message)),
    );
    const { frames, rest } = parseServerFrames(bytes);
    assert.deepEqual(
      [frames.map(({ payload }) => payload.toString()), rest.length],
      [['é👋', '\ufffd', 'a\ufffdb'], 0],
    );
  });
});

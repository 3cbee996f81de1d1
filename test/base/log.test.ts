import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { soon } from '../../src/base/awaitable.ts';
import {
  createLogger, MAX_LINE_LENGTH, type LogFields, type LoggerOptions,
} from '../../src/base/log.ts';

const SECRET = 'whsec_0123456789abcdef';

/** The line that a record becomes, including its line break. */
function lineOf(message: string, fields?: LogFields, options: Partial<LoggerOptions> = {}): string {
  let text = '';
  const log = createLogger({
    now: () => Date.UTC(2026, 0, 2, 3, 4, 5, 678),
    write: (lines) => (text += lines),
    ...options,
  });
  log.info(message, fields);
  return text;
}

function recordOf(
  message: string,
  fields?: LogFields,
  options?: Partial<LoggerOptions>,
): Record<string, unknown> {
  return JSON.parse(lineOf(message, fields, options)) as Record<string, unknown>;
}

describe('createLogger', () => {
  it('writes time, level, message and fields, in this order', () => {
    assert.equal(
      lineOf('hello', { a: 1, b: 'x' }),
      '{"time":"2026-01-02T03:04:05.678Z","level":"info","msg":"hello","a":1,"b":"x"}\n',
    );
  });

  it('asks the clock for each line', () => {
    let now = 0;
    const times: unknown[] = [];
    const log = createLogger({
      now: () => now,
      write: (line) => times.push((JSON.parse(line) as { time: unknown }).time),
    });
    for (now of [0, 0, 1_000]) log.info('x');
    assert.deepEqual(times, [
      '1970-01-01T00:00:00.000Z',
      '1970-01-01T00:00:00.000Z',
      '1970-01-01T00:00:01.000Z',
    ]);
  });

  const levels = ['debug', 'info', 'warn', 'error'] as const;
  for (const level of [...levels, 'silent', undefined] as const) {
    const expected = level === 'silent' ? [] : levels.slice(levels.indexOf(level ?? 'info'));
    it(`writes ${expected.join(', ') || 'nothing'} at level ${level ?? 'info by default'}`, () => {
      const written: string[] = [];
      const log = createLogger({
        ...(level === undefined ? {} : { level }),
        write: (line) => written.push((JSON.parse(line) as { level: string }).level),
      });
      for (const each of levels) log[each]('x');
      assert.deepEqual(
        [written, levels.filter((each) => log.isEnabled(each))],
        [expected, expected],
      );
    });
  }

  const failing: readonly (readonly [how: string, write: () => void])[] = [
    ['throws', () => { throw new Error('ENOSPC'); }],
    ['rejects', () => Promise.reject(new Error('ENOSPC'))],
    ['returns a thenable that rejects', () => ({
      then: (_taken: unknown, refuse: (error: Error) => void) => refuse(new Error('ENOSPC')),
    })],
  ];
  for (const [how, write] of failing) {
    it(`counts the lines for which its write ${how}, including those of its children`, async () => {
      const log = createLogger({ write, linesLost: () => 5 });
      log.info('one');
      const child = log.child({ requestId: 'r' });
      child.error('two', { error: new Error('x') });
      child.debug('is not written');
      await soon();
      assert.deepEqual([log.linesDropped?.(), child.linesDropped?.()], [7, 7]);
    });
  }

  it('never throws: only a message that cannot become text is a lost line', async () => {
    const log = createLogger({ write: () => Promise.resolve() });
    for (const message of [Object.create(null) as string, 'one']) log.info(message);
    await soon();
    assert.equal(log.linesDropped?.(), 1);
  });

  it('writes one line even if message, fields and names contain line breaks', () => {
    assert.equal(
      lineOf('a\nb', { 'c\nd': 'e\r\nf', g: { h: '\n' } })
        .trimEnd()
        .split(/[\r\n]/).length,
      1,
    );
  });

  const values: readonly (readonly [title: string, value: unknown, written: unknown])[] = [
    ['a bigint as text', 12345678901234567890n, '12345678901234567890'],
    ['infinity as text', -Infinity, '-Infinity'],
    ['null', null, null],
    ['an object', { a: [1, { b: true }] }, { a: [1, { b: true }] }],
    ['a date', new Date(0), '1970-01-01T00:00:00.000Z'],
    ['nothing for undefined', undefined, undefined],
    ['nothing for a function', () => 1, undefined],
  ];
  for (const [title, value, written] of values) {
    it(`writes ${title}`, () => assert.deepEqual(recordOf('x', { value })['value'], written));
  }

  const throwing = (): never => {
    throw new Error('no');
  };
  const cyclic: Record<string, unknown> = {};
  cyclic['self'] = cyclic;
  const hostile: readonly (readonly [title: string, value: unknown])[] = [
    ['a cycle', cyclic],
    ['a bigint inside an object', { a: 1n }],
    ['a toJSON that throws', { toJSON: throwing }],
    ['a getter that throws', Object.defineProperty({}, 'a', { get: throwing, enumerable: true })],
    ['nesting too deep for JSON', JSON.parse('['.repeat(20_000) + ']'.repeat(20_000))],
    [
      'an error whose stack throws',
      Object.defineProperty(new Error('x'), 'stack', { get: throwing }),
    ],
  ];
  for (const [title, value] of hostile) {
    it(`writes a note in place of ${title}, and does not throw`, () =>
      assert.match(String(recordOf('x', { value })['value']), /^\[not JSON: /));
  }

  class Described {
    readonly a = 1;
    toJSON(): never {
      throw new Error('no');
    }
  }
  // What plain JavaScript may pass.
  const asFields: readonly (readonly [title: string, fields: unknown, written: LogFields])[] = [
    ['null', null, {}],
    ['a string', 'ab', { 0: 'a', 1: 'b' }],
    ['an object with inherited fields', Object.create({ a: 1 }), { a: 1 }],
    ['a date', new Date(0), {}],
    ['an object whose toJSON throws', new Described(), { a: 1 }],
    ['an object with an undefined field', { a: undefined }, {}],
  ];
  for (const [title, fields, written] of asFields) {
    it(`accepts ${title} as fields`, () => {
      const { time, level, msg, ...rest } = recordOf('x', fields as LogFields);
      assert.deepEqual(rest, written);
    });
  }

  it('writes the same line whether or not a field is complex', () => {
    const fields = { a: 'x"\n\ud83dé', b: -0, c: 1e21, d: true, e: undefined, f: null, '"': 0.1 };
    const plain = lineOf('x', fields).trimEnd();
    assert.equal(lineOf('x', { ...fields, g: {} }).trimEnd(), `${plain.slice(0, -1)},"g":{}}`);
  });

  it('cuts texts and names beyond 2,048 characters', () => {
    const fits = 'x'.repeat(2_048);
    const { value, ...others } = recordOf('x', { value: `${fits}y`, [`${fits}y`]: 1 });
    assert.deepEqual([value, others[`${fits}…`]], [`${fits}…`, 1]);
  });

  // `log.error(error)` is what other loggers take; in a JavaScript agent no compiler objects.
  it('writes an error that is given in place of a message', () => {
    assert.match(lineOf(new Error('in its place') as unknown as string), /in its place/);
  });

  it('does not show what an error in place of a message quotes', () => {
    assert.match(
      lineOf(thrownBy(() => JSON.parse('My name is Oak')) as string),
      /"msg":"SyntaxError: \[not shown: /,
    );
  });
});

describe('a child logger', () => {
  function childLine(bound: readonly LogFields[], fields?: LogFields): Record<string, unknown> {
    let line = '';
    let log = createLogger({ write: (text) => (line = text) });
    for (const each of bound) log = log.child(each);
    log.info('x', fields);
    return JSON.parse(line) as Record<string, unknown>;
  }

  it("has its parent's fields, except for those that it overrides", () => {
    const { a, b, c, same } = childLine([{ a: 1, same: 1 }, { b: 2, same: 2 }], { c: 3, same: 3 });
    assert.deepEqual([a, b, c, same], [1, 2, 3, 3]);
    let line = '';
    createLogger({ write: (text) => (line = text) }).child({ a: 1 }).info('x', { a: 2 });
    assert.equal(line.match(/"a":/g)?.length, 1);
  });

  it('leaves its parent as it was', () => {
    let line = '';
    const log = createLogger({ write: (text) => (line = text) });
    log.child({ a: 1 });
    log.info('x');
    assert.equal('a' in (JSON.parse(line) as object), false);
  });
});

function thrownBy(fails: () => unknown): unknown {
  try {
    fails();
  } catch (error) {
    return error;
  }
  return assert.fail('nothing was thrown');
}

describe('an error in the log', () => {
  interface Described {
    readonly name: string;
    readonly message: string;
    readonly code?: string;
    readonly stack: string;
    readonly cause?: Described | string;
  }
  const described = (error: unknown): Described => recordOf('x', { error })['error'] as Described;

  it('has a name, a message, a code, a stack in one line, and causes', () => {
    const causes = new Error('b', { cause: new Error('c') });
    const error = Object.assign(new RangeError('a', { cause: causes }), { code: 'ERR_X' });
    const { name, message, code, stack, cause } = described(error);
    assert.deepEqual([name, message, code], ['RangeError', 'a', 'ERR_X']);
    assert.match(stack, /^at .+ \| at /);
    const inner = (cause as Described).cause as Described;
    assert.deepEqual([(cause as Described).message, inner.message], ['b', 'c']);
  });

  it('may have causes that form a cycle', () => {
    const a: Error & { cause?: unknown } = new Error('a');
    a.cause = new Error('b', { cause: a });
    assert.equal(described(a).message, 'a');
  });

  it('is written without extra fields, such as a request with its headers', () => {
    const error = Object.assign(new Error('deep'), { request: { authorization: 'swordfish' } });
    const line = lineOf('x', { error, inner: { error } });
    assert.equal(line.match(/"message":"deep"/g)?.length, 2);
    assert.equal(line.includes('swordfish'), false);
  });

  const words = 'I live at 12 Oak Lane';
  const quoting: readonly (readonly [what: string, make: () => unknown])[] = [
    ['what JSON.parse could not read', () => thrownBy(() => JSON.parse(words))],
    [
      'what JSON.parse could not read, on several lines',
      () => thrownBy(() => JSON.parse(`\n    at ${words}\n at ${words}`)),
    ],
    ['an invalid pattern', () => thrownBy(() => new RegExp(`(${words}`))],
    [
      'the text of a SyntaxError among several',
      () => new AggregateError([thrownBy(() => JSON.parse(words))], 'all failed'),
    ],
    ['a cause that is a string', () => new Error('the model failed', { cause: words })],
    ['a part that is a string', () => new AggregateError([words], 'all failed')],
    [
      'the source line in the stack of a module',
      () =>
        Object.assign(new SyntaxError('x'), {
          stack: `file:///a.js:1\n${words}\n^^^\nSyntaxError: x\n    at a.js:1:1`,
        }),
    ],
  ];
  for (const [what, make] of quoting) {
    it(`does not show ${what}`, () => {
      for (const format of ['json', 'pretty'] as const)
        assert.doesNotMatch(lineOf('x', { error: make(), inner: [make()] }, { format }), /Oak/);
    });
  }

  it('says where a SyntaxError occurred', () => {
    const { name, message } = described(thrownBy(() => JSON.parse('{"a":1,')));
    assert.match(
      `${name}: ${message}`,
      /^SyntaxError: \[not shown: it quotes its source\]( at position 7( \(line 1 column 8\))?)?$/,
    );
  });

  it('has only calls in its stack, even if its message has several lines', () => {
    const { stack } = described(new Error('first\nsecond\n    at third'));
    assert.doesNotMatch(stack, /second|third/);
    assert.match(stack, /^at .*log\.test\.ts/);
  });

  it('describes a cause that is not an error', () => {
    assert.deepEqual(
      [
        described(new Error('x', { cause: 'words' })).cause,
        described(new Error('x', { cause: null })).cause,
      ],
      ['[string]', '[null]'],
    );
  });

  it('lists its parts if it is an AggregateError', () => {
    assert.match(
      lineOf('x', { error: new AggregateError([new Error('ECONNREFUSED ::1')], 'all failed') }),
      /ECONNREFUSED ::1/,
    );
  });
});

describe('a logger', () => {
  const places: readonly (readonly [where: string, message: string, fields: LogFields])[] = [
    ['in the message, twice', `key ${SECRET} ${SECRET}!`, {}],
    ['in a field of a field', 'x', { a: { b: [SECRET] } }],
    ["in a field's name", 'x', { [SECRET]: 1 }],
    ["in an error's message and stack", 'x', { error: new Error(`bad key ${SECRET}`) }],
    ["in an error's cause", 'x', { error: new Error('x', { cause: new Error(SECRET) }) }],
    ['in a nested name', 'x', { a: { b: [{ [SECRET]: 1 }] } }],
    ['in a very long name', 'x', { a: { ['x'.repeat(3_000) + SECRET]: 1 } }],
    ['in what toJSON returns', 'x', { a: { toJSON: () => ({ [SECRET]: SECRET }) } }],
    [
      'across the place where a long message is cut',
      'x'.repeat(2_048 - SECRET.length + 1) + SECRET,
      {},
    ],
    [
      'across the place where a long field is cut',
      'x',
      { text: 'x'.repeat(2_048 - SECRET.length + 1) + SECRET },
    ],
  ];
  for (const format of ['json', 'pretty'] as const) {
    for (const [where, message, fields] of places) {
      it(`hides a secret ${where} (${format})`, () => {
        // A secret without its last character must not be shown either.
        assert.equal(
          lineOf(message, fields, { format, secrets: [SECRET] }).includes(SECRET.slice(0, -1)),
          false,
        );
      });
    }

    for (const secret of ['with"quote"1', 'with\\back\\slash', 'mit-ümläut-12']) {
      it(`hides a secret that JSON spells differently: ${JSON.stringify(secret)} (${format})`, () => {
        const line = lineOf('x', { header: `Bearer ${secret}` }, { format, secrets: [secret] });
        assert.equal(line.includes(JSON.stringify(secret).slice(1, -1)), false);
      });
    }
  }

  for (const [what, data] of [
    ['a Buffer', Buffer.from(SECRET)],
    ['a Uint8Array', new TextEncoder().encode(SECRET)],
    ['a DataView', new DataView(new ArrayBuffer(22))],
  ] as const) {
    // It wrote `{"type":"Buffer","data":[119,104,115,…]}`, which is the secret, spelt out.
    it(`writes only the size of ${what}, wherever it is`, () => {
      assert.deepEqual(recordOf('x', { data, in: [{ data }] }, { secrets: [SECRET] }), {
        time: '2026-01-02T03:04:05.678Z',
        level: 'info',
        msg: 'x',
        data: '[22 bytes]',
        in: [{ data: '[22 bytes]' }],
      });
    });
  }

  it('hides a secret across the place where a long pretty line is cut', () => {
    const fields = Object.fromEntries(
      Array.from({ length: 5 }, (_, index) => [`f${index}`, 'x'.repeat(2_000)]),
    );
    for (let pad = 0; pad < 40; pad++) {
      const line = lineOf(
        'x',
        { ...fields, f4: `${'y'.repeat(60 + pad)}${SECRET}`, f3: 'x'.repeat(1_990) },
        { format: 'pretty', secrets: [SECRET] },
      );
      assert.equal(line.includes(SECRET.slice(0, -4)), false);
    }
  });

  it('hides the whole of the longer of two secrets if one begins with the other', () => {
    const line = lineOf('x', { a: `${SECRET}longer` }, { secrets: [`${SECRET}longer`, SECRET] });
    assert.equal(line.includes('longer'), false);
  });

  it('still writes JSON if a secret looks like a number or like JSON, or is empty', () => {
    for (const secret of ['12345678', '","msg":"', '']) {
      const { msg } = recordOf('hello', { bytes: 1234567890 }, { secrets: [secret] });
      if (secret === '') assert.equal(msg, 'hello');
    }
  });

  // "No secret, key or signature ever appears": an agent may log the headers that it is handed, and
  // they are not in `secrets`.
  it('hides a webhook signature in logged headers', () => {
    const digest = '0123456789abcdef'.repeat(4);
    assert.equal(
      lineOf('x', { headers: { 'layercode-signature': `t=1,v1=${digest}` } }).includes(digest),
      false,
    );
  });
});

describe('the longest line', () => {
  const long: readonly (readonly [what: string, message: string, fields: LogFields])[] = [
    ['a long message of control characters', '\u0001'.repeat(100_000), {}],
    ['a long field of control characters', 'x', { a: '\u0001'.repeat(100_000) }],
    [
      'many fields',
      'x',
      Object.fromEntries(Array.from({ length: 5_000 }, (_, index) => [`field${index}`, index])),
    ],
    ['a long list', 'x', { list: Array.from({ length: 50_000 }, (_, index) => index) }],
    ['a long name', 'x', { ['n'.repeat(100_000)]: 1 }],
    [
      'a long error',
      'x',
      { error: new Error('m'.repeat(100_000), { cause: new Error('c'.repeat(100_000)) }) },
    ],
    [
      'a cut in the middle of an emoji',
      'x',
      { a: '😀'.repeat(50_000), b: `x${'😀'.repeat(50_000)}` },
    ],
  ];
  for (const [what, message, fields] of long) {
    it(`is at most MAX_LINE_LENGTH long with ${what}, in both formats`, () => {
      for (const format of ['json', 'pretty'] as const) {
        const line = lineOf(message, fields, { format }).slice(0, -1);
        if (format === 'json') JSON.parse(line);
        assert.ok(line.length <= MAX_LINE_LENGTH, `${line.length} characters`);
      }
    });
  }

  it('is at most MAX_LINE_LENGTH long even if hiding secrets makes it longer', () => {
    const fields = Object.fromEntries(
      Array.from({ length: 4 }, (_, index) => [`f${index}`, 'secret12'.repeat(230)]),
    );
    const line = lineOf('x', { ...fields, tail: 'y'.repeat(500) }, { secrets: ['secret12'] }).slice(
      0,
      -1,
    );
    assert.ok(line.length <= MAX_LINE_LENGTH, `${line.length} characters`);
  });

  it('keeps the fields that fit when one does not, and says that it was cut', () => {
    const fields = { big: Array(10_000).fill('x'), requestId: 'r1' };
    const { requestId, big, truncated } = recordOf('x', fields);
    assert.deepEqual([requestId, big, truncated], ['r1', undefined, true]);
    assert.equal('truncated' in recordOf('x', { a: 1 }), false);
  });
});

describe('the pretty format', () => {
  const pretty = (message: string, fields?: LogFields): string =>
    lineOf(message, fields, { format: 'pretty' });

  it('consists of time, level, message and fields', () => {
    assert.equal(
      pretty('hello there', { id: 'abc-1', n: 7, text: 'two words' }),
      '03:04:05.678 info  hello there id=abc-1 n=7 text="two words"\n',
    );
  });

  const dangerous: readonly (readonly [what: string, text: string])[] = [
    ['an escape sequence', '\u001b[2J'],
    ['a line break', '\nforged'],
    ['a carriage return', '\rforged'],
    ['a bell', '\u0007'],
    ['DEL', '\u007f'],
    ['the one-character CSI', '\u009b2J'],
    ['a line separator', '\u2028'],
  ];
  for (const [what, text] of dangerous) {
    it(`escapes ${what} in message, field, error and name`, () => {
      const raw = /[\u0000-\u001f\u007f-\u009f\u2028\u2029]/;
      const line = pretty(`a${text}`, { a: text, error: new Error(text), [text]: 1 });
      assert.doesNotMatch(line.slice(0, -1), raw);
    });
  }
});

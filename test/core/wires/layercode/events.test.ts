import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { EventError } from '../../../../src/core/wires/json-body.ts';
import {
  EVENT_FIELDS, isCallEvent, isKnownEvent, parseEvent, type LayercodeEvent,
} from '../../../../src/core/wires/layercode/events.ts';

type Fields = Readonly<Record<string, unknown>>;

const ANY_SESSION_FIELDS: Fields = {
  session_id: 'session-1',
  conversation_id: 'conversation-1',
  turn_id: 'turn-1',
  custom_metadata: { tier: 'gold' },
  metadata: { locale: 'en' },
  from_phone_number: '+15550100',
  to_phone_number: '+15550101',
};

const ANY_CALL_FIELDS: Fields = {
  call_id: 'call-1',
  turn_id: 'turn-1',
  agent_id: 'agent-1',
  timestamp: '2026-01-01T00:00:00Z',
  metadata: { locale: 'en' },
};

/** One event of each type with every field it may have. */
const VALID: Readonly<Record<LayercodeEvent['type'], Fields>> = {
  'session.start': ANY_SESSION_FIELDS,
  message: {
    ...ANY_SESSION_FIELDS,
    text: 'Hello there',
    interruption_context: {
      previous_turn_interrupted: true,
      words_heard: 2,
      text_heard: 'I can',
      assistant_turn_id: 'turn-0',
    },
  },
  data: { ...ANY_SESSION_FIELDS, data: { cart: [1, 2] } },
  'session.update': {
    ...ANY_SESSION_FIELDS,
    recording_status: 'completed',
    recording_url: 'https://example.com/r.wav',
    recording_duration: 12.5,
    error_message: 'none',
  },
  'session.end': {
    ...ANY_SESSION_FIELDS,
    agent_id: 'agent-1',
    started_at: '2026-01-01T00:00:00Z',
    ended_at: 1_767_225_600_000,
    duration: 60_000,
    transcription_duration_seconds: 12.5,
    tts_duration_seconds: 30.25,
    latency: 0.5,
    ip_address: '192.0.2.1',
    country_code: 'DE',
    recording_status: 'enabled',
    transcript: [
      { role: 'user', text: 'Hello', timestamp: 1_767_225_600_000, confidence: 0.9 },
      { role: 'assistant', text: 'Hi', timestamp: '2026-01-01T00:00:01Z' },
      { role: 'assistant', text: '' },
    ],
  },
  call_started: ANY_CALL_FIELDS,
  transcript: { ...ANY_CALL_FIELDS, transcript: 'Hello there' },
  user_interrupted: ANY_CALL_FIELDS,
  call_ended: ANY_CALL_FIELDS,
};
const TYPES = Object.keys(VALID) as LayercodeEvent['type'][];

/** Each type's fields that must be there; all others may be missing or null. */
const REQUIRED: Readonly<Record<LayercodeEvent['type'], readonly string[]>> = {
  'session.start': ['session_id'],
  message: ['session_id', 'text'],
  data: ['session_id', 'data'],
  'session.update': ['session_id'],
  'session.end': ['session_id'],
  call_started: ['call_id'],
  transcript: ['call_id', 'transcript'],
  user_interrupted: ['call_id'],
  call_ended: ['call_id'],
};

const ID = 'a non-empty string of at most 256 characters without control characters';
const TIMESTAMP = 'a number of milliseconds or an ISO date';

/** What each field must be, in the words of the error message. */
const RULES: Readonly<Record<string, string>> = {
  session_id: ID,
  conversation_id: ID,
  turn_id: ID,
  call_id: ID,
  custom_metadata: 'an object',
  metadata: 'an object',
  data: 'an object',
  interruption_context: 'an object',
  from_phone_number: 'a string',
  to_phone_number: 'a string',
  text: 'a string',
  recording_status: 'a string',
  recording_url: 'a string',
  error_message: 'a string',
  agent_id: 'a string',
  ip_address: 'a string',
  country_code: 'a string',
  timestamp: 'a string',
  recording_duration: 'a number',
  duration: 'a number',
  transcription_duration_seconds: 'a number',
  tts_duration_seconds: 'a number',
  latency: 'a number',
  started_at: TIMESTAMP,
  ended_at: TIMESTAMP,
};

function ruleOf(type: string, name: string): string | undefined {
  if (name !== 'transcript') return RULES[name];
  return type === 'transcript' ? 'a string' : 'an array';
}

/** Values and what the error message calls them. */
const VALUES: readonly (readonly [value: unknown, got: string, kinds: readonly string[]])[] = [
  [null, 'got null', []],
  [true, 'got a boolean', []],
  [7, 'got a number', ['a number', TIMESTAMP]],
  ['seven', 'got a string of 5 characters', ['a string', ID, TIMESTAMP]],
  ['', 'got an empty string', ['a string', TIMESTAMP]],
  [[], 'got an array', ['an array']],
  [{}, 'got an object', ['an object']],
];

function parse(value: unknown): ReturnType<typeof parseEvent> {
  return parseEvent(Buffer.from(typeof value === 'string' ? value : JSON.stringify(value)));
}

function errorOf(value: unknown): EventError {
  try {
    parse(value);
  } catch (error) {
    assert.ok(error instanceof EventError, String(error));
    assert.equal(error.name, 'EventError');
    return error;
  }
  assert.fail(`taken: ${JSON.stringify(value)}`);
}

function without(fields: Fields, name: string): Fields {
  return Object.fromEntries(Object.entries(fields).filter(([key]) => key !== name));
}

describe('parseEvent', () => {
  it('knows nine types', () =>
    assert.deepEqual(TYPES.toSorted(), Object.keys(EVENT_FIELDS).toSorted()));

  for (const type of TYPES) {
    const event = { type, ...VALID[type] };

    it(`accepts a ${type} with every field and keeps it as it came`, () => {
      const parsed = parse(event);
      assert.deepEqual(parsed, event);
      assert.equal(isKnownEvent(parsed), true);
    });

    for (const name of Object.keys(VALID[type])) {
      const isRequired = REQUIRED[type].includes(name);
      // The call dialect's `transcript` is on events of other types, too, where nobody asks for it.
      const rule = ruleOf(type, name);

      it(`${isRequired ? 'refuses' : 'accepts'} a ${type} without ${name}`, () => {
        const damaged = without(event, name);
        if (!isRequired) return assert.deepEqual(parse(damaged), damaged);
        const error = errorOf(damaged);
        assert.equal(error.path, name);
        assert.equal(error.message, `${name} must be ${rule}, but it is missing`);
      });

      it(`checks ${name} of a ${type}`, () => {
        assert.ok(rule !== undefined, `no rule for ${name}`);
        for (const [value, got, kinds] of VALUES) {
          // its own fields have a test below
          if (name === 'interruption_context' && got === 'got an object') continue;
          const damaged = { ...event, [name]: value };
          if (kinds.includes(rule) || (value === null && !isRequired))
            assert.deepEqual(parse(damaged), damaged);
          else {
            const error = errorOf(damaged);
            assert.equal(error.path, name);
            assert.equal(error.message, `${name} must be ${rule}, ${got}`);
          }
        }
      });
    }

    it(`keeps fields of a ${type} that it does not know, whatever they are called`, () => {
      const body = `${JSON.stringify(event).slice(0, -1)},"new_field":{"a":[null]},"constructor":"x","hasOwnProperty":1,"__proto__":{"session_id":5,"text":5}}`;
      const parsed = parse(body) as unknown as Record<string, unknown>;
      assert.deepEqual(parsed['new_field'], { a: [null] });
      assert.equal(parsed['constructor'], 'x');
      assert.equal(parsed['hasOwnProperty'], 1);
      assert.deepEqual(Object.getOwnPropertyDescriptor(parsed, '__proto__')?.value, {
        session_id: 5,
        text: 5,
      });
      assert.equal(Object.getPrototypeOf(parsed), Object.prototype);
    });

    it(`does not find the fields of a ${type} on a prototype that the body names`, () => {
      const idField = isCallEvent(event as unknown as LayercodeEvent) ? 'call_id' : 'session_id';
      const body = `{"type":"${type}","__proto__":${JSON.stringify(event)}}`;
      assert.equal(errorOf(body).path, idField);
    });
  }

  const context = { ...(VALID.message['interruption_context'] as Fields) };
  const spoken = [{ role: 'user', text: 'fine' }];
  for (const [field, value, path, rule] of [
    ['interruption_context', {}, '.previous_turn_interrupted', 'a boolean, but it is missing'],
    [
      'interruption_context', { ...context, previous_turn_interrupted: 'true' },
      '.previous_turn_interrupted', 'a boolean, got a string of 4 characters',
    ],
    [
      'interruption_context', { ...context, words_heard: '2' },
      '.words_heard', 'a number, got a string of 1 characters',
    ],
    [
      'interruption_context', { ...context, text_heard: 2 },
      '.text_heard', 'a string, got a number',
    ],
    [
      'interruption_context', { ...context, assistant_turn_id: 2 },
      '.assistant_turn_id', 'a string, got a number',
    ],
    ['transcript', [...spoken, 'x'], '[1]', 'an object, got a string of 1 characters'],
    ['transcript', [...spoken, { text: 'x' }], '[1].role', 'a string, but it is missing'],
    ['transcript', [...spoken, { role: 'user' }], '[1].text', 'a string, but it is missing'],
    [
      'transcript', [...spoken, { role: 'user', text: ['x'] }],
      '[1].text', 'a string, got an array',
    ],
    [
      'transcript', [...spoken, { role: 'user', text: 'x', timestamp: true }],
      '[1].timestamp', `${TIMESTAMP}, got a boolean`,
    ],
  ] as const)
    it(`names ${field}${path}, which must be ${rule}`, () => {
      const type = field === 'transcript' ? 'session.end' : 'message';
      const error = errorOf({ type, ...VALID[type], [field]: value });
      assert.equal(error.path, field + path);
      assert.equal(error.message, `${field}${path} must be ${rule}`);
    });

  it('needs only one field of interruption_context', () => {
    const nothing = { words_heard: null, text_heard: null, assistant_turn_id: null };
    for (const rest of [{}, nothing]) {
      const interruption_context = { previous_turn_interrupted: true, ...rest };
      parse({ type: 'message', ...VALID.message, interruption_context });
    }
  });

  for (const type of [
    'user.transcript.interim_delta',
    'Message',
    'message ',
    'session.paused',
    'constructor',
    '__proto__',
    'toString',
    'hasOwnProperty',
    '*',
  ]) {
    it(`keeps an event of the unknown type ${JSON.stringify(type)}, whatever is in it`, () => {
      const event = { type, session_id: 5, text: null, content: 'x' };
      const parsed = parse(event);
      assert.deepEqual(parsed, event);
      assert.equal(isKnownEvent(parsed), false);
    });
  }

  for (const [type, got] of [
    [undefined, 'but it is missing'],
    [null, 'got null'],
    [5, 'got a number'],
    ['', 'got an empty string'],
    [{}, 'got an object'],
    [['message'], 'got an array'],
    ['x'.repeat(257), 'got a string of 257 characters'],
    ['a\nb', 'got a string of 3 characters'],
  ] as const) {
    it(`refuses a type that is ${JSON.stringify(type)?.slice(0, 20) ?? 'missing'}`, () => {
      const error = errorOf({ ...VALID.message, type });
      assert.deepEqual([error.path, error.message], ['type', `type must be ${ID}, ${got}`]);
    });
  }

  it('does not take a type from a prototype that the body names', () => {
    assert.equal(
      errorOf('{"__proto__":{"type":"message"}}').message,
      `type must be ${ID}, but it is missing`,
    );
  });
});

describe('parseEvent for a body that is not an event', () => {
  for (const [title, body, message] of [
    ['empty', '', 'the body is empty, expected a JSON object'],
    ['null', 'null', 'the body must be a JSON object, got null'],
    ['an array', '[{"type":"message"}]', 'the body must be a JSON object, got an array'],
    ['a string', '"message"', 'the body must be a JSON object, got a string of 7 characters'],
    ['a number', '5', 'the body must be a JSON object, got a number'],
    ['a boolean', 'true', 'the body must be a JSON object, got a boolean'],
  ] as const) {
    it(`says that it is ${title}`, () => {
      const error = errorOf(body);
      assert.deepEqual([error.path, error.message], ['', message]);
    });
  }

  for (const body of [
    '{',
    '{"type":"message"',
    '{"type":"message",}',
    "{'type':'message'}",
    '{"type":"message"}x',
    'type=message',
    '\uFEFF{"type":"message"}',
    '{"type":"a\nb"}',
    ' ',
  ]) {
    it(`says that ${JSON.stringify(body)} is not JSON`, () => {
      const error = errorOf(body);
      assert.equal(error.path, '');
      assert.match(error.message, /^the body is not JSON( \(at position \d+\))?$/);
    });
  }

  it('refuses bytes that are not UTF-8, inside a string and outside', () => {
    for (const bytes of [
      [0xff],
      [0x7b, 0x22, 0xc3, 0x22, 0x7d],
      [...Buffer.from('{"type":"message","text":"'), 0xed, 0xa0, 0x80, ...Buffer.from('"}')],
    ]) {
      assert.throws(() => parseEvent(Buffer.from(bytes)), {
        name: 'EventError',
        path: '',
        message: 'the body is not UTF-8',
      });
    }
  });

  it('survives deep nesting', () => {
    const body = `{"type":"message","session_id":"s","text":"x","metadata":${'{"a":'.repeat(100_000)}1${'}'.repeat(100_000)}}`;
    try {
      parse(body);
    } catch (error) {
      assert.ok(error instanceof EventError, String(error));
    }
  });

  it("never quotes the caller's words", () => {
    const words = 'my card is 4111 1111';
    const bodies = [
      words,
      `"${words}"`,
      `{"type":"message","text":"${words}`,
      `{"type":"message","session_id":"s","text":"x","metadata":"${words}"}`,
      `{"type":"message","session_id":"s","text":["${words}"]}`,
      `{"type":"message","session_id":"s","text":{"${words}":1}}`,
      `{"text":"${words}"}`,
      `{"type":"${words}\\n"}`,
      `{"type":"message","session_id":"${words}\\n"}`,
      `{"type":"message","text":"x"}${words}`,
      `["${words}"]`,
      `{"type":"transcript","call_id":"c","transcript":["${words}"]}`,
      `{"type":"session.end","session_id":"s","transcript":[{"role":"user","text":{"${words}":1}}]}`,
    ];
    for (const body of bodies) {
      const { message } = errorOf(body);
      for (const word of words.split(' '))
        if (word.length > 2) assert.equal(message.includes(word), false, message);
    }
  });
});

describe('isCallEvent', () => {
  for (const type of TYPES) {
    const isCall = ['call_started', 'transcript', 'user_interrupted', 'call_ended'].includes(type);
    it(`is ${isCall} for ${type}`, () =>
      assert.equal(isCallEvent(parse({ type, ...VALID[type] }) as LayercodeEvent), isCall));
  }
});


import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import type { SentEvent } from '../../src/calls/reply-event.ts';
import type { SpokenToolCall } from '../../src/tools/tool-calls-noted.ts';
import { MAX_REPLY_LENGTH, SpokenReply } from '../../src/turns/spoken-reply.ts';

const HIGH = '\ud83d';
const LOW = '\ude00';

/** What an agent does, with its text or the ids of its calls. */
type Act = readonly ['say' | 'filler' | 'data', string] | readonly ['calls', ...string[]];

function call(id: string): SpokenToolCall {
  return {
    call: { id, name: 'look', args: '{}' },
    key: `key of ${id}`,
    owner: { runId: 1, process: undefined },
    state: 'completed',
    content: `"${id}"`,
  };
}

/** A reply after these acts. Every event was sent. */
function spoken(...acts: readonly Act[]): SpokenReply {
  const reply = new SpokenReply();
  for (const [what, ...words] of acts) {
    const [text = ''] = words;
    if (what === 'calls') reply.noteCalls(words.map(call));
    else {
      const event =
        what === 'say'
          ? reply.say(text)
          : what === 'filler'
            ? reply.sayFiller(text)
            : reply.sendData(text);
      if (event !== undefined) reply.note(event);
    }
  }
  return reply;
}

/** Each message as `role: text`, with the ids of its calls in brackets. */
function shown(reply: SpokenReply, count?: number): string[] {
  return reply.messages('t-1', 'completed', count).map((message) => {
    const calls =
      message.role === 'assistant'
        ? (message.toolCalls ?? []).map(({ id }) => ` [${id}]`).join('')
        : '';
    return `${message.role}: ${message.content}${calls}`;
  });
}

describe('SpokenReply.say', () => {
  for (const [title, pieces, sent] of [
    ['passes a piece on', ['Hello'], ['Hello']],
    ['sends nothing for no text', [''], []],
    ['keeps spaces as they are', [' a ', ' b '], [' a ', ' b ']],
    [
      'holds half a character back until its other half comes',
      [`a${HIGH}`, `${LOW}b`],
      ['a', `${HIGH}${LOW}b`],
    ],
    ['sends nothing for half a character alone', [HIGH], []],
    ['holds a half back once more where halves follow each other', [HIGH, HIGH], [HIGH]],
    ['passes a lone second half on', [LOW], [LOW]],
  ] as const) {
    it(title, () => {
      const reply = new SpokenReply();
      const events = pieces.map((piece) => reply.say(piece)).filter((event) => event !== undefined);
      assert.deepEqual(
        events,
        sent.map((text): SentEvent => ({ type: 'say', text })),
      );
    });
  }

  it('counts as spoken from the first non-blank character on', () => {
    const reply = new SpokenReply();
    reply.say(' \n');
    assert.equal(reply.hasSpoken, false);
    reply.say('a');
    assert.equal(reply.hasSpoken, true);
  });
});

describe('SpokenReply.flush', () => {
  it('replaces half a character that was left over', () => {
    const reply = spoken(['say', `a${HIGH}`]);
    assert.deepEqual(reply.flush(), { type: 'say', text: '\ufffd' });
    assert.equal(reply.flush(), undefined);
  });

  it('has nothing to send otherwise', () => assert.equal(spoken(['say', 'a']).flush(), undefined));
});

describe('SpokenReply.sayFiller', () => {
  it('ends with one space, so that the first word does not run into it', () => {
    assert.deepEqual(new SpokenReply().sayFiller('One moment.  '), {
      type: 'say',
      text: 'One moment. ',
      isFiller: true,
    });
  });

  for (const [title, acts, filler] of [
    ['remembers what was said', [['filler', 'One moment.']], 'One moment.'],
    [
      'remembers all of several',
      [
        ['filler', 'One moment.'],
        ['filler', ' Still looking. '],
      ],
      'One moment. Still looking.',
    ],
    [
      'says nothing once the agent has spoken',
      [
        ['say', 'Yes.'],
        ['filler', 'One moment.'],
      ],
      undefined,
    ],
    ['says nothing for blanks', [['filler', ' ']], undefined],
  ] as const satisfies readonly (readonly [string, readonly Act[], string | undefined])[]) {
    it(title, () => assert.equal(spoken(...acts).filler, filler));
  }

  it("is not a word of the agent's", () => {
    const reply = spoken(['filler', 'One moment.']);
    assert.deepEqual(
      [reply.hasSpoken, reply.isEmpty, reply.text(), shown(reply)],
      [false, true, '', []],
    );
  });
});

describe('SpokenReply.isEmpty', () => {
  for (const [acts, isEmpty] of [
    [[], true],
    [[['say', ' ']], true],
    [[['filler', 'One moment.']], true],
    [[['say', 'a']], false],
    [[['say', HIGH]], false],
    [[['data', '{}']], false],
  ] as const satisfies readonly (readonly [readonly Act[], boolean])[]) {
    it(`is ${isEmpty} after ${JSON.stringify(acts)}`, () =>
      assert.equal(spoken(...acts).isEmpty, isEmpty));
  }
});

describe('SpokenReply.apart', () => {
  for (const [acts, text, apart] of [
    [[], 'Bye', 'Bye'],
    [[['say', 'Hello']], 'Bye', ' Bye'],
    [[['say', 'Hello ']], 'Bye', 'Bye'],
    [[['say', 'Hello']], ' Bye', ' Bye'],
    [
      [
        ['say', 'Hello'],
        ['data', '{}'],
      ],
      'Bye',
      ' Bye',
    ],
    [[['filler', 'One moment.']], 'Bye', 'Bye'],
  ] as const satisfies readonly (readonly [readonly Act[], string, string])[]) {
    it(`makes ${JSON.stringify(apart)} of ${JSON.stringify(text)} after ${JSON.stringify(acts)}`, () => {
      assert.equal(spoken(...acts).apart(text), apart);
    });
  }
});

describe('SpokenReply.isTooLong', () => {
  const half = 'x'.repeat(MAX_REPLY_LENGTH / 2);

  it('is false at the limit and true one character beyond', () => {
    const reply = spoken(['say', half], ['data', half]);
    assert.equal(reply.isTooLong, false);
    reply.say('x');
    assert.equal(reply.isTooLong, true);
  });

  it('counts fillers', () => {
    const reply = spoken(['filler', half], ['say', half]);
    assert.equal(reply.isTooLong, true); // with the space after the filler
  });

  for (const [title, pieces, more] of [
    ['in one piece', ['one two three four '], 'five'],
    ['in pieces that part words', [...'one two\nthree four '], 'five'],
    ['beside signs', ['One, two: three... four!'], ' five'],
    ['in a script without spaces', [...'早上九', '点 '], '门'],
    ['in fillers', [], 'five'],
  ] as const) {
    it(`is false at the limit of words and true for one word more: ${title}`, () => {
      const reply = new SpokenReply(undefined, 4);
      if (pieces.length === 0) reply.sayFiller('One two three four.');
      for (const piece of pieces) {
        const event = reply.say(piece);
        if (event !== undefined) reply.note(event);
      }
      reply.sendData('"five six"');
      assert.equal(reply.isTooLong, false);
      reply.say(more);
      assert.equal(reply.excess, '4 words');
    });
  }
});

describe('SpokenReply.messages', () => {
  const rounds: readonly Act[] = [
    ['say', 'Let me see.'],
    ['calls', 'c1', 'c2'],
    ['say', ' One'],
    ['say', ' more.'],
    ['calls', 'c3'],
    ['say', ' Done.'],
  ];

  for (const [title, acts, messages] of [
    ['are none for silence', [], []],
    [
      'join the pieces of a text',
      [
        ['say', 'It is'],
        ['say', ' ten.'],
      ],
      ['assistant: It is ten.'],
    ],
    [
      'leave data out',
      [
        ['say', 'a'],
        ['data', '{}'],
        ['say', 'b'],
      ],
      ['assistant: ab'],
    ],
    [
      'leave fillers out',
      [
        ['filler', 'One moment.'],
        ['say', 'Ten.'],
      ],
      ['assistant: Ten.'],
    ],
    [
      'have a text for calls that no word came before',
      [['calls', 'c1']],
      ['assistant:  [c1]', 'tool: "c1"'],
    ],
    [
      'keep calls, results and texts in their order',
      rounds,
      [
        'assistant: Let me see. [c1] [c2]',
        'tool: "c1"',
        'tool: "c2"',
        'assistant:  One more. [c3]',
        'tool: "c3"',
        'assistant:  Done.',
      ],
    ],
  ] as const satisfies readonly (readonly [string, readonly Act[], readonly string[]])[]) {
    it(title, () => assert.deepEqual(shown(spoken(...acts)), messages));
  }

  for (const [count, messages] of [
    [0, ['assistant:  [c1] [c2]', 'tool: "c1"', 'tool: "c2"', 'assistant:  [c3]', 'tool: "c3"']],
    [
      1,
      [
        'assistant: Let me see. [c1] [c2]',
        'tool: "c1"',
        'tool: "c2"',
        'assistant:  [c3]',
        'tool: "c3"',
      ],
    ],
    [
      2,
      [
        'assistant: Let me see. [c1] [c2]',
        'tool: "c1"',
        'tool: "c2"',
        'assistant:  One [c3]',
        'tool: "c3"',
      ],
    ],
    [
      3,
      [
        'assistant: Let me see. [c1] [c2]',
        'tool: "c1"',
        'tool: "c2"',
        'assistant:  One more. [c3]',
        'tool: "c3"',
      ],
    ],
  ] as const) {
    it(`are cut after ${count} events, and keep every call with its result`, () => {
      assert.deepEqual(shown(spoken(...rounds), count), messages);
    });
  }

  it("carry each call's key and state", () => {
    const [, result] = spoken(['calls', 'c1']).messages('t-1', 'completed');
    assert.deepEqual(result, {
      role: 'tool',
      content: '"c1"',
      turnId: 't-1',
      toolCallId: 'c1',
      runId: 1,
      state: 'completed',
      key: 'key of c1',
    });
  });
});

describe('SpokenReply.countSent', () => {
  it('leaves out what has not been sent', () =>
    assert.equal(spoken(['say', 'a'], ['say', 'b'], ['say', 'c']).countSent(2), 1));

  it('is never less than an earlier delivery has sent', () => {
    const reply = spoken(['say', 'a'], ['say', 'b'], ['say', 'c']);
    reply.noteTakeOver(1);
    assert.equal(reply.countSent(3), 2); // the new delivery has sent nothing yet
    assert.equal(reply.countSent(0), 3);
  });

  it('takes the maximum of several earlier deliveries', () => {
    const reply = spoken(['say', 'a'], ['say', 'b']);
    reply.noteTakeOver(0);
    reply.noteTakeOver(2);
    assert.equal(reply.countSent(2), 2);
  });
});

describe('SpokenReply.replay', () => {
  for (const [title, acts, replay] of [
    [
      'is not needed where the messages say it all',
      [
        ['say', 'a'],
        ['say', 'b'],
      ],
      undefined,
    ],
    ['is not needed for silence', [], undefined],
    [
      'joins texts and keeps data between them',
      [
        ['say', 'a'],
        ['say', 'b'],
        ['data', '1'],
        ['say', 'c'],
      ],
      [
        { type: 'say', text: 'ab' },
        { type: 'data', json: '1' },
        { type: 'say', text: 'c' },
      ],
    ],
    [
      'leaves fillers out',
      [
        ['filler', 'One moment.'],
        ['say', 'a'],
      ],
      [{ type: 'say', text: 'a' }],
    ],
  ] as const satisfies readonly (readonly [
    string,
    readonly Act[],
    readonly SentEvent[] | undefined,
  ])[]) {
    it(title, () => assert.deepEqual(spoken(...acts).replay(), replay));
  }
});

// text_heard is written only where it can have been heard: each row is a conversation, a report,
// and what history holds then.

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import {
  emptyConversation,
  hasOpenTurn,
  historyOf,
  type Conversation,
} from '../../src/conversations/conversation.ts';
import { isPrefix, noteHeard, withoutPrefix } from '../../src/conversations/heard.ts';
import type { Message } from '../../src/conversations/message.ts';
import { OpenedTurn } from '../../src/conversations/opened-turn.ts';
import { noteProgress } from '../../src/conversations/tool-call-rules.ts';
import { openTurn } from '../../src/conversations/turn-opening.ts';
import { settleTurn, type TurnSettlement } from '../../src/conversations/turn-settlement.ts';

const BOUNDS = { maxMessages: 200, maxTextLength: 1_048_576 };
let runs = 0;

/** A turn, by how its run ended: said in full, cut off, with a filler, or gone with its process. */
interface Past {
  readonly said?: string;
  readonly state?: TurnSettlement['state'];
  readonly filler?: string;
  /** Its process died. */
  readonly isLost?: true;
}

/** `t1`, `t2`, … with these replies, and `next` that opens with a report. */
function after(
  past: readonly Past[],
  heard: string | undefined,
  turnId?: string,
  more: Partial<Conversation> = {},
): string[] {
  const conversation: Conversation = { ...emptyConversation('c'), ...more };
  for (const [index, { said = '', state = 'completed', filler, isLost }] of past.entries()) {
    const id = `t${index + 1}`;
    runs += 1;
    openTurn(conversation, { turnId: id, runId: runs, text: `words ${index + 1}` }, BOUNDS);
    if (isLost === true) continue;
    settleTurn(
      conversation,
      {
        turnId: id,
        runId: runs,
        state,
        filler,
        messages: said === '' ? [] : [{ role: 'assistant', content: said, turnId: id, state }],
      },
      BOUNDS,
    );
  }
  openTurn(
    conversation,
    { turnId: 'next', runId: ++runs, text: 'Next.', interruption: { textHeard: heard, turnId } },
    BOUNDS,
  );
  return replies(conversation);
}

/** `t1: reply`, with `*` where it was interrupted; turns without a reply are left out. */
function replies(conversation: Conversation): string[] {
  return historyOf(conversation).flatMap((message) => {
    if (message.role !== 'assistant' || message.state === 'open') return [];
    return [`${message.turnId}: ${message.content}${message.state === 'interrupted' ? ' *' : ''}`];
  });
}

const TUESDAY = 'Your appointment is on Tuesday at ten.';

describe('a text that was heard', () => {
  for (const [title, past, heard, left] of [
    [
      'cuts the newest turn, which was sent in full',
      [{ said: TUESDAY }],
      'Your appointment',
      ['t1: Your appointment *'],
    ],
    [
      'cuts the newest turn, which was cut off',
      [{ said: 'Your appointment is on', state: 'interrupted' }],
      'Your',
      ['t1: Your *'],
    ],
    ['that is empty leaves nothing of the newest turn', [{ said: TUESDAY }], '', []],
    [
      'is taken as the platform has it, where it is not what the newest turn said',
      [{ said: '$5' }],
      'five dollars',
      ['t1: five dollars *'],
    ],

    [
      'that is all filler leaves an older reply alone',
      [{ said: TUESDAY }, { filler: 'One moment.', state: 'interrupted' }],
      'One moment.',
      [`t1: ${TUESDAY}`],
    ],
    [
      'that is half a filler leaves an older reply alone',
      [{ said: TUESDAY }, { filler: 'One moment.', state: 'interrupted' }],
      'One mom',
      [`t1: ${TUESDAY}`],
    ],
    [
      'that is two fillers leaves an older reply alone',
      [{ said: TUESDAY }, { filler: 'One moment. Still looking.', state: 'interrupted' }],
      'One moment.  Still looking. ',
      [`t1: ${TUESDAY}`],
    ],
    [
      'that ends inside the filler of a turn that spoke leaves nothing of it',
      [{ filler: 'One moment.', said: 'It is ten.' }],
      'One mo',
      [],
    ],
    [
      'that ends with the filler of a turn that spoke leaves nothing of it',
      [{ filler: 'One moment.', said: 'It is ten.' }],
      'One moment.',
      [],
    ],
    [
      'that begins with a filler is the words behind it',
      [{ filler: 'One moment.', said: 'It is ten.' }],
      'One moment. It is',
      ['t1: It is *'],
    ],
    [
      'that begins with two fillers is the words behind them',
      [{ filler: 'One moment. Still looking.', said: 'It is ten.' }],
      'One moment. Still looking. It',
      ['t1: It *'],
    ],
    [
      'that does not begin with the filler is all words',
      [{ filler: 'One moment.', said: 'One apple.' }],
      'One apple',
      ['t1: One apple *'],
    ],

    [
      'cuts an older reply behind a wordless turn, where it is a prefix',
      [{ said: TUESDAY }, { state: 'interrupted' }],
      'Your appointment',
      ['t1: Your appointment *'],
    ],
    [
      'cuts an older reply behind a wordless turn, white space aside',
      [{ said: TUESDAY }, { state: 'interrupted' }],
      'Your  appointment\nis',
      ['t1: Your  appointment\nis *'],
    ],
    [
      'leaves an older reply alone that it is no prefix of',
      [{ said: TUESDAY }, { state: 'interrupted' }],
      'On Tuesday',
      [`t1: ${TUESDAY}`],
    ],
    [
      'that is empty leaves an older reply alone',
      [{ said: TUESDAY }, { state: 'interrupted' }],
      '',
      [`t1: ${TUESDAY}`],
    ],
    [
      'looks past several wordless turns',
      [{ said: TUESDAY }, { state: 'interrupted' }, { state: 'interrupted' }],
      'Your',
      ['t1: Your *'],
    ],
    [
      'never looks past a turn that spoke',
      [{ said: TUESDAY }, { said: 'Yes.' }],
      'Your',
      [`t1: ${TUESDAY}`, 't2: Your *'],
    ],
    ['finds nothing where nobody spoke', [{ state: 'interrupted' }], 'Your', []],

    [
      'is the reply of a turn whose process died',
      [{ said: TUESDAY }, { isLost: true }],
      'It is ten',
      [`t1: ${TUESDAY}`, 't2: It is ten *'],
    ],
    [
      "that is empty is the reply of a turn whose process died, and no older one's",
      [{ said: TUESDAY }, { isLost: true }],
      '',
      [`t1: ${TUESDAY}`],
    ],
    [
      'is found behind a wordless turn, at one whose process died',
      [{ isLost: true }, { state: 'interrupted' }],
      'It is ten',
      ['t1: It is ten *'],
    ],
  ] as const satisfies readonly (readonly [string, readonly Past[], string, readonly string[]])[]) {
    it(title, () => assert.deepEqual(after(past, heard), left));
  }

  it('begins at the named turn', () => {
    assert.deepEqual(after([{ said: 'Zero.' }, { said: 'One.' }], 'Ze', 't1'), [
      't1: Ze *',
      't2: One.',
    ]);
  });

  it('goes back from the named turn, never forward', () => {
    assert.deepEqual(
      after([{ said: 'Zero.' }, { state: 'interrupted' }, { said: 'Two.' }], 'Ze', 't2'),
      ['t1: Ze *', 't3: Two.'],
    );
  });

  it('begins at the newest turn if the id is not ours', () => {
    assert.deepEqual(after([{ said: 'Zero.' }, { said: 'One.' }], 'On', 'an id of the platform'), [
      't1: Zero.',
      't2: On *',
    ]);
  });

  // Was: a server that could not ask the store cut its own newest reply to the words of another's.
  for (const [title, past, heard, left] of [
    ['leaves the newest turn alone', [{ said: 'One.' }], 'Two', ['t1: One.']],
    ['that is empty leaves the newest turn alone', [{ said: 'One.' }], '', ['t1: One.']],
    ['that is not known leaves the newest turn alone', [{ said: 'One.' }], undefined, ['t1: One.']],
    ['that is a prefix leaves the newest turn alone', [{ said: 'One.' }], 'On', ['t1: One.']],
    [
      'is not the reply of a turn whose process died',
      [{ isLost: true }],
      'On',
      [],
    ],
  ] as const satisfies readonly (readonly [
    string, readonly Past[], string | undefined, readonly string[],
  ])[]) {
    it(`of a turn that may be missing ${title}`, () => {
      assert.deepEqual(after(past, heard, 'of another process', { isBehind: true }), left);
    });
  }

  it('cuts a turn that is there, even if others may be missing', () => {
    assert.deepEqual(after([{ said: '$5' }], 'five', 't1', { isBehind: true }), ['t1: five *']);
    assert.deepEqual(after([{ said: '$5' }], 'five', undefined, { isBehind: true }), [
      't1: five *',
    ]);
  });

  it('cuts what the run of an unknown turn says later', () => {
    const conversation = emptyConversation('c');
    openTurn(conversation, { turnId: 't1', runId: 7, text: 'One' }, BOUNDS);
    openTurn(
      conversation,
      { turnId: 't2', runId: 8, text: 'Two', interruption: { textHeard: 'It', turnId: undefined } },
      BOUNDS,
    );
    assert.equal(
      settleTurn(
        conversation,
        {
          turnId: 't1',
          runId: 7,
          state: 'interrupted',
          messages: [
            { role: 'assistant', content: 'It is ten.', turnId: 't1', state: 'interrupted' },
          ],
        },
        BOUNDS,
      ),
      true,
    );
    assert.deepEqual(replies(conversation), ['t1: It *']);
  });

  it('knows what a turn of this process has sent so far, even if it is not settled', () => {
    const conversation = emptyConversation('c');
    openTurn(conversation, { turnId: 't1', runId: 6, text: 'One' }, BOUNDS);
    settleTurn(
      conversation,
      {
        turnId: 't1',
        runId: 6,
        state: 'completed',
        messages: [{ role: 'assistant', content: TUESDAY, turnId: 't1', state: 'completed' }],
      },
      BOUNDS,
    );
    openTurn(conversation, { turnId: 't2', runId: 7, text: 'Two' }, BOUNDS);
    const running = [
      { turnId: 't2', runId: 7, state: 'interrupted', messages: [], filler: 'One moment.' },
    ] as const;
    openTurn(
      conversation,
      {
        turnId: 't3',
        runId: 8,
        text: 'Three',
        interruption: { textHeard: 'One moment.', turnId: undefined },
        running,
      },
      BOUNDS,
    );
    assert.deepEqual(replies(conversation), [`t1: ${TUESDAY}`]);
  });
});

describe('an interruption that does not say what was heard', () => {
  for (const [title, past, left] of [
    ['marks the newest turn', [{ said: 'One.' }], ['t1: One. *']],
    [
      'marks no older turn where the newest is wordless',
      [{ said: 'One.' }, { state: 'interrupted' }],
      ['t1: One.'],
    ],
    [
      'marks nothing where the newest turn said only a filler',
      [{ said: 'One.' }, { filler: 'One moment.', state: 'interrupted' }],
      ['t1: One.'],
    ],
    ['marks nothing where nobody spoke', [], []],
  ] as const satisfies readonly (readonly [string, readonly Past[], readonly string[]])[]) {
    it(title, () => assert.deepEqual(after(past, undefined), left));
  }
});

describe('an interruption of a turn whose run is elsewhere', () => {
  it('is written onto what that run has stored of its reply, and closes the turn', () => {
    const conversation = emptyConversation('c');
    openTurn(conversation, { turnId: 't1', runId: 1, text: 'One' }, BOUNDS);
    const messages = [
      {
        role: 'assistant',
        content: 'I look.',
        turnId: 't1',
        state: 'open',
        toolCalls: [{ id: 'a', name: 'look', args: '{}' }],
      },
      { role: 'tool', content: '1', turnId: 't1', toolCallId: 'a', state: 'completed' },
    ] as const;
    noteProgress(conversation, { turnId: 't1', runId: 1, messages }, BOUNDS);
    const heard = noteHeard(conversation, { textHeard: undefined, turnId: undefined });
    assert.deepEqual([heard?.wasCompleted, hasOpenTurn(conversation)], [false, false]);
    assert.deepEqual(replies(conversation), ['t1: I look. *']);
  });
});

describe('an interruption of a turn that said nothing', () => {
  for (const [title, filler] of [
    ['by choice', undefined],
    ['but a filler', 'One moment.'],
  ] as const) {
    it(`leaves it completed, and reports nothing: it was silent ${title}`, () => {
      const conversation = emptyConversation('c');
      openTurn(conversation, { turnId: 't1', runId: ++runs, text: 'One' }, BOUNDS);
      const settlement = {
        turnId: 't1',
        runId: runs,
        state: 'completed',
        filler,
        messages: [],
      } as const;
      settleTurn(conversation, settlement, BOUNDS);
      assert.equal(noteHeard(conversation, { textHeard: undefined, turnId: undefined }), undefined);
      assert.equal(conversation.turns[0]?.state, 'completed');
    });
  }
});

describe('noteHeard of a turn with tools', () => {
  /** Died behind a call, with the words before it written down. */
  function lostBehindCall(): Conversation {
    const conversation = emptyConversation('c');
    const opened = openTurn(conversation, { turnId: 't1', runId: 1, text: 'One' }, BOUNDS);
    assert.ok(opened instanceof OpenedTurn);
    settleTurn(
      conversation,
      {
        turnId: 't1',
        runId: 1,
        state: 'interrupted',
        messages: [
          {
            role: 'assistant',
            content: 'Let me see.',
            turnId: 't1',
            state: 'interrupted',
            toolCalls: [{ id: 'c1', name: 'look', args: '{}' }],
          },
          { role: 'tool', content: '1', turnId: 't1', toolCallId: 'c1', state: 'completed' },
        ],
      },
      BOUNDS,
    );
    const [turn] = conversation.turns;
    if (turn !== undefined) turn.said = 'nothing';
    return conversation;
  }

  for (const [heard, left] of [
    ['Let me see. It is', ['t1: Let me see. *', 't1:  It is *']],
    ['Let me', ['t1: Let me *']],
    ['', ['t1:  *']],
  ] as const) {
    it(`puts ${JSON.stringify(heard)} around the call`, () => {
      const conversation = lostBehindCall();
      noteHeard(conversation, { textHeard: heard, turnId: undefined });
      assert.deepEqual(replies(conversation), left);
      assert.equal(historyOf(conversation).filter(({ role }) => role === 'tool').length, 1);
    });
  }

  /** A turn that has said all of this, with a call between two rounds. */
  function after(rounds: readonly string[], filler?: string): Conversation {
    const conversation = emptyConversation('c');
    openTurn(conversation, { turnId: 't1', runId: ++runs, text: 'One' }, BOUNDS);
    const messages = rounds.flatMap((content, index): Message[] => {
      const said = { role: 'assistant', content, turnId: 't1', state: 'completed' } as const;
      if (index === rounds.length - 1) return [said];
      const id = `c${index}`;
      return [
        { ...said, toolCalls: [{ id, name: 'look', args: '{}' }] },
        { role: 'tool', content: '1', turnId: 't1', toolCallId: id, state: 'completed' },
      ];
    });
    const settlement = { turnId: 't1', runId: runs, state: 'completed', filler, messages } as const;
    settleTurn(conversation, settlement, BOUNDS);
    return conversation;
  }

  // Was: 'one moment a' before the call, and 'll right' behind it.
  for (const [title, rounds, heard, left] of [
    ['all of it', ['One moment. ', 'All right.'], 'one moment all right',
      ['One moment. ', 'All right.']],
    ['the words before the call', ['One moment. ', 'All right.'], 'one moment',
      ['One moment.', '']],
    ['half a word behind the call', ['One moment. ', 'All right.'], 'ONE MOMENT al',
      ['One moment. ', 'Al']],
    ['three rounds', ['Well, let me see. ', 'One more thing… ', 'All right, done.'],
      'well let me see one more thing all right', [
        'Well, let me see. ', 'One more thing… ', 'All right,']],
    ['a round without words', ['One moment. ', '', 'All right.'], 'one moment all',
      ['One moment. ', '', 'All']],
    ['repeated words', ['Yes, yes. ', 'Yes, yes, done.'], 'yes yes yes', ['Yes, yes. ', 'Yes,']],
    ['another form of Unicode', ['Un café ? ', 'Voilà !'], 'un cafe\u0301 voila\u0300',
      ['Un café ? ', 'Voilà !']],
    ['no spaces between words', ['少々お待ちください。', '分かりました。'], '少々お待ちください分かり',
      ['少々お待ちください。', '分かり']],
    ['numbers read out', ['It is $5.00. ', 'All right, then.'], 'it is five dollars all right',
      ['It is $5.00. ', 'All right,']],
    ['a number', ['It is [card 1]. ', 'All right.'], 'it is four two four two',
      ['It is [card 1]', '']],
    ['more than was said', ['One moment. ', 'All right.'], 'one moment all right bye',
      ['one moment', ' all right bye']],
    ['other words', ['$5. ', 'Done.'], 'five dollars', ['', 'five dollars']],
  ] as const satisfies readonly (readonly [
    string, readonly string[], string, readonly string[],
  ])[]) {
    it(`finds what was heard by its words in the rounds: ${title}`, () => {
      const conversation = after(rounds);
      noteHeard(conversation, { textHeard: heard, turnId: undefined });
      const expected = left.filter((text, index) => text !== '' || index < left.length - 1);
      assert.deepEqual(replies(conversation), expected.map((text) => `t1: ${text} *`));
    });
  }

  it('removes a filler by its words', () => {
    const conversation = after(['Let me see. ', 'All right.'], 'One moment, please.');
    noteHeard(conversation, { textHeard: 'one moment please let me', turnId: undefined });
    assert.deepEqual(replies(conversation), ['t1: Let me *']);
  });

  it('splits what was heard of a turn that may have said more by words', () => {
    const conversation = lostBehindCall();
    noteHeard(conversation, { textHeard: 'LET ME SEE it is ten', turnId: undefined });
    assert.deepEqual(replies(conversation), ['t1: LET ME SEE *', 't1:  it is ten *']);
  });
});

describe('withoutPrefix', () => {
  for (const [text, prefix, rest] of [
    ['One moment. Yes.', 'One moment.', 'Yes.'],
    ['One  moment.\nYes.', 'One moment.', 'Yes.'],
    ['Onemoment.Yes.', 'One moment.', 'Yes.'],
    ['One mo', 'One moment.', ''],
    ['  ', 'One moment.', ''],
    ['', 'One moment.', ''],
    ['One apple', 'One moment.', 'One apple'],
    ['one moment yes', 'One moment.', 'yes'],
    ['ONE MO', 'One moment.', ''],
    ['Yes.', '', 'Yes.'],
    [' Yes.', ' ', ' Yes.'],
    ['👋🏽 Hi', '👋🏽', 'Hi'],
    ['👋🏽 Hi', '👋🏿', '👋🏽 Hi'],
  ] as const) {
    it(`makes ${JSON.stringify(rest)} of ${JSON.stringify(text)} without ${JSON.stringify(prefix)}`, () => {
      assert.equal(withoutPrefix(text, prefix), rest);
    });
  }
});

describe('isPrefix', () => {
  for (const [prefix, text, expected] of [
    ['Your app', 'Your appointment', true],
    ['Your  app', 'Your appointment', true],
    ['', 'a', true],
    ['your appointment is', 'Your appointment: is it on Tuesday?', true],
    ['…', 'Your', false],
    ['our', 'Your', false],
    ['Your appointment.', 'Your', false],
  ] as const) {
    it(`is ${expected} for ${JSON.stringify(prefix)} of ${JSON.stringify(text)}`, () =>
      assert.equal(isPrefix(prefix, text), expected));
  }
});

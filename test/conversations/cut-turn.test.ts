import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { emptyConversation, findTurn, historyOf } from '../../src/conversations/conversation.ts';
import { cut, exchange, open, settle, shown, toolMessages } from './checked-rules.ts';

describe('cutTurn', () => {
  // [title, said, heard, what is left, what is told]
  for (const [title, said, heard, left, told] of [
    ['to what was heard', 'First of many.', 'First', ['assistant(interrupted): First'], 'First'],
    ['to nothing, and keeps no empty message', 'First.', '', [], ''],
    ['to nothing for blanks', 'First.', ' \n', [], ''],
    [
      'not at all where it is not known what was heard, but marks it',
      'First.',
      undefined,
      ['assistant(interrupted): First.'],
      'First.',
    ],
    [
      'not where all of it was heard, but marks it',
      'First.',
      'First.',
      ['assistant(interrupted): First.'],
      'First.',
    ],
    [
      "to the platform's words where they are not ours",
      'It costs $5.',
      'it costs five dollars',
      ['assistant(interrupted): it costs five dollars'],
      'it costs five dollars',
    ],
    ['to half a word', 'First.', 'Fir', ['assistant(interrupted): Fir'], 'Fir'],
    [
      'and keeps blanks around what was heard',
      'First of many.',
      'First ',
      ['assistant(interrupted): First '],
      'First ',
    ],
  ] as const) {
    it(`cuts a completed turn ${title}`, () => {
      const conversation = emptyConversation('c');
      exchange(conversation, 't1', 'One', said);
      assert.deepEqual(cut(conversation, heard), { turnId: 't1', text: told });
      assert.deepEqual(shown(conversation), ['user: One', ...left]);
      assert.equal(findTurn(conversation, 't1')?.state, 'interrupted');
    });
  }

  it('leaves the newest turn alone while an older one runs elsewhere: that one is meant', () => {
    const conversation = emptyConversation('c');
    open(conversation, 't1', 'One');
    exchange(conversation, 't2', 'Two', 'Second.');
    open(conversation, 't1', 'One');
    assert.equal(cut(conversation, undefined), undefined);
    assert.equal(findTurn(conversation, 't2')?.state, 'completed');
  });

  for (const id of ['t1', 'an id of the platform', undefined]) {
    it(`cuts the last turn when the platform names ${id ?? 'none'}`, () => {
      const conversation = emptyConversation('c');
      exchange(conversation, 't0', 'Zero', 'Zeroth.');
      exchange(conversation, 't1', 'One', 'First.');
      assert.deepEqual(cut(conversation, 'Fi', id), { turnId: 't1', text: 'Fi' });
      assert.deepEqual(shown(conversation), [
        'user: Zero',
        'assistant(completed): Zeroth.',
        'user: One',
        'assistant(interrupted): Fi',
      ]);
    });
  }

  it('begins at the named turn if that is known', () => {
    const conversation = emptyConversation('c');
    exchange(conversation, 't0', 'Zero', 'Zeroth.');
    exchange(conversation, 't1', 'One', 'First.');
    assert.equal(cut(conversation, 'Fi', 't0'), undefined); // nothing that t0 said
    assert.deepEqual(cut(conversation, 'Ze', 't0'), { turnId: 't0', text: 'Ze' });
    assert.deepEqual(shown(conversation), [
      'user: Zero',
      'assistant(interrupted): Ze',
      'user: One',
      'assistant(completed): First.',
    ]);
  });

  it('cuts an interrupted turn to what was heard, and does not report it again', () => {
    const conversation = emptyConversation('c');
    open(conversation, 't1', 'One');
    settle(conversation, 't1', 'interrupted', 'First of man');
    assert.equal(cut(conversation, 'First'), undefined);
    assert.deepEqual(shown(conversation), ['user: One', 'assistant(interrupted): First']);
  });

  it('marks an apology that was cut', () => {
    const conversation = emptyConversation('c');
    open(conversation, 't1', 'One');
    settle(conversation, 't1', 'failed', 'Sorry, something went wrong.');
    cut(conversation, 'Sorry');
    assert.deepEqual(shown(conversation), ['user: One', 'assistant(interrupted): Sorry']);
  });

  it('cuts the turn that was still being spoken, not a newer one that said nothing', () => {
    const conversation = emptyConversation('c');
    exchange(conversation, 't1', 'One', 'First of many.');
    open(conversation, 't2', 'Two');
    settle(conversation, 't2', 'interrupted', '');
    assert.deepEqual(cut(conversation, 'First', 't1'), { turnId: 't1', text: 'First' });
    assert.deepEqual(shown(conversation), [
      'user: One',
      'assistant(interrupted): First',
      'user: Two',
    ]);
  });

  it('leaves the turn before alone if nothing was said and nothing was heard', () => {
    const conversation = emptyConversation('c');
    exchange(conversation, 't1', 'One', 'First.');
    open(conversation, 't2', 'Two');
    settle(conversation, 't2', 'interrupted', '');
    assert.equal(cut(conversation, '', 'an id of the platform'), undefined);
    assert.equal(cut(conversation, 'x', 't2'), undefined);
    assert.deepEqual(shown(conversation), [
      'user: One',
      'assistant(completed): First.',
      'user: Two',
    ]);
  });

  it('does nothing if nothing was said', () => {
    const conversation = emptyConversation('c');
    assert.equal(cut(conversation, 'x'), undefined);
    open(conversation, 't1', 'One');
    settle(conversation, 't1', 'completed', '');
    assert.equal(cut(conversation, 'x'), undefined);
    assert.deepEqual(shown(conversation), ['user: One']);
  });

  it('lets a turn that was cut run again when it is delivered again', () => {
    const conversation = emptyConversation('c');
    exchange(conversation, 't1', 'One', 'First.');
    cut(conversation, 'Fi');
    open(conversation, 't1', 'One');
    assert.deepEqual(shown(conversation), ['user: One', 'assistant(open): ']);
  });

  it('forgets what a turn sent: it is not sent again', () => {
    const conversation = emptyConversation('c');
    open(conversation, 't1', 'One');
    settle(conversation, 't1', 'completed', 'First.', [
      { type: 'say', text: 'First.' },
      { type: 'data', json: '{}' },
    ]);
    cut(conversation, 'Fi');
    assert.equal(findTurn(conversation, 't1')?.sent, undefined);
  });
});

describe('cutTurn of a turn with tools', () => {
  for (const [title, heard, left] of [
    ['in the text before the call', 'Let', ['assistant(interrupted): Let [look]', 'tool: 42']],
    ['right behind it', 'Let me see.', ['assistant(interrupted): Let me see. [look]', 'tool: 42']],
    [
      'in the text behind it',
      'Let me see.It is',
      ['assistant(interrupted): Let me see. [look]', 'tool: 42', 'assistant(interrupted): It is'],
    ],
    ['before the first word', '', ['assistant(interrupted):  [look]', 'tool: 42']],
    [
      'where it is not known what was heard',
      undefined,
      [
        'assistant(interrupted): Let me see. [look]',
        'tool: 42',
        'assistant(interrupted): It is 42.',
      ],
    ],
  ] as const) {
    it(`keeps the call and its result whole when cut ${title}`, () => {
      const conversation = emptyConversation('c');
      open(conversation, 't1', 'One');
      settle(conversation, 't1', 'completed', toolMessages('t1'));
      cut(conversation, heard);
      assert.deepEqual(shown(conversation), ['user: One', ...left]);
      const calls = historyOf(conversation).flatMap((message) =>
        message.role === 'assistant' ? (message.toolCalls ?? []).map(({ id }) => id) : [],
      );
      const results = historyOf(conversation).flatMap((message) =>
        message.role === 'tool' ? [message.toolCallId] : [],
      );
      assert.deepEqual(calls, results);
    });
  }
});

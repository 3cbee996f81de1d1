import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { toChatMessages } from '../../../src/core/agents/history-for-model.ts';
import type {
  AssistantMessage, Message, ToolCall,
} from '../../../src/core/conversations/message.ts';
import type { ChatMessage } from '../../../src/core/models/model.ts';

const user = (content: string, turnId = 't-1'): Message => ({ role: 'user', content, turnId });
const agent = (
  content: string,
  turnId = 't-1',
  state: AssistantMessage['state'] = 'completed',
): Message => ({ role: 'assistant', content, turnId, state });
const call = (id: string): ToolCall => ({ id, name: 'look', args: `{"for":"${id}"}` });
const calling = (
  ids: readonly string[],
  turnId = 't-1',
  content = '',
  state: AssistantMessage['state'] = 'completed',
): Message => ({
  role: 'assistant',
  content,
  turnId,
  state,
  toolCalls: ids.map(call),
});
const result = (toolCallId: string, content: string, turnId = 't-1'): Message => ({
  role: 'tool',
  toolCallId,
  content,
  turnId,
  state: 'completed',
});

/** The prompt without the system message; for calls their ids, for results the call they answer. */
function promptOf(...history: Message[]): (readonly unknown[])[] {
  return toChatMessages('Be brief.', history)
    .slice(1)
    .map((message: ChatMessage) => {
      if (message.role === 'tool') return ['tool', message.toolCallId, message.content];
      if (message.role === 'assistant' && message.toolCalls !== undefined)
        return ['assistant', message.content, message.toolCalls.map(({ id }) => id)];
      return [message.role, message.content];
    });
}

const INTERRUPTED = '{"error":"interrupted"}';

describe('toChatMessages', () => {
  it("begins with the system prompt, and needs no history", () => {
    assert.deepEqual(toChatMessages('Be brief.', []), [{ role: 'system', content: 'Be brief.' }]);
  });

  it('does not change the history', () => {
    const history = [user('One'), user('Two'), calling(['a'])].map((message) =>
      Object.freeze(message),
    );
    toChatMessages('Be brief.', Object.freeze(history));
  });

  it('keeps calls as the model wrote them', () => {
    const [, message] = toChatMessages('Be brief.', [calling(['a'])]);
    assert.deepEqual(message, { role: 'assistant', content: '', toolCalls: [call('a')] });
  });

  const silent = ['user', '(the caller says nothing)'];
  const cases: readonly (readonly [
    what: string, history: readonly Message[], prompt: readonly (readonly unknown[])[],
  ])[] = [
    [
      'joins neighbouring messages of the caller, whatever empty ones are in between',
      [
        agent('Hello.'), user('One'), user('Two', 't-2'),
        agent('', 't-2', 'interrupted'), user('Three', 't-3'), agent('', 't-3', 'open'),
      ],
      [['assistant', 'Hello.'], ['user', 'One\nTwo\nThree']],
    ],
    ...['', ' ', '\n\t'].map((empty) => [
      `leaves out ${JSON.stringify(empty)}, regardless of who said it`,
      [user(empty), agent(empty), user('Hi.', 't-2'), agent(empty, 't-2', 'interrupted')],
      [['user', 'Hi.']],
    ] as const),
    ['says that the caller is silent if nobody has spoken', [user('')], [silent]],
    [
      'says that the caller is silent, so that no prompt ends with words of the agent',
      [user('Hi.'), agent('Hello.'), user(' ', 't-2'), agent('Are you there?', 't-2')],
      [['user', 'Hi.'], ['assistant', 'Hello.'], silent, ['assistant', 'Are you there?']],
    ],
    [
      'forgets a silence that the caller broke before anybody spoke',
      [agent('Hello.'), user('', 't-2'), user('Yes.', 't-3'), user('', 't-4')],
      [['assistant', 'Hello.'], ['user', 'Yes.']],
    ],
    [
      'marks an interrupted reply, and only that',
      [
        user('Hi.'), agent('It rains', 't-1', 'interrupted'),
        user('Ok', 't-2'), agent('Sorry.', 't-2', 'failed'),
      ],
      [
        ['user', 'Hi.'], ['assistant', 'It rains [interrupted]'],
        ['user', 'Ok'], ['assistant', 'Sorry.'],
      ],
    ],
    [
      'marks a turn that was interrupted after its calls with a message of its own',
      [calling(['a'], 't-1', 'Let me', 'interrupted'), result('a', '1'), user('Stop.', 't-2')],
      [
        ['assistant', 'Let me', ['a']], ['tool', 'a', '1'],
        ['assistant', '[interrupted]'], ['user', 'Stop.'],
      ],
    ],
    [
      'marks the words after the calls, and not those before them',
      [
        calling(['a'], 't-1', 'Let me see.', 'interrupted'), result('a', '1'),
        agent('It ra', 't-1', 'interrupted'), user('Stop.', 't-2'),
      ],
      [
        ['assistant', 'Let me see.', ['a']], ['tool', 'a', '1'],
        ['assistant', 'It ra [interrupted]'], ['user', 'Stop.'],
      ],
    ],
    [
      'does not mark the last turn after its calls: it runs again',
      [calling(['a'], 't-1', '', 'interrupted'), result('a', '1')],
      [['assistant', '', ['a']], ['tool', 'a', '1']],
    ],
    [
      'puts results in the order of their calls',
      [calling(['a', 'b']), result('b', '2'), result('a', '1')],
      [['assistant', '', ['a', 'b']], ['tool', 'a', '1'], ['tool', 'b', '2']],
    ],
    [
      'gives every call without a result one that says so',
      [calling(['a', 'b']), result('b', '2'), user('Hi.', 't-2')],
      [
        ['assistant', '', ['a', 'b']], ['tool', 'a', INTERRUPTED], ['tool', 'b', '2'],
        ['user', 'Hi.'],
      ],
    ],
    [
      'leaves out a result without its call, and joins the words around it',
      [user('One'), result('a', '1'), user('Two', 't-2'), result('b', '2'), agent('Hello.')],
      [['user', 'One\nTwo'], ['assistant', 'Hello.']],
    ],
    [
      'leaves out a result that comes before its call',
      [result('a', '1'), calling(['a'])],
      [['assistant', '', ['a']], ['tool', 'a', INTERRUPTED]],
    ],
    [
      'takes the first of several results, even after the text that followed',
      [calling(['a']), agent('One moment.'), result('a', '1'), result('a', '2')],
      [['assistant', '', ['a']], ['tool', 'a', '1'], ['assistant', 'One moment.']],
    ],
    ...(['t-1', 't-2'] as const).flatMap((turnId) => [
      [
        `tells apart results whose id is used again in ${turnId}`,
        [calling(['a']), result('a', '1'), calling(['a'], turnId), result('a', '2', turnId)],
        [
          ['assistant', '', ['a']], ['tool', 'a', '1'],
          ['assistant', '', ['a']], ['tool', 'a', '2'],
        ],
      ],
      [
        `does not give a call the result of another call with its id in ${turnId}`,
        [calling(['a']), calling(['a'], turnId), result('a', '2', turnId)],
        [
          ['assistant', '', ['a']], ['tool', 'a', INTERRUPTED],
          ['assistant', '', ['a']], ['tool', 'a', '2'],
        ],
      ],
    ] as const),
  ];
  for (const [what, history, prompt] of cases) {
    it(what, () => assert.deepEqual(promptOf(...history), prompt));
  }

  it('gives every call one result and every result its call, whatever is lost', () => {
    const whole = [
      user('Hi.'),
      calling(['a', 'b']),
      result('a', '1'),
      result('b', '2'),
      agent('Here.'),
      user('More', 't-2'),
      calling(['a'], 't-2'),
      result('a', '3', 't-2'),
      agent('There.', 't-2'),
    ];
    for (let kept = 0; kept < 2 ** whole.length; kept++) {
      let open: string[] = [];
      for (const message of toChatMessages(
        'Be brief.',
        whole.filter((_, index) => (kept >> index) & 1),
      )) {
        if (message.role === 'tool')
          assert.equal(open.shift(), message.toolCallId, `history ${kept.toString(2)}`);
        else {
          assert.deepEqual(open, [], `history ${kept.toString(2)}`);
          open = message.role === 'assistant' ? (message.toolCalls ?? []).map(({ id }) => id) : [];
        }
      }
      assert.deepEqual(open, [], `history ${kept.toString(2)}`);
    }
  });
});

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { alternateRoles } from '../../../src/core/models/alternating-roles.ts';
import type { ChatMessage } from '../../../src/core/models/model.ts';

const system = (content: string): ChatMessage => ({ role: 'system', content });
const user = (content: string): ChatMessage => ({ role: 'user', content });
const assistant = (content: string): ChatMessage => ({ role: 'assistant', content });
const calls = (content: string, ...ids: string[]): ChatMessage => {
  const toolCalls = ids.map((id) => ({ id, name: 'a', args: '{}' }));
  return { role: 'assistant', content, toolCalls };
};
const result = (toolCallId: string): ChatMessage => ({ role: 'tool', content: '1', toolCallId });
const begins = user('(the call begins)');
const silence = assistant('(nothing was said)');

type Case = readonly [what: string, given: readonly ChatMessage[], sent: readonly ChatMessage[]];
const cases: readonly Case[] = [
  [
    'puts a user’s message before a welcome, which stays',
    [system('S'), assistant('Hi!'), user('Rain?')],
    [system('S'), begins, assistant('Hi!'), user('Rain?')],
  ],
  [
    'puts a user’s message before a welcome even without a system message',
    [assistant('Hi!'), user('Rain?')],
    [begins, assistant('Hi!'), user('Rain?')],
  ],
  [
    'joins neighbouring messages of the assistant, such as two welcomes',
    [system('S'), assistant('Hi!'), assistant('Welcome back.'), user('Rain?')],
    [system('S'), begins, assistant('Hi!\nWelcome back.'), user('Rain?')],
  ],
  [
    'joins neighbouring messages of the user, and of the system',
    [system('S'), system('T'), user('Rain?'), user(''), user('Snow?')],
    [system('S\nT'), user('Rain?\nSnow?')],
  ],
  [
    'joins text with the calls after it',
    [user('Rain?'), assistant('One moment.'), calls('', '1', '2'), result('1'), result('2')],
    [user('Rain?'), calls('One moment.', '1', '2'), result('1'), result('2')],
  ],
  [
    'keeps the results of parallel calls apart, and the reply after them',
    [user('Rain?'), calls('', '1', '2'), result('1'), result('2'), assistant('Yes.'), user('Oh.')],
    [user('Rain?'), calls('', '1', '2'), result('1'), result('2'), assistant('Yes.'), user('Oh.')],
  ],
  [
    'puts an assistant’s message between a result and the user who spoke over the reply',
    [user('Rain?'), calls('', '1'), result('1'), user('Stop.')],
    [user('Rain?'), calls('', '1'), result('1'), silence, user('Stop.')],
  ],
  ['gives a template a user’s message to answer', [system('S')], [system('S'), begins]],
  [
    'leaves alone messages that already alternate',
    [system('S'), user('Rain?'), assistant('Yes.'), user('Oh.')],
    [system('S'), user('Rain?'), assistant('Yes.'), user('Oh.')],
  ],
];

describe('alternateRoles', () => {
  for (const [what, given, sent] of cases) {
    it(what, () => assert.deepEqual(alternateRoles(given), sent));
  }

  it('changes nothing at the front when a message is added, for the prompt cache', () => {
    for (const [, given] of cases) {
      const before = alternateRoles(given.slice(0, -1));
      const isJoined = given.at(-1)?.role === given.at(-2)?.role;
      const kept = isJoined ? before.slice(0, -1) : before;
      if (given.length > 1 && given.at(-2)?.role !== 'system') {
        assert.deepEqual(alternateRoles(given).slice(0, kept.length), kept);
      }
    }
  });
});

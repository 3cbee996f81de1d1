// What becomes of values in calls over Chat Completions, where each request tells the whole call.

import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';

import type { MessageTurn } from '../../../src/core/agents/agent.ts';
import { MemoryStore } from '../../../src/core/conversations/memory-store.ts';
import { cardNumbers } from '../../../src/core/redaction/card-numbers.ts';
import { Told, type ServeOptions, type TestAgent } from '../../fixtures/app.ts';
import {
  serveCompletions, type ServedPlatform,
} from '../../fixtures/completions.ts';

const CARD = '4242 4242 4242 4242';
const OTHER = '5555 5555 5555 4444';

function redacting(t: TestContext, agent: TestAgent, options?: ServeOptions): ServedPlatform {
  return serveCompletions(t, { redact: cardNumbers, ...agent }, options);
}

/** What the caller and the agent have said, as in history. */
async function saidIn({ history }: ServedPlatform): Promise<string[]> {
  return (await history('c-1')).map(([role, content, state]) =>
    `${role}: ${content}${state === 'interrupted' ? ' [cut]' : ''}`);
}

describe('redact over Chat Completions', () => {
  it('compares a resent call with what is stored, both with placeholders', async (t) => {
    const served = redacting(t, { onMessage: ({ text }) => `So ${text}` });
    const { platform } = served;
    const lines = [`user: It is ${CARD}.`];
    assert.equal(await platform.hear(lines), 'So It is [card 1].');
    lines.push('agent: So It is [card 1].', `user: No, ${OTHER}.`);
    assert.equal(await platform.hear(lines), 'So No, [card 2].');
    lines.push('agent: So No, [card 2].', `user: Or ${CARD}?`);
    assert.equal(await platform.hear(lines), 'So Or [card 1]?');
    assert.deepEqual(await saidIn(served), [
      'user: It is [card 1].', 'assistant: So It is [card 1].',
      'user: No, [card 2].', 'assistant: So No, [card 2].',
      'user: Or [card 1]?', 'assistant: So Or [card 1]?',
    ]);
  });

  it('keeps out a value that the agent said and the caller only partly heard', async (t) => {
    const served = redacting(t, { onMessage: ({ text }) => `Card ${CARD} it is. ${text}` }, {
      environment: { CHAT_COMPLETIONS_PROFILE: 'vapi' },
    });
    const { platform } = served;
    const ask = (lines: readonly string[]): Promise<string> => platform.hear({
      stream: true, call: { id: 'c-1' },
      messages: lines.map((line) => {
        const [role, content] = line.split(': ');
        return { role: role === 'agent' ? 'assistant' : role, content };
      }),
    });
    await ask([`user: My card is ${CARD}.`]);
    await ask([`user: My card is ${CARD}.`, 'agent: Card 4242 42', 'user: Stop!']);
    const [, cut] = await saidIn(served);
    assert.doesNotMatch(String(cut), /4242/);
    assert.doesNotMatch(JSON.stringify(await served.app.conversations.read('c-1')), /4242 ?42/);
  });

  for (const [heard, kept] of [
    ['Card four two 42', 'Card [card 1]'], ['Card', 'Card'],
  ] as const) {
    it(`keeps a value out of a reply from elsewhere, heard up to "${heard}"`, async (t) => {
      const store = new MemoryStore({ ttlMs: 60_000, maxConversations: 10 });
      const open = (): ServedPlatform =>
        redacting(t, { onMessage: () => `Card ${CARD} it is.` }, { store });
      const [one, other] = [open(), open()];
      await one.platform.hear(['user: Read it.']);
      await other.platform.hear(['user: Read it.', `agent: ${heard}`, 'user: Stop!']);
      assert.equal((await saidIn(other))[1], `assistant: ${kept} [cut]`);
    });
  }

  it('makes a turn id that reveals no value', async (t) => {
    const told = new Told<MessageTurn>();
    const served = redacting(t, { onMessage: told.tell });
    const plain = serveCompletions(t, { onMessage: told.tell });
    const lines = [`user: It is ${CARD}.`];
    await served.platform.hear(lines);
    await plain.platform.hear(lines);
    await plain.platform.hear([`user: It is [card 1].`]);
    const ids = told.all.map(({ turnId }) => turnId);
    assert.equal(new Set(ids).size, 3);
    assert.equal(told.all[0]?.text, 'It is [card 1].');
  });

  it('gives hooks the whole request with placeholders', async (t) => {
    const told = new Told<MessageTurn>();
    const served = redacting(t, { onMessage: told.tell });
    await served.platform.hear(['system: Be brief.', `user: It is ${CARD}.`]);
    const { event } = await told.next();
    assert.deepEqual('messages' in event && event.messages, [
      { role: 'system', content: 'Be brief.' }, { role: 'user', content: 'It is [card 1].' },
    ]);
  });

  it('numbers values in order if a request names no conversation', async (t) => {
    const told = new Told<readonly string[]>();
    const served = redacting(t, {
      onMessage({ history, text, journal }) {
        told.tell(history.map(({ content }) => content));
        return journal.reveal(text);
      },
    });
    const lines = [`user: ${OTHER}`, 'agent: And?', `user: ${CARD}, not ${OTHER}`];
    const options = { conversationId: null };
    const heard = await served.platform.hear(lines, options);
    assert.equal(heard, '4242424242424242, not 5555555555554444');
    assert.deepEqual(await told.next(), ['[card 1]', 'And?', '[card 2], not [card 1]']);
  });
});

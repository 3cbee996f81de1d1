// What history holds while a turn is running, and afterwards.

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import type { ReplyEvent } from '../../../src/core/calls/reply-event.ts';
import type { Message } from '../../../src/core/conversations/message.ts';
import { serve, Told } from '../../fixtures/app.ts';
import { Client, Process } from './plain-deliveries.ts';

describe('history', () => {
  it("holds the caller's words and a placeholder before the agent is asked", async (t) => {
    const during = new Told<Message[]>();
    const { client, messages } = serve(t, {
      onMessage: async () => {
        during.tell(await messages());
        return ['One.', ' Two.'];
      },
    });
    await (await client.say('Hello?', { turn_id: 't-1' })).text();
    const [words, turnId] = [{ role: 'user', content: 'Hello?', turnId: 't-1' }, 't-1'];
    const open = { role: 'assistant', content: '', turnId, state: 'open' };
    assert.deepEqual(await during.next(), [words, open]);
    const completed = { ...open, content: 'One. Two.', state: 'completed' };
    assert.deepEqual(await messages(), [words, completed]);
  });

  it('has the turns of all sessions in order, and is shown to the agent', async (t) => {
    const seen: string[][] = [];
    const { client, history } = serve(t, {
      onSessionStart: () => 'Welcome.',
      onMessage: ({ text, history: before }) => {
        seen.push(before.map(({ content }) => content));
        return `${text}!`;
      },
    });
    await (await client.start()).text();
    for (const session_id of ['One', 'Two'])
      await (await client.say(session_id, { session_id })).text();
    const contents = ['Welcome.', 'One', 'One!', 'Two', 'Two!'];
    assert.deepEqual((await history()).map(([, content]) => content), contents);
    assert.deepEqual(seen, [contents.slice(0, 2), contents.slice(0, 4)]);
  });

  it('does not hold a word that a closed connection refused', async (t) => {
    class Closing extends Client {
      override send(event: ReplyEvent): boolean {
        if (event.type === 'say' && event.text === 'One. ') return super.send(event);
        queueMicrotask(() => this.turn?.dropped());
        return false;
      }
    }
    const process = new Process(t, { onMessage: () => ['One. ', 'Two.'] });
    assert.equal(await process.start(new Closing('t1')).outcome, 'interrupted');
    assert.deepEqual(await process.history(), ['user: t1', 'interrupted: One. ']);
  });

  it('holds at most MAX_MESSAGES messages', async (t) => {
    const environment = { MAX_MESSAGES: '8' };
    const { client, history } = serve(t, { onMessage: ({ text }) => `${text}!` }, { environment });
    for (const text of ['One', 'Two', 'Three', 'Four', 'Five'])
      await (await client.say(text)).text();
    const contents = (await history()).map(([, content]) => content);
    assert.deepEqual(contents, ['Three', 'Three!', 'Four', 'Four!', 'Five', 'Five!']);
  });
});

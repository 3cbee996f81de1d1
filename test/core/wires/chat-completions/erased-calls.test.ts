// A call that is erased while the platform keeps it: each of its requests has the whole call.

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { defineAgent } from '../../../../src/core/agents/define-agent.ts';
import { tool } from '../../../../src/core/tools/tool.ts';
import { CONVERSATION, modelAgent, serveCompletions } from '../../../fixtures/completions.ts';

const SECRET = ['user: My PIN is 1234', 'agent: Yes.', 'user: And 5678', 'agent: Yes.'];

describe('a call that was erased', () => {
  for (const [what, lines, kept] of [
    ['does not come back with the next request', [...SECRET, 'user: Well?'], ['Well?', 'Yes.']],
    [
      'does not come back even if its last words are sent with the next ones',
      [...SECRET.slice(0, 2), 'user: And 5678', 'user: Well?'], ['Well?', 'Yes.'],
    ],
    ['does not come back when its last request comes again', SECRET.slice(0, 3), [
      'And 5678', 'Yes.',
    ]],
    ['does not come back even if the platform has shortened it', ['agent: Yes.', 'user: Well?'], [
      'Well?', 'Yes.',
    ]],
    [
      'keeps what has been said since',
      [...SECRET, 'user: Hello?', 'user: Well?'], ['Hello?', 'Well?', 'Yes.'],
    ],
  ] as const)
    it(what, async (t) => {
      const { app, platform } = serveCompletions(t, { onMessage: () => 'Yes.' });
      await platform.hear(SECRET.slice(0, 1));
      await platform.hear(SECRET.slice(0, 3));
      await app.conversations.clear(CONVERSATION);
      await platform.hear(lines);
      const history = await app.conversations.getHistory(CONVERSATION);
      assert.deepEqual(history.map(({ content }) => content), kept);
    });

  it('does not come back with any later request, nor after a second erasure', async (t) => {
    const { app, platform } = serveCompletions(t, { onMessage: () => 'Yes.' });
    await platform.hear(SECRET.slice(0, 1));
    await platform.hear(SECRET.slice(0, 3));
    await app.conversations.clear(CONVERSATION);
    const since = [...SECRET, 'user: One', 'agent: Yes.'];
    await platform.hear([...SECRET, 'user: One']);
    await platform.hear([...since, 'user: Two']);
    assert.equal((await app.conversations.getHistory(CONVERSATION)).length, 4);
    await app.conversations.clear(CONVERSATION);
    await platform.hear([...since, 'user: Two', 'agent: Yes.', 'user: Three']);
    const history = await app.conversations.getHistory(CONVERSATION);
    assert.deepEqual(history.map(({ content }) => content), ['Three', 'Yes.']);
  });

  it('is not brought back by the tool that erases it', async (t) => {
    const forget = tool({
      name: 'forget', description: 'Forgets the caller.',
      parameters: { type: 'object', properties: {} },
      run: async () => {
        await app.conversations.clear(CONVERSATION);
        return 'forgotten';
      },
    });
    const script = ['Yes.', { call: 'forget' }, 'Done.', 'Hello.'];
    const { app, platform } = serveCompletions(
      t, modelAgent(script, { tools: [forget] }), { environment: { SETTLE_MS: '0' } },
    );
    await platform.hear(SECRET.slice(0, 1));
    await platform.hear([...SECRET.slice(0, 2), 'user: Forget me']);
    await platform.hear([...SECRET.slice(0, 2), 'user: Forget me', 'agent: Done.', 'user: Hi']);
    const history = await app.conversations.getHistory(CONVERSATION);
    assert.deepEqual(history.map(({ content }) => content), ['Hi', 'Hello.']);
  });
});

describe('the key of a tool call', () => {
  const call = (exchanges: number): string[] =>
    Array.from({ length: exchanges }, (_, n) => [`user: Pay for ${n}`, 'agent: Done.']).flat();

  it('is never that of an earlier place in the call, even one lost or erased', async (t) => {
    const keys: (string | undefined)[] = [];
    const agent = defineAgent({
      name: 'paying',
      onMessage: async ({ journal }, reply) => {
        await journal.runTools([{ id: 'x', name: 'pay', args: '{}' }], () => ({
          run: ({ idempotencyKey }) => {
            keys.push(idempotencyKey);
            return '"paid"';
          },
        }));
        await reply.say('Done.');
      },
    });
    const pay = async (from: number, to: number, erased?: number): Promise<void> => {
      const { app, platform } = serveCompletions(t, agent, { environment: { SETTLE_MS: '0' } });
      for (let place = from; place < to; place++) {
        if (place === erased) await app.conversations.clear(CONVERSATION);
        await platform.hear([...call(place), `user: Pay for ${place}`]);
      }
    };
    await pay(0, 40, 20);
    await pay(40, 60); // restarted, with nothing in its memory
    assert.deepEqual([keys.length, new Set(keys).size], [60, 60]);
  });
});

// What a caller hears, and what history and the log hold, when a model behind the server thinks or
// fails: through real sockets, from the webhook to the model and back.

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { defineAgent } from '../../src/agents/define-agent.ts';
import { modelServer, outline, serveAgent, serveModel, spoken } from '../agents/model-app.ts';
import { says } from '../faults/model-server.ts';

const THOUGHTFUL = ['<think>\nIs', ' it?\n</th', 'ink>\n\nYes', '.<|im_', 'end|>'];

describe('a turn of a model that thinks', () => {
  for (const speakable of [true, false]) {
    it(`has no thought in speech and history, with speakable ${speakable}`, async (t) => {
      const agent = defineAgent({ name: 'plain', prompt: 'Be brief.', speakable });
      const { client, server, messages } = await serveModel(t, agent, [says(...THOUGHTFUL)]);
      assert.equal(await spoken(client.say('Rain?')), 'Yes.');
      assert.deepEqual((await messages()).map(({ content }) => content), ['Rain?', 'Yes.']);
      await spoken(client.say('Snow?'));
      const history = [['user', 'Rain?'], ['assistant', 'Yes.'], ['user', 'Snow?']];
      assert.deepEqual(outline(server.requests[1]), history);
    });
  }

  it('begins behind the thought with THINKING=open', async (t) => {
    const agent = defineAgent({ name: 'plain', prompt: 'Be brief.', speakable: false });
    const server = await modelServer(t, says('Is it?', '</think>', 'Yes.'));
    const environment = { DEFAULT_MODEL: 'vllm:x', THINKING: 'open' };
    const { client } = serveAgent(t, agent, { vllm: server }, environment);
    assert.equal(await spoken(client.say('Rain?')), 'Yes.');
  });

  it('ends in the apology when the thought never ends', async (t) => {
    const agent = defineAgent({ name: 'plain', prompt: 'Be brief.', apology: 'Sorry.' });
    const { client } = await serveModel(t, agent, [says('<think>Is it?')]);
    assert.equal(await spoken(client.say('Rain?')), 'Sorry.');
  });
});

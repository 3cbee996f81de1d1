import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { defineAgent } from '../../../src/core/agents/define-agent.ts';
import { withModel } from '../../../src/core/agents/with-model.ts';
import { scriptedModel } from '../../../src/kit/scripted-model.ts';
import { serve } from '../../fixtures/app.ts';

describe('withModel', () => {
  it('makes an agent speak through the model, even if it names one without a key', async (t) => {
    const agent = defineAgent({ name: 'a', model: 'openai:gpt-6-luna', prompt: 'You talk.' });
    const { app, client } = serve(t, withModel(agent, scriptedModel(['Hello.'])));
    assert.equal(await (await client.say('Hi.')).text(), 'Hello.');
    assert.equal(app.model?.name, 'scripted:model');
  });

  for (const [what, model] of [
    ['a model of its own', { ...scriptedModel(['Mine.']), name: 'mine' }],
    ['a model for each turn', () => 'openai:gpt-6-luna'],
  ] as const) {
    it(`makes an agent speak through the model, even if it has ${what}`, async (t) => {
      const agent = defineAgent({ name: 'a', model, prompt: 'You talk.' });
      const { client } = serve(t, withModel(agent, scriptedModel(['Hello.'])));
      assert.equal(await (await client.say('Hi.')).text(), 'Hello.');
    });
  }

  it('leaves the agent itself as it was', () => {
    const agent = defineAgent({ name: 'a', prompt: 'You talk.' });
    const { bind } = agent;
    withModel(agent, scriptedModel([]));
    assert.equal(agent.bind, bind);
  });

  it('calls the bind of the agent itself', async (t) => {
    class Bound {
      readonly name = 'bound';
      readonly #word = 'Mine.';
      readonly onMessage = (): string => 'Not bound.';
      bind(): Bound {
        return Object.assign(new Bound(), { onMessage: () => this.#word });
      }
    }
    const { client } = serve(t, withModel(new Bound(), scriptedModel([])));
    assert.equal(await (await client.say('Hi.')).text(), 'Mine.');
  });

  it('refuses an agent that does not use a model', () => {
    const agent = defineAgent({ name: 'parrot', onMessage: ({ text }) => text });
    assert.throws(() => withModel(agent, scriptedModel([])), {
      name: 'TypeError',
      message: 'agent "parrot" does not use a model',
    });
  });
});

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import type { ChatModel, ModelDelta } from '../../../src/core/models/model.ts';
import { loadedOnDemand } from '../../../src/core/models/on-demand.ts';

const { signal } = new AbortController();

/** A model that says one word, and how often it was loaded. */
function stage(): { model: ChatModel; loads: () => number } {
  let loads = 0;
  const loaded: ChatModel = {
    name: 'loaded',
    stream: async function* (): AsyncGenerator<ModelDelta, void, undefined> {
      yield { type: 'text', text: 'Hi' };
    },
    warm: () => Promise.resolve(),
    problems: () => ['a key was refused'],
    isUsable: () => false,
  };
  const model = loadedOnDemand('openai:gpt-6-luna', async () => {
    loads += 1;
    return loaded;
  });
  return { model, loads: () => loads };
}

async function read(model: ChatModel, options = { signal }): Promise<ModelDelta[]> {
  const deltas: ModelDelta[] = [];
  for await (const delta of model.stream([], options)) deltas.push(delta);
  return deltas;
}

describe('loadedOnDemand', () => {
  it('loads nothing to give its name, its problems and whether it is usable', () => {
    const { model, loads } = stage();
    assert.deepEqual(
      [model.name, model.problems(), model.isUsable(), loads()],
      ['openai:gpt-6-luna', [], true, 0],
    );
  });

  it('loads once, however often it is asked', async () => {
    const { model, loads } = stage();
    const replies = await Promise.all([read(model), read(model)]);
    await model.warm(signal);
    replies.push(await read(model));
    assert.deepEqual([replies.flat().length, loads()], [3, 1]);
  });

  it('loads when it is warmed, and then answers for what it has loaded', async () => {
    const { model, loads } = stage();
    await model.warm(signal);
    assert.deepEqual(
      [loads(), model.problems(), model.isUsable()],
      [1, ['a key was refused'], false],
    );
  });

  it('reports that it cannot be loaded when it is asked, but not when it is warmed', async () => {
    const model = loadedOnDemand('x', () => Promise.reject(new Error('a file is missing')));
    await model.warm(signal);
    await assert.rejects(read(model), /a file is missing/);
  });

  it('ends quietly when a signal fires while it loads', async () => {
    let finish!: (model: ChatModel) => void;
    const model = loadedOnDemand('x', () => new Promise((resolve) => (finish = resolve)));
    const controller = new AbortController();
    const reading = read(model, { signal: controller.signal });
    controller.abort();
    finish(stage().model);
    assert.deepEqual(await reading, []);
  });
});

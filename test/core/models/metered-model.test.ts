import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { metered, type Meter } from '../../../src/core/models/metered-model.ts';
import {
  ModelError, type ChatModel, type ModelDelta, type ModelStreamOptions, type ModelTokens,
} from '../../../src/core/models/model.ts';
import { deferred } from '../../fixtures/app.ts';

type Stream = (options: ModelStreamOptions) => AsyncGenerator<ModelDelta, void, undefined>;

function modelOf(stream: Stream): ChatModel {
  return {
    name: 'own:model',
    stream: (_messages, options) => stream(options),
    warm: () => Promise.resolve(),
    problems: () => ['one'],
    isUsable: () => false,
  };
}

/** A model that answers with this. */
function saying(...deltas: readonly ModelDelta[]): ChatModel {
  return modelOf(async function* () {
    yield* deltas;
  });
}

interface Noted {
  readonly meter: Meter;
  /** What was opened and closed, in order. */
  readonly told: unknown[];
}

function noting(isFree = true, held?: Promise<void>): Noted {
  const told: unknown[] = [];
  const meter: Meter = {
    async open(model, inputTokens) {
      told.push(['open', model, inputTokens]);
      await held;
      if (!isFree) return undefined;
      return {
        close: (answered, tokens: ModelTokens | undefined) =>
          void told.push(['close', answered, tokens?.inputTokens, tokens?.outputTokens]),
      };
    },
  };
  return { meter, told };
}

const MESSAGES = [{ role: 'user', content: 'Hello there' }] as const;
const OPENED = ['open', 'own:model', 3];
const TEXT = { type: 'text', text: 'Yes.' } as const;
const USAGE = {
  type: 'usage', model: 'own:model', inputTokens: 7, outputTokens: 2, firstDeltaMs: 1,
} as const;

async function read(model: ChatModel, options: Partial<ModelStreamOptions> = {}): Promise<string> {
  let text = '';
  const { signal } = new AbortController();
  for await (const delta of model.stream(MESSAGES, { signal, ...options }))
    if (delta.type === 'text') text += delta.text;
  return text;
}

describe('metered', () => {
  for (const [what, usage, input, output] of [
    ['what the model reports', USAGE, 7, 2],
    ['an estimate if the model reports none',
      { ...USAGE, inputTokens: undefined, outputTokens: undefined }, 3, 1],
  ] as const)
    it(`opens a tab with an estimate, and closes it with ${what}`, async () => {
      const { meter, told } = noting();
      const model = metered(saying(TEXT, usage), meter);
      assert.equal(await read(model), 'Yes.');
      assert.deepEqual(told, [OPENED, ['close', 'own:model', input, output]]);
      const shown = [model.name, model.problems(), model.isUsable()];
      assert.deepEqual(shown, ['own:model', ['one'], false]);
    });

  it('asks nobody if the tab is not opened', async () => {
    let isAsked = false;
    const model = metered(modelOf(async function* () {
      isAsked = true;
      yield TEXT;
    }), noting(false).meter);
    await assert.rejects(read(model), (error) =>
      error instanceof ModelError && error.code === 'limit_reached');
    assert.equal(isAsked, false);
  });

  it('estimates a request whose reader stops', async () => {
    const { meter, told } = noting();
    const { signal } = new AbortController();
    const stream = metered(saying(TEXT, TEXT), meter).stream(MESSAGES, { signal });
    await stream.next();
    await stream.return();
    assert.deepEqual(told, [OPENED, ['close', 'own:model', 3, 1]]);
  });

  it('closes the tab of a failed request: with nothing if it was refused', async () => {
    for (const [code, input] of [['http_error', undefined], ['content_filter', 3]] as const) {
      const { meter, told } = noting();
      const model = metered(modelOf(async function* () {
        throw new ModelError(code, 'no');
      }), meter);
      await assert.rejects(read(model), /no/);
      const output = input === undefined ? undefined : 0;
      assert.deepEqual(told, [OPENED, ['close', 'own:model', input, output]]);
    }
  });

  it('closes the tab of a request that was no longer needed once the tab was open', async () => {
    const held = deferred();
    const { meter, told } = noting(true, held.promise);
    let isAsked = false;
    const controller = new AbortController();
    const model = metered(modelOf(async function* () {
      isAsked = true;
      yield TEXT;
    }), meter);
    const reading = read(model, { signal: controller.signal });
    controller.abort();
    held.resolve();
    assert.equal(await reading, '');
    assert.deepEqual(told, [OPENED, ['close', 'own:model', undefined, undefined]]);
    assert.equal(isAsked, false);
  });

  it('trusts the events of a model more than its own estimate', async () => {
    const { meter, told } = noting();
    const answer = { text: '', calls: [] };
    const model = metered(modelOf(async function* ({ onRequest }) {
      yield TEXT;
      onRequest?.({
        type: 'failed', request: 1, model: 'own:model', failure: 'interrupted', reason: undefined,
        durationMs: 1, tokens: USAGE, used: { ...USAGE, isEstimated: false }, answer,
      });
    }), meter);
    await read(model);
    assert.deepEqual(told, [OPENED, ['close', 'own:model', 7, 2]]);
  });

  it('passes events on, and failures also to a reader that listens only to those', async () => {
    const failing = modelOf(async function* ({ onRequest }) {
      const answer = { text: '', calls: [] };
      onRequest?.({
        type: 'failed', request: 1, model: 'own:model', failure: 'http_error', reason: undefined,
        durationMs: 1, tokens: USAGE, answer,
      });
      throw new ModelError('http_error', 'no');
    });
    const heard: unknown[] = [];
    const model = metered(failing, noting().meter);
    await assert.rejects(read(model, { onRequest: ({ type }) => void heard.push(type) }));
    await assert.rejects(read(model, {
      onFailedRequest: (name, failure) => void heard.push(name, failure),
    }));
    assert.deepEqual(heard, ['failed', 'own:model', 'http_error']);
  });
});

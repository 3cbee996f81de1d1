import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import type { MessageTurn } from '../../../src/core/agents/agent.ts';
import { streamTexts } from '../../../src/core/agents/model-agent.ts';
import type { ModelDelta } from '../../../src/core/models/model.ts';
import type { ScriptedAnswer } from '../../../src/kit/scripted-answer.ts';
import { scriptedModel } from '../../../src/kit/scripted-model.ts';

interface Streamed {
  readonly texts: AsyncGenerator<string, void, undefined>;
  /** The deltas that were noted as usage. */
  readonly noted: readonly ModelDelta[];
}

function streamOf(answer: ScriptedAnswer): Streamed {
  const noted: ModelDelta[] = [];
  const journal = {
    noteUsage: (usage: ModelDelta) => noted.push(usage),
    noteRequest: () => undefined,
  };
  const turn = { conversationId: 'c', signal: new AbortController().signal, journal };
  const model = scriptedModel([answer]);
  return { texts: streamTexts(model, [], turn as unknown as MessageTurn), noted };
}

describe('streamTexts', () => {
  it("streams a model's texts, and notes its usage and nothing else", async () => {
    const { texts, noted } = streamOf(['One two.', { call: 'look' }, ' Three.']);
    const read: string[] = [];
    for await (const text of texts) read.push(text);
    assert.equal(read.join(''), 'One two. Three.');
    assert.deepEqual(noted.map(({ type }) => type), ['usage']);
  });

  it('ends at once when its reader stops while a text is awaited', async () => {
    const { texts, noted } = streamOf([{ waitMs: 60_000 }, 'One.']);
    const next = texts.next();
    await new Promise(setImmediate);
    await texts.return();
    assert.deepEqual([await next, noted], [{ done: true, value: undefined }, []]);
  });
});

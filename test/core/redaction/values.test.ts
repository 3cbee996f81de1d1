import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { noLog } from '../../../src/base/log.ts';
import { cardNumbers } from '../../../src/core/redaction/card-numbers.ts';
import { Redaction } from '../../../src/core/redaction/redaction.ts';
import { SpokenReply } from '../../../src/core/turns/spoken-reply.ts';
import { AgentValues, type Values } from '../../../src/core/turns/values.ts';

const NAME = '[card 1]';

/** The values of a turn whose conversation knows one card. */
function values(): Values {
  const onFailure = (error: unknown): never => {
    throw error;
  };
  const redaction = new Redaction({ redact: cardNumbers, key: 'k', onFailure });
  const letters = redaction.seal('c', '4242424242424242').slice(6, -1);
  redaction.learn('c', { [letters]: 'card 1' });
  const fail = (): never => assert.fail('nothing is new');
  const all = new AgentValues(redaction, { known: fail, numberValues: fail });
  return all.of({ conversationId: 'c', isStored: true, log: noLog() });
}

describe('Values', () => {
  const text = 'It is 4242 4242 4242 4242, right?';

  it('cuts a text at any place without showing part of a value', () => {
    const one = values();
    const full = `It is ${NAME}, right?`;
    for (let length = 0; length <= text.length; length++) {
      const cut = one.beginning(text, length);
      assert.ok(full.startsWith(cut), cut);
      assert.doesNotMatch(cut, /42/);
      assert.equal(cut.includes(NAME), length > 'It is '.length, cut);
    }
  });

  it('redacts what is recorded of a request to a model', async () => {
    const one = values();
    const answer = { text, calls: [{ id: '1', name: 'pay', args: '{"n":4242424242424242}' }] };
    const body = JSON.stringify({ messages: [{ content: text }], seed: 4242424242424242 });
    const sent = { type: 'sent', request: 1, model: 'm', attempt: 1, body } as const;
    const usage = {
      type: 'usage', model: 'm', inputTokens: 1, outputTokens: 1, cachedTokens: 0, firstDeltaMs: 1,
    } as const;
    const completed = { type: 'completed', request: 1, usage, answer } as const;
    assert.doesNotMatch(JSON.stringify([one.request(sent), one.request(completed)]), /4242/);
    const told = one.request(completed);
    assert.equal(told.type === 'completed' && told.usage, usage); // known by its identity
  });
});

describe('SpokenReply with values', () => {
  function said(...pieces: readonly string[]): SpokenReply {
    const spoken = new SpokenReply(values());
    for (const piece of pieces) {
      const event = spoken.say(piece);
      if (event !== undefined) spoken.note(event);
    }
    return spoken;
  }

  function saidAtInterruption(text: string): string {
    return String(said(text).messages('t', 'interrupted')[0]?.content);
  }

  for (const [text, kept] of [
    ['It is four two four two fo', `It is ${NAME}`],
    ['It is 4242 42', `It is ${NAME}`],
    ['It ends in 42', 'It ends in 42'],
    ['It is 5555 55', 'It is 5555 55'],
    ['Call 415 555 0100', 'Call 415 555 0100'],
    ['Call +4915112345678', 'Call +4915112345678'],
    ['It is 4000 0566 5566 5557', 'It is 4000 0566 5566 5557'],
  ] as const)
    it(`keeps "${kept}" of a reply that was cut after "${text}"`, () =>
      assert.equal(saidAtInterruption(text), kept));

  // A model was stopped while it read a card that nobody had said: the rest could be guessed.
  for (const digits of ['5555 5555 5555 44', '3782 822463 1000', 'five five '.repeat(6)])
    it(`hides nearly all of a card number, even if it does not know it: ${digits}`, () =>
      assert.match(saidAtInterruption(`It is ${digits}`), /^It is \[card [a-z]{12}\]$/));

  it('keeps the last digits of a reply that was not cut', () => {
    const [message] = said('It ends in 4242').messages('t', 'completed');
    assert.equal(message?.content, 'It ends in 4242');
  });

  it('replaces a partly sent value, and leaves everything else unchanged', () => {
    const spoken = said('It is 4242 42', '42 4242 4242.');
    assert.equal(spoken.text(1), `It is ${NAME}`);
    assert.equal(spoken.text(), `It is ${NAME}.`);
    assert.deepEqual(spoken.messages('t', 'interrupted', 1), [
      { role: 'assistant', content: `It is ${NAME}`, turnId: 't', state: 'interrupted' },
    ]);
    assert.deepEqual(spoken.events.map((event) => event.type === 'say' && event.text), [
      'It is 4242 42', '42 4242 4242.',
    ]);
  });
});

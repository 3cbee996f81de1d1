import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import {
  formatRecording, parseRecording, type RecordedReply,
} from '../../../src/kit/eval/recording.ts';
import { besideScenario } from '../../../src/kit/eval/scenario.ts';

const REPLY: RecordedReply = {
  request: 'model: openai:gpt-6-luna\noptions: {}\nsystem: Be brief.\nuser: A table',
  reply: ['Done. ', { call: 'book', args: '{"again"' }],
  usage: { inputTokens: 12, outputTokens: 3 },
};
const TEXT = formatRecording([REPLY]);

describe('formatRecording', () => {
  it('writes text that is read back unchanged', () => {
    const next = { ...REPLY, request: `${REPLY.request}\nassistant: Done.\nuser: Thanks` };
    const other = { ...REPLY, request: REPLY.request.replace(/system.*/s, 'user: Bye') };
    for (const replies of [[], [REPLY], [REPLY, REPLY, next, other, next]])
      assert.deepEqual(parseRecording(formatRecording(replies), 'a'), replies);
  });

  it('writes only once what a request shares with the one before it', () => {
    assert.equal(formatRecording([REPLY, REPLY]).split('Be brief.').length, 2);
  });
});

describe('besideScenario', () => {
  for (const [scenario, path] of [
    ['evals/booking.txt', 'evals/booking.recorded.json'],
    ['booking', 'booking.recorded.json'],
    ['v1.2/booking', 'v1.2/booking.recorded.json'],
    ['v1.2/booking.txt#2', 'v1.2/booking.2.recorded.json'],
  ] as const) {
    it(`gives a path beside ${scenario}`, () =>
      assert.equal(besideScenario(scenario, '.recorded.json'), path));
  }
});

describe('parseRecording', () => {
  const damaged: readonly (readonly [what: string, text: string, message: string])[] = [
    ['no JSON', '{', 'it is not a JSON object'],
    ['a list', '[]', 'it is not a JSON object'],
    ['another format', TEXT.replace('"format": 3', '"format": 2'), 'its format is not 3'],
    ['no replies', TEXT.replace('"replies"', '"r"'), 'replies must be an array'],
    ['a request that is not text', TEXT.replace('"user: A table"', '1'),
      'replies[0].request[3] must be a string'],
    ['a part of an unknown kind', TEXT.replace('"call": "book"', '"say": "book"'),
      'replies[0].reply[1].call must be a string'],
    ['a count that is a string', TEXT.replace('"inputTokens": 12', '"inputTokens": "12"'),
      'replies[0].usage.inputTokens must be a number'],
  ];
  for (const [what, text, message] of damaged) {
    it(`refuses a file with ${what}, and says how to fix it`, () => {
      assert.throws(() => parseRecording(text, 'a.recorded.json'), {
        name: 'RecordingError',
        message: `a.recorded.json: ${message}; record it again with --record`,
      });
    });
  }
});

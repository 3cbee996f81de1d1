import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import {
  formatRecording, parseRecording, recordingPath, type RecordedReply,
} from '../../../src/kit/eval/recording.ts';

const REPLY: RecordedReply = {
  request: {
    model: 'openai:gpt-6-luna',
    options: { temperature: 0.5 },
    tools: [{ name: 'book', description: 'Books.', parameters: { type: 'object' } }],
    messages: [
      { role: 'system', content: 'Be brief.' },
      { role: 'user', content: 'A table' },
      {
        role: 'assistant', content: '', toolCalls: [{ id: 'call_1', name: 'book', args: '{}' }],
      },
      { role: 'tool', toolCallId: 'call_1', content: '"ok"' },
    ],
  },
  parts: ['Done. ', { call: 'book', args: '{"again"' }],
  usage: { inputTokens: 12, outputTokens: 3 },
};
const TEXT = formatRecording([REPLY]);

describe('formatRecording', () => {
  it('is read back as it was', () => {
    assert.deepEqual(parseRecording(TEXT, 'a'), [REPLY]);
    const { model, options, tools } = REPLY.request;
    const bare = { ...REPLY, request: { model, options, tools, messages: [] } };
    assert.deepEqual(parseRecording(formatRecording([bare]), 'a'), [bare]);
    assert.deepEqual(parseRecording(formatRecording([]), 'a'), []);
  });

  it('writes what requests have in common once', () => {
    assert.equal(formatRecording([REPLY, REPLY]).split('Be brief.').length, 2);
  });
});

describe('recordingPath', () => {
  for (const [scenario, path] of [
    ['evals/booking.txt', 'evals/booking.recorded.json'],
    ['booking', 'booking.recorded.json'],
    ['v1.2/booking', 'v1.2/booking.recorded.json'],
  ] as const) {
    it(`is beside ${scenario}`, () => assert.equal(recordingPath(scenario), path));
  }
});

describe('parseRecording', () => {
  const damaged: readonly (readonly [what: string, text: string, message: string])[] = [
    ['no JSON', '{', 'it is not a JSON object'],
    ['a list', '[]', 'it is not a JSON object'],
    ['another format', TEXT.replace('"format": 1', '"format": 2'), 'its format is not 1'],
    ['no prompts', TEXT.replace('"prompts"', '"p"'), 'prompts is not a list of prompts'],
    ['a tool without name', TEXT.replace('"name": "book"', '"name": 1'),
      'prompts is not a list of prompts'],
    ['no replies', TEXT.replace('"replies"', '"r"'), 'replies is not a list'],
    ['a prompt that is not there', TEXT.replace('"prompt": 0', '"prompt": 1'),
      'replies[0].prompt is none of the prompts'],
    ['an unknown role', TEXT.replace('"role": "user"', '"role": "caller"'),
      'replies[0] is not a reply'],
    ['a result without a call', TEXT.replace('"toolCallId"', '"id"'), 'replies[0] is not a reply'],
    ['a part of no kind', TEXT.replace('"call": "book"', '"say": "book"'),
      'replies[0] is not a reply'],
    ['a negative count', TEXT.replace('"inputTokens": 12', '"inputTokens": -1'),
      'replies[0] is not a reply'],
  ];
  for (const [what, text, message] of damaged) {
    it(`refuses a file with ${what}, and says how to mend it`, () => {
      assert.throws(() => parseRecording(text, 'a.recorded.json'), {
        name: 'RecordingError',
        message: `a.recorded.json: ${message}; record it again with --record`,
      });
    });
  }
});

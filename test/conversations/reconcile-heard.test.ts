import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { emptyConversation, findTurn } from '../../src/conversations/conversation.ts';
import type { Message } from '../../src/conversations/message.ts';
import { noteProgress } from '../../src/conversations/tool-call-rules.ts';
import { BOUNDS, runs, settle, shown } from './checked-rules.ts';
import { booking, callOf, exchange, open, settleLate, soFar } from './reconciling.ts';

const HOURS = 'We open at nine. We close at six.';

describe('what was heard of a reply', () => {
  it('is nothing if the caller spoke twice in a row', () => {
    const conversation = callOf(`Hours? > ${HOURS}`);
    open(conversation, { turnId: 't2', text: 'Hello?', lines: ['user: Hours?'] });
    assert.deepEqual(shown(conversation), ['user: Hours?', 'user: Hello?', 'assistant(open): ']);
  });

  it('is a beginning that the platform sends back', () => {
    const conversation = callOf(`Hours? > ${HOURS}`);
    const lines = ['user: Hours?', 'agent: We open at nine'];
    open(conversation, { turnId: 't2', text: 'And Sunday?', lines });
    assert.equal(shown(conversation)[1], 'assistant(interrupted): We open at nine.');
  });

  it('is a beginning that was rewritten for speech, up to its last word', () => {
    const conversation = callOf('How much? > It costs $5 for two, and tea is free.');
    const lines = ['user: How much?', 'agent: It costs five dollars for two'];
    open(conversation, { turnId: 't2', text: 'And tea?', lines });
    assert.equal(shown(conversation)[1], 'assistant(interrupted): It costs $5 for two,');
  });

  it('is not the end of a greeting for which the platform has its own line', () => {
    const conversation = emptyConversation('c');
    const [first, second] = ['Welcome to the bakery.', 'How can I help?'];
    exchange(conversation, 's1', '', first);
    exchange(conversation, 's2', '', second, [`agent: ${first}`]);
    const call = (line: string): string[] => [`agent: ${first}`, `agent: ${line}`];
    exchange(conversation, 't1', 'Tea?', 'Tea is one euro.', call(second));
    const lines = [...call('Please hold the line.'), 'user: Tea?', 'agent: Tea is one euro.'];
    open(conversation, { turnId: 't2', text: 'Thanks', lines, told: { isHeard: true } });
    const said = shown(conversation).filter((text) => text.startsWith('assistant'));
    assert.equal(said.some((text) => text.includes(second)), false);
  });

  // Seeds 27488 and 33181 of the random platforms.
  it('is nothing of a reply that only resembles the next one, which the caller heard', () => {
    const [first, second] = ['Line 1 of three is busy.', 'Line 2 of three is busy.'];
    const conversation = callOf(`Which line? > ${first}`);
    const silence = { turnId: 't2', text: '', lines: ['user: Which line?', `agent: ${first}`] };
    open(conversation, silence);
    settle(conversation, 't2', 'completed', second);
    const lines = ['user: Which line?', `agent: ${second}`];
    open(conversation, { turnId: 't3', text: 'Thanks', lines, told: { isHeard: true } });
    const said = shown(conversation).filter((text) => text.startsWith('assistant(completed)'));
    assert.deepEqual(said, [`assistant(completed): ${second}`]);
    assert.equal(shown(conversation).some((text) => text.includes('Line 1')), false);
  });

  // Seed 376 of the random platforms: the caller heard the first word of the second reply.
  it('is a rewritten reply, even if the next one ended at the word that both begin with', () => {
    const [first, second] = ['We open at nine today.', 'We'];
    const conversation = callOf(`Hours? > ${first}`);
    const rewritten = 'agent: We open at 9 today.';
    open(conversation, { turnId: 't2', text: '', lines: ['user: Hours?', rewritten] });
    settle(conversation, 't2', 'interrupted', second);
    const lines = ['user: Hours?', rewritten, `agent: ${second}`];
    open(conversation, { turnId: 't3', text: 'Thanks', lines });
    assert.deepEqual(shown(conversation).slice(0, 4), [
      'user: Hours?', `assistant(completed): ${first}`, 'user: ', 'assistant(interrupted): We',
    ]);
  });

  // Seed 41933 of the random platforms.
  it('belongs to the reply that is most like it, even if both were rewritten', () => {
    const [first, second] = ['Line 1 closes at nine today.', 'Line 2 closes at nine today.'];
    const conversation = callOf(`Which line? > ${first}`);
    const silence = { turnId: 't2', text: '', lines: ['user: Which line?', `agent: ${first}`] };
    open(conversation, silence);
    settle(conversation, 't2', 'completed', second);
    const lines = ['user: Which line?', 'agent: Line 2 closes at 9 today.'];
    open(conversation, { turnId: 't3', text: 'Thanks', lines });
    assert.deepEqual(shown(conversation).slice(0, 4), [
      'user: Which line?', `assistant(completed): ${first}`,
      'user: ', `assistant(completed): ${second}`,
    ]);
  });

  // Seed 98157: a text that comes behind what was said later is not about the first reply.
  it('belongs to the reply that follows the platform\'s line it follows', () => {
    const [first, second] = ['We open at nine today.', 'We close at six today.'];
    const conversation = callOf(`Hours? > ${first}`);
    const lines = ['user: Hours?', 'agent: Please hold the line.'];
    open(conversation, { turnId: 't2', text: '', lines });
    settle(conversation, 't2', 'completed', second);
    open(conversation, { turnId: 't3', text: 'Thanks', lines: [...lines, 'agent: We'] });
    assert.deepEqual(shown(conversation).slice(0, 5), [
      'user: Hours?', `assistant(completed): ${first}`,
      'assistant(completed): Please hold the line.', 'user: ', 'assistant(interrupted): We',
    ]);
  });

  it('is never more than we said', () => {
    const conversation = callOf('Hours? > We open at nine.');
    const lines = ['user: Hours?', `agent: ${HOURS}`];
    open(conversation, { turnId: 't2', text: 'And Sunday?', lines });
    assert.equal(shown(conversation)[1], 'assistant(completed): We open at nine.');
  });

  it('is no more of a reply that was already cut', () => {
    const conversation = callOf(`Hours? > ${HOURS}`);
    const cut = ['user: Hours?', 'agent: We open'];
    exchange(conversation, 't2', 'And Sunday?', 'The same.', cut);
    const lines = ['user: Hours?', `agent: ${HOURS}`, 'user: And Sunday?', 'agent: The same.'];
    open(conversation, { turnId: 't3', text: 'Bye', lines });
    assert.equal(shown(conversation)[1], 'assistant(interrupted): We open');
  });

  it('may come in several texts', () => {
    const conversation = callOf(`Hours? > ${HOURS}`);
    const lines = ['user: Hours?', 'agent: We open at nine.', 'agent: We close'];
    open(conversation, { turnId: 't2', text: 'And Sunday?', lines });
    assert.equal(shown(conversation)[1], 'assistant(interrupted): We open at nine. We close');
  });

  it('is all of a reply that comes back unchanged', () => {
    const conversation = callOf(`Hours? > ${HOURS}`);
    const lines = ['user: Hours?', `agent: ${HOURS}`];
    open(conversation, { turnId: 't2', text: 'And Sunday?', lines });
    assert.equal(shown(conversation)[1], `assistant(completed): ${HOURS}`);
  });

  it('is final: the run of a turn that was cut while it ran does not change it', () => {
    const conversation = emptyConversation('c');
    open(conversation, { turnId: 't1', text: 'Hours?' });
    const ending = soFar('t1', HOURS);
    const lines = ['user: Hours?', 'agent: We open'];
    open(conversation, {
      turnId: 't2', text: 'And Sunday?', lines, opening: { running: [ending] },
    });
    settleLate(conversation, ending);
    assert.equal(shown(conversation)[1], 'assistant(interrupted): We open');
  });

  it('is reported to the agent if the turn had completed', () => {
    const conversation = callOf(`Hours? > ${HOURS}`);
    const lines = ['user: Hours?', 'agent: We open'];
    const opened = open(conversation, { turnId: 't2', text: 'And Sunday?', lines });
    assert.deepEqual(opened.cut, { turnId: 't1', text: 'We open' });
  });

  it('leaves out a filler that was spoken first', () => {
    const conversation = emptyConversation('c');
    open(conversation, { turnId: 't1', text: 'Hours?' });
    settleLate(conversation, { ...soFar('t1', HOURS), state: 'completed', filler: 'One moment.' });
    const lines = ['user: Hours?', 'agent: One moment. We open at nine'];
    open(conversation, { turnId: 't2', text: 'And Sunday?', lines });
    assert.equal(shown(conversation)[1], 'assistant(interrupted): We open at nine.');
  });

  it('is nothing if only the filler was heard', () => {
    const conversation = emptyConversation('c');
    open(conversation, { turnId: 't1', text: 'Hours?' });
    settleLate(conversation, { ...soFar('t1', HOURS), state: 'completed', filler: 'One moment.' });
    const lines = ['user: Hours?', 'agent: one moment'];
    open(conversation, { turnId: 't2', text: 'And Sunday?', lines });
    assert.deepEqual(shown(conversation).slice(0, 2), ['user: Hours?', 'user: And Sunday?']);
  });

  it('keeps the tool calls of a reply that was cut before them', () => {
    const conversation = emptyConversation('c');
    exchange(conversation, 't1', 'Book', booking('t1'));
    const lines = ['user: Book', 'agent: Let me see'];
    open(conversation, { turnId: 't2', text: 'Thanks', lines });
    assert.deepEqual(shown(conversation).slice(1, 4), [
      'assistant(interrupted): Let me see [book]', 'tool: "booked"', 'user: Thanks',
    ]);
  });
});

describe("an assistant's text that is not ours", () => {
  const lines = ['user: Hours?', 'agent: Are you still there?'];

  it('is added beside our reply', () => {
    const conversation = callOf(`Hours? > ${HOURS}`);
    open(conversation, { turnId: 't2', text: 'Yes', lines });
    assert.deepEqual(shown(conversation).slice(0, 3), [
      'user: Hours?',
      `assistant(completed): ${HOURS}`,
      'assistant(completed): Are you still there?',
    ]);
  });

  it('takes the place of our reply if the platform sends back what was heard', () => {
    const conversation = callOf(`Hours? > ${HOURS}`);
    open(conversation, { turnId: 't2', text: 'Yes', lines, told: { isHeard: true } });
    assert.deepEqual(shown(conversation).slice(0, 2), [
      'user: Hours?', 'assistant(completed): Are you still there?',
    ]);
  });

  it('is added once, however often it comes', () => {
    const conversation = callOf(`Hours? > ${HOURS}`);
    exchange(conversation, 't2', 'Yes', 'Good.', lines);
    const before = shown(conversation);
    open(conversation, {
      turnId: 't3', text: 'Bye', lines: [...lines, 'user: Yes', 'agent: Good.'],
    });
    assert.deepEqual(shown(conversation).slice(0, -2), before);
  });

  it('is added after our reply if it comes with it', () => {
    const conversation = callOf(`Hours? > ${HOURS}`);
    const both = ['user: Hours?', 'agent: Hold on.', `agent: ${HOURS}`];
    open(conversation, { turnId: 't2', text: 'Yes', lines: both, told: { isHeard: true } });
    assert.deepEqual(shown(conversation).slice(1, 3), [
      `assistant(completed): ${HOURS}`, 'assistant(completed): Hold on.',
    ]);
  });
});

describe('an unknown reply whose process is gone', () => {
  it("is the platform's text", () => {
    const conversation = emptyConversation('c');
    open(conversation, { turnId: 't1', text: 'Hours?' });
    const lines = ['user: Hours?', `agent: ${HOURS}`];
    open(conversation, { turnId: 't2', text: 'And Sunday?', lines });
    assert.deepEqual(shown(conversation).slice(0, 2), [
      'user: Hours?', `assistant(interrupted): ${HOURS}`,
    ]);
  });

  it("is the platform's text, as far as it continues what we know", () => {
    const conversation = emptyConversation('c');
    open(conversation, { turnId: 't1', text: 'Hours?' });
    const record = findTurn(conversation, 't1') ?? assert.fail('no turn');
    record.reply = 'We open'; // stored before the process was gone
    conversation.textLength += 'We open'.length;
    const lines = ['user: Hours?', `agent: ${HOURS}`];
    open(conversation, { turnId: 't2', text: 'And Sunday?', lines });
    assert.equal(shown(conversation)[1], `assistant(interrupted): ${HOURS}`);
  });

  // Seeds 40102 and 43298 of the random platforms.
  for (const words of ['', 'Let me see.'])
    it(`is nothing if half a filler was heard, and "${words}" was stored with a call`, () => {
      const conversation = emptyConversation('c');
      open(conversation, { turnId: 't1', text: 'A table?' });
      const messages = booking('t1', 'running').slice(0, 2).map((message): Message =>
        message.role === 'assistant' ? { ...message, content: words } : message);
      const progress = { turnId: 't1', runId: runs, messages, filler: 'One moment, please.' };
      noteProgress(conversation, progress, BOUNDS);
      const lines = ['user: A table?', 'agent: One mo'];
      open(conversation, { turnId: 't2', text: 'Hello?', lines, told: { isHeard: true } });
      const said = shown(conversation).filter((line) => /^assistant\(interrupted/.test(line));
      assert.deepEqual(said, ['assistant(interrupted):  [book]']);
    });

  // It was taken away before the turn's length was: the conversation seemed too long from then on.
  it('is gone, and no longer counts, once the turn runs again', () => {
    const conversation = emptyConversation('c');
    open(conversation, { turnId: 't1', text: 'Hours?' });
    open(conversation, { turnId: 't2', text: 'Yes', lines: ['user: Hours?', `agent: ${HOURS}`] });
    assert.deepEqual(conversation.turns[0]?.heard?.lines, [HOURS]);
    open(conversation, { turnId: 't1', text: 'Hours?' });
    assert.equal(conversation.turns[0]?.heard, undefined);
  });

  it('is nothing if the caller spoke twice in a row', () => {
    const conversation = emptyConversation('c');
    open(conversation, { turnId: 't1', text: 'Hours?' });
    open(conversation, { turnId: 't2', text: 'Hello?', lines: ['user: Hours?'] });
    assert.deepEqual(shown(conversation).slice(0, 2), ['user: Hours?', 'user: Hello?']);
  });
});

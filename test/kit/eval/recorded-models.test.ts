// Replies are recorded from a live model (a scripted one stands in for it), written as text, read
// back and replayed.

import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { describe, it, type TestContext } from 'node:test';

import type { Agent } from '../../../src/core/agents/agent.ts';
import { defineAgent } from '../../../src/core/agents/define-agent.ts';
import { withModel } from '../../../src/core/agents/with-model.ts';
import type { ChatMessage, ChatModel, ModelStreamOptions } from '../../../src/core/models/model.ts';
import { cardNumbers } from '../../../src/core/redaction/card-numbers.ts';
import { tool } from '../../../src/core/tools/tool.ts';
import { ModelRecorder } from '../../../src/kit/eval/model-recorder.ts';
import { ModelReplayer } from '../../../src/kit/eval/model-replayer.ts';
import { formatRecording, parseRecording } from '../../../src/kit/eval/recording.ts';
import { scriptedModel, type Script } from '../../../src/kit/scripted-model.ts';
import { HELLO, read } from '../../core/models/reading.ts';
import { deferred, serve, Told } from '../../fixtures/app.ts';

/** The text of a recording of what the model says, one reply per list of messages. */
async function recordingOf(
  script: Script,
  asked: readonly (readonly ChatMessage[])[],
  options: Partial<ModelStreamOptions> = {},
): Promise<string> {
  const recorder = new ModelRecorder();
  const model = recorder.record(scriptedModel(script));
  for (const messages of asked) await read(model, { messages, ...options });
  return formatRecording((await recorder.heard()).replies);
}

function replayerOf(text: string): ModelReplayer {
  return new ModelReplayer(parseRecording(text, 'a.recorded.json'));
}

/** A model that answers from the recording. */
function replayed(text: string): { model: ChatModel; replayer: ModelReplayer } {
  const replayer = replayerOf(text);
  return { replayer, model: replayer.replay(scriptedModel([])) };
}

function said(content: string): readonly ChatMessage[] {
  return [{ role: 'system', content: 'Be brief.' }, { role: 'user', content }];
}

/** A shop that books tables under ids that are new in each run. */
function shop(
  orders: string[] = [], onInterrupted: (turn: unknown) => void = () => undefined,
): Agent {
  return defineAgent({
    name: 'shop',
    onInterrupted,
    prompt: () => `You book tables. It is ${new Date().toISOString()}. Run ${randomUUID()}.`,
    tools: [
      tool({
        name: 'book',
        description: 'Books a table.',
        parameters: {
          type: 'object', properties: { phone: { type: 'string' } }, required: ['phone'],
        },
        run: ({ phone }) => {
          orders.push(String(phone));
          return { booking: randomUUID() };
        },
      }),
    ],
  });
}

interface Talk {
  readonly texts: readonly string[];
  readonly recorder: ModelRecorder;
  /** What the model was shown, as JSON. */
  readonly shown: string;
}

/** Plays a call with a live model, and records it. */
async function record(t: TestContext, script: Script, words: readonly string[]): Promise<Talk> {
  const recorder = new ModelRecorder();
  const live = scriptedModel(script);
  const texts = await play(t, withModel(shop(), recorder.record(live)), words);
  return { texts, recorder, shown: JSON.stringify(live.requests) };
}

async function play(t: TestContext, agent: Agent, words: readonly string[]): Promise<string[]> {
  const { client } = serve(t, agent);
  const texts: string[] = [];
  for (const text of words) texts.push(await (await client.say(text)).text());
  return texts;
}

const BOOKING: Script = [
  ['One moment. ', { call: 'book', args: { phone: '+15550100' } }],
  'I have booked it for +15550100.',
  'Goodbye.',
];
const WORDS = ['A table, my number is +15550100', 'Thanks'];

describe('a recorded call', () => {
  it('is replayed without a key, with other ids and times, but in the same words', async (t) => {
    const { texts, recorder, shown } = await record(t, BOOKING, WORDS);
    const text = formatRecording((await recorder.heard()).replies);
    const replayer = replayerOf(text);
    const orders: string[] = [];
    const agent = withModel(shop(orders), replayer.replay(scriptedModel([])));
    assert.deepEqual(await play(t, agent, WORDS), texts);
    assert.deepEqual(orders, ['+15550100']);
    assert.deepEqual(replayer.misses, []);
    // Nor does its file hold any number, id, key or header of the call.
    assert.doesNotMatch(text, /15550100|authorization|headers|cacheKey|scripted_api_key/i);
    const ids = shown.match(/[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}/g) ?? [];
    assert.ok(ids.length > 3);
    for (const id of ids) assert.ok(!text.includes(id), id);
  });

  it('holds nothing that the agent redacts, not even spelled out', async (t) => {
    const recorder = new ModelRecorder();
    const live = scriptedModel(['Thank you.']);
    const agent = defineAgent({
      name: 'till', prompt: 'You take cards.', model: recorder.record(live), redact: cardNumbers,
    });
    const spelled = 'four two four two '.repeat(4).trim();
    await play(t, agent, [`My card is ${spelled}`]);
    const text = formatRecording((await recorder.heard()).replies);
    assert.doesNotMatch(text, /four/);
    assert.match(text, /My card is \[card 1\]/);
    const again = defineAgent({
      name: 'till', prompt: 'You take cards.', redact: cardNumbers,
      model: replayerOf(text).replay(live),
    });
    assert.deepEqual(await play(t, again, [`My card is ${spelled}`]), ['Thank you.']);
  });

  it('fails a turn that asks something else, and shows what differs', async (t) => {
    const { recorder } = await record(t, BOOKING, WORDS);
    const replayer = replayerOf(formatRecording((await recorder.heard()).replies));
    const agent = withModel(shop(), replayer.replay(scriptedModel([])));
    const [answer] = await play(t, agent, ['A table for four, my number is +15550100']);
    assert.match(answer ?? '', /^Sorry/);
    assert.deepEqual(replayer.misses, [[
      ' system: You book tables. It is <time>. Run <id 1>.',
      '-user: A table, my number is <number 2>',
      '+user: A table for four, my number is <number 2>',
    ]]);
  });

  it('holds replies to their end, even if they were interrupted', async (t) => {
    const goOn = deferred();
    const told = scriptedModel(['Once upon a time there was an end.']);
    const live: ChatModel = {
      ...told,
      async *stream(messages, options) {
        let words = 0;
        for await (const delta of told.stream(messages, options)) {
          if ((words += 1) === 4) await goOn.promise;
          yield delta;
        }
      },
    };
    const recorder = new ModelRecorder();
    const interrupted = new Told<unknown>();
    const agent = shop([], interrupted.tell);
    const { client } = serve(t, withModel(agent, recorder.record(live)));
    await (await client.say('story', { interruptAfterWords: 2 })).text();
    await interrupted.next();
    goOn.resolve();
    const { replies } = await recorder.heard();
    assert.deepEqual(replies.map(({ reply }) => reply), [['Once upon a time there was an end.']]);
  });
});

describe('ModelRecorder', () => {
  it('passes on what the model says, and how it fails', async () => {
    const recorder = new ModelRecorder();
    const model = recorder.record(scriptedModel([['One two', { fail: 'connection_dropped' }]]));
    const { text, error } = await read(model);
    assert.equal(text, 'One two');
    assert.equal(error?.code, 'connection_dropped');
    const { replies, failures } = await recorder.heard();
    assert.deepEqual(replies, []);
    assert.deepEqual(failures, [error]);
  });

  it('ends at once when its reader stops, but records the reply to its end', async () => {
    const recorder = new ModelRecorder();
    const model = recorder.record(scriptedModel([['One', { waitMs: 40 }, ' two']]));
    const deltas = model.stream(HELLO, { signal: new AbortController().signal });
    await deltas.next();
    const waiting = deltas.next();
    await deltas.return();
    assert.deepEqual(await waiting, { done: true, value: undefined });
    assert.deepEqual((await recorder.heard()).replies.map(({ reply }) => reply), [['One two']]);
  });

  it('does not ask a model if nobody is reading', async () => {
    const live = scriptedModel(['One']);
    await read(new ModelRecorder().record(live), { signal: AbortSignal.abort() });
    assert.equal(live.requests.length, 0);
  });
});

describe('ModelReplayer', () => {
  const book = {
    name: 'book', description: 'Books.', parameters: { type: 'object', properties: {} },
  } as const;

  it('compares the model, its options, the tools and the messages', async () => {
    const text = await recordingOf(['Yes.'], [HELLO], { temperature: 0.5, tools: [book] });
    const same = { temperature: 0.5, tools: [book] };
    assert.equal((await read(replayed(text).model, same)).text, 'Yes.');
    const others: readonly Parameters<typeof read>[1][] = [
      { ...same, temperature: 1 },
      { ...same, maxOutputTokens: 100 },
      { ...same, reasoningEffort: 'low' },
      { ...same, providerOptions: { openai: { seed: 1 } } },
      { ...same, toolChoice: 'none' },
      { ...same, tools: [] },
      { ...same, tools: [{ ...book, name: 'order' }] },
      { ...same, tools: [{ ...book, description: 'Orders.' }] },
      { ...same, tools: [{ ...book, parameters: { type: 'object' } }] },
      { ...same, messages: said('Bye') },
      { ...same, messages: [...HELLO, ...HELLO] },
    ];
    for (const other of others)
      await assert.rejects(read(replayed(text).model, other), /^Error: no recorded reply fits/);
    const { replayer } = replayed(text);
    await assert.rejects(read(replayer.replay({ name: 'openai:gpt-6-luna' }), same));
    assert.match(replayer.misses[0]?.[0] ?? '', /^-model: scripted:model$/);
  });

  it('distinguishes models of different dates: their names are not ids', async () => {
    const recorder = new ModelRecorder();
    const live = { ...scriptedModel(['Yes.']), name: 'openai:gpt-4o-2024-11-20' };
    await read(recorder.record(live));
    const { replies } = await recorder.heard();
    const replayer = replayerOf(formatRecording(replies));
    await read(replayer.replay({ name: 'openai:gpt-4o-2024-11-20' }));
    await assert.rejects(read(replayer.replay({ name: 'openai:gpt-4o-2024-08-06' })));
  });

  it('replaces the recorded values with the current ones', async () => {
    const script = ['On Friday at 19:30, +15550100. Your code is 482913.'];
    const text = await recordingOf(script, [said('On Friday at 19:30, I am +15550100')]);
    const { model } = replayed(text);
    const messages = said('On Monday at 20:15, I am +15550177');
    assert.equal(
      (await read(model, { messages })).text,
      'On Monday at 20:15, +15550177. Your code is 555001.',
    );
  });

  it('distinguishes a repeated number from a different one', async () => {
    const text = await recordingOf(['Yes.'], [said('Is 123456 the same as 123456?')]);
    await read(replayed(text).model, { messages: said('Is 777777 the same as 777777?') });
    const other = { messages: said('Is 777777 the same as 888888?') };
    await assert.rejects(read(replayed(text).model, other));
  });

  it('gives the replies to a repeated request in order, then the last one again', async () => {
    const { model } = replayed(await recordingOf(['One.', 'Two.'], [HELLO, HELLO]));
    const texts: string[] = [];
    for (let asked = 0; asked < 3; asked += 1) texts.push((await read(model)).text);
    assert.deepEqual(texts, ['One.', 'Two.', 'Two.']);
  });

  it('repeats the token usage of the reply', async () => {
    const finishReason = 'length';
    const usage = { inputTokens: 12, outputTokens: 3, cachedTokens: 8, finishReason } as const;
    const live = scriptedModel(['Yes.']);
    const recorder = new ModelRecorder();
    await read(recorder.record({
      ...live,
      async *stream(messages, options) {
        for await (const delta of live.stream(messages, options))
          yield delta.type === 'usage' ? { ...delta, ...usage } : delta;
      },
    }));
    const { replies } = await recorder.heard();
    const { deltas } = await read(replayed(formatRecording(replies)).model);
    const last = deltas.at(-1);
    assert.ok(last?.type === 'usage');
    const { inputTokens, outputTokens, cachedTokens, finishReason: ended } = last;
    assert.deepEqual({ inputTokens, outputTokens, cachedTokens, finishReason: ended }, usage);
  });

  const talk = (...ids: readonly string[]): readonly ChatMessage[] => [
    ...HELLO,
    ...ids.flatMap((id): readonly ChatMessage[] => [
      { role: 'assistant', content: '', toolCalls: [{ id, name: 'book', args: '{}' }] },
      { role: 'tool', toolCallId: id, content: '"ok"' },
    ]),
  ];

  it('does not compare ids of tool calls: a vendor may repeat its own', async () => {
    const text = await recordingOf(['Yes.'], [talk('call_0', 'call_0')]);
    assert.equal((await read(replayed(text).model, { messages: talk('a', 'b') })).text, 'Yes.');
  });
});

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { says, stream, type Answer } from '../../faults/model-server.ts';
import {
  chunk,
  DONE,
  googleFinish,
  googleToolCall,
  parallelToolCalls,
} from '../../faults/wire-shapes.ts';
import { answered, errorOf, serve } from './chat-completions-server.ts';
import { modelAt, read } from './reading.ts';

describe('tool calls', () => {
  it('arrive whole, parallel ones in order, after the text before them', async () => {
    const first = chunk({ content: 'One moment.' });
    const { deltas } = await answered(stream(first, ...parallelToolCalls()));
    assert.deepEqual(deltas.slice(0, 3), [
      { type: 'text', text: 'One moment.' },
      {
        type: 'toolCall',
        call: {
          id: 'call_DdmO9pD3xa9XTPNJ32zg2hcA',
          name: 'get_weather',
          args: '{"location":"Paris"}',
        },
      },
      { type: 'toolCall', call: { id: 'call_1A2b3C', name: 'list_menu', args: '{}' } },
    ]);
    assert.equal(deltas[3]?.type, 'usage');
  });

  it('go back to Google with signatures, those of other vendors with a stand-in', async () => {
    const server = await serve(
      stream(
        googleToolCall('call_1', 'a', '{}', 'c2ln'),
        googleToolCall('call_2', 'b', '{}'),
        googleFinish(),
        DONE,
      ),
      says('Done.'),
    );
    const model = modelAt(server.url, { name: 'google:gemini-3.5-flash-lite' });
    const toolCalls = (await read(model)).deltas.flatMap((delta) =>
      delta.type === 'toolCall' ? delta.call : [],
    );
    const foreign = [{ id: 'call_9', name: 'c', args: '{}' }];
    await read(model, {
      messages: [
        { role: 'assistant', content: '', toolCalls: foreign },
        { role: 'tool', content: '1', toolCallId: 'call_9' },
        { role: 'assistant', content: '', toolCalls },
      ],
    });
    const wireCall = (id: string, name: string, signature?: string): object => ({
      id,
      type: 'function',
      function: { name, arguments: '{}' },
      ...(signature === undefined
        ? {}
        : { extra_content: { google: { thought_signature: signature } } }),
    });
    assert.deepEqual((await server.request(1)).body['messages'], [
      {
        role: 'assistant',
        content: null,
        tool_calls: [wireCall('call_9', 'c', 'skip_thought_signature_validator')],
      },
      { role: 'tool', tool_call_id: 'call_9', content: '1' },
      {
        role: 'assistant',
        content: null,
        tool_calls: [wireCall('call_1', 'a', 'c2ln'), wireCall('call_2', 'b')],
      },
    ]);
  });

  it('are accepted up to 64, and refused beyond that', async () => {
    const calls = (count: number): Answer => {
      const blocks = Array.from({ length: count }, (_, index) => chunk({
        tool_calls: [{ index, id: `c${index}`, function: { name: 'a', arguments: '{}' } }],
      }));
      return stream(...blocks, chunk({}, 'tool_calls'), DONE);
    };
    assert.equal((await answered(calls(64))).deltas.length, 65);
    assert.equal((await errorOf(calls(65))).code, 'reply_too_large');
  });

  for (const [what, partOf] of [
    ['arguments in one call', (length, at) =>
      ({ index: 0, id: 'c', function: { name: 'a', arguments: ' '.repeat(length - 2 * at) } })],
    ['arguments in two calls', (length, at) =>
      ({ index: at, id: `${at}`, function: { name: 'a', arguments: ' '.repeat(length - 2) } })],
    ['ids', (length, at) =>
      ({ index: at, id: `${at}`.repeat(length - 3), function: { name: 'a', arguments: '{}' } })],
    ['names', (length, at) =>
      ({ index: at, id: `${at}`, function: { name: 'a'.repeat(length - 3), arguments: '{}' } })],
  ] satisfies [string, (length: number, at: number) => object][])
    // Without a bound on ids and names one reply took 1.3 GiB, and blocked the server for 4 s.
    it(`have at most 262,144 characters in total: ${what}`, async () => {
      const reply = (last: number): Answer =>
        stream(...[262_044, last].map((length, at) =>
          chunk({ tool_calls: [partOf(length, at)] })), chunk({}, 'tool_calls'), DONE);
      assert.equal((await answered(reply(100))).error, undefined);
      assert.equal((await errorOf(reply(101))).code, 'reply_too_large');
    });
});

// How a turn that calls tools ends: hung up or interrupted, over real sockets.

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import type { Json, JsonObject } from '../../../src/base/json.ts';
import { hangUp } from '../../../src/core/tools/tool-hang-up.ts';
import { type ToolContext } from '../../../src/core/tools/tool.ts';
import { says, type Answer } from '../../faults/model-server.ts';
import { contentsOf, deferred, fired, Listener, typesOf, within } from '../../fixtures/app.ts';
import { calls, eventsOf, outline, serveModel, spoken } from './model-app.ts';
import { agentWith, INTERRUPTED, looking, weather } from './weather-tool.ts';

/** A tool's `run` that waits for its signal. */
async function untilLeft(_args: JsonObject, { signal }: ToolContext): Promise<Json> {
  throw await fired(signal);
}

describe('a tool that hangs up', () => {
  const asksToHangUp = (goodbye: string, ...texts: string[]): Answer =>
    calls([['call_1', 'hang_up', JSON.stringify({ goodbye })]], ...texts);

  it('speaks what can be spoken of its goodbye, hangs up, and nothing follows', async (t) => {
    const { client, server } = await serveModel(t, agentWith(hangUp), [
      asksToHangUp('**Goodbye!** \u{1F44B}'),
      says('Late.'),
    ]);
    const events = await eventsOf(client.say('Bye.'));
    assert.deepEqual(
      typesOf(events).filter((type) => type !== 'response.data'),
      ['response.tts', 'response.hangup', 'response.end'],
    );
    assert.equal(contentsOf(events).join('').trim(), 'Goodbye!');
    assert.equal(typesOf(events).at(-1), 'response.end');
    await new Promise((resolve) => setImmediate(resolve));
    assert.equal(server.requests.length, 1);
  });

  for (const args of ['', '{}']) {
    it(`hangs up without a goodbye for the arguments ${JSON.stringify(args)}`, async (t) => {
      const { client } = await serveModel(t, agentWith(hangUp), [
        calls([['call_1', 'hang_up', args]], 'Goodbye, then.'),
      ]);
      const events = await eventsOf(client.say('Bye.'));
      assert.deepEqual(contentsOf(events), ['Goodbye, then.']);
      assert.ok(typesOf(events).includes('response.hangup'));
    });
  }

  const goodbyes: readonly (readonly [text: string, goodbye: string, heard: string])[] = [
    ['It is ordered. Goodbye!', 'Goodbye!', 'It is ordered. Goodbye!'],
    ['It is ordered. Good-bye!', 'good bye', 'It is ordered. Good-bye!'],
    ['Bye.', 'Goodbye.', 'Bye. Goodbye.'],
    ['Goodbye.', 'Bye.', 'Goodbye. Bye.'],
    ['Goodbye. Your order is 7.', 'Goodbye.', 'Goodbye. Your order is 7. Goodbye.'],
    ['Au revoir. À bientôt !', 'à bientôt', 'Au revoir. À bientôt !'],
  ];
  for (const [text, goodbye, heard] of goodbyes) {
    const [last, before] = [JSON.stringify(goodbye), JSON.stringify(text)];
    it(`says ${last} after ${before} only if it is new`, async (t) => {
      const { client } = await serveModel(t, agentWith(hangUp), [asksToHangUp(goodbye, text)]);
      assert.equal((await spoken(client.say('Bye.'))).replace(/\s+/g, ' '), heard);
    });
  }

  // The caller used to hear "Your table is booked. Goodbye!", and the booking was lost without a
  // trace.
  it('aborts and logs another tool of the round, unless that tool is to finish', async (t) => {
    const ended = deferred();
    const run = async (args: JsonObject, context: ToolContext): Promise<Json> => {
      try {
        return await untilLeft(args, context);
      } finally {
        ended.resolve();
      }
    };
    const [finishing, mayReturn] = [deferred<AbortSignal>(), deferred()];
    const books = looking({
      name: 'book', whenInterrupted: 'finish',
      run: async (_args, { signal }) => {
        finishing.resolve(signal);
        await mayReturn.promise;
        return 'booked';
      },
    });
    const served = await serveModel(t, agentWith(weather(run), books, hangUp), [
      calls([
        ['call_1', 'hang_up', '{"goodbye":"Goodbye!"}'],
        ['call_2', 'weather', '{"city":"Paris"}'],
        ['call_3', 'book', '{}'],
      ]),
    ]);
    assert.equal(await spoken(served.client.say('Bye.')), 'Goodbye!');
    await within(ended.promise, 'the abort');
    assert.equal((await finishing.promise).aborted, false);
    mayReturn.resolve();
    await new Promise((resolve) => setImmediate(resolve));
    const warned = served.logLines.filter((line) => line.includes('its own reply ended the turn'));
    const named = warned.map((line) => (JSON.parse(line) as { tool: string }).tool);
    assert.deepEqual(named, ['weather']);
    const results = (await served.messages()).filter(({ role }) => role === 'tool');
    assert.deepEqual(results.slice(1).map(({ content }) => content), [INTERRUPTED, '"booked"']);
  });
});

describe('an interruption in mid-tool', () => {
  const stuck = agentWith(
    weather((args, occasion) => (args['city'] === 'Oslo' ? 'rain' : untilLeft(args, occasion))),
  );
  const asksTwo = calls(
    [
      ['call_1', 'weather', '{"city":"Oslo"}'],
      ['call_2', 'weather', '{"city":"Paris"}'],
    ],
    'Let me see.',
  );

  it('leaves each call exactly one result in the next prompt, even interrupted ones', async (t) => {
    const served = await serveModel(t, stuck, [asksTwo, says('Yes.')]);
    const listener = new Listener(await served.client.say('Oslo and Paris?', { turn_id: 't-1' }));
    let data: unknown;
    while (JSON.stringify(data)?.includes('rain') !== true)
      data = (await listener.next('the result of the first call'))?.content;
    await spoken(served.client.say('Stop.'));
    assert.deepEqual(outline(served.server.requests[1]), [
      ['user', 'Oslo and Paris?'],
      ['assistant', 'Let me see.', ['call_1', 'call_2']],
      ['tool', '"rain"', 'call_1'],
      ['tool', INTERRUPTED, 'call_2'],
      ['assistant', '[interrupted]'],
      ['user', 'Stop.'],
    ]);
  });
});

// A tool call that goes wrong, over real sockets.

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import type { JsonObject } from '../../../src/base/json.ts';
import { NotDone } from '../../../src/core/tools/tool-not-done.ts';
import { says } from '../../faults/model-server.ts';
import { contentsOf, errorsIn } from '../../fixtures/app.ts';
import { calls, dataOf, eventsOf, promptOf, serveModel, spoken } from './model-app.ts';
import { agentWith, asksParis, looking, sunny, weather } from './weather-tool.ts';

describe('a call that goes wrong', () => {
  const failing = agentWith(
    weather(() => {
      throw new Error('the service is down');
    }),
  );
  const wrongCity = ['call_1', 'weather', '{"city":5}'] as const;
  const paris = ['call_1', 'weather', '{"city":"Paris"}'] as const;
  // How arguments, names and thrown values are described is tested in test/core/tools and
  // test/base.
  for (const [what, agent, call, error] of [
    ['with wrong arguments', sunny, wrongCity, 'arguments.city must be of type string'],
    ['with a list', sunny, ['call_1', 'weather', '[]'], 'the arguments are not a JSON object'],
    [
      'with a name that every object has',
      sunny,
      ['call_1', 'toString', '{}'],
      'there is no tool "toString"',
    ],
    [
      'with a name that vendors refuse',
      sunny,
      ['call_1', 'get weather', '{}'],
      "a tool's name must match [A-Za-z0-9_-]{1,64}",
    ],
    ['of a tool that throws', failing, paris, 'the service is down'],
  ] as const) {
    it(`${what} is an error for the model, but not for the caller`, async (t) => {
      const { client, server, logLines } = await serveModel(t, agent, [
        calls([call]),
        says('I cannot tell.'),
      ]);
      const events = await eventsOf(client.say('Paris?'));
      assert.deepEqual(contentsOf(events), ['I cannot tell.']);
      assert.deepEqual(promptOf(server.requests[1]).at(-1), {
        role: 'tool',
        tool_call_id: 'call_1',
        content: JSON.stringify({ error }),
      });
      assert.deepEqual((dataOf(events).at(-1) as JsonObject)['status'], 'failed');
      assert.equal(JSON.stringify(events).includes(error), false);
      assert.deepEqual(errorsIn(logLines), []);
    });
  }

  for (const [what, name, logged, reason] of [
    ['its arguments were refused', 'weather', 'weather', 'its arguments were refused'],
    ['there is no such tool', 'xanadu', 'unknown', 'there is no such tool'],
  ] as const) {
    it(`is not run, and is logged without a word from the model, if ${what}`, async (t) => {
      let runs = 0;
      const counting = agentWith(weather(() => (runs += 1)));
      const { client, logLines } = await serveModel(t, counting, [
        calls([['call_1', name, '{"xanadu":"Paris"}']]),
        says('Which city?'),
      ]);
      await spoken(client.say('Paris?'));
      assert.equal(runs, 0);
      const line = logLines.find((text) => text.includes('"tool call refused"')) ?? '';
      assert.ok(line.includes(`"tool":"${logged}","reason":"${reason}"`), line);
      assert.doesNotMatch(logLines.join(''), /xanadu/);
    });
  }

  for (const once of [false, true]) {
    it(`is logged, with the place, if the result of a ${once ? 'once ' : ''}tool is not JSON`,
      async (t) => {
        const look = looking({ name: 'weather', once, run: () => ({ cities: new Map() }) });
        const { client, logLines } = await serveModel(t, agentWith(look), [asksParis, says('No.')]);
        await spoken(client.say('Paris?'));
        const line = logLines.find((text) => text.includes('"tool failed"')) ?? '';
        assert.match(line, /"tool":"weather","reason":"result\.cities is an instance of Map/);
      });
  }

  it('is logged as an answer, without a stack, if its tool says that it did nothing',
    async (t) => {
      const full = weather(() => { throw new NotDone('that day is full'); });
      const { client, logLines } = await serveModel(t, agentWith(full), [asksParis, says('Full.')]);
      await spoken(client.say('Paris?'));
      assert.doesNotMatch(logLines.join(''), /tool failed|stack|that day/);
      const line = logLines.find((text) => text.includes('a tool has done nothing')) ?? '';
      assert.match(line, /"level":"info".*"conversationId":.*"turnId":.*"tool":"weather"/);
    });

  it("is logged if its tool threw, without its words, which may be a caller's", async (t) => {
    const fails = weather(({ city }) => {
      const cause = new Error(`no ${String(city)}`, { cause: String(city) });
      throw Object.assign(new TypeError(`no ${String(city)}`, { cause }), { code: 'E_CITY' });
    });
    const { client, server, logLines } = await serveModel(t, agentWith(fails), [
      calls([['call_1', 'weather', '{"city":"Purple Xanadu"}']]),
      says('Sorry.'),
    ]);
    await spoken(client.say('Where?'));
    assert.match(JSON.stringify(promptOf(server.requests[1])), /Purple Xanadu/);
    assert.doesNotMatch(logLines.join(''), /Xanadu/);
    const [line, ...others] = logLines.filter((text) => text.includes('tool failed'));
    assert.deepEqual(others, []);
    const { tool: name, error } = JSON.parse(line ?? '') as {
      readonly tool: string; readonly error: Readonly<Record<string, string>>;
    };
    assert.deepEqual([name, error['name'], error['code']], ['weather', 'TypeError', 'E_CITY']);
    assert.match(error['stack'] ?? '', /^at .*tool-loop-failures\.test\.ts:\d+/);
  });
});

// A tool call that goes wrong, over real sockets.

import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';

import { soon } from '../../src/base/awaitable.ts';
import type { JsonObject } from '../../src/base/json.ts';
import { NotDone } from '../../src/tools/tool-not-done.ts';
import type { StandardResult } from '../../src/tools/tool-standard-schema.ts';
import { tool, type Tool } from '../../src/tools/tool.ts';
import { says } from '../faults/model-server.ts';
import { contentsOf, deferred, errorsIn, type RawConnection, within } from '../fixtures/app.ts';
import {
  callOver,
  calls,
  dataOf,
  eventsOf,
  promptOf,
  serveModel,
  spoken,
  type ModelApp,
} from './model-app.ts';
import { agentWith, asksParis, INTERRUPTED, looking, sunny, weather } from './weather-tool.ts';

/** A tool with a schema of another library. */
function validated(
  validate: () => StandardResult<unknown> | Promise<StandardResult<unknown>>,
  run: () => unknown = () => 'clear',
): Tool {
  const jsonSchema = { input: () => ({ type: 'object' }) };
  return tool({
    name: 'weather',
    description: 'The weather of a city.',
    parameters: { '~standard': { version: 1, vendor: 'vendor', validate, jsonSchema } },
    tellBrowser: 'everything',
    run,
  });
}

describe('a call whose validator hangs', () => {
  /** A call that waits for its validator, and whether its tool has run. */
  async function hanging(t: TestContext): Promise<{
    readonly served: ModelApp;
    readonly caller: RawConnection;
    readonly answer: () => void;
    readonly runs: () => number;
  }> {
    const asked = deferred();
    const answered = deferred<StandardResult<unknown>>();
    let runs = 0;
    const validate = (): Promise<StandardResult<unknown>> => {
      asked.resolve();
      return answered.promise;
    };
    const agent = agentWith(validated(validate, () => (runs += 1)));
    const served = await serveModel(t, agent, [asksParis, says('Clear.')]);
    const caller = await callOver(served);
    await within(asked.promise, 'the validator');
    return { served, caller, answer: () => answered.resolve({ value: {} }), runs: () => runs };
  }

  it('is interrupted with its turn, and its tool never runs', async (t) => {
    const { served, caller, answer, runs } = await hanging(t);
    caller.socket.destroy();
    const result = async (): Promise<unknown> =>
      (await served.messages()).find(({ role }) => role === 'tool')?.content;
    while ((await result()) !== INTERRUPTED) await soon();
    answer();
    await soon();
    assert.deepEqual([runs(), await result()], [0, INTERRUPTED]);
  });

  it('is not waited for by close()', async (t) => {
    const { served } = await hanging(t);
    const begunMs = performance.now();
    await served.app.close();
    assert.ok(performance.now() - begunMs < 4_000, 'it waited 5 s for the validator');
  });
});

describe('a call that goes wrong', () => {
  const failing = agentWith(
    weather(() => {
      throw new Error('the service is down');
    }),
  );
  const wrongCity = ['call_1', 'weather', '{"city":5}'] as const;
  const paris = ['call_1', 'weather', '{"city":"Paris"}'] as const;
  // What arguments, names and thrown values are told as is tested in test/tools and test/base.
  for (const [what, agent, call, error] of [
    ['with wrong arguments', sunny, wrongCity, 'arguments.city must be of type string'],
    [
      'of a name every object has',
      sunny,
      ['call_1', 'toString', '{}'],
      'there is no tool "toString"',
    ],
    [
      'of a name that vendors refuse',
      sunny,
      ['call_1', 'get weather', '{}'],
      "a tool's name must match [A-Za-z0-9_-]{1,64}",
    ],
    ['of a tool that throws', failing, paris, 'the service is down'],
    [
      'of a tool that rejects without a prototype',
      agentWith(weather(() => Promise.reject(Object.create(null)))),
      paris,
      'something without a text was thrown',
    ],
    [
      'of a tool whose validator throws',
      agentWith(
        validated(() => {
          throw new Error('the validator is down');
        }),
      ),
      paris,
      'the validator is down',
    ],
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
    it(`is not run and is logged where ${what}, without a word of the model`, async (t) => {
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

  it("is logged where its tool threw, without a word of the error: it may be a caller's", async (t) => {
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

  it('does not end the turn if its arguments are too deeply nested to be written', async (t) => {
    const deep = `{"x":${'['.repeat(60_000)}${']'.repeat(60_000)}}`;
    const { client } = await serveModel(t, agentWith(looking()), [
      calls([['call_1', 'look', deep]]),
      says('Yes.'),
    ]);
    assert.equal(await spoken(client.say('See?')), 'Yes.');
  });
});

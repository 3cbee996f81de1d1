// Tools, from the model's wish to the caller's ear, over real sockets.

import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';

import type { Agent, MessageTurn, Reply } from '../../src/agents/agent.ts';
import { defineAgent } from '../../src/agents/define-agent.ts';
import { runToolLoop } from '../../src/agents/tool-loop.ts';
import { soon } from '../../src/base/awaitable.ts';
import type { Json, JsonObject } from '../../src/base/json.ts';
import type { ChatModel } from '../../src/models/model.ts';
import { scriptedModel } from '../../src/models/scripted-model.ts';
import type { Schema } from '../../src/schema/schema.ts';
import type { StandardResult } from '../../src/tools/tool-standard-schema.ts';
import { hangUp, tool, type Tool, type ToolContext } from '../../src/tools/tool.ts';
import { pausing, says, silentAfter, type Answer } from '../faults/model-server.ts';
import { chunk, DONE } from '../faults/wire-shapes.ts';
import {
  contentsOf,
  deferred,
  errorsIn,
  fired,
  Listener,
  type RawConnection,
  Told,
  typesOf,
  within,
} from '../fixtures/app.ts';
import { processorMs } from '../fixtures/processor-time.ts';
import {
  callOver,
  calls,
  dataOf,
  eventsOf,
  outline,
  promptOf,
  serveModel,
  spoken,
  toolNames,
  type ModelApp,
} from './model-app.ts';

const APOLOGY = 'Sorry, something went wrong. Could you say that again?';
const INTERRUPTED = '{"error":"interrupted"}';

const CITY: Schema = {
  type: 'object',
  properties: { city: { type: 'string' } },
  required: ['city'],
  additionalProperties: false,
};

function weather(run: (args: JsonObject, occasion: ToolContext) => unknown): Tool {
  return tool({
    name: 'weather',
    description: 'The weather of a city.',
    parameters: CITY,
    tellBrowser: 'everything',
    run,
  });
}

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

function agentWith(...tools: readonly Tool[]): Agent {
  return defineAgent({ name: 'forecaster', prompt: 'Be brief.', tools });
}

const sunny = agentWith(weather(({ city }) => ({ city: city ?? '', sky: 'clear' })));
const asksParis = calls([['call_1', 'weather', '{"city":"Paris"}']]);

/** A tool's `run` that waits for its signal. */
async function untilLeft(_args: JsonObject, { signal }: ToolContext): Promise<Json> {
  throw await fired(signal);
}

describe('a tool call', () => {
  it('is run, and its result handed back before the model speaks', async (t) => {
    const { client, server } = await serveModel(t, sunny, [asksParis, says('It is', ' clear.')]);
    assert.equal(await spoken(client.say('Paris?')), 'It is clear.');
    assert.deepEqual(outline(server.requests[1]), [
      ['user', 'Paris?'],
      ['assistant', null, ['call_1']],
      ['tool', '{"city":"Paris","sky":"clear"}', 'call_1'],
    ]);
    assert.deepEqual(promptOf(server.requests[1])[2]?.tool_calls, [
      {
        id: 'call_1',
        type: 'function',
        function: { name: 'weather', arguments: '{"city":"Paris"}' },
      },
    ]);
  });

  it('is offered with its schema, in every round', async (t) => {
    const { client, server } = await serveModel(t, sunny, [asksParis, says('Clear.')]);
    await spoken(client.say('Paris?'));
    assert.deepEqual(server.requests[0]?.body['tools'], [
      {
        type: 'function',
        function: { name: 'weather', description: 'The weather of a city.', parameters: CITY },
      },
    ]);
    assert.deepEqual(toolNames(server.requests[1]), ['weather']);
  });

  it('is told to the browser, as it begins and with its result', async (t) => {
    const { client } = await serveModel(t, sunny, [asksParis, says('Clear.')]);
    const events = await eventsOf(client.say('Paris?'));
    assert.deepEqual(dataOf(events), [
      { tool: 'weather', status: 'running', args: { city: 'Paris' } },
      {
        tool: 'weather',
        status: 'completed',
        args: { city: 'Paris' },
        result: { city: 'Paris', sky: 'clear' },
      },
    ]);
    assert.deepEqual(typesOf(events), [
      'response.data',
      'response.data',
      'response.tts',
      'response.end',
    ]);
  });

  for (const [tellBrowser, told] of [
    [
      undefined,
      [
        { tool: 'look', status: 'running' },
        { tool: 'look', status: 'completed' },
      ],
    ],
    [
      'status',
      [
        { tool: 'look', status: 'running' },
        { tool: 'look', status: 'completed' },
      ],
    ],
    ['nothing', []],
  ] as const) {
    it(`is told to the browser without arguments and result where tellBrowser is ${tellBrowser}`, async (t) => {
      const run = (): string => 'a customer record';
      const look = tool({
        name: 'look',
        description: 'Looks.',
        parameters: { type: 'object' },
        tellBrowser,
        run,
      });
      const { client } = await serveModel(t, agentWith(look), [
        calls([['call_1', 'look', '{"id":5}']]),
        says('Yes.'),
      ]);
      assert.deepEqual(dataOf(await eventsOf(client.say('Who is it?'))), told);
    });
  }

  it('is offered with its name, description and schema alone: vendors refuse other fields', async (t) => {
    const pay = tool({
      name: 'pay',
      description: 'Pays.',
      whenInterrupted: 'finish',
      repeatable: true,
      tellBrowser: 'nothing',
      parameters: {
        $schema: 'http://json-schema.org/draft-07/schema#',
        type: 'object',
        'x-order': 1,
        anyOf: [{ required: ['a'] }],
        properties: { a: { title: 'A', readOnly: true }, xml: { type: 'string' } },
      },
      run: () => 'paid',
    });
    const { client, server } = await serveModel(t, agentWith(pay), [says('Yes.')]);
    await spoken(client.say('Pay.'));
    const parameters = {
      type: 'object',
      properties: { a: { title: 'A' }, xml: { type: 'string' } },
    };
    assert.deepEqual(server.requests[0]?.body['tools'], [
      { type: 'function', function: { name: 'pay', description: 'Pays.', parameters } },
    ]);
  });

  it('follows the text before it, and the text behind does not stick to that', async (t) => {
    const { client, server } = await serveModel(t, sunny, [
      calls([['call_1', 'weather', '{"city":"Paris"}']], 'Let me', ' see.'),
      says('It', ' is clear.'),
    ]);
    assert.equal(await spoken(client.say('Paris?')), 'Let me see. It is clear.');
    assert.deepEqual(outline(server.requests[1])[1], ['assistant', 'Let me see.', ['call_1']]);
  });

  it("is in the next turn's prompt with its result and the texts around it", async (t) => {
    const { client, server } = await serveModel(t, sunny, [
      calls([['call_1', 'weather', '{"city":"Paris"}']], 'Let me see.'),
      says('Clear.'),
      says('Bye.'),
    ]);
    await spoken(client.say('Paris?'));
    await spoken(client.say('Thanks.'));
    assert.deepEqual(outline(server.requests[2]), [
      ['user', 'Paris?'],
      ['assistant', 'Let me see.', ['call_1']],
      ['tool', '{"city":"Paris","sky":"clear"}', 'call_1'],
      ['assistant', ' Clear.'],
      ['user', 'Thanks.'],
    ]);
  });

  it("gets the turn's conversation, metadata and signal", async (t) => {
    const occasions = new Told<ToolContext>();
    const { client } = await serveModel(
      t,
      agentWith(weather((_args, occasion) => occasions.tell(occasion))),
      [asksParis, says('Clear.')],
    );
    await spoken(client.say('Paris?', { custom_metadata: { plan: 'gold' } }));
    const { conversationId, metadata, signal, reply, log } = await occasions.next();
    assert.deepEqual(
      [conversationId, metadata, signal.aborted, reply.isOver, typeof log.info],
      [client.conversationId, { plan: 'gold' }, false, true, 'function'],
    );
  });

  it('may have an empty text for arguments', async (t) => {
    const look = tool({
      name: 'look',
      description: 'Looks.',
      parameters: { type: 'object' },
      tellBrowser: 'everything',
      run: (args) => args,
    });
    const { client } = await serveModel(t, agentWith(look), [
      calls([['call_1', 'look', '']]),
      says('Yes.'),
    ]);
    assert.deepEqual(dataOf(await eventsOf(client.say('See?')))[1], {
      tool: 'look',
      status: 'completed',
      args: {},
      result: {},
    });
  });

  it("counts both rounds' usage", async (t) => {
    const { client, app } = await serveModel(t, sunny, [asksParis, says('Clear.')]);
    await spoken(client.say('Paris?'));
    assert.match(
      app.metrics.text(),
      /layercode_model_tokens_total\{model="openai:gpt-6-luna",direction="input"\} 69\n/,
    );
  });

  it('is not run again by a duplicate, which gets its data as they were', async (t) => {
    let runs = 0;
    const { client, server } = await serveModel(
      t,
      agentWith(
        weather(() => {
          runs += 1;
          return 'clear';
        }),
      ),
      [asksParis, says('Clear.')],
    );
    const first = await eventsOf(client.say('Paris?', { turn_id: 't-1' }));
    const second = await eventsOf(client.say('Paris?', { turn_id: 't-1' }));
    assert.deepEqual([second, runs, server.requests.length], [first, 1, 2]);
  });
});

describe("a model's text", () => {
  const made = { prompt: 'Be brief.', tools: [], options: {}, toolChoice: undefined } as const;

  for (const kind of ['promise', 'thenable'] as const) {
    it(`is not read on while the caller takes nothing, as a ${kind} says`, async () => {
      const room = deferred<boolean>();
      const said: string[] = [];
      const say = (text: string): unknown => {
        said.push(text);
        return kind === 'promise' ? room.promise : { then: room.promise.then.bind(room.promise) };
      };
      const journal = { noteRequest: () => undefined };
      const turn = { history: [], signal: new AbortController().signal, journal };
      let taken = 0;
      const inner = scriptedModel(['One two three.']);
      const model: ChatModel = {
        ...inner,
        async *stream(messages, options) {
          for await (const delta of inner.stream(messages, options)) {
            if (delta.type !== 'text') return;
            taken += 1;
            yield delta;
          }
        },
      };
      const running = runToolLoop(
        turn as unknown as MessageTurn,
        { isOver: false, say } as unknown as Reply,
        { ...made, model, isSpeakable: false },
      );
      for (let step = 0; step < 5; step++) await new Promise(setImmediate);
      assert.deepEqual([said, taken], [['One'], 1]);
      room.resolve(true);
      await running;
      assert.deepEqual([said.join(''), taken], ['One two three.', 3]);
    });
  }
});

describe('what a tool returns', () => {
  for (const [what, returned, content] of [
    ['a text', 'clear', '"clear"'],
    ['nothing', undefined, '{"status":"ok"}'],
    ['null, which is a finding of its own', null, 'null'],
    ['false', false, 'false'],
    ['zero', 0, '0'],
    ['an empty list', [], '[]'],
    ['what JSON leaves out of an object', { a: undefined, b: 1 }, '{"b":1}'],
  ] as const) {
    it(`may be ${what}`, async (t) => {
      const { client, server } = await serveModel(t, agentWith(weather(() => returned)), [
        asksParis,
        says('Yes.'),
      ]);
      await spoken(client.say('Paris?'));
      assert.equal(promptOf(server.requests[1]).at(-1)?.content, content);
    });
  }

  for (const [what, returned] of [
    ['a bigint', 5n],
    ['a function', () => 1],
    ['a circle', circle()],
  ] as const) {
    it(`is an error for the model where it is ${what}`, async (t) => {
      const { client, server } = await serveModel(t, agentWith(weather(() => returned)), [
        asksParis,
        says('Sorry about that.'),
      ]);
      assert.equal(await spoken(client.say('Paris?')), 'Sorry about that.');
      assert.ok(
        'error' in (JSON.parse(promptOf(server.requests[1]).at(-1)?.content ?? '') as object),
      );
    });
  }

  it('is cut for the model where it is long', async (t) => {
    const { client, server } = await serveModel(t, agentWith(weather(() => 'x'.repeat(100_000))), [
      asksParis,
      says('Yes.'),
    ]);
    await spoken(client.say('Paris?'));
    const { length } = promptOf(server.requests[1]).at(-1)?.content ?? '';
    assert.ok(length > 65_000 && length < 66_000, String(length));
  });

  it('does not fail the turn where it is longer than a whole reply may be', async (t) => {
    // The model gets its first 64 KiB; what the browser is told must have a bound too, or the
    // caller hears the apology.
    const { client } = await serveModel(t, agentWith(weather(() => 'x'.repeat(1_100_000))), [
      asksParis,
      says('Yes.'),
    ]);
    assert.equal(await spoken(client.say('Paris?')), 'Yes.');
  });
});

describe('several calls at once', () => {
  it('have one budget for checking their arguments: 64 slow patterns block nobody', async (t) => {
    const order = tool({
      name: 'order',
      description: 'Orders.',
      parameters: { type: 'object', properties: { code: { type: 'string', pattern: '^(a+)+$' } } },
      run: () => 'ordered',
    });
    const args = JSON.stringify({ code: `${'a'.repeat(60)}!` });
    const asked = Array.from({ length: 64 }, (_, index) => [`c${index}`, 'order', args] as const);
    const { client, server } = await serveModel(t, agentWith(order), [
      calls(asked),
      calls([['again', 'order', '{"code":"aa"}']]),
      says('I cannot order that.'),
    ]);
    const begun = process.cpuUsage();
    await spoken(client.say('An order.'));
    assert.ok(processorMs(begun) < 1_000, 'one budget is 50 ms, 64 of them are 3,200 ms');
    const results = promptOf(server.requests[2]).filter(({ role }) => role === 'tool');
    const tooLong = '{"error":"the arguments take too long to check"}';
    // The next round has a budget of its own.
    assert.deepEqual(
      results.map(({ content }) => content),
      [...asked.map(() => tooLong), '"ordered"'],
    );
  });

  it('run at the same time, and their results go back in the order of the calls', async (t) => {
    const both = deferred();
    let running = 0;
    const run = async ({ city }: JsonObject): Promise<Json> => {
      if (++running === 2) both.resolve();
      await within(both.promise, 'the other call');
      if (city === 'Paris') await new Promise((resolve) => setImmediate(resolve));
      return city ?? null;
    };
    const { client, server } = await serveModel(t, agentWith(weather(run)), [
      calls([
        ['call_1', 'weather', '{"city":"Paris"}'],
        ['call_2', 'weather', '{"city":"Oslo"}'],
      ]),
      says('Yes.'),
      says('Bye.'),
    ]);
    const events = await eventsOf(client.say('Paris and Oslo?'));
    assert.deepEqual(outline(server.requests[1]).slice(1), [
      ['assistant', null, ['call_1', 'call_2']],
      ['tool', '"Paris"', 'call_1'],
      ['tool', '"Oslo"', 'call_2'],
    ]);
    assert.deepEqual(
      dataOf(events).map((data) => (data as JsonObject)['status']),
      ['running', 'running', 'completed', 'completed'],
    );
    await spoken(client.say('Thanks.'));
    assert.deepEqual(outline(server.requests[2]).slice(1, 4), outline(server.requests[1]).slice(1));
  });

  it('keep their results apart where the ids of the next round are the same', async (t) => {
    // Was: a turn's results were kept by id alone, and the second round's took the place of the
    // first's in history.
    const { client, server } = await serveModel(t, sunny, [
      calls([['call_0', 'weather', '{"city":"Paris"}']]),
      calls([['call_0', 'weather', '{"city":"Oslo"}']]),
      says('Yes.'),
      says('Bye.'),
    ]);
    await spoken(client.say('Paris, and Oslo?'));
    await spoken(client.say('Thanks.'));
    const results = promptOf(server.requests[3])
      .filter(({ role }) => role === 'tool')
      .map(({ content }) => (JSON.parse(content ?? '') as JsonObject)['city']);
    assert.deepEqual(results, ['Paris', 'Oslo']);
  });
});

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
    const caller = await callOver(t, served);
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
  for (const [what, agent, call, error] of [
    [
      'with wrong arguments',
      sunny,
      ['call_1', 'weather', '{"city":5}'],
      'arguments.city must be of type string',
    ],
    ['without its arguments', sunny, ['call_1', 'weather', '{}'], 'arguments.city is missing'],
    [
      'with arguments that are not JSON',
      sunny,
      ['call_1', 'weather', '{"city":"Par'],
      'the arguments are not a JSON object',
    ],
    ['of an unknown tool', sunny, ['call_1', 'time', '{}'], 'there is no tool "time"'],
    [
      'of a name that vendors refuse',
      sunny,
      ['call_1', 'get weather', '{}'],
      "a tool's name must match [A-Za-z0-9_-]{1,64}",
    ],
    [
      'of a name every object has',
      sunny,
      ['call_1', 'toString', '{}'],
      'there is no tool "toString"',
    ],
    [
      'of a tool that throws',
      failing,
      ['call_1', 'weather', '{"city":"Paris"}'],
      'the service is down',
    ],
    [
      'of a tool that rejects',
      agentWith(weather(() => Promise.reject(new Error('the service is down')))),
      ['call_1', 'weather', '{"city":"Paris"}'],
      'the service is down',
    ],
    [
      'of a tool that throws a text',
      agentWith(
        weather(() => {
          throw 'down';
        }),
      ),
      ['call_1', 'weather', '{"city":"Paris"}'],
      'down',
    ],
    [
      'of a tool that throws an object without a prototype',
      agentWith(weather(() => Promise.reject(Object.create(null)))),
      ['call_1', 'weather', '{"city":"Paris"}'],
      'something without a text was thrown',
    ],
    [
      'of a tool that throws an error without a stack, and with an object for its message',
      agentWith(
        weather(() => {
          throw Object.assign(new Error(), { message: Object.create(null), stack: 5 });
        }),
      ),
      ['call_1', 'weather', '{"city":"Paris"}'],
      'something without a text was thrown',
    ],
    [
      'of a tool that throws an error whose cause throws when it is read',
      agentWith(
        weather(() => {
          throw Object.defineProperty(new Error('the service is down'), 'cause', {
            get() {
              throw new Error('no cause');
            },
          });
        }),
      ),
      ['call_1', 'weather', '{"city":"Paris"}'],
      'the service is down',
    ],
    [
      'of a tool whose validator throws',
      agentWith(
        validated(() => {
          throw new Error('the validator is down');
        }),
      ),
      ['call_1', 'weather', '{"city":"Paris"}'],
      'the validator is down',
    ],
    [
      'of a tool whose validator rejects without a prototype',
      agentWith(validated(() => Promise.reject(Object.create(null)))),
      ['call_1', 'weather', '{"city":"Paris"}'],
      'something without a text was thrown',
    ],
    [
      'of a tool whose validator answers nonsense',
      agentWith(validated(() => null as unknown as StandardResult<unknown>)),
      ['call_1', 'weather', '{"city":"Paris"}'],
      "Cannot read properties of null (reading 'issues')",
    ],
  ] as const) {
    it(`${what} is an error for the model, and not for the caller`, async (t) => {
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

  it('is not run', async (t) => {
    let runs = 0;
    const { client } = await serveModel(t, agentWith(weather(() => (runs += 1))), [
      calls([['call_1', 'weather', '{"town":"Paris"}']]),
      says('Which city?'),
    ]);
    await spoken(client.say('Paris?'));
    assert.equal(runs, 0);
  });

  it('is logged where its tool threw', async (t) => {
    const { client, logLines } = await serveModel(t, failing, [asksParis, says('Sorry.')]);
    await spoken(client.say('Paris?'));
    const lines = logLines.filter((line) => line.includes('tool failed'));
    assert.equal(lines.length, 1);
    assert.match(
      lines[0] ?? '',
      /"tool":"weather","error":\{"name":"Error","message":"","stack":"at .*tool-loop\.test\.ts:\d+/,
    );
  });

  it("leaves no word of its error in the log: it may be a caller's", async (t) => {
    const fails = weather(({ city }) => {
      const cause = new Error(`no ${String(city)}`, { cause: String(city) });
      throw Object.assign(new TypeError(`no ${String(city)}\n    at ${String(city)}`, { cause }), {
        code: 'E_CITY',
      });
    });
    const asks = calls([['call_1', 'weather', '{"city":"Purple Xanadu"}']]);
    const { client, server, logLines } = await serveModel(t, agentWith(fails), [
      asks,
      says('Sorry.'),
    ]);
    await spoken(client.say('Where?'));
    assert.match(JSON.stringify(promptOf(server.requests[1])), /Purple Xanadu/);
    assert.match(
      logLines.find((line) => line.includes('tool failed')) ?? '',
      /"name":"TypeError".*"code":"E_CITY"/,
    );
    assert.doesNotMatch(logLines.join(''), /Xanadu/);
  });

  it('does not end the turn where its arguments are nested too deep to be written', async (t) => {
    const look = tool({
      name: 'look',
      description: 'Looks.',
      parameters: { type: 'object' },
      run: () => 'seen',
    });
    const deep = `{"x":${'['.repeat(60_000)}${']'.repeat(60_000)}}`;
    const { client } = await serveModel(t, agentWith(look), [
      calls([['call_1', 'look', deep]]),
      says('Yes.'),
    ]);
    assert.equal(await spoken(client.say('See?')), 'Yes.');
  });
});

describe('what a tool says itself', () => {
  it('is no last message of the next request, and stands behind its result later', async (t) => {
    const saying = agentWith(weather((_args, { reply }) => void reply.say('I am looking. ')));
    const { client, server } = await serveModel(t, saying, [asksParis, says('Sunny.')]);
    assert.equal(await spoken(client.say('Paris?')), 'I am looking. Sunny.');
    await spoken(client.say('Sure?'));
    const asked = ['user', 'Paris?'];
    const call = ['assistant', null, ['call_1']];
    const result = ['tool', '{"status":"ok"}', 'call_1'];
    assert.deepEqual(outline(server.requests[1]), [asked, call, result]);
    assert.deepEqual(outline(server.requests[2]), [
      asked, call, result, ['assistant', 'I am looking. Sunny.'], ['user', 'Sure?'],
    ]);
  });
});

describe('the rounds of a turn', () => {
  const always: Answer = (response, request) =>
    request.body['tool_choice'] !== 'none'
      ? asksParis(response, request)
      : says('That is all.')(response, request);

  it('are eight, and then the model is asked once more and may call none', async (t) => {
    const { client, server } = await serveModel(t, sunny, [always]);
    assert.equal(await spoken(client.say('Paris?')), 'That is all.');
    assert.deepEqual(
      server.requests.map(({ body }) => body['tool_choice']),
      [...Array.from({ length: 8 }, () => undefined), 'none'],
    );
  });

  it('keep the tools to the end, so that a vendor finds what it has cached', async (t) => {
    const { client, server } = await serveModel(t, sunny, [always]);
    await spoken(client.say('Paris?'));
    const tools = server.requests.map(({ body }) => JSON.stringify(body['tools']));
    assert.equal(new Set(tools).size, 1);
  });

  it('end though the model calls a tool that it may not call', async (t) => {
    let runs = 0;
    const { client, server } = await serveModel(
      t,
      agentWith(weather(() => (runs += 1))),
      [asksParis],
      { TURN_TIMEOUT_SECONDS: '2', FIRST_WORD_TIMEOUT_SECONDS: '2' },
    );
    assert.equal(await spoken(client.say('Paris?')), APOLOGY);
    assert.deepEqual([server.requests.length, runs], [9, 8]);
  });

  it('end with the apology where nothing was said in the end', async (t) => {
    const { client } = await serveModel(t, sunny, [asksParis, says('\u{1F600}')]);
    assert.deepEqual(contentsOf(await eventsOf(client.say('Paris?'))), [APOLOGY]);
  });
});

describe('a tool that hangs up', () => {
  const asksToHangUp = (goodbye: string, ...texts: string[]): Answer =>
    calls([['call_1', 'hang_up', JSON.stringify({ goodbye })]], ...texts);

  it('has its goodbye spoken, the line hung up, the stream ended, and nothing after', async (t) => {
    const { client, server } = await serveModel(t, agentWith(hangUp), [
      asksToHangUp('Goodbye!'),
      says('Late.'),
    ]);
    const events = await eventsOf(client.say('Bye.'));
    assert.deepEqual(
      typesOf(events).filter((type) => type !== 'response.data'),
      ['response.tts', 'response.hangup', 'response.end'],
    );
    assert.deepEqual(contentsOf(events), ['Goodbye!']);
    assert.equal(typesOf(events).at(-1), 'response.end');
    await new Promise((resolve) => setImmediate(resolve));
    assert.equal(server.requests.length, 1);
  });

  it('does not run its goodbye into the text before it', async (t) => {
    const { client } = await serveModel(t, agentWith(hangUp), [
      asksToHangUp('Goodbye!', 'You are welcome.'),
    ]);
    assert.match(await spoken(client.say('Bye.')), /^You are welcome\.\s+Goodbye!$/);
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
    it(`says ${JSON.stringify(goodbye)} after ${JSON.stringify(text)} only if that is new`, async (t) => {
      const { client } = await serveModel(t, agentWith(hangUp), [asksToHangUp(goodbye, text)]);
      assert.equal((await spoken(client.say('Bye.'))).replace(/\s+/g, ' '), heard);
    });
  }

  it("has its goodbye freed of what cannot be spoken: it is the model's text", async (t) => {
    const { client } = await serveModel(t, agentWith(hangUp), [
      asksToHangUp('**Goodbye!** \u{1F44B}'),
    ]);
    assert.equal((await spoken(client.say('Bye.'))).trim(), 'Goodbye!');
  });

  it('is hung up again for a duplicate, which asks no model', async (t) => {
    const { client, server } = await serveModel(t, agentWith(hangUp), [asksToHangUp('Goodbye!')]);
    const first = await eventsOf(client.say('Bye.', { turn_id: 't-1' }));
    assert.deepEqual(
      [await eventsOf(client.say('Bye.', { turn_id: 't-1' })), server.requests.length],
      [first, 1],
    );
  });

  it('is in the next prompt with one result, and its goodbye behind it', async (t) => {
    const { client, server } = await serveModel(t, agentWith(hangUp), [
      asksToHangUp('Goodbye!'),
      says('Hello again.'),
    ]);
    await spoken(client.say('Bye.'));
    await spoken(client.say('Me again.'));
    assert.deepEqual(outline(server.requests[1]), [
      ['user', 'Bye.'],
      ['assistant', null, ['call_1']],
      ['tool', '{"status":"ok"}', 'call_1'],
      ['assistant', 'Goodbye!'],
      ['user', 'Me again.'],
    ]);
  });

  it('lets no other tool of the round speak after it', async (t) => {
    const done = deferred<boolean>();
    const late = weather(async (_args, { reply }) => {
      await new Promise((resolve) => setImmediate(resolve));
      done.resolve(await reply.say('Late.'));
      return 'late';
    });
    const { client } = await serveModel(t, agentWith(late, hangUp), [
      calls([
        ['call_1', 'weather', '{"city":"Paris"}'],
        ['call_2', 'hang_up', '{"goodbye":"Goodbye!"}'],
      ]),
    ]);
    assert.equal(await spoken(client.say('Bye.')), 'Goodbye!');
    assert.equal(await done.promise, false);
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

  it('leaves each call exactly one result in the next prompt: the real one, or that it was interrupted', async (t) => {
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

  it('keeps the pairs where the platform says that nothing was heard', async (t) => {
    const { client, server } = await serveModel(t, stuck, [asksTwo, says('Yes.')]);
    const listener = new Listener(await client.say('Oslo and Paris?', { turn_id: 't-1' }));
    await listener.next();
    await spoken(
      client.say('Stop.', {
        interruption_context: {
          previous_turn_interrupted: true,
          words_heard: 0,
          text_heard: '',
          assistant_turn_id: 't-1',
        },
      }),
    );
    const shapes = outline(server.requests[1]).map(([role, , ids]) => [role, ids]);
    assert.deepEqual(shapes, [
      ['user', undefined],
      ['assistant', ['call_1', 'call_2']],
      ['tool', 'call_1'],
      ['tool', 'call_2'],
      ['user', undefined],
    ]);
    assert.equal(JSON.stringify(outline(server.requests[1])).includes('Let me see'), false);
  });

  it("fires the tool's signal, and what the tool returns all the same is its result", async (t) => {
    const returned = deferred<string>();
    const agent = agentWith(
      weather(async (_args, { signal }) => {
        await fired(signal);
        returned.resolve('late');
        return 'late';
      }),
    );
    const served = await serveModel(t, agent, [asksParis, says('Late.')]);
    const caller = await callOver(t, served);
    await caller.read((text) => text.includes('running'));
    caller.socket.destroy();
    assert.equal(await within(returned.promise, 'the signal'), 'late');
    await new Promise((resolve) => setImmediate(resolve));
    assert.equal(served.server.requests.length, 1);
    assert.deepEqual(
      (await served.messages()).map((message) => [message.role, message.content]),
      [
        ['user', 'Hello?'],
        ['assistant', ''],
        ['tool', '"late"'],
      ],
    );
  });

  it('behind a tool keeps the result and what was heard of the answer', async (t) => {
    const { client, server } = await serveModel(t, sunny, [
      asksParis,
      silentAfter(chunk({ content: 'It is clear ' }), chunk({ content: 'and warm.' })),
      says('Yes.'),
    ]);
    const listener = new Listener(await client.say('Paris?', { turn_id: 't-1' }));
    while (!String((await listener.next())?.content).includes('and'));
    await spoken(
      client.say('Stop.', {
        interruption_context: {
          previous_turn_interrupted: true,
          words_heard: 3,
          text_heard: 'It is clear',
          assistant_turn_id: 't-1',
        },
      }),
    );
    assert.deepEqual(outline(server.requests[2]), [
      ['user', 'Paris?'],
      ['assistant', null, ['call_1']],
      ['tool', '{"city":"Paris","sky":"clear"}', 'call_1'],
      ['assistant', 'It is clear [interrupted]'],
      ['user', 'Stop.'],
    ]);
  });

  it("between the call's arguments and the tool runs nothing", async (t) => {
    let runs = 0;
    const part = chunk({
      tool_calls: [
        {
          index: 0,
          id: 'call_1',
          type: 'function',
          function: { name: 'weather', arguments: '{"ci' },
        },
      ],
    });
    const gate = deferred();
    const served = await serveModel(t, agentWith(weather(() => (runs += 1))), [
      pausing([part], gate.promise, [
        chunk({ tool_calls: [{ index: 0, function: { arguments: 'ty":"Paris"}' } }] }),
        chunk({}, 'tool_calls'),
        DONE,
      ]),
    ]);
    const caller = await callOver(t, served);
    const request = await served.server.request(0);
    caller.socket.destroy();
    assert.equal(await within(request.wasCut, 'the connection to close'), true);
    gate.resolve();
    assert.deepEqual([runs, (await served.messages()).map(({ role }) => role)], [0, ['user']]);
  });
});

describe('a history beyond MAX_MESSAGES', () => {
  it('loses whole turns: no call without its result, no result without its call', async (t) => {
    const { client, server } = await serveModel(
      t,
      sunny,
      [
        (response, request) =>
          (promptOf(request).at(-1)?.role === 'tool' ? says('Clear.') : asksParis)(
            response,
            request,
          ),
      ],
      { MAX_MESSAGES: '7' },
    );
    for (let turn = 0; turn < 5; turn++) {
      await spoken(client.say(`Paris ${turn}?`));
      for (const request of server.requests) {
        const roles = outline(request).map(([role, , ids]) =>
          role === 'assistant' && ids !== undefined ? 'calls' : role,
        );
        for (const [index, role] of roles.entries()) {
          if (role === 'tool') assert.equal(roles[index - 1], 'calls', roles.join(' '));
          if (role === 'calls') assert.equal(roles[index + 1], 'tool', roles.join(' '));
        }
        assert.equal(roles[0], 'user', roles.join(' '));
      }
    }
    assert.ok(outline(server.requests.at(-2)).length <= 7);
  });

  it('keeps a turn whole that is longer than the bound', async (t) => {
    const { client, server, messages } = await serveModel(
      t,
      sunny,
      [asksParis, asksParis, says('Clear.'), says('Bye.')],
      { MAX_MESSAGES: '2' },
    );
    await spoken(client.say('Paris?'));
    assert.deepEqual(
      (await messages()).map(({ role }) => role),
      ['user', 'assistant', 'tool', 'assistant', 'tool', 'assistant'],
    );
    await spoken(client.say('Thanks.'));
    assert.deepEqual(outline(server.requests[3]), [['user', 'Thanks.']]);
  });
});

function circle(): unknown {
  const round: Record<string, unknown> = {};
  round['round'] = round;
  return round;
}

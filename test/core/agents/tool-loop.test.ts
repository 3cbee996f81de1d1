// Tools, from the model's wish to the caller's ear, over real sockets.

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import type { Json, JsonObject } from '../../../src/base/json.ts';
import type { MessageTurn, Reply } from '../../../src/core/agents/agent.ts';
import { runToolLoop } from '../../../src/core/agents/tool-loop.ts';
import type { ChatModel } from '../../../src/core/models/model.ts';
import { tool, type ToolContext } from '../../../src/core/tools/tool.ts';
import { scriptedModel } from '../../../src/kit/scripted-model.ts';
import { says, type Answer } from '../../faults/model-server.ts';
import { contentsOf, deferred, Told, typesOf, within } from '../../fixtures/app.ts';
import { processorMs } from '../../fixtures/processor-time.ts';
import { calls, dataOf, eventsOf, outline, promptOf, serveModel, spoken } from './model-app.ts';
import { agentWith, APOLOGY, asksParis, looking, sunny, weather } from './weather-tool.ts';

describe('a tool call', () => {
  it('is run, shown to the browser, and answered before the model speaks', async (t) => {
    const { client, server, app } = await serveModel(t, sunny, [asksParis, says('It is clear.')]);
    const events = await eventsOf(client.say('Paris?'));
    assert.deepEqual(typesOf(events), [
      'response.data',
      'response.data',
      'response.tts',
      'response.end',
    ]);
    const told = { tool: 'weather', args: { city: 'Paris' } };
    const sky = { city: 'Paris', sky: 'clear' };
    assert.deepEqual(dataOf(events), [
      { ...told, status: 'running' }, { ...told, status: 'completed', result: sky },
    ]);
    assert.match(
      app.metrics.text(),
      /layercode_model_tokens_total\{model="openai:gpt-6-luna",direction="input"\} 69\n/,
    );
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

  const statuses = [{ tool: 'look', status: 'running' }, { tool: 'look', status: 'completed' }];
  for (const [tellBrowser, told] of [
    [undefined, statuses], ['status', statuses], ['nothing', []],
  ] as const) {
    it(`tells the browser no details with tellBrowser ${tellBrowser}`, async (t) => {
      const look = looking({ tellBrowser, run: () => 'a customer record' });
      const { client } = await serveModel(t, agentWith(look), [
        calls([['call_1', 'look', '{"id":5}']]),
        says('Yes.'),
      ]);
      assert.deepEqual(dataOf(await eventsOf(client.say('Who is it?'))), told);
    });
  }

  it('follows an offer with only name, description and schema: vendors refuse more', async (t) => {
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
});

describe("a model's text", () => {
  const made = { prompt: 'Be brief.', tools: [], options: {}, toolChoice: undefined } as const;

  for (const kind of ['promise', 'thenable'] as const) {
    it(`is not read on while a pending ${kind} says that the caller reads nothing`, async () => {
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

// What each kind of result becomes is tested in test/core/tools/tool-result.test.ts.
describe('what a tool returns', () => {
  it('is given to the model as JSON, or as {"status":"ok"} if it is nothing', async (t) => {
    for (const [returned, content] of [['clear', '"clear"'], [undefined, '{"status":"ok"}']]) {
      const agent = agentWith(weather(() => returned));
      const { client, server } = await serveModel(t, agent, [asksParis, says('Yes.')]);
      await spoken(client.say('Paris?'));
      assert.equal(promptOf(server.requests[1]).at(-1)?.content, content);
    }
  });

  it('is cut for the model, and does not fail the turn, if it is longer than a reply may be', async (t) => {
    // The model gets its first 64 KiB; what the browser is told must have a bound too, or the
    // caller hears the apology.
    const agent = agentWith(weather(() => 'x'.repeat(1_100_000)));
    const { client, server } = await serveModel(t, agent, [asksParis, says('Yes.')]);
    assert.equal(await spoken(client.say('Paris?')), 'Yes.');
    const { length } = promptOf(server.requests[1]).at(-1)?.content ?? '';
    assert.ok(length > 65_000 && length < 66_000, String(length));
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

  it('run at the same time, and return their results in the order of the calls', async (t) => {
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
});

describe('what a tool says itself', () => {
  it('is not the last message of the next request, and later follows the result', async (t) => {
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

  it('number eight, then the model is asked once more, with the same tools but allowed none', async (t) => {
    const { client, server } = await serveModel(t, sunny, [always]);
    assert.equal(await spoken(client.say('Paris?')), 'That is all.');
    assert.deepEqual(
      server.requests.map(({ body }) => body['tool_choice']),
      [...Array.from({ length: 8 }, () => undefined), 'none'],
    );
    // so that a vendor finds what it has cached
    const tools = server.requests.map(({ body }) => JSON.stringify(body['tools']));
    assert.equal(new Set(tools).size, 1);
  });

  it('end even if the model calls a tool that it may not call', async (t) => {
    let runs = 0;
    const { client, server, logLines } = await serveModel(
      t,
      agentWith(weather(() => (runs += 1))),
      [asksParis],
    );
    assert.equal(await spoken(client.say('Paris?')), APOLOGY);
    assert.deepEqual([server.requests.length, runs], [9, 8]);
    const log = logLines.join('');
    assert.match(log, /-luna calls tools, and says nothing","code":"empty_reply"/);
    assert.match(log, /"failure":"model"/); // and not the agent's own code
  });

  it('end with the apology if nothing was said in the end', async (t) => {
    const { client } = await serveModel(t, sunny, [asksParis, says('\u{1F600}')]);
    assert.deepEqual(contentsOf(await eventsOf(client.say('Paris?'))), [APOLOGY]);
  });
});

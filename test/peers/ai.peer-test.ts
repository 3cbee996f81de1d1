// The agents on the `ai` package that README and examples/ show, on the real package, with a
// stand-in for the vendor at the other end of its provider. Needs `npm ci` in this folder.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, describe, it, type TestContext } from 'node:test';

import { createApp, parseSettings, type Agent } from 'layercode-microserver';
import { createTestClient, type TestClient } from 'layercode-microserver/testing';

import { openStream, startModelServer, type Answer } from '../faults/model-server.ts';
import { event } from '../faults/wire-shapes.ts';
import { contentsOf, within } from '../fixtures/app.ts';
import { typeErrors, wholeFiles, writeProject } from '../fixtures/pages.ts';
import { ROOT } from '../fixtures/source-files.ts';

const SECRET = 'whsec_peers_0123456789';
const APOLOGY = 'Sorry, something went wrong. Could you say that again?';

/** What the provider reads: https://platform.openai.com/docs/api-reference/responses-streaming */
const item = { type: 'message', id: 'msg_1' };
const identity = { id: 'resp_1', created_at: 1_764_000_000, model: 'gpt-6-luna' };
const usage = { input_tokens: 9, output_tokens: 3 };
const overloaded = { type: 'server_error', code: 'x', message: 'overloaded', param: null };
const responses = {
  begin: event({ type: 'response.created', response: identity })
    + event({ type: 'response.output_item.added', output_index: 0, item }),
  text: (delta: string): string =>
    event({ type: 'response.output_text.delta', item_id: item.id, delta }),
  end: event({ type: 'response.output_item.done', output_index: 0, item })
    + event({ type: 'response.completed', response: { usage } }),
  failure: event({ type: 'error', sequence_number: 3, error: overloaded }),
};

const says = (...texts: string[]): Answer => (response) => {
  openStream(response);
  response.end(responses.begin + texts.map(responses.text).join('') + responses.end);
};

const refuses: Answer = (response) => {
  response.writeHead(400, { 'content-type': 'application/json' });
  response.end('{"error":{"message":"no such model","type":"invalid_request_error"}}');
};

const failsAfter = (text: string): Answer => (response) => {
  openStream(response);
  response.end(responses.begin + responses.text(text) + responses.failure);
};

/** Says the text and leaves the stream open. */
const saysOnly = (text: string): Answer => (response) => {
  openStream(response);
  response.write(responses.begin + responses.text(text));
};

/** Calls `hang_up`. */
const hangsUp: Answer = (response) => {
  const call = { type: 'function_call', id: 'fc_1', call_id: 'call_1', name: 'hang_up' };
  const args = '{"goodbye":"Goodbye!"}';
  openStream(response);
  const added = { type: 'response.output_item.added', output_index: 0 };
  const done = { type: 'response.output_item.done', output_index: 0 };
  response.end(
    event({ type: 'response.created', response: identity })
      + event({ ...added, item: { ...call, arguments: '' } })
      + event({ ...done, item: { ...call, arguments: args, status: 'completed' } })
      + event({ type: 'response.completed', response: { usage } }),
  );
};

let answer: Answer = refuses;
// One server for all: a provider reads its address once.
const server = await startModelServer((response, request) => answer(response, request));
process.env['OPENAI_API_KEY'] = 'sk-peers';
process.env['OPENAI_BASE_URL'] = server.url;
after(() => server.close());

function lastInput(): readonly { readonly role: string; readonly content: unknown }[] {
  return server.requests.at(-1)?.body['input'] as ReturnType<typeof lastInput>;
}

const examples = ['ai-model.ts', 'ai-sdk.ts'];
const files = new Map([
  ...wholeFiles({ needsPeers: false }), // some of which the others import
  ...wholeFiles({ needsPeers: true }),
  ...examples.map((name) => [name, readFileSync(join(ROOT, 'examples', name), 'utf8')] as const),
]);
const project = writeProject(files, {
  withPeers: true,
  compilerOptions: { checkJs: true },
});

describe('code that needs packages of test/peers', () => {
  it('type-checks', () => {
    assert.ok(files.size > examples.length, 'no page has any');
    assert.equal(typeErrors(project), '');
  });
});

async function call(t: TestContext, name: string): Promise<TestClient> {
  const { default: agent } = (await import(join(project, name))) as { default: Agent };
  const environment = { LAYERCODE_WEBHOOK_SECRET: SECRET, SHUTDOWN_TIMEOUT_SECONDS: '0' };
  const settings = parseSettings(environment, []);
  const client = createTestClient(createApp(settings, agent), { secret: SECRET });
  t.after(() => client.close());
  return client;
}

for (const name of ['ai-agent.ts', 'ai-sdk.ts', 'ai-model.ts']) {
  describe(`the agent of ${name}`, () => {
    it('speaks what streamText streams, piece by piece', async (t) => {
      answer = says('It', ' rains.');
      const reply = await (await call(t, name)).say('Rain?');
      assert.deepEqual(contentsOf(await reply.events()), ['It', ' rains.']);
    });

    it('passes on the conversation so far', async (t) => {
      answer = says('It rains.');
      const client = await call(t, name);
      await (await client.say('Rain?')).text();
      await (await client.say('Still?')).text();
      assert.deepEqual(lastInput().map(({ role }) => role).slice(1), ['user', 'assistant', 'user']);
      assert.match(JSON.stringify(lastInput()), /Rain\?.*It rains\..*Still\?/);
    });

    it('apologises when the model refuses, though textStream throws nothing', async (t) => {
      answer = refuses;
      assert.equal(await (await (await call(t, name)).say('Rain?')).text(), APOLOGY);
    });

    it('apologises when the model fails in the middle of a reply', async (t) => {
      answer = failsAfter('It rains');
      assert.equal(await (await (await call(t, name)).say('Rain?')).text(), `It rains ${APOLOGY}`);
    });

    it('ends the request of a caller who leaves', async (t) => {
      answer = saysOnly('It rains');
      const reply = await (await call(t, name)).say('Rain?');
      const { wasCut } = await server.request(server.requests.length - 1);
      await reply[Symbol.asyncIterator]().next();
      reply.drop();
      assert.equal(await within(wasCut, 'the end of the request'), true);
    });
  });
}

describe('the model of ai-model.ts', () => {
  it('has the server run the tools that it calls, and is told of them in later turns', async (t) => {
    const client = await call(t, 'ai-model.ts');
    answer = hangsUp;
    const events = await (await client.say('Bye.')).events();
    assert.deepEqual(contentsOf(events), ['Goodbye!']);
    assert.ok(events.some(({ type }) => type === 'response.hangup'));
    answer = says('Hello again.');
    assert.equal(await (await client.say('Wait.')).text(), 'Hello again.');
    assert.match(JSON.stringify(lastInput()), /function_call.*hang_up.*function_call_output/);
  });
});

describe('the agent of ai-sdk.ts', () => {
  it('marks an interrupted reply', async (t) => {
    const client = await call(t, 'ai-sdk.ts');
    answer = says('It rains.');
    await (await client.say('Rain?', { turn_id: 't-1' })).text();
    const context = { previous_turn_interrupted: true, words_heard: 1, text_heard: 'It' };
    const interruption_context = { ...context, assistant_turn_id: 't-1' };
    await (await client.say('Stop.', { interruption_context })).text();
    assert.match(JSON.stringify(lastInput()), /"It \[interrupted\]"/);
  });
});

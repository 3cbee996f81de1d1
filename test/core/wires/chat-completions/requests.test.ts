// What this wire accepts: its routes, its keys, and the bodies of requests.

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { BadRequest } from '../../../../src/base/http/errors.ts';
import { parseCompletion, toldBy } from '../../../../src/core/wires/chat-completions/request.ts';
import { messageEvent, SECRET, Told } from '../../../fixtures/app.ts';
import {
  asking, KEY, messagesOf, offering, PATH, requestLines, saying, serveCompletions,
  serveWith, type Fields,
} from '../../../fixtures/completions.ts';
import { processorMs } from '../../../fixtures/processor-time.ts';

const HELLO = asking(['user: Hello?']);
const POST_PATHS = [
  '/api/agent', '/api/agent/', '/api/agent/chat/completions', '/api/agent/chat/completions/',
  '/api/agent/v1/chat/completions', '/api/agent/v1/chat/completions/',
];
const MODEL_PATHS = ['/api/agent/models', '/api/agent/v1/models'];

function errorBody(message: string, fields: Fields = {}): Fields {
  const error = { message, type: 'invalid_request_error', param: null, code: null, ...fields };
  return { error };
}

const WRONG_KEY = errorBody('Incorrect API key provided', { code: 'invalid_api_key' });

/** What an acceptable body says. */
function read(body: Fields | string | Buffer): ReturnType<typeof toldBy> {
  const isRaw = typeof body === 'string' || Buffer.isBuffer(body);
  return toldBy(parseCompletion(Buffer.from(isRaw ? (body as string) : JSON.stringify(body))));
}

describe('the routes of Chat Completions', () => {
  it('answer on each of their paths', async (t) => {
    const { platform } = serveCompletions(t, {});
    for (const path of POST_PATHS) assert.equal(await platform.hear(HELLO, { path }), 'Yes.', path);
  });

  for (const path of MODEL_PATHS)
    it(`list the agent as the only model at ${path}, with a key`, async (t) => {
      const { platform } = serveCompletions(t, {});
      const answer = await platform.get(path, { authorization: `Bearer ${KEY}` });
      const model = { id: 'tested', object: 'model', created: 0, owned_by: 'agent' };
      assert.deepEqual(await answer.json(), { object: 'list', data: [model] });
      const refused = await platform.get(path);
      assert.deepEqual([refused.status, await refused.json()], [401, WRONG_KEY]);
    });

  it('do not exist without keys', async (t) => {
    const { platform } = serveWith(t, saying('Yes.'), { LAYERCODE_WEBHOOK_SECRET: SECRET });
    const statuses = [];
    for (const path of POST_PATHS.slice(1))
      statuses.push((await platform.ask(HELLO, { path })).status);
    for (const path of MODEL_PATHS) statuses.push((await platform.get(path)).status);
    assert.deepEqual(statuses, Array(7).fill(404));
  });

  for (const [what, path, key, hint] of [
    ['keys', '/api/agent/chat/completions', {}, /CHAT_COMPLETIONS_KEYS/],
    ['secrets of reports', '/api/agent/events', { CHAT_COMPLETIONS_KEYS: KEY }, /VAPI_WEBHOOK/],
    ['nothing about reports without keys', '/api/agent/events', {}, /^undefined$/],
    ['nothing at another path', '/api/agent/models', {}, /^undefined$/],
  ] as const)
    it(`say in the log what is not set: ${what}`, async (t) => {
      const settings = { LAYERCODE_WEBHOOK_SECRET: SECRET, ...key };
      const { platform, logLines } = serveWith(t, saying('Yes.'), settings);
      await platform.ask(HELLO, { path });
      assert.match(String((await requestLines(logLines))[0]?.['hint']), hint);
    });

  it('exist under "/" if the agent has that path', async (t) => {
    const environment = { CHAT_COMPLETIONS_KEYS: KEY, AGENT_ROUTE: '/' };
    const { platform } = serveWith(t, saying('Yes.'), environment);
    assert.equal(await platform.hear(HELLO, { path: '/' }), 'Yes.');
    assert.equal(await platform.hear(HELLO, { path: '/v1/chat/completions' }), 'Yes.');
  });
});

describe("the agent's own path, where both wires are served,", () => {
  const path = '/api/agent';

  it("speaks LayerCode's wire with a signature, even beside a key", async (t) => {
    const { client } = serveCompletions(t, {});
    for (const headers of [{}, { authorization: `Bearer ${KEY}` }])
      assert.equal(await (await client.post(messageEvent(), { headers })).text(), 'Yes.');
  });

  it('speaks Chat Completions with a key, and refuses a wrong one in that form', async (t) => {
    const { platform } = serveCompletions(t, {});
    for (const header of ['authorization', 'x-api-key']) {
      const options = { path, key: null, headers: { [header]: KEY } };
      assert.equal(await platform.hear(HELLO, options), 'Yes.');
    }
    const answer = await platform.ask(HELLO, { path, key: 'wrong' });
    assert.deepEqual([answer.status, await answer.json()], [401, WRONG_KEY]);
  });

  it('refuses a request without credentials as LayerCode does', async (t) => {
    const { platform } = serveCompletions(t, {});
    const answer = await platform.ask(HELLO, { path, key: null });
    assert.deepEqual([answer.status, await answer.json()], [401, { error: 'Invalid signature' }]);
  });
});

describe("an app without LayerCode's secret", () => {
  it('serves Chat Completions, and refuses everything else in that form', async (t) => {
    const { platform } = serveWith(t, saying('Yes.'), { CHAT_COMPLETIONS_KEYS: KEY });
    const path = '/api/agent';
    assert.equal(await platform.hear(HELLO, { path }), 'Yes.');
    for (const headers of [{}, { 'layercode-signature': `t=1,v1=${'0'.repeat(64)}` }]) {
      const answer = await platform.ask(HELLO, { path, key: null, headers });
      assert.deepEqual([answer.status, await answer.json()], [401, WRONG_KEY]);
    }
  });
});

describe('several agents', () => {
  const agents = { sales: saying('Sales.'), 'front-desk': saying('Desk.') };
  const environment = {
    CHAT_COMPLETIONS_KEYS: 'common-key', FRONT_DESK_CHAT_COMPLETIONS_KEYS: 'desk-key,desk-key-2',
    AGENTS: 'sales=./sales.ts,front-desk=./desk.ts',
  };

  for (const [path, key, status] of [
    ['/api/agent/sales', 'common-key', 200],
    ['/api/agent/front-desk/v1/chat/completions', 'desk-key', 200],
    ['/api/agent/front-desk', 'desk-key-2', 200],
    ['/api/agent', 'common-key', 200],
    ['/api/agent/front-desk', 'common-key', 401],
    ['/api/agent/sales/chat/completions', 'desk-key', 401],
    ['/api/agent', 'desk-key', 401],
  ] as const) {
    it(`answer ${path} with ${status} for the key ${key}`, async (t) => {
      const { platform } = serveWith(t, agents, environment);
      assert.equal((await platform.ask(HELLO, { path, key })).status, status);
    });
  }

  it('are listed as models by the names that they are served under', async (t) => {
    const { platform } = serveWith(t, agents, environment);
    const headers = { authorization: 'Bearer desk-key' };
    const answer = await platform.get('/api/agent/front-desk/models', headers);
    const { data } = (await answer.json()) as { readonly data: readonly Fields[] };
    assert.deepEqual(data.map(({ id }) => id), ['front-desk']);
  });

  it('may each speak a different wire', async (t) => {
    const own = {
      SALES_CHAT_COMPLETIONS_KEYS: 'sales-key', LAYERCODE_WEBHOOK_SECRET_FRONT_DESK: SECRET,
      AGENTS: environment.AGENTS,
    };
    const { platform } = serveWith(t, agents, own);
    const statuses = [];
    for (const path of ['/api/agent/sales', '/api/agent/front-desk/chat/completions'])
      statuses.push((await platform.ask(HELLO, { path, key: 'sales-key' })).status);
    assert.deepEqual(statuses, [200, 404]);
  });
});

describe('an error', () => {
  const broken = '{"messages":';

  for (const path of ['/api/nobody/chat/completions', '/api/agent/v2/chat/completions/'])
    it(`for ${path}, which does not exist, is an object`, async (t) => {
      const { platform, logLines } = serveCompletions(t, {});
      const answer = await platform.ask(HELLO, { path });
      assert.deepEqual([answer.status, await answer.json()], [404, errorBody('Not found')]);
      assert.equal((await requestLines(logLines))[0]?.['wire'], 'chat-completions');
    });

  it('for a path that belongs to no wire is a string', async (t) => {
    const { platform, logLines } = serveCompletions(t, {});
    const answer = await platform.ask(HELLO, { path: '/api/nobody' });
    assert.deepEqual([answer.status, await answer.json()], [404, { error: 'Not found' }]);
    assert.equal((await requestLines(logLines))[0]?.['wire'], undefined);
  });

  it('for a wrong method is an object', async (t) => {
    const { platform, logLines } = serveCompletions(t, {});
    const answer = await platform.get(PATH, { authorization: `Bearer ${KEY}` });
    const expected = errorBody(`${PATH} only allows POST, OPTIONS`);
    assert.deepEqual([answer.status, await answer.json()], [405, expected]);
    assert.equal((await requestLines(logLines))[0]?.['wire'], 'chat-completions');
  });

  it('during a shutdown is an object', async (t) => {
    const { app, logLines } = serveCompletions(t, {});
    await app.close();
    const request = new Request(`http://localhost${PATH}`, { method: 'POST', body: '{}' });
    const answer = await app.fetch(request);
    const { error } = (await answer.json()) as { readonly error: Fields };
    assert.deepEqual([answer.status, error['type']], [503, 'server_error']);
    assert.equal((await requestLines(logLines))[0]?.['wire'], 'chat-completions');
  });

  it("is handled by the app's own handler, if there is one for its class", async (t) => {
    const { app, platform } = serveCompletions(t, {});
    app.onError(BadRequest, (error, context) => context.json(422, { mine: error.message }));
    const answer = await platform.ask(broken);
    assert.equal(answer.status, 422);
    assert.match(JSON.stringify(await answer.json()), /^{"mine":"the body/);
  });

  it('takes the form of this wire if the handler fails', async (t) => {
    const { app, platform } = serveCompletions(t, {});
    app.onError(BadRequest, () => {
      throw new Error('no handler');
    });
    const answer = await platform.ask(broken);
    const error = {
      message: 'Internal server error', type: 'server_error', param: null, code: null,
    };
    assert.deepEqual([answer.status, await answer.json()], [500, { error }]);
  });
});

describe('a key', () => {
  const environment = { CHAT_COMPLETIONS_KEYS: `${KEY},next-key` };

  for (const [what, headers] of [
    ['as a bearer token', { authorization: `Bearer ${KEY}` }],
    ['as a bearer token in lower case', { authorization: `bearer ${KEY}` }],
    ['in Authorization without a scheme', { authorization: KEY }],
    ['in x-api-key', { 'x-api-key': KEY }],
    ['in x-api-key beside an Authorization for somebody else', {
      authorization: 'Basic dXNlcjpwYXNz', 'x-api-key': KEY,
    }],
    ['as a bearer token beside a wrong x-api-key', {
      authorization: `Bearer ${KEY}`, 'x-api-key': 'wrong',
    }],
    ['that comes next in a rotation', { authorization: 'Bearer next-key' }],
  ] as const) {
    it(`${what} is accepted`, async (t) => {
      const { platform } = serveCompletions(t, {}, { environment });
      assert.equal((await platform.ask(HELLO, { key: null, headers })).status, 200);
    });
  }

  for (const [what, headers] of [
    ['that is missing', {}],
    ['that is empty', { authorization: '', 'x-api-key': '' }],
    ['that is only a scheme', { authorization: 'Bearer' }],
    ['that is the beginning of a key', { authorization: `Bearer ${KEY.slice(0, -1)}` }],
    ['with more after it', { authorization: `Bearer ${KEY}1` }],
    ['of another scheme', { authorization: `Basic ${KEY}` }],
    ['that is the whole list', { authorization: `Bearer ${KEY},next-key` }],
    ['that is wrong in both headers', { authorization: 'Bearer wrong', 'x-api-key': 'wrong' }],
    ['of 8 KB', { authorization: `Bearer ${'k'.repeat(8_192)}` }],
  ] as const) {
    it(`${what} is refused in the form of this wire`, async (t) => {
      const { platform } = serveCompletions(t, {}, { environment });
      const answer = await platform.ask(HELLO, { key: null, headers });
      assert.deepEqual([answer.status, await answer.json()], [401, WRONG_KEY]);
    });
  }

  it('that is wrong is refused before the body is read', async (t) => {
    const { raw } = serveCompletions(t, {});
    const connection = await raw();
    connection.write(
      `POST ${PATH} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n`
      + 'content-length: 1000\r\nauthorization: Bearer wrong\r\n\r\n{',
    );
    assert.equal(await connection.status(), 401);
  });

  it('that is wrong or missing leaves the wire and a hint in the log', async (t) => {
    const { platform, logLines } = serveCompletions(t, {});
    await platform.ask(HELLO, { key: 'wrong-key-5f7a' });
    await platform.ask(HELLO, { key: null });
    await platform.ask(HELLO, { key: null, headers: { authorization: '' } });
    await platform.ask('{');
    await platform.get('/api/agent/models', { authorization: `Bearer ${KEY}` });
    const none = 'no Authorization and no x-api-key header';
    const lines = await requestLines(logLines, 5);
    assert.deepEqual(lines.map(({ status, wire, hint }) => [status, wire, hint]), [
      [401, 'chat-completions', 'unknown key'], [401, 'chat-completions', none],
      [401, 'chat-completions', none], [400, 'chat-completions', undefined],
      [200, 'chat-completions', undefined],
    ]);
    assert.ok(!logLines.join('').includes('wrong-key-5f7a'));
  });
});

describe('a body', () => {
  const content = (value: unknown): Fields => ({ messages: [{ role: 'user', content: value }] });
  const nested = (levels: number): string =>
    `{"messages":[],"more":${'['.repeat(levels - 1)}${']'.repeat(levels - 1)}}`;

  for (const [what, body, message, path] of [
    ['that is empty', '', 'the body is empty, expected a JSON object', ''],
    ['that is not JSON', '{"messages":', /^the body is not JSON/, ''],
    ['that is not UTF-8', Buffer.from('{"a":"\xff"}', 'latin1'), 'the body is not UTF-8', ''],
    ['that is an array', '[]', 'the body must be a JSON object, got an array', ''],
    ['that is null', 'null', 'the body must be a JSON object, got null', ''],
    ['with 201 levels', nested(201), /nested too deeply, more than 200/, ''],
    ['without messages', {}, 'messages must be an array, but it is missing', 'messages'],
    ['whose messages are text', { messages: 'Hi' }, /^messages must be an array/, 'messages'],
    ['with a message that is null', { messages: [null] }, /must be an object/, 'messages[0]'],
    ['with a message that is a list', { messages: [[]] }, /must be an object/, 'messages[0]'],
    ['with a message without a role', { messages: [{}] }, /must be one of/, 'messages[0].role'],
    ['with an odd role', { messages: [{ role: 'toString' }] }, /one of/, 'messages[0].role'],
    ['with a role in a list', { messages: [{ role: ['user'] }] }, /one of/, 'messages[0].role'],
    ['whose content is a number', content(7), /a string or an array/, 'messages[0].content'],
    ['whose content is an object', content({}), /a string or an array/, 'messages[0].content'],
    ['whose part is null', content([null]), /must be an object/, 'messages[0].content[0]'],
    ['whose part is text', content(['Hi']), /must be an object/, 'messages[0].content[0]'],
    [
      'whose text is a number', content([{ type: 'text', text: 7 }]), /must be a string/,
      'messages[0].content[0].text',
    ],
    ['whose stream is text', { messages: [], stream: 'true' }, /must be a boolean/, 'stream'],
    ['whose tools are an object', { messages: [], tools: {} }, /must be an array/, 'tools'],
  ] as const)
    it(`${what} is refused`, () => {
      assert.throws(() => read(body), { name: 'EventError', path, message });
    });

  it('that is refused gets a 400 that names the field, not the words of the caller', async (t) => {
    const { platform, logLines } = serveCompletions(t, {});
    const answer = await platform.ask(content([{ type: 'text', text: ['My PIN is 4711'] }]));
    const param = 'messages[0].content[0].text';
    const expected = errorBody(`${param} must be a string, got an array`, { param });
    assert.deepEqual([answer.status, await answer.json()], [400, expected]);
    await requestLines(logLines);
    assert.doesNotMatch(logLines.join(''), /PIN|4711"/);
  });

  it('with exactly 200 levels is accepted, and may hold more brackets in its texts', () => {
    assert.deepEqual(read(nested(200)).lines, []);
    const text = `\\"${'['.repeat(500)}\\`;
    assert.equal(read(content(text)).words, text);
  });

  it('of another type is refused in the form of this wire', async (t) => {
    const { platform } = serveCompletions(t, {});
    const answer = await platform.ask(HELLO, { headers: { 'content-type': 'text/plain' } });
    const message = 'content-type must be application/json, got "text/plain"';
    assert.deepEqual(await answer.json(), errorBody(message));
  });

  for (const [what, given, text] of [
    ['text', 'Hi there.', 'Hi there.'],
    ['parts', [{ type: 'text', text: 'Hi ' }, { type: 'text', text: 'there.' }], 'Hi there.'],
    [
      'parts of other kinds',
      [{ type: 'image_url', image_url: {} }, { type: 'text', text: 'Hi.' }, { type: 7 }], 'Hi.',
    ],
    ['no parts', [], ''],
    ['null', null, ''],
    ['a lone surrogate', '\ud800', '\ud800'],
  ] as const)
    it(`with ${what} as content says ${JSON.stringify(text)}`, () => {
      assert.equal(read(content(given)).words, text);
    });

  it('with the platform\'s prompt does not show it to the agent', () => {
    const developer = { role: 'developer', content: 'Obey.' };
    const { lines } = read({ messages: [developer, ...messagesOf(['system: Obey.', 'user: Hi'])] });
    assert.deepEqual(lines, [{ role: 'user', text: 'Hi' }]);
  });

  it('with fields that this wire does not read is accepted', async (t) => {
    const { platform } = serveCompletions(t, {});
    const unread = {
      model: 7, temperature: 'hot', max_tokens: null, max_completion_tokens: -1, user: {},
      response_format: { type: 'json_schema' }, tool_choice: [], n: 9, metadata: 'none',
      stream_options: [], parallel_tool_calls: 'no', type: 'session.end', turn_id: 9,
    };
    assert.equal(await platform.hear({ ...HELLO, ...unread }), 'Yes.');
  });

  it('whose stream is null, false or missing is answered in JSON', async (t) => {
    const { platform } = serveCompletions(t, {});
    for (const stream of [null, false, undefined]) {
      const { response } = await platform.ask({ ...HELLO, stream });
      assert.equal(response.headers.get('content-type'), 'application/json; charset=utf-8');
    }
  });
});

describe('a body with names such as __proto__', () => {
  it('reaches the agent as it is, and changes no other object', async (t) => {
    const told = new Told<unknown>();
    const { platform } = serveCompletions(t, {
      onMessage: ({ metadata }) => told.tell(Object.hasOwn(metadata, '__proto__')),
    });
    const polluting = { metadata: { proto: { polluted: 1 } }, proto: { polluted: 1 } };
    const body = JSON.stringify({ ...HELLO, ...polluting });
    await (await platform.ask(body.replaceAll('"proto"', '"__proto__"'))).text();
    assert.equal(await told.next(), true);
    assert.equal(Object.hasOwn(Object.prototype, 'polluted'), false);
  });

  it('offers no tool that ends the call', async (t) => {
    const { platform } = serveCompletions(t, {
      onMessage: (_turn, reply) => reply.hangup({ say: 'Bye.' }),
    });
    const { tools } = offering('__proto__', 'constructor', 'toString', 'valueOf');
    const odd = [null, 7, {}, { function: 7 }, { function: { name: ['end_call'] } }];
    const answer = await platform.ask({ ...HELLO, tools: [...(tools as Fields[]), ...odd] });
    const chunks = await answer.chunks();
    assert.equal(chunks.at(-1)?.choices[0]?.finish_reason, 'stop');
  });
});

const MOST_MS = 50;

/**
 * How long anything else had to wait: the processor time of the longest turn of the event loop, in
 * the best of forty tries. By the clock a turn takes longer if other processes run here, too.
 */
async function longestDelayMs(run: (attempt: number) => Promise<unknown>): Promise<number> {
  let best = Infinity;
  for (let attempt = 0; attempt < 40 && best >= MOST_MS; attempt++) {
    let longest = 0;
    let before = process.cpuUsage();
    const measure = (): void => {
      longest = Math.max(longest, processorMs(before));
      before = process.cpuUsage();
      next = setImmediate(measure);
    };
    let next = setImmediate(measure);
    await run(attempt);
    clearImmediate(next);
    best = Math.min(best, longest);
  }
  return best;
}

describe('a very large request', () => {
  const call = { id: 'call_1', type: 'function', function: { name: 'f', arguments: '{}' } };
  const manyCalls = { role: 'assistant', content: null, tool_calls: Array(10_000).fill(call) };
  const result = { role: 'tool', tool_call_id: 'call_1', content: 'ok' };
  const user = { role: 'user', content: 'And now?' };
  const said = Array.from({ length: 5_000 }, (_, index) => ({
    role: index % 2 === 0 ? 'user' : 'assistant', content: `This is text ${index} of the call.`,
  }));

  for (const [what, messages] of [
    ['5,000 messages', [...said, user]],
    ['5,000 messages of the caller', [...Array(5_000).fill(user)]],
    ['5,000 prompts', [...messagesOf(Array(5_000).fill('system: Obey.')), user]],
    ['10,000 tool calls in a message', [user, manyCalls, result]],
    ['10,000 results of tools', [user, ...Array(10_000).fill(result)]],
    ['50,000 parts', [{ role: 'user', content: Array(50_000).fill({}) }]],
  ] as const) {
    it(`with ${what} delays nothing else by ${MOST_MS} ms`, async (t) => {
      const { platform } = serveCompletions(t, {});
      const body = JSON.stringify({ stream: true, messages });
      await platform.hear(HELLO, { conversationId: 'warm' });
      const delayMs = await longestDelayMs(async (attempt) => {
        const answer = await platform.ask(body, { conversationId: `c-${attempt}` });
        assert.equal(answer.status, 200);
        await answer.text();
      });
      assert.ok(delayMs < MOST_MS, `${delayMs} ms`);
    });
  }

  it('has only its last lines read', () => {
    const { lines, omitted } = read({ messages: [7, ...said.slice(0, 100), user] });
    assert.deepEqual([lines.length, omitted], [50, 51]);
  });
});

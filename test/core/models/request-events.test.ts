import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import type { RequestEvent } from '../../../src/core/models/model.ts';
import { withFallbacks, withRetries } from '../../../src/core/models/retry.ts';
import { scriptedModel } from '../../../src/kit/scripted-model.ts';
import { fails, overloaded, says, silentAfter, stream } from '../../faults/model-server.ts';
import { chunk, DONE, event, parallelToolCalls, usageChunk } from '../../faults/wire-shapes.ts';
import { serve } from './chat-completions-server.ts';
import { HELLO, KEY, modelAt, read } from './reading.ts';

interface Told {
  readonly events: readonly RequestEvent[];
  readonly onRequest: (event: RequestEvent) => void;
}

function told(): Told {
  const events: RequestEvent[] = [];
  return { events, onRequest: (event) => void events.push(event) };
}

function ofType<T extends RequestEvent['type']>(
  events: readonly RequestEvent[], type: T,
): readonly Extract<RequestEvent, { type: T }>[] {
  return events.filter((event): event is Extract<RequestEvent, { type: T }> => event.type === type);
}

const typesOf = (events: readonly RequestEvent[]): string[] => events.map(({ type }) => type);
const atOnce = { sleep: () => Promise.resolve(), random: () => 1 };

describe('onRequest', () => {
  it('reports a request without its headers, its first word, and its usage', async () => {
    const { events, onRequest } = told();
    const { url } = await serve(says('Hello', ' there.'));
    const { deltas } = await read(modelAt(url), { onRequest });
    assert.deepEqual(typesOf(events), ['sent', 'firstDelta', 'completed']);
    const [completed] = ofType(events, 'completed');
    assert.equal(completed?.usage, deltas.at(-1));
    assert.deepEqual(completed?.answer, { text: 'Hello there.', calls: [] });
    assert.equal(new Set(events.map((event) => 'request' in event && event.request)).size, 1);
    const { messages } = JSON.parse(ofType(events, 'sent')[0]?.body ?? '') as { messages: unknown };
    assert.deepEqual(messages, HELLO);
    assert.ok(!JSON.stringify(events).includes(KEY));
  });

  it('says where a request is sent, and what the vendor calls the answer', async () => {
    const { url } = await serve(says('Hi.'), silentAfter(chunk({ content: 'Hi' })));
    const { events, onRequest } = told();
    await read(modelAt(url), { onRequest });
    const end = new AbortController();
    const cut = modelAt(url).stream(HELLO, { signal: end.signal, onRequest });
    for await (const _ of cut) end.abort();
    const port = Number(new URL(url).port);
    const server = { address: '127.0.0.1', port };
    assert.deepEqual(ofType(events, 'sent').map((sent) => sent.server), [server, server]);
    const response = { id: 'chatcmpl-123', model: 'gpt-6-luna' };
    assert.deepEqual(ofType(events, 'completed').map((one) => one.response), [response]);
    assert.deepEqual(ofType(events, 'failed').map((one) => one.response), [response]);
  });

  it('gives an IPv6 address without brackets, as traces do', async () => {
    const { events, onRequest } = told();
    const model = modelAt('http://[::1]:8080/v1', {
      fetch: () => Promise.reject(new TypeError('fetch failed')),
    });
    await read(model, { onRequest });
    const [sent] = ofType(events, 'sent');
    assert.deepEqual(sent?.server, { address: '::1', port: 8_080 });
  });

  it('does not pass on an id that could be a sentence', async () => {
    const [id, model] = ['what the caller said', 'x'.repeat(201)];
    const choices = [{ delta: { content: 'Hi' }, finish_reason: 'stop' }];
    const odd = event({ id, model, choices });
    const { events, onRequest } = told();
    await read(modelAt((await serve(stream(odd, DONE))).url), { onRequest });
    const response = { id: undefined, model: undefined };
    assert.deepEqual(ofType(events, 'completed').map((one) => one.response), [response]);
  });

  it('reports the tool calls of an answer, and when the first of them began', async () => {
    const { events, onRequest } = told();
    await read(modelAt((await serve(stream(...parallelToolCalls()))).url), { onRequest });
    assert.deepEqual(typesOf(events), ['sent', 'firstDelta', 'completed']);
    const names = ofType(events, 'completed')[0]?.answer.calls.map(({ name }) => name);
    assert.deepEqual(names, ['get_weather', 'list_menu']);
  });

  it('reports retries with their wait, and counts attempts', async () => {
    const { events, onRequest } = told();
    const model = withRetries(modelAt((await serve(overloaded, says('Hi.'))).url), atOnce);
    await read(model, { onRequest });
    assert.deepEqual(typesOf(events), [
      'sent', 'failed', 'retry', 'sent', 'firstDelta', 'completed',
    ]);
    assert.deepEqual(ofType(events, 'sent').map(({ attempt }) => attempt), [1, 2]);
    assert.deepEqual(ofType(events, 'retry')[0], {
      type: 'retry', model: 'openai:gpt-6-luna', failure: 'http_error', afterMs: 200,
    });
  });

  it('reports a fallback, and why', async () => {
    const { events, onRequest } = told();
    const first = modelAt((await serve(fails(400, '{}'))).url, { name: 'openai:first' });
    const second = modelAt((await serve(says('Hi.'))).url, { name: 'openai:second' });
    await read(withFallbacks([first, second]), { onRequest });
    assert.deepEqual(ofType(events, 'fallback'), [
      { type: 'fallback', model: 'openai:first', failure: 'http_error', to: 'openai:second' },
    ]);
    assert.match(ofType(events, 'failed')[0]?.reason ?? '', /^openai:first .*400/);
  });

  it('reports what an interrupted answer had said, and the tokens that were known', async () => {
    const { events, onRequest } = told();
    const { url } = await serve(silentAfter(chunk({ content: 'One' }), usageChunk(7, 3)));
    const model = modelAt(url);
    const caller = new AbortController();
    for await (const delta of model.stream([], { signal: caller.signal, onRequest })) {
      assert.equal(delta.type, 'text');
      setImmediate(() => caller.abort());
    }
    const [failed] = ofType(events, 'failed');
    assert.equal(failed?.failure, 'interrupted');
    assert.deepEqual(failed.answer, { text: 'One', calls: [] });
    assert.deepEqual(failed.tokens, { inputTokens: 7, outputTokens: 3 });
  });

  it('reports "sent" again, for the same request, when a field is left out', async () => {
    const refused = fails(400, JSON.stringify({
      error: { message: "Unsupported value: 'temperature'", param: 'temperature' },
    }));
    const { events, onRequest } = told();
    const model = modelAt((await serve(refused, says('Hi.'))).url, { name: 'openai:gpt-4o' });
    await read(model, { onRequest, temperature: 0.5 });
    assert.deepEqual(typesOf(events), ['sent', 'sent', 'firstDelta', 'completed']);
    const sent = ofType(events, 'sent');
    assert.equal(sent[0]?.request, sent[1]?.request);
    assert.deepEqual(sent.map(({ body }) => body.includes('temperature')), [true, false]);
  });

  it('replaces onFailedRequest, which custom models may still call', async () => {
    const failures: string[] = [];
    const onFailedRequest = (model: string, failure: string): void =>
      void failures.push(`${model} ${failure}`);
    const { events, onRequest } = told();
    await read(scriptedModel([{ fail: 503 }]), { onFailedRequest });
    await read(scriptedModel([{ fail: 503 }]), { onFailedRequest, onRequest });
    assert.deepEqual(failures, ['scripted:model http_error']);
    assert.deepEqual(typesOf(events), ['sent', 'failed']);
  });
});

import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';

import { EVENT_FIELDS } from '../../src/wires/layercode/events.ts';
import { serve } from '../fixtures/kernel.ts';
import { version } from './version.ts';

interface OpenApi {
  readonly openapi: string;
  readonly info: { readonly title: string; readonly version: string };
  readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>;
  readonly components: { readonly securitySchemes: Readonly<Record<string, object>> };
}

interface Operation {
  readonly responses: Readonly<
    Record<string, { readonly description?: unknown; readonly content: object }>
  >;
  readonly requestBody?: {
    readonly content: { readonly 'application/json': { readonly schema: Schema } };
  };
  readonly security: readonly Readonly<Record<string, unknown>>[];
}

interface Schema {
  readonly title: string;
  readonly required: readonly string[];
  readonly properties: Readonly<Record<string, object>>;
  readonly anyOf?: readonly Schema[];
}

async function document(t: TestContext, settings = {}): Promise<OpenApi> {
  return (await (await (await serve(t, { settings })).fetch('/openapi.json')).json()) as OpenApi;
}

/** Each with its method and path. */
function operationsIn({ paths }: OpenApi): readonly (readonly [route: string, Operation])[] {
  return Object.entries(paths).flatMap(([path, operations]) =>
    Object.entries(operations).map(([method, one]) => [`${method} ${path}`, one] as const));
}

async function bodyOf(t: TestContext, path: string): Promise<Schema> {
  const body = (await document(t)).paths[path]?.['post']?.requestBody;
  assert.ok(body !== undefined);
  return body.content['application/json'].schema;
}

async function eventSchemas(t: TestContext): Promise<readonly Schema[]> {
  return (await bodyOf(t, '/api/agent')).anyOf ?? [];
}

describe('GET /openapi.json', () => {
  it('is OpenAPI 3.1 of this version', async (t) => {
    const { openapi, info } = await document(t);
    const expected = ['3.1.0', 'layercode-microserver', version];
    assert.deepEqual([openapi, info.title, info.version], expected);
  });

  it('lists every route with its statuses, and no others', async (t) => {
    const statuses = operationsIn(await document(t)).map(
      ([route, { responses }]) => `${route} ${Object.keys(responses).join(' ')}`,
    );
    assert.deepEqual(statuses, [
      'post /api/agent 200 400 401 413 415 500 503',
      'post /api/authorize 200 400 401 402 403 413 429 500 502 503 504',
      'get /health 200',
      'get /ready 200 503',
      'get /openapi.json 200',
      'get /metrics 200',
    ]);
  });

  it('lists only routes that are served', async (t) => {
    const { paths } = await document(t);
    const served = await serve(t);
    for (const path of Object.keys(paths))
      assert.equal((await served.fetch(path, { method: 'OPTIONS' })).status, 204, path);
  });

  it("says that the agent's route speaks Chat Completions where nothing else is set", async (t) => {
    const { paths } = await document(t, { webhookSecrets: [], chatCompletionsKeys: ['a-key'] });
    const both = await document(t, { chatCompletionsKeys: ['a-key'] });
    const schemes = [paths, both.paths].map((found) => found['/api/agent']?.['post']?.security);
    assert.deepEqual(schemes, [[{ completionKey: [] }], [{ webhookSignature: [] }]]);
  });

  it('names the routes as the settings do', async (t) => {
    const settings = { agentRoute: '/hook', authorizeRoute: '/key', metrics: false };
    const { paths } = await document(t, settings);
    const expected = ['/health', '/hook', '/key', '/openapi.json', '/ready'];
    assert.deepEqual(Object.keys(paths).sort(), expected);
  });

  it('refers only to what is there', async (t) => {
    const whole = await document(t);
    const references = [...JSON.stringify(whole).matchAll(/"\$ref":"#\/([^"]+)"/g)];
    assert.ok(references.length > 0);
    for (const [, reference = ''] of references) {
      const found = reference.split('/').reduce<unknown>(
        (value, key) => (value as Record<string, unknown> | undefined)?.[key], whole,
      );
      assert.notEqual(found, undefined, reference);
    }
  });

  it('says that every route but the webhook is open', async (t) => {
    const whole = await document(t);
    for (const [route, { security }] of operationsIn(whole))
      assert.deepEqual(security, route === 'post /api/agent' ? [{ webhookSignature: [] }] : []);
    assert.deepEqual(Object.keys(whole.components.securitySchemes), ['webhookSignature']);
  });

  it('describes every answer', async (t) => {
    for (const [route, { responses }] of operationsIn(await document(t)))
      for (const { description } of Object.values(responses))
        assert.equal(typeof description, 'string', route);
  });

  it('answers with what it says: an event stream or JSON, JSON, and text', async (t) => {
    const types = operationsIn(await document(t)).map(([, { responses }]) =>
      Object.keys(responses['200']?.content ?? {}).join());
    const json = 'application/json';
    assert.deepEqual(types, [`text/event-stream,${json}`, json, json, json, json, 'text/plain']);
  });

  it('has a schema for each type of event in the table, with its fields', async (t) => {
    const schemas = (await eventSchemas(t)).map(({ title, required, properties }) =>
      [title, required, Object.keys(properties)]);
    assert.deepEqual(schemas, Object.entries(EVENT_FIELDS).map(([type, fields]) => {
      const names = Object.entries(fields);
      const required = names.filter(([, { isRequired }]) => isRequired);
      return [type, ['type', ...required.map(([name]) => name)], ['type', ...Object.keys(fields)]];
    }));
  });

  it('demands of authorize what the check does', async (t) => {
    const { required, properties } = await bodyOf(t, '/api/authorize');
    assert.deepEqual(required, ['agent_id']);
    assert.deepEqual(Object.keys(properties), [
      'agent_id', 'conversation_id', 'metadata', 'custom_metadata', 'custom_headers', 'config',
      'sdk_version',
    ]);
  });

  it('is JSON that may be cached', async (t) => {
    const { headers } = await (await serve(t)).fetch('/openapi.json');
    assert.equal(headers.get('content-type'), 'application/json; charset=utf-8');
    assert.equal(headers.get('cache-control'), null);
  });

  it('names the header and the form of the signature', async (t) => {
    const { webhookSignature = {} } = (await document(t)).components.securitySchemes;
    const { name, in: place, type } = webhookSignature as Record<string, string>;
    assert.deepEqual([name, place, type], ['layercode-signature', 'header', 'apiKey']);
  });

  // Was: the document took ids with control characters, and the server did not.
  it('takes the ids that the server takes', async (t) => {
    const [schema] = await eventSchemas(t);
    const { minLength, maxLength, pattern } = schema?.properties['session_id'] as {
      readonly minLength: number; readonly maxLength: number; readonly pattern: string;
    };
    const isAllowed = (id: string): boolean =>
      id.length >= minLength && id.length <= maxLength && new RegExp(pattern, 'u').test(id);
    const ids = [
      '', 'a', 'é', ' ', '😀', 'a'.repeat(256), 'a'.repeat(257), 'a\n',
      ...Array.from({ length: 0x120 }, (_, code) => `a${String.fromCharCode(code)}`),
    ];
    const served = EVENT_FIELDS.message['session_id'];
    assert.ok(served !== undefined);
    for (const id of ids)
      assert.equal(isAllowed(id), served.check(id) === undefined, JSON.stringify(id));
  });

  // The platform sends null for "nothing", and the check takes it: who generates a client from this
  // page must be told.
  it('allows null where the check does', async (t) => {
    for (const { title, properties } of await eventSchemas(t))
      for (const [name, field] of Object.entries(EVENT_FIELDS[title as keyof typeof EVENT_FIELDS]))
        if (field.check(null) === undefined)
          assert.match(JSON.stringify(properties[name]), /"null"/, `${title}.${name}`);
  });
});

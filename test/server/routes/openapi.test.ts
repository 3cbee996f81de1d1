import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';

import { EVENT_FIELDS } from '../../../src/core/wires/layercode/events.ts';
import { serve } from '../../fixtures/kernel.ts';
import { version } from './version.ts';

interface OpenApi {
  readonly openapi: string;
  readonly info: { readonly title: string; readonly version: string };
  readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>;
}

interface Operation {
  readonly responses: Readonly<Record<string, unknown>>;
  readonly requestBody?: {
    readonly content: {
      readonly 'application/json': { readonly schema: { readonly anyOf?: EventSchema[] } };
    };
  };
  readonly security?: readonly Readonly<Record<string, unknown>>[];
}

interface EventSchema {
  readonly title: string;
  readonly required: string[];
  readonly properties: Readonly<Record<string, {
    readonly type?: string | string[];
    readonly const?: string;
    readonly oneOf?: unknown;
    readonly anyOf?: unknown;
  }>>;
}

async function document(t: TestContext, settings = {}): Promise<OpenApi> {
  return (await (await (await serve(t, { settings })).fetch('/openapi.json')).json()) as OpenApi;
}

async function eventSchemas(t: TestContext): Promise<EventSchema[]> {
  return (
    (await document(t)).paths['/api/agent']?.['post']?.requestBody?.content['application/json']
      .schema.anyOf ?? []
  );
}

describe('GET /openapi.json', () => {
  it('answers with OpenAPI 3.1 of this version, in JSON that may be cached', async (t) => {
    const { openapi, info: { title, version: given } } = await document(t);
    assert.deepEqual([openapi, title, given], ['3.1.0', 'layercode-microserver', version]);
    const { headers } = await (await serve(t)).fetch('/openapi.json');
    assert.equal(headers.get('content-type'), 'application/json; charset=utf-8');
    assert.equal(headers.get('cache-control'), null);
  });

  it('lists every route that is served, with its statuses and what it answers', async (t) => {
    const { paths } = await document(t);
    const served = await serve(t);
    for (const path of Object.keys(paths))
      assert.equal((await served.fetch(path, { method: 'OPTIONS' })).status, 204, path);
    const listed = Object.entries(paths).flatMap(([path, operations]) =>
      Object.entries(operations).map(([method, { responses }]) => {
        const { content } = responses['200'] as { readonly content: object };
        const statuses = Object.keys(responses).join(' ');
        return `${method} ${path} ${statuses}: ${Object.keys(content).join()}`;
      }));
    assert.deepEqual(listed, [
      'post /api/agent 200 400 401 413 415 500 503: text/event-stream,application/json',
      'post /api/authorize 200 400 401 402 403 413 429 500 502 503 504: application/json',
      'get /health 200: application/json',
      'get /ready 200 503: application/json',
      'get /openapi.json 200: application/json',
      'get /metrics 200: text/plain',
    ]);
  });

  it("says that the agent's route speaks Chat Completions if nothing else is set", async (t) => {
    const { paths } = await document(t, { webhookSecrets: [], chatCompletionsKeys: ['a-key'] });
    const both = await document(t, { chatCompletionsKeys: ['a-key'] });
    const schemes = [paths, both.paths].map((found) => found['/api/agent']?.['post']?.security);
    assert.deepEqual(schemes, [[{ completionKey: [] }], [{ webhookSignature: [] }]]);
  });

  it('names the routes as the settings do', async (t) => {
    const settings = { agentRoute: '/hook', authorizeRoute: '/key', metrics: false };
    const { paths } = await document(t, settings);
    assert.deepEqual(Object.keys(paths).sort(), [
      '/health', '/hook', '/key', '/openapi.json', '/ready',
    ]);
  });

  it('refers only to what exists', async (t) => {
    const whole = await document(t);
    const resolve = (reference: string): unknown =>
      reference.replace(/^#\//, '').split('/').reduce<unknown>(
        (value, key) => (value as Record<string, unknown> | undefined)?.[key], whole,
      );
    const found = JSON.stringify(whole).matchAll(/"\$ref":"([^"]+)"/g);
    const references = [...found].map(([, reference = '']) => reference);
    assert.ok(references.length > 0);
    assert.deepEqual(references.filter((reference) => resolve(reference) === undefined), []);
  });

  it('names only security schemes that exist', async (t) => {
    const whole = (await document(t)) as OpenApi & { components: { securitySchemes: object } };
    const names = Object.values(whole.paths)
      .flatMap((path) => Object.values(path))
      .flatMap(({ security = [] }) => security.flatMap(Object.keys));
    const { securitySchemes } = whole.components;
    assert.deepEqual(names.filter((name) => !Object.hasOwn(securitySchemes, name)), []);
  });

  it('describes every answer', async (t) => {
    const answers = Object.values((await document(t)).paths)
      .flatMap((path) => Object.values(path))
      .flatMap(({ responses }) => Object.values(responses));
    const isDescribed = (answer: unknown): boolean =>
      typeof (answer as { description?: unknown }).description === 'string'
      || '$ref' in (answer as object);
    assert.deepEqual(answers.filter((answer) => !isDescribed(answer)), []);
  });

  it('knows each type of event in the table, its fields and which are required', async (t) => {
    const known = (await eventSchemas(t)).map(({ title, properties, required }) =>
      [title, Object.keys(properties), required]);
    const expected = Object.entries(EVENT_FIELDS).map(([type, fields]) => {
      const required = Object.keys(fields).filter((name) => fields[name]?.isRequired);
      return [type, ['type', ...Object.keys(fields)], ['type', ...required]];
    });
    assert.deepEqual(known, expected);
  });

  it('says that every route but the webhook is open', async (t) => {
    const { paths } = await document(t);
    for (const [path, operations] of Object.entries(paths)) {
      const expected = path === '/api/agent' ? [{ webhookSignature: [] }] : [];
      for (const { security } of Object.values(operations)) assert.deepEqual(security, expected);
    }
  });

  it('requires the same of authorize as the check does', async (t) => {
    const schema = (await document(t)).paths['/api/authorize']?.['post']?.requestBody?.content[
      'application/json'
    ].schema as unknown as EventSchema;
    assert.deepEqual(schema.required, ['agent_id']);
    assert.deepEqual(Object.keys(schema.properties), [
      'agent_id', 'conversation_id', 'metadata', 'custom_metadata', 'custom_headers', 'config',
      'sdk_version',
    ]);
  });

  it('names the header and the form of the signature', async (t) => {
    const { components } = (await document(t)) as OpenApi & {
      components: { securitySchemes: { webhookSignature: object } };
    };
    const { webhookSignature } = components.securitySchemes;
    const { name, in: place, type } = webhookSignature as Record<string, string>;
    assert.deepEqual([name, place, type], ['layercode-signature', 'header', 'apiKey']);
  });

  // The document used to allow ids with control characters, which the server refused.
  it('accepts the ids that the server accepts', async (t) => {
    const [schema] = await eventSchemas(t);
    const { minLength, maxLength, pattern = '' } = schema?.properties['session_id'] as {
      minLength: number;
      maxLength: number;
      pattern?: string;
    };
    const isAllowed = (id: string): boolean =>
      id.length >= minLength && id.length <= maxLength && new RegExp(pattern, 'u').test(id);
    const ids = [
      '', 'a', 'é', ' ', '😀', 'a'.repeat(256), 'a'.repeat(257), 'a\n',
      ...Array.from({ length: 0x120 }, (_, code) => `a${String.fromCharCode(code)}`),
    ];
    const served = EVENT_FIELDS.message['session_id'];
    assert.ok(served !== undefined);
    const isServed = (id: string): boolean => served.check(id) === undefined;
    assert.deepEqual(ids.filter((id) => isAllowed(id) !== isServed(id)), []);
  });

  // The platform sends null for "nothing", and the check accepts it: whoever generates a client
  // from this document must be told.
  it('allows null if the check does', async (t) => {
    const strict = (await eventSchemas(t)).flatMap(({ title, properties }) =>
      Object.entries(properties)
        .filter(
          ([name]) =>
            EVENT_FIELDS[title as keyof typeof EVENT_FIELDS][name]?.check(null) === undefined &&
            name !== 'type',
        )
        .filter(([, schema]) => !JSON.stringify(schema).includes('"null"'))
        .map(([name]) => `${title}.${name}`),
    );
    assert.deepEqual(strict, []);
  });
});

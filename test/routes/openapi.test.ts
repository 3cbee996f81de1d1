import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';

import { EVENT_FIELDS } from '../../src/wires/layercode/events.ts';
import { serve } from '../fixtures/kernel.ts';
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
  readonly properties: Readonly<
    Record<
      string,
      {
        readonly type?: string | string[];
        readonly const?: string;
        readonly oneOf?: unknown;
        readonly anyOf?: unknown;
      }
    >
  >;
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
  it('is OpenAPI 3.1 of this version', async (t) => {
    const { openapi, info } = await document(t);
    assert.deepEqual(
      [openapi, info.title, info.version],
      ['3.1.0', 'layercode-microserver', version],
    );
  });

  it('lists every route', async (t) => {
    const paths = Object.entries((await document(t)).paths).map(
      ([path, operations]) => `${Object.keys(operations).join()} ${path}`,
    );
    assert.deepEqual(paths.sort(), [
      'get /health',
      'get /metrics',
      'get /openapi.json',
      'get /ready',
      'post /api/agent',
      'post /api/authorize',
    ]);
  });

  it('lists only routes that are served', async (t) => {
    const { paths } = await document(t);
    const served = await serve(t);
    const statuses = await Promise.all(
      Object.keys(paths).map(
        async (path) => (await served.fetch(path, { method: 'OPTIONS' })).status,
      ),
    );
    assert.deepEqual(
      statuses,
      Object.keys(paths).map(() => 204),
    );
  });

  it("says that the agent's route speaks Chat Completions where nothing else is set", async (t) => {
    const { paths } = await document(t, { webhookSecrets: [], chatCompletionsKeys: ['a-key'] });
    const both = await document(t, { chatCompletionsKeys: ['a-key'] });
    const schemes = [paths, both.paths].map((found) => found['/api/agent']?.['post']?.security);
    assert.deepEqual(schemes, [[{ completionKey: [] }], [{ webhookSignature: [] }]]);
  });

  it('names the routes as the settings do', async (t) => {
    const { paths } = await document(t, {
      agentRoute: '/hook',
      authorizeRoute: '/key',
      metrics: false,
    });
    assert.deepEqual(Object.keys(paths).sort(), [
      '/health',
      '/hook',
      '/key',
      '/openapi.json',
      '/ready',
    ]);
  });

  it('refers only to what is there', async (t) => {
    const whole = await document(t);
    const resolve = (reference: string): unknown =>
      reference
        .replace(/^#\//, '')
        .split('/')
        .reduce<unknown>(
          (value, key) => (value as Record<string, unknown> | undefined)?.[key],
          whole,
        );
    const references = [...JSON.stringify(whole).matchAll(/"\$ref":"([^"]+)"/g)].map(
      ([, reference = '']) => reference,
    );
    assert.deepEqual(
      [references.length > 0, references.filter((reference) => resolve(reference) === undefined)],
      [true, []],
    );
  });

  it('names only security schemes that are there', async (t) => {
    const whole = (await document(t)) as OpenApi & { components: { securitySchemes: object } };
    const names = Object.values(whole.paths)
      .flatMap((path) => Object.values(path))
      .flatMap(({ security = [] }) => security.flatMap(Object.keys));
    assert.deepEqual(
      names.filter((name) => !Object.hasOwn(whole.components.securitySchemes, name)),
      [],
    );
  });

  it('describes every answer', async (t) => {
    const answers = Object.values((await document(t)).paths)
      .flatMap((path) => Object.values(path))
      .flatMap(({ responses }) => Object.values(responses));
    assert.deepEqual(
      answers.filter(
        (answer) =>
          typeof (answer as { description?: unknown }).description !== 'string' &&
          !('$ref' in (answer as object)),
      ),
      [],
    );
  });

  it('has a schema for each type of event in the table', async (t) => {
    assert.deepEqual(
      (await eventSchemas(t)).map(({ title }) => title),
      Object.keys(EVENT_FIELDS),
    );
  });

  it('requires of each event what the table requires', async (t) => {
    const required = (await eventSchemas(t)).map((schema) => [schema.title, schema.required]);
    const expected = Object.entries(EVENT_FIELDS).map(([type, fields]) => [
      type,
      [
        'type',
        ...Object.entries(fields)
          .filter(([, { isRequired }]) => isRequired)
          .map(([name]) => name),
      ],
    ]);
    assert.deepEqual(required, expected);
  });

  it('knows each field of the table', async (t) => {
    const names = (await eventSchemas(t)).map(({ properties }) => Object.keys(properties));
    assert.deepEqual(
      names,
      Object.values(EVENT_FIELDS).map((fields) => ['type', ...Object.keys(fields)]),
    );
  });

  it('says that every route but the webhook is open', async (t) => {
    const { paths } = await document(t);
    const security = Object.entries(paths).flatMap(([path, operations]) =>
      Object.values(operations).map((operation) => [path, operation.security]),
    );
    assert.deepEqual(
      security.filter(([path]) => path !== '/api/agent').map(([, open]) => open),
      security.slice(1).map(() => []),
    );
    assert.deepEqual(paths['/api/agent']?.['post']?.security, [{ webhookSignature: [] }]);
  });

  it('has the statuses of each route, and no others', async (t) => {
    const { paths } = await document(t);
    const statuses = Object.entries(paths).flatMap(([path, operations]) =>
      Object.entries(operations).map(
        ([method, { responses }]) => `${method} ${path} ${Object.keys(responses).join(' ')}`,
      ),
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

  it('answers with what it says: an event stream or JSON, JSON, and text', async (t) => {
    const { paths } = await document(t);
    const types = Object.values(paths)
      .flatMap((operations) => Object.values(operations))
      .map(({ responses }) =>
        Object.keys((responses['200'] as { content: object }).content).join(),
      );
    assert.deepEqual(types, [
      'text/event-stream,application/json',
      ...Array<string>(4).fill('application/json'),
      'text/plain',
    ]);
  });

  it('demands of authorize what the check does', async (t) => {
    const schema = (await document(t)).paths['/api/authorize']?.['post']?.requestBody?.content[
      'application/json'
    ].schema as unknown as EventSchema;
    assert.deepEqual(
      [schema.required, Object.keys(schema.properties)],
      [
        ['agent_id'],
        [
          'agent_id',
          'conversation_id',
          'metadata',
          'custom_metadata',
          'custom_headers',
          'config',
          'sdk_version',
        ],
      ],
    );
  });

  it('is JSON that may be cached', async (t) => {
    const { headers } = await (await serve(t)).fetch('/openapi.json');
    assert.deepEqual(
      [headers.get('content-type'), headers.get('cache-control')],
      ['application/json; charset=utf-8', null],
    );
  });

  it('names the header and the form of the signature', async (t) => {
    const { components } = (await document(t)) as OpenApi & {
      components: { securitySchemes: { webhookSignature: object } };
    };
    const {
      name,
      in: place,
      type,
    } = components.securitySchemes.webhookSignature as Record<string, string>;
    assert.deepEqual([name, place, type], ['layercode-signature', 'header', 'apiKey']);
  });

  // Was: the document took ids with control characters, and the server did not.
  it('takes the ids that the server takes', async (t) => {
    const [schema] = await eventSchemas(t);
    const {
      minLength,
      maxLength,
      pattern = '',
    } = schema?.properties['session_id'] as {
      minLength: number;
      maxLength: number;
      pattern?: string;
    };
    const isAllowed = (id: string): boolean =>
      id.length >= minLength && id.length <= maxLength && new RegExp(pattern, 'u').test(id);
    const ids = [
      '',
      'a',
      'é',
      ' ',
      '😀',
      'a'.repeat(256),
      'a'.repeat(257),
      ...Array.from({ length: 0x120 }, (_, code) => `a${String.fromCharCode(code)}`),
      'a\n',
    ];
    const served = EVENT_FIELDS.message['session_id'];
    assert.ok(served !== undefined);
    assert.deepEqual(
      ids.filter((id) => isAllowed(id) !== (served.check(id) === undefined)),
      [],
    );
  });

  // The platform sends null for "nothing", and the check takes it: who generates a client from this
  // page must be told.
  it('allows null where the check does', async (t) => {
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

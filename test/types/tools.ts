// Compiled, but not run: what TypeScript knows about a tool's arguments. `npm run test:types`.

import {
  handOver, tool, type ArgumentsOf, type HandOver, type Json, type JsonObject, type Schema,
  type StandardSchema,
} from 'layercode-microserver';

import { same } from './same.ts';

const named = { name: 'order', description: 'Orders.' };

tool({
  ...named,
  parameters: {
    type: 'object',
    properties: {
      kind: { type: 'string', enum: ['margherita', 'funghi'] },
      count: { type: 'integer', minimum: 1 },
      note: { type: ['string', 'null'] },
      size: { const: 'large' },
      extras: { type: 'array', items: { anyOf: [{ type: 'string' }, { $ref: '#/$defs/extra' }] } },
      paid: { type: 'boolean', nullable: true },
      anything: {},
    },
    required: ['kind', 'count'],
    $defs: { extra: { type: 'object', properties: { id: { type: 'number' } }, required: ['id'] } },
  },
  run: (args) => {
    same<typeof args.kind, 'margherita' | 'funghi'>(true);
    same<typeof args.count, number>(true);
    same<typeof args.note, string | null | undefined>(true);
    same<typeof args.size, 'large' | undefined>(true);
    same<typeof args.extras, (string | { id: number })[] | undefined>(true);
    same<typeof args.paid, boolean | null | undefined>(true);
    same<typeof args.anything, Json | undefined>(true);
    // @ts-expect-error A misspelt argument.
    return args.knid;
  },
});

tool({
  ...named,
  parameters: { type: 'object', properties: { city: { type: 'string' } }, required: ['city'] },
  // @ts-expect-error A misspelt argument, where arguments are destructured.
  run: ({ town }) => town,
});

type Of<P> = ArgumentsOf<P>;

same<Of<{ type: 'object' }>, JsonObject>(true);
same<Of<Schema>, JsonObject>(true);
same<Of<{ type: 'object'; additionalProperties: { type: 'number' } }>, { [name: string]: number }>(true);
same<Of<{ type: 'object'; properties: { a: { oneOf: [{ const: 1 }, { const: 2 }] } } }>, { a?: 1 | 2 }>(true);
same<
  Of<{ type: 'object'; properties: { a: { allOf: [{ type: 'object'; properties: { b: { type: 'null' } } }] } }; required: ['a'] }>,
  { a: { b?: null } }
>(true);
// A schema that contains itself ends as JSON.
same<
  Of<{ type: 'object'; properties: { n: { $ref: '#/$defs/n' } }; $defs: { n: { type: 'object'; properties: { n: { $ref: '#/$defs/n' } } } } }>,
  { n?: { n?: Json } }
>(true);

// Results: interfaces, dates, nothing.
interface Line {
  readonly name: string;
  readonly at: Date;
}
tool({ ...named, parameters: { type: 'object' }, run: (): Line => ({ name: 'Funghi', at: new Date() }) });
tool({ ...named, parameters: { type: 'object' }, run: async () => undefined });

// A tool that may hand over still knows its arguments.
tool({
  ...named,
  parameters: { type: 'object', properties: { to: { enum: ['sales', 'billing'] } }, required: ['to'] },
  run: ({ to }) => {
    same<typeof to, 'sales' | 'billing'>(true);
    same<ReturnType<typeof handOver>, HandOver>(true);
    return to === 'sales' ? { status: 'that is me' } : handOver(to);
  },
});

// Schemas of other libraries: `run` gets the output.
declare const standard: StandardSchema<{ count: string }, { count: number }>;
tool({
  ...named,
  parameters: standard,
  run: (args) => {
    same<typeof args, { count: number }>(true);
    // @ts-expect-error A misspelt argument.
    return args.cuont;
  },
});

// @ts-expect-error A schema that only validates has nothing to send to the model.
tool({ ...named, parameters: { '~standard': { version: 1, vendor: 'old', validate: () => ({ value: 1 }) } }, run: () => 1 });

tool({
  ...named,
  parameters: { type: 'object' },
  run: () => 1,
  // @ts-expect-error A misspelt option.
  tellBrowsers: 'nothing',
});

// What the MCP SDK's `listTools()` returns: of its schemas, TypeScript knows only the type.
interface McpTool {
  name: string;
  description?: string | undefined;
  inputSchema: {
    [keyword: string]: unknown;
    type: 'object';
    properties?: { [name: string]: object } | undefined;
    required?: string[] | undefined;
  };
}
declare const listed: McpTool;
interface McpCall {
  name: string;
  arguments?: Record<string, unknown>;
}
declare function callTool(params: McpCall): Promise<unknown>;
tool({
  name: listed.name,
  description: listed.description ?? '',
  parameters: listed.inputSchema,
  run: (args) => {
    same<typeof args, JsonObject>(true);
    return callTool({ name: listed.name, arguments: args });
  },
});
declare const brief: {
  [keyword: string]: unknown;
  type: 'object';
  properties?: Record<string, unknown>;
  required?: string[];
};
tool({ ...named, parameters: brief, run: (args) => same<typeof args, JsonObject>(true) });
// @ts-expect-error Its type must be "object".
tool({ ...named, parameters: { ...brief, type: 'array' }, run: () => 1 });
// @ts-expect-error A library's object is not a schema, whatever fields it has.
tool({ ...named, parameters: { ...brief, '~standard': {} }, run: () => 1 });

// @ts-expect-error A type that does not exist.
tool({ ...named, parameters: { type: 'object', properties: { a: { type: 'int' } } }, run: () => 1 });

// A tool with raw has the same arguments as any other.
tool({
  ...named,
  parameters: { type: 'object', properties: { card: { type: 'string' } }, required: ['card'] },
  raw: true,
  once: ({ card }) => {
    same<typeof card, string>(true);
    return card;
  },
  run: ({ card }) => same<typeof card, string>(true),
});
// @ts-expect-error It is a boolean.
tool({ ...named, parameters: { type: 'object' }, raw: 'card', run: () => 1 });

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import type {
  StandardResult, StandardSchema,
} from '../../../src/core/tools/tool-standard-schema.ts';
import { tool, type Tool, type ToolContext } from '../../../src/core/tools/tool.ts';

interface Wish {
  readonly count: number;
}

const JSON_SCHEMA = {
  $schema: 'https://json-schema.org/draft/2020-12/schema',
  type: 'object',
  properties: { count: { type: 'string', unknownToUs: true } },
};

interface Options {
  readonly validate?: (value: unknown) => StandardResult<Wish> | Promise<StandardResult<Wish>>;
  readonly input?: (options: { readonly target: string }) => Record<string, unknown>;
}

/** A library's schema that takes a string and makes it a number. */
function schemaOf({ validate, input = () => JSON_SCHEMA }: Options = {}): StandardSchema<
  { count: string },
  Wish
> {
  const convert = (value: unknown): StandardResult<Wish> => ({
    value: { count: Number((value as { count: string }).count) },
  });
  return {
    '~standard': {
      version: 1,
      vendor: 'vendor',
      validate: validate ?? convert,
      jsonSchema: { input },
    },
  };
}

function toolWith(
  parameters: StandardSchema<unknown, Wish>,
  run: (args: Wish) => unknown = () => 'done',
): Tool {
  return tool({ name: 'buy', description: 'Buys.', parameters, run });
}

describe('a tool with a Standard Schema', () => {
  it('sends the model its JSON Schema of draft 2020-12, with no keyword refused', () => {
    const targets: string[] = [];
    const input = (options: { readonly target: string }): Record<string, unknown> => {
      targets.push(options.target);
      return JSON_SCHEMA;
    };
    assert.deepEqual(toolWith(schemaOf({ input })).parameters, {
      type: 'object',
      properties: { count: { type: 'string', unknownToUs: true } },
    });
    assert.deepEqual(targets, ['draft-2020-12']);
  });

  for (const [how, validate] of [
    ['at once', undefined],
    ['later', async () => ({ value: { count: 2 } })],
  ] as const) {
    it(`checks with the library, which answers ${how}, and runs with its result`, async () => {
      const schema = schemaOf(validate === undefined ? {} : { validate });
      const { check, run } = toolWith(schema, ({ count }) => count + 1);
      const checked = await check({ count: '2' });
      assert.deepEqual(checked, { args: { count: 2 } });
      assert.equal('args' in checked && run(checked.args, {} as ToolContext), 3);
    });
  }

  it('tells the model each place and reason, five at most', async () => {
    const path = ['items', 0, { key: 'id' }];
    const issues = [
      { message: 'Required', path },
      { message: 'Too few' },
      ...new Array(9).fill({ message: 'x' }),
    ];
    const validate = (): StandardResult<Wish> => ({ issues });
    const checked = await toolWith(schemaOf({ validate })).check({});
    assert.deepEqual(checked, {
      problem:
        'arguments.items[0].id: Required; arguments: Too few; arguments: x; arguments: x; arguments: x',
    });
  });

  it("may be a function, as ArkType's are", async () => {
    const schema = Object.assign(() => undefined, schemaOf());
    assert.deepEqual(await toolWith(schema).check({ count: '2' }), { args: { count: 2 } });
  });

  it('is refused without a JSON Schema, with the reason and the remedy', () => {
    const { jsonSchema: _, ...rest } = schemaOf()['~standard'];
    assert.throws(() => toolWith({ '~standard': rest } as StandardSchema<unknown, Wish>), {
      name: 'TypeError',
      message:
        /^tool buy: parameters: this vendor schema has no JSON Schema, which the model needs.*Zod 4\.2.*toStandardJsonSchema\(\)/,
    });
  });

  it("is refused if the library cannot write it as JSON Schema, with the library's reason", () => {
    const input = (): never => {
      throw new Error('Date cannot be represented');
    };
    assert.throws(() => toolWith(schemaOf({ input })), {
      name: 'TypeError',
      message: 'tool buy: parameters: vendor cannot convert it to JSON Schema: Date cannot be represented',
    });
  });

  for (const made of [{ type: 'string' }, { anyOf: [] }, undefined] as unknown[]) {
    it(`is refused with the JSON Schema ${JSON.stringify(made) ?? 'undefined'}`, () => {
      const input = (): Record<string, unknown> => made as Record<string, unknown>;
      assert.throws(() => toolWith(schemaOf({ input })), {
        name: 'TypeError',
        message: /^tool buy: parameters must be a schema of type "object"/,
      });
    });
  }
});

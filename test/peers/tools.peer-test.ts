// Tools whose arguments are schemas of other libraries, on the real libraries. Needs `npm ci` in
// this folder.

import assert from 'node:assert/strict';
import { join } from 'node:path';
import { describe, it } from 'node:test';

import type { Tool, ToolContext } from 'layercode-microserver';

import { typeErrors, writeProject } from '../fixtures/pages.ts';

/** The same tool three times. The types are part of the test. */
const SOURCE = `
import { toStandardJsonSchema } from '@valibot/to-json-schema';
import { type } from 'arktype';
import { tool } from 'layercode-microserver';
import * as v from 'valibot';
import { z } from 'zod';

type Same<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;
function same<A, B>(_isSame: Same<A, B>): void {}

const named = { name: 'add_pizza', description: 'Adds a pizza.' };

export const zod = tool({
  ...named,
  parameters: z.object({
    kind: z.enum(['margherita', 'funghi']),
    count: z.number().int().min(1).max(20).default(1),
    note: z.string().optional(),
  }),
  run: ({ kind, count, note }) => {
    same<typeof kind, 'margherita' | 'funghi'>(true);
    same<typeof count, number>(true);
    same<typeof note, string | undefined>(true);
    return { kind, count };
  },
});

export const ark = tool({
  ...named,
  parameters: type({ kind: "'margherita' | 'funghi'", count: '1 <= number.integer <= 20 = 1', 'note?': 'string' }),
  run: ({ kind, count }) => {
    same<typeof kind, 'margherita' | 'funghi'>(true);
    same<typeof count, number>(true);
    return { kind, count };
  },
});

export const valibot = tool({
  ...named,
  parameters: toStandardJsonSchema(
    v.object({
      kind: v.picklist(['margherita', 'funghi']),
      count: v.optional(v.pipe(v.number(), v.integer(), v.minValue(1), v.maxValue(20)), 1),
      note: v.optional(v.string()),
    }),
  ),
  run: ({ kind, count }) => {
    same<typeof kind, 'margherita' | 'funghi'>(true);
    same<typeof count, number>(true);
    return { kind, count };
  },
});

tool({
  ...named,
  parameters: z.object({ kind: z.string() }),
  // @ts-expect-error A misspelt argument.
  run: ({ knid }) => knid,
});

/** Valibot's own schemas only validate. */
export const withoutJsonSchema = (): unknown =>
  // @ts-expect-error Refused by its type, too.
  tool({ ...named, parameters: v.object({ kind: v.string() }), run: () => 'done' });

export const unwritable = (): unknown =>
  tool({ ...named, parameters: z.object({ at: z.date() }), run: () => 'done' });

export const noObject = (): unknown =>
  tool({ ...named, parameters: z.union([z.string(), z.object({})]), run: () => 'done' });
`;

interface Schemas {
  readonly zod: Tool;
  readonly ark: Tool;
  readonly valibot: Tool;
  readonly withoutJsonSchema: () => unknown;
  readonly unwritable: () => unknown;
  readonly noObject: () => unknown;
}

const project = writeProject(new Map([['schemas.ts', SOURCE]]), { withPeers: true });
const schemas = (await import(join(project, 'schemas.ts'))) as Schemas;

describe('schemas of other libraries', () => {
  it('type-check, and give run the types of its arguments', () =>
    assert.equal(typeErrors(project), ''));

  for (const name of ['zod', 'ark', 'valibot'] as const) {
    const { parameters, check, run } = schemas[name];

    it(`have a JSON Schema for the model (${name})`, () => {
      const { type, properties, required } = parameters as Record<string, object>;
      assert.deepEqual(
        [type, Object.keys(properties ?? {}), required],
        ['object', ['kind', 'count', 'note'], ['kind']],
      );
      assert.equal('$schema' in parameters, false);
    });

    it(`accept matching arguments, and fill in defaults (${name})`, async () => {
      const checked = await check({ kind: 'funghi' });
      assert.ok('args' in checked);
      assert.deepEqual(run(checked.args, {} as ToolContext), { kind: 'funghi', count: 1 });
    });

    it(`tell the model what is wrong with its arguments (${name})`, async () => {
      const checked = await check({ kind: 'hawaii', count: 99 });
      assert.match(
        'problem' in checked ? checked.problem : '',
        /^arguments\.kind: .*arguments\.count: /,
      );
    });
  }

  for (const [what, make, message] of [
    [
      'with a remedy, if they have no JSON Schema', schemas.withoutJsonSchema,
      /this valibot schema has no JSON Schema.*toStandardJsonSchema\(\)/,
    ],
    [
      "with the library's reason, if JSON Schema has no such type", schemas.unwritable,
      /^tool add_pizza: parameters: zod cannot convert it to JSON Schema: .*Date/,
    ],
    [
      'if they are not objects', schemas.noObject,
      /^tool add_pizza: parameters must be a schema of type "object"/,
    ],
  ] as const)
    it(`are refused, ${what}`, () => assert.throws(make, { name: 'TypeError', message }));
});

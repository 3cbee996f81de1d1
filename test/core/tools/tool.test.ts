import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import type { Schema } from '../../../src/base/schema/schema.ts';
import { tool, type Tool, type ToolDefinition } from '../../../src/core/tools/tool.ts';

const LEAST: ToolDefinition<Schema> = {
  name: 'look',
  description: 'Looks.',
  parameters: { type: 'object' },
  run: () => 'seen',
};

function toolOf(fields: Readonly<Record<string, unknown>>): Tool {
  return tool({ ...LEAST, ...fields } as ToolDefinition<Schema>);
}

describe('tool', () => {
  it('makes tools that tell the browser their status, and abort when interrupted', () => {
    const { tellBrowser, whenInterrupted, repeatable } = tool(LEAST);
    assert.deepEqual([tellBrowser, whenInterrupted, repeatable], ['status', 'abort', false]);
  });

  it('accepts the names that vendors accept', () => {
    for (const name of ['a', 'Get-Weather_2', '007', 'x'.repeat(64)])
      assert.equal(toolOf({ name }).name, name);
  });

  for (const name of ['', 'x'.repeat(65), 'get weather', 'größe', 'look\n', undefined]) {
    it(`refuses the name ${JSON.stringify(name) ?? 'undefined'}, which vendors refuse`, () => {
      assert.throws(() => toolOf({ name }), {
        name: 'TypeError',
        message: /^a tool's name must be 1–64 characters of A-Z a-z 0-9 _ -, got /,
      });
    });
  }

  it('refuses a misspelt field, and names what was meant', () => {
    assert.throws(() => toolOf({ whenInterupted: 'finish' }), {
      name: 'TypeError',
      message: 'tool look: unknown field "whenInterupted"; did you mean "whenInterrupted"?',
    });
  });

  it('accepts another tool as a definition', () => {
    assert.equal(tool({ ...tool(LEAST), name: 'peek', parameters: LEAST.parameters }).name, 'peek');
  });

  it("accepts the inputSchema of an MCP server's tool, and checks its keywords", async () => {
    const inputSchema = {
      $schema: 'http://json-schema.org/draft-07/schema#',
      type: 'object',
      properties: { city: { type: 'string', minLength: 1 }, days: { type: 'integer', default: 1 } },
      required: ['city'],
      additionalProperties: false,
    };
    const { check } = toolOf({ parameters: inputSchema });
    assert.deepEqual(await check({ city: 'Oslo', days: 2 }), { args: { city: 'Oslo', days: 2 } });
    assert.deepEqual(await check({ days: 2 }), { problem: 'arguments.city is missing' });
    const parameters = { ...inputSchema, unevaluatedProperties: false };
    assert.throws(() => toolOf({ parameters }), {
      message: 'tool look: parameters: "unevaluatedProperties" is not supported',
    });
  });

  it('refuses a run that is not a function', () => {
    for (const run of [undefined, 'look'])
      assert.throws(() => toolOf({ run }), {
        name: 'TypeError',
        message: 'tool look must have a run function',
      });
  });

  for (const parameters of [undefined, null, {}, { type: 'array' }, 'object', []]) {
    it(`refuses ${JSON.stringify(parameters) ?? 'undefined'} for the parameters`, () => {
      assert.throws(() => toolOf({ parameters }), {
        name: 'TypeError',
        message: /^the parameters of tool look must be a schema of type "object"/,
      });
    });
  }
});

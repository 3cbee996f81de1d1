import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { checkSchema, parseArguments, type Schema } from '../../src/agents/tool-arguments.ts';

/** A schema of one property, `x`. */
function having(x: Schema): Schema {
  return { type: 'object', properties: { x } };
}

function problemOf(json: string, schema: Schema): string | undefined {
  const parsed = parseArguments(json, schema);
  return 'problem' in parsed ? parsed.problem : undefined;
}

describe('checkSchema', () => {
  it('takes every keyword that is checked, and those that only describe', () => {
    checkSchema(
      {
        type: 'object', title: 'T', description: 'D', default: {}, examples: [{}], required: ['a'], additionalProperties: false,
        properties: {
          a: { type: 'string', enum: ['x'], minLength: 1, maxLength: 2 },
          b: { type: 'integer', minimum: 1, maximum: 2 },
          c: { type: 'array', minItems: 1, maxItems: 2, items: { type: 'number' } },
          d: { type: 'boolean' },
          e: { type: 'null' },
          f: {},
        },
      },
      'parameters',
    );
  });

  for (const keyword of ['pattern', 'format', 'oneOf', 'anyOf', 'allOf', 'not', '$ref', '$schema', 'const', 'multipleOf', 'exclusiveMinimum', 'uniqueItems', 'patternProperties', 'nullable', 'toString']) {
    it(`refuses "${keyword}", which would not be checked`, () => {
      assert.throws(() => checkSchema({ type: 'string', [keyword]: 1 }, 'parameters'), { name: 'TypeError', message: `parameters: "${keyword}" is not supported` });
    });
  }

  for (const type of ['int', 'String', ['string', 'null'], 5, null]) {
    it(`refuses the type ${JSON.stringify(type)}`, () => {
      assert.throws(() => checkSchema({ type } as unknown as Schema, 'parameters.x'), { name: 'TypeError', message: /^parameters\.x: type must be one of object, array, / });
    });
  }

  for (const schema of [true, null, 'string', []]) {
    it(`refuses ${JSON.stringify(schema)} for the schema of a property`, () => {
      assert.throws(() => checkSchema(having(schema as unknown as Schema), 'p'), { name: 'TypeError', message: 'p.x must be a JSON Schema object' });
    });
    it(`refuses ${JSON.stringify(schema)} for the schema of items`, () => {
      assert.throws(() => checkSchema({ type: 'array', items: schema } as unknown as Schema, 'p'), { name: 'TypeError', message: 'p[] must be a JSON Schema object' });
    });
  }

  it('names the path of what is wrong deep inside', () => {
    const schema = having({ type: 'array', items: having({ type: 'array', items: { type: 'date' } as unknown as Schema }) });
    assert.throws(() => checkSchema(schema, 'p'), { message: /^p\.x\[\]\.x\[\]: type must be/ });
  });

  // A value that is ignored at run time is a rule that is silently not checked, as the file's own comment says.
  for (const [what, schema] of [
    ['a schema for additionalProperties', { type: 'object', additionalProperties: { type: 'string' } }],
    ['a text for required', { type: 'object', required: 'name' }],
    ['a boolean for required', { type: 'object', required: true }],
    ['a text for enum', { type: 'string', enum: 'red' }],
    ['a text for minimum', { type: 'integer', minimum: '1' }],
    ['a text for maxLength', { type: 'string', maxLength: 'ten' }],
  ] as const) {
    it(`refuses ${what}, which would not be checked`, () => {
      assert.throws(() => checkSchema(schema as unknown as Schema, 'p'), { name: 'TypeError' });
    });
  }
});

describe('parseArguments', () => {
  for (const text of ['', ' ', '\n\t']) {
    it(`takes ${JSON.stringify(text)} as no arguments, as some vendors send them`, () => {
      assert.deepEqual(parseArguments(text, { type: 'object' }), { args: {} });
    });
  }

  it('asks for what is required of an empty text', () => {
    assert.equal(problemOf('', { type: 'object', required: ['city'] }), 'arguments.city is missing');
  });

  for (const text of ['{', '{"x":}', '{"x":1,}', '{"x":NaN}', '{"x":Infinity}', "{'x':1}", 'undefined', '{"x":1}{"x":2}', '```json\n{}\n```', '\u0000']) {
    it(`says of ${JSON.stringify(text)} that it is not valid JSON`, () => {
      assert.equal(problemOf(text, { type: 'object' }), 'the arguments are not valid JSON');
    });
  }

  for (const text of ['null', '[]', '"x"', '5', 'true']) {
    it(`says of ${text} that it is no object`, () => assert.equal(problemOf(text, { type: 'object' }), 'arguments must be of type object'));
  }

  const table: readonly (readonly [Schema, readonly string[], readonly (readonly [json: string, problem: string])[]])[] = [
    [{ type: 'string' }, ['""', '"a"', '"1"'], [['1', 'must be of type string'], ['null', 'must be of type string'], ['["a"]', 'must be of type string']]],
    [{ type: 'number' }, ['0', '-0', '1.5', '1e308', '-1e-9'], [['"1"', 'must be of type number'], ['true', 'must be of type number'], ['null', 'must be of type number']]],
    [{ type: 'integer' }, ['0', '-3', '1.0', '1e3', '9007199254740991'], [['1.5', 'must be an integer'], ['"1"', 'must be an integer'], ['1e999', 'must be an integer']]],
    [{ type: 'boolean' }, ['true', 'false'], [['"true"', 'must be of type boolean'], ['0', 'must be of type boolean']]],
    [{ type: 'null' }, ['null'], [['0', 'must be of type null'], ['""', 'must be of type null'], ['{}', 'must be of type null']]],
    [{ type: 'array' }, ['[]', '[1,"a"]'], [['{}', 'must be of type array'], ['"[]"', 'must be of type array']]],
    [{ type: 'object' }, ['{}', '{"a":1}'], [['[]', 'must be of type object'], ['null', 'must be of type object']]],
    [{}, ['null', '1', '"a"', '[]', '{}'], []],
    [{ enum: ['red', 1, null, true] }, ['"red"', '1', '1.0', 'null', 'true'], [['"blue"', 'must be one of "red", 1, null, true'], ['"1"', 'must be one of "red", 1, null, true']]],
    [{ type: 'string', enum: ['red'] }, ['"red"'], [['1', 'must be of type string'], ['"Red"', 'must be one of "red"']]],
    [{ minimum: 2, maximum: 3 }, ['2', '3', '2.5', '"a long text"'], [['1.99', 'must be at least 2'], ['3.01', 'must be at most 3']]],
    [{ minLength: 2, maxLength: 3 }, ['"ab"', '"abc"', '"🍞🥐"', '1'], [['"a"', 'must be at least 2 characters'], ['"🍞"', 'must be at least 2 characters'], ['"abcd"', 'must be at most 3 characters']]],
    [{ minItems: 1, maxItems: 2 }, ['[1]', '[1,2]', '"a long text"'], [['[]', 'must be at least 1 items'], ['[1,2,3]', 'must be at most 2 items']]],
    [{ minimum: 0, maximum: 0, minLength: 0, minItems: 0 }, ['0', '""', '[]'], [['1', 'must be at most 0'], ['-1', 'must be at least 0']]],
  ];
  for (const [schema, right, wrong] of table) {
    for (const json of right) {
      it(`takes ${json} for ${JSON.stringify(schema)}`, () => {
        assert.deepEqual(parseArguments(`{"x":${json}}`, having(schema)), { args: JSON.parse(`{"x":${json}}`) });
      });
    }
    for (const [json, problem] of wrong) {
      it(`says of ${json} for ${JSON.stringify(schema)} that it ${problem}`, () => {
        assert.equal(problemOf(`{"x":${json}}`, having(schema)), `arguments.x ${problem}`);
      });
    }
  }

  it('refuses a number that is none, though JSON can spell it', () => {
    // 1e999 is read as Infinity, which the browser and the model would be shown as null.
    assert.match(problemOf('{"x":1e999}', having({ type: 'number' })) ?? 'taken', /^arguments\.x must be/);
  });

  it('takes a property for missing only when it is not there', () => {
    const schema: Schema = { type: 'object', properties: { a: {} }, required: ['a'] };
    assert.deepEqual(parseArguments('{"a":null}', schema), { args: { a: null } });
    assert.equal(problemOf('{"b":1}', schema), 'arguments.a is missing');
  });

  for (const name of ['toString', 'constructor', 'hasOwnProperty', '__proto__']) {
    it(`finds ${name} missing, though every object inherits it`, () => {
      assert.equal(problemOf('{}', { type: 'object', required: [name] }), `arguments.${name} is missing`);
    });
    it(`takes ${name} for a property of its own where others are refused`, () => {
      assert.equal(problemOf(`{${JSON.stringify(name)}:{"isAdmin":true}}`, { type: 'object', additionalProperties: false }), `arguments must not have ${JSON.stringify(name)}`);
    });
  }

  it('gives no object a prototype of the model\'s', () => {
    const parsed = parseArguments('{"__proto__":{"isAdmin":true},"constructor":{"prototype":{"isAdmin":true}}}', { type: 'object' });
    assert.ok('args' in parsed);
    assert.equal(({} as Record<string, unknown>)['isAdmin'], undefined);
    assert.equal(parsed.args['isAdmin'], undefined);
    assert.equal(({ ...parsed.args } as Record<string, unknown>)['isAdmin'], undefined);
  });

  it('takes properties that are not in the schema, unless they are refused', () => {
    assert.deepEqual(parseArguments('{"y":1}', having({ type: 'string' })), { args: { y: 1 } });
    assert.equal(problemOf('{"y":1}', { ...having({ type: 'string' }), additionalProperties: false }), 'arguments must not have "y"');
  });

  it('names the path of what is wrong deep inside', () => {
    const line: Schema = { type: 'object', properties: { id: { type: 'string' }, quantity: { type: 'integer', minimum: 1 } }, required: ['id', 'quantity'], additionalProperties: false };
    const schema: Schema = { type: 'object', properties: { items: { type: 'array', minItems: 1, items: line } }, required: ['items'] };
    const problem = (items: string): string | undefined => problemOf(`{"items":${items}}`, schema);
    assert.equal(problem('[{"id":"a","quantity":1}]'), undefined);
    assert.equal(problem('[{"id":"a","quantity":1},{"id":"b","quantity":0}]'), 'arguments.items[1].quantity must be at least 1');
    assert.equal(problem('[{"id":"a"}]'), 'arguments.items[0].quantity is missing');
    assert.equal(problem('[{"id":"a","quantity":1,"price":0}]'), 'arguments.items[0] must not have "price"');
    assert.equal(problem('["a"]'), 'arguments.items[0] must be of type object');
  });

  it('checks arguments of a quarter of a megabyte in a moment', () => {
    const begun = performance.now();
    assert.equal(problemOf(`{"x":[${'1,'.repeat(130_000)}"no"]}`, having({ type: 'array', items: { type: 'integer' } })), 'arguments.x[130000] must be an integer');
    assert.ok(performance.now() - begun < 500);
  });

  it('takes arguments that are nested a hundred thousand deep', () => {
    assert.equal(problemOf(`{"x":${'['.repeat(100_000)}${']'.repeat(100_000)}}`, having({ type: 'array' })), undefined);
  });
});

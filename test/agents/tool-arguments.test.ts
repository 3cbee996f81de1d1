import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import type { Schema } from '../../src/schema/schema.ts';
import {
  checkBySchema,
  parseArguments as parse,
  type Checked,
} from '../../src/agents/tool-arguments.ts';
import { processorMs } from '../fixtures/processor-time.ts';

/** A schema of one property, `x`. */
function having(x: Schema): Schema {
  return { type: 'object', properties: { x } };
}

/** As the tool loop has it: the text is parsed, and then checked. */
function parseArguments(json: string, schema: Schema): Checked {
  const parsed = parse(json);
  return 'problem' in parsed
    ? parsed
    : (checkBySchema(schema, 'parameters')(parsed.args) as Checked);
}

function problemOf(json: string, schema: Schema): string | undefined {
  const parsed = parseArguments(json, schema);
  return 'problem' in parsed ? parsed.problem : undefined;
}

describe('checkBySchema', () => {
  it('takes every keyword that is checked, and those that only describe', () => {
    checkBySchema(
      {
        type: 'object',
        title: 'T',
        description: 'D',
        default: {},
        examples: [{}],
        required: ['a'],
        additionalProperties: false,
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

  for (const keyword of [
    'unevaluatedProperties',
    'unevaluatedItems',
    '$dynamicRef',
    '$recursiveRef',
    'propertyOrdering',
    'maxLenght',
    'toString',
    '__proto__',
  ]) {
    it(`refuses "${keyword}", which would not be checked`, () => {
      const schema = JSON.parse(`{"type":"string",${JSON.stringify(keyword)}:1}`) as Schema;
      assert.throws(() => checkBySchema(schema, 'parameters'), {
        name: 'TypeError',
        message: `parameters: "${keyword}" is not supported`,
      });
    });
  }

  for (const keyword of [
    '$schema',
    '$id',
    '$comment',
    'title',
    'description',
    'default',
    'example',
    'examples',
    'format',
    'deprecated',
    'readOnly',
    'writeOnly',
    'contentMediaType',
    'contentEncoding',
    'discriminator',
    'xml',
    'externalDocs',
    'x-order',
    'x-',
  ]) {
    it(`ignores "${keyword}", which only describes`, () => {
      const value = keyword === '$schema' ? 'http://json-schema.org/draft-07/schema#' : 'anything';
      assert.equal(problemOf('{"x":5}', having({ [keyword]: value })), undefined);
      checkBySchema({ type: 'object', [keyword]: value }, 'parameters');
    });
  }

  it('refuses a dialect whose keywords may mean something else', () => {
    const schema = { type: 'object', $schema: 'https://example.com/mine' } as const;
    assert.throws(() => checkBySchema(schema, 'p'), {
      name: 'TypeError',
      message: 'p: "$schema" "https://example.com/mine" is not supported',
    });
  });

  for (const type of ['int', 'String', ['string', 'int'], [], ['toString'], 5, null]) {
    it(`refuses the type ${JSON.stringify(type)}`, () => {
      assert.throws(() => checkBySchema({ type } as unknown as Schema, 'parameters.x'), {
        name: 'TypeError',
        message: /^parameters\.x: type must be one of object, array, /,
      });
    });
  }

  for (const schema of [null, 'string', 5]) {
    it(`refuses ${JSON.stringify(schema)} for the schema of a property`, () => {
      assert.throws(() => checkBySchema(having(schema as unknown as Schema), 'p'), {
        name: 'TypeError',
        message: 'p.x must be a JSON Schema object or a boolean',
      });
    });
    it(`refuses ${JSON.stringify(schema)} for the schema of items`, () => {
      assert.throws(
        () => checkBySchema({ type: 'array', items: schema } as unknown as Schema, 'p'),
        { name: 'TypeError', message: 'p[] must be a JSON Schema object or a boolean' },
      );
    });
  }

  it('names the path of what is wrong deep inside', () => {
    const schema = having({
      type: 'array',
      items: having({ type: 'array', items: { type: 'date' } as unknown as Schema }),
    });
    assert.throws(() => checkBySchema(schema, 'p'), { message: /^p\.x\[\]\.x\[\]: type must be/ });
  });

  // A value that is ignored at run time is a rule that is silently not checked, as the file's own
  // comment says.
  for (const [what, schema] of [
    ['a text for additionalProperties', { type: 'object', additionalProperties: 'string' }],
    ['a text for required', { type: 'object', required: 'name' }],
    ['a boolean for required', { type: 'object', required: true }],
    ['a text for enum', { type: 'string', enum: 'red' }],
    ['a text for minimum', { type: 'integer', minimum: '1' }],
    ['a text for maxLength', { type: 'string', maxLength: 'ten' }],
    ['half a character for minLength', { minLength: 0.5 }],
    ['less than nothing for minItems', { minItems: -1 }],
    ['zero for multipleOf', { multipleOf: 0 }],
    ['a number for pattern', { pattern: 5 }],
    ['no schema for anyOf', { anyOf: [] }],
    ['an object for oneOf', { oneOf: {} }],
    ['a list for properties', { properties: [] }],
    ['a number in required', { required: [5] }],
    ['a text for uniqueItems', { uniqueItems: 'yes' }],
    ['a number for nullable', { nullable: 1 }],
  ] as const) {
    it(`refuses ${what}, which would not be checked`, () => {
      assert.throws(() => checkBySchema(schema as unknown as Schema, 'p'), { name: 'TypeError' });
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
    assert.equal(
      problemOf('', { type: 'object', required: ['city'] }),
      'arguments.city is missing',
    );
  });

  for (const text of [
    '{',
    '{"x":}',
    '{"x":1,}',
    '{"x":NaN}',
    '{"x":Infinity}',
    "{'x':1}",
    'undefined',
    '{"x":1}{"x":2}',
    '```json\n{}\n```',
    '\u0000',
  ]) {
    it(`says of ${JSON.stringify(text)} that it is no JSON object`, () => {
      assert.equal(problemOf(text, { type: 'object' }), 'the arguments are not a JSON object');
    });
  }

  for (const text of ['null', '[]', '"x"', '5', 'true']) {
    it(`says of ${text} that it is no object`, () =>
      assert.equal(problemOf(text, { type: 'object' }), 'the arguments are not a JSON object'));
  }

  const table: readonly (readonly [
    Schema,
    readonly string[],
    readonly (readonly [json: string, problem: string | undefined])[],
  ])[] = [
    [
      { type: 'string' },
      ['""', '"a"', '"1"'],
      [
        ['1', 'must be of type string'],
        ['null', 'must be of type string'],
        ['["a"]', 'must be of type string'],
      ],
    ],
    [
      { type: 'number' },
      ['0', '-0', '1.5', '1e308', '-1e-9'],
      [
        ['"1"', 'must be of type number'],
        ['true', 'must be of type number'],
        ['null', 'must be of type number'],
      ],
    ],
    [
      { type: 'integer' },
      ['0', '-3', '1.0', '1e3', '9007199254740991'],
      [
        ['1.5', 'must be an integer'],
        ['"1"', 'must be an integer'],
        ['1e999', 'must be an integer'],
      ],
    ],
    [
      { type: 'boolean' },
      ['true', 'false'],
      [
        ['"true"', 'must be of type boolean'],
        ['0', 'must be of type boolean'],
      ],
    ],
    [
      { type: 'null' },
      ['null'],
      [
        ['0', 'must be of type null'],
        ['""', 'must be of type null'],
        ['{}', 'must be of type null'],
      ],
    ],
    [
      { type: 'array' },
      ['[]', '[1,"a"]'],
      [
        ['{}', 'must be of type array'],
        ['"[]"', 'must be of type array'],
      ],
    ],
    [
      { type: 'object' },
      ['{}', '{"a":1}'],
      [
        ['[]', 'must be of type object'],
        ['null', 'must be of type object'],
      ],
    ],
    [{}, ['null', '1', '"a"', '[]', '{}'], []],
    [
      { enum: ['red', 1, null, true] },
      ['"red"', '1', '1.0', 'null', 'true'],
      [
        ['"blue"', 'must be one of "red", 1, null, true'],
        ['"1"', 'must be one of "red", 1, null, true'],
      ],
    ],
    [
      { type: 'string', enum: ['red'] },
      ['"red"'],
      [
        ['1', 'must be of type string'],
        ['"Red"', 'must be one of "red"'],
      ],
    ],
    [
      { minimum: 2, maximum: 3 },
      ['2', '3', '2.5', '"a long text"'],
      [
        ['1.99', 'must be at least 2'],
        ['3.01', 'must be at most 3'],
      ],
    ],
    [
      { minLength: 2, maxLength: 3 },
      ['"ab"', '"abc"', '"🍞🥐"', '1'],
      [
        ['"a"', 'must be at least 2 characters'],
        ['"🍞"', 'must be at least 2 characters'],
        ['"abcd"', 'must be at most 3 characters'],
      ],
    ],
    [
      { minItems: 1, maxItems: 2 },
      ['[1]', '[1,2]', '"a long text"'],
      [
        ['[]', 'must be at least 1 items'],
        ['[1,2,3]', 'must be at most 2 items'],
      ],
    ],
    [
      { enum: [{ a: 1, b: [2] }] },
      ['{"b":[2],"a":1}'],
      [['{"a":1}', 'must be one of {"a":1,"b":[2]}']],
    ],
    [{ enum: [null] }, ['null'], [['1e999', 'must be one of null']]],
    [{ const: { a: 1, b: 2 } }, ['{"b":2,"a":1}'], [['{"a":1}', 'must be {"a":1,"b":2}']]],
    [{ type: ['string', 'null'] }, ['"a"', 'null'], [['1', 'must be of type string or null']]],
    [
      { type: 'string', nullable: true },
      ['"a"', 'null'],
      [['1', 'must be of type string or null']],
    ],
    [
      { exclusiveMinimum: 1, exclusiveMaximum: 2 },
      ['1.5'],
      [
        ['1', 'must be more than 1'],
        ['2', 'must be less than 2'],
      ],
    ],
    [
      { minimum: 1, exclusiveMinimum: true, maximum: 2, exclusiveMaximum: true },
      ['1.5'],
      [
        ['1', 'must be more than 1'],
        ['2', 'must be less than 2'],
      ],
    ],
    [{ multipleOf: 0.1 }, ['0.3', '1e300', '-0.2', '0'], [['0.25', 'must be a multiple of 0.1']]],
    [{ pattern: '^[a-z]{2}$' }, ['"ab"', '5'], [['"abc"', 'must match the pattern ^[a-z]{2}$']]],
    [
      { uniqueItems: true },
      ['[1,2]', '[{"a":1},{"a":2}]'],
      [['[{"a":1,"b":2},{"b":2,"a":1}]', 'must not have two items that are equal']],
    ],
    [
      { prefixItems: [{ type: 'string' }], items: { type: 'number' } },
      ['["a",1]', '[]'],
      [
        ['[1]', undefined],
        ['["a","b"]', undefined],
      ],
    ],
    [
      { contains: { const: 1 }, maxContains: 1 },
      ['[1,2]'],
      [
        ['[2]', 'must have at least 1 items that fit {"const":1}'],
        ['[1,1]', 'must have at most 1 items that fit {"const":1}'],
      ],
    ],
    [
      { minProperties: 1, maxProperties: 1 },
      ['{"a":1}'],
      [
        ['{}', 'must be at least 1 properties'],
        ['{"a":1,"b":2}', 'must be at most 1 properties'],
      ],
    ],
    [{ anyOf: [{ type: 'string' }, { minimum: 5 }] }, ['"a"', '5'], []],
    [
      { anyOf: [{ type: 'string' }, { type: 'null' }] },
      ['null'],
      [['1', 'must be of type string, or must be of type null']],
    ],
    [
      { oneOf: [{ minimum: 5 }, { maximum: 9 }] },
      ['1', '10'],
      [['7', 'must fit exactly one of 2 schemas, and fits 2']],
    ],
    [
      { allOf: [{ minimum: 5 }, { maximum: 9 }] },
      ['7'],
      [
        ['1', 'must be at least 5'],
        ['10', 'must be at most 9'],
      ],
    ],
    [{ not: { type: 'string' } }, ['1'], [['"a"', 'must not fit the schema {"type":"string"}']]],
    [
      { if: { type: 'string' }, then: { minLength: 2 }, else: { minimum: 2 } },
      ['"ab"', '2'],
      [
        ['"a"', 'must be at least 2 characters'],
        ['1', 'must be at least 2'],
      ],
    ],
    [
      { propertyNames: { maxLength: 1 } },
      ['{"a":1}'],
      [['{"ab":1}', 'has the name "ab", which must be at most 1 characters']],
    ],
    [{ dependentRequired: { a: ['b'] } }, ['{}', '{"a":1,"b":2}'], [['{"a":1}', undefined]]],
    [
      { minimum: 0, maximum: 0, minLength: 0, minItems: 0 },
      ['0', '""', '[]'],
      [
        ['1', 'must be at most 0'],
        ['-1', 'must be at least 0'],
      ],
    ],
  ];
  for (const [schema, right, wrong] of table) {
    for (const json of right) {
      it(`takes ${json} for ${JSON.stringify(schema)}`, () => {
        assert.deepEqual(parseArguments(`{"x":${json}}`, having(schema)), {
          args: JSON.parse(`{"x":${json}}`),
        });
      });
    }
    for (const [json, problem] of wrong) {
      it(`says of ${json} for ${JSON.stringify(schema)} that it ${problem ?? 'does not fit'}`, () => {
        const found = problemOf(`{"x":${json}}`, having(schema));
        if (problem === undefined) assert.match(found ?? '', /^arguments\.x[.[]/);
        else assert.equal(found, `arguments.x ${problem}`);
      });
    }
  }

  it('refuses a number that is none, though JSON can spell it', () => {
    // 1e999 is read as Infinity, which the browser and the model would be shown as null.
    assert.match(
      problemOf('{"x":1e999}', having({ type: 'number' })) ?? 'taken',
      /^arguments\.x must be/,
    );
  });

  it('takes a property for missing only when it is not there', () => {
    const schema: Schema = { type: 'object', properties: { a: {} }, required: ['a'] };
    assert.deepEqual(parseArguments('{"a":null}', schema), { args: { a: null } });
    assert.equal(problemOf('{"b":1}', schema), 'arguments.a is missing');
  });

  for (const name of ['toString', 'constructor', 'hasOwnProperty', '__proto__']) {
    it(`finds ${name} missing, though every object inherits it`, () => {
      assert.equal(
        problemOf('{}', { type: 'object', required: [name] }),
        `arguments.${name} is missing`,
      );
    });
    it(`takes ${name} for a property of its own where others are refused`, () => {
      assert.equal(
        problemOf(`{${JSON.stringify(name)}:{"isAdmin":true}}`, {
          type: 'object',
          additionalProperties: false,
        }),
        `arguments must not have ${JSON.stringify(name)}`,
      );
    });
  }

  it("gives no object a prototype of the model's", () => {
    const parsed = parseArguments(
      '{"__proto__":{"isAdmin":true},"constructor":{"prototype":{"isAdmin":true}}}',
      { type: 'object' },
    );
    assert.ok('args' in parsed);
    assert.equal(({} as Record<string, unknown>)['isAdmin'], undefined);
    const args = parsed.args as Record<string, unknown>;
    assert.equal(args['isAdmin'], undefined);
    assert.equal(({ ...args } as Record<string, unknown>)['isAdmin'], undefined);
  });

  it('takes properties that are not in the schema, unless they are refused', () => {
    assert.deepEqual(parseArguments('{"y":1}', having({ type: 'string' })), { args: { y: 1 } });
    assert.equal(
      problemOf('{"y":1}', { ...having({ type: 'string' }), additionalProperties: false }),
      'arguments must not have "y"',
    );
  });

  it('names the path of what is wrong deep inside', () => {
    const line: Schema = {
      type: 'object',
      properties: { id: { type: 'string' }, quantity: { type: 'integer', minimum: 1 } },
      required: ['id', 'quantity'],
      additionalProperties: false,
    };
    const schema: Schema = {
      type: 'object',
      properties: { items: { type: 'array', minItems: 1, items: line } },
      required: ['items'],
    };
    const problem = (items: string): string | undefined => problemOf(`{"items":${items}}`, schema);
    assert.equal(problem('[{"id":"a","quantity":1}]'), undefined);
    assert.equal(
      problem('[{"id":"a","quantity":1},{"id":"b","quantity":0}]'),
      'arguments.items[1].quantity must be at least 1',
    );
    assert.equal(problem('[{"id":"a"}]'), 'arguments.items[0].quantity is missing');
    assert.equal(
      problem('[{"id":"a","quantity":1,"price":0}]'),
      'arguments.items[0] must not have "price"',
    );
    assert.equal(problem('["a"]'), 'arguments.items[0] must be of type object');
  });

  it('checks arguments of a quarter of a megabyte in a moment', () => {
    const begun = process.cpuUsage();
    assert.equal(
      problemOf(
        `{"x":[${'1,'.repeat(130_000)}"no"]}`,
        having({ type: 'array', items: { type: 'integer' } }),
      ),
      'arguments.x[130000] must be an integer',
    );
    assert.ok(processorMs(begun) < 500);
  });

  it('refuses arguments that are nested a hundred thousand deep', () => {
    const deep = `{"x":${'['.repeat(100_000)}${']'.repeat(100_000)}}`;
    assert.equal(problemOf(deep, having({ type: 'array' })), 'the arguments are nested too deeply');
  });
});

describe('$ref', () => {
  const node: Schema = {
    type: 'object',
    properties: { next: { $ref: '#/$defs/node' } },
    additionalProperties: false,
  };

  it('leads into $defs and definitions, and back to the whole', () => {
    for (const [ref, place] of [
      ['#/$defs/a~1b', '$defs'],
      ['#/definitions/a~1b', 'definitions'],
      ['#/$defs/a%7E1b', '$defs'],
    ] as const) {
      const schema: Schema = { ...having({ $ref: ref }), [place]: { 'a/b': { type: 'integer' } } };
      assert.equal(problemOf('{"x":1}', schema), undefined);
      assert.equal(problemOf('{"x":"1"}', schema), 'arguments.x must be an integer');
    }
    assert.equal(
      problemOf('{"x":{"x":{"y":1}}}', { ...having({ $ref: '#' }), additionalProperties: false }),
      'arguments.x.x must not have "y"',
    );
  });

  it('may be recursive', () => {
    const schema: Schema = { ...having({ $ref: '#/$defs/node' }), $defs: { node } };
    assert.equal(problemOf('{"x":{"next":{"next":{}}}}', schema), undefined);
    assert.equal(
      problemOf('{"x":{"next":{"next":{"no":1}}}}', schema),
      'arguments.x.next.next must not have "no"',
    );
  });

  for (const [what, defs] of [
    ['to itself', { a: { $ref: '#/$defs/a' } }],
    [
      'to one that leads back',
      { a: { allOf: [{ $ref: '#/$defs/b' }] }, b: { not: { $ref: '#/$defs/a' } } },
    ],
    ['to what contains it', { a: { anyOf: [{ type: 'string' }, { $ref: '#/$defs/a' }] } }],
  ] as const) {
    it(`is refused where it leads ${what} without an end`, () => {
      const schema: Schema = { ...having({ $ref: '#/$defs/a' }), $defs: defs };
      assert.throws(() => checkBySchema(schema, 'p'), {
        name: 'TypeError',
        message: /"\$ref" "#\/\$defs\/a" leads back to itself$/,
      });
    });
  }

  for (const ref of ['#/$defs/none', '#/properties/toString', '#/required/9']) {
    it(`is refused where ${ref} leads nowhere`, () => {
      assert.throws(() => checkBySchema(having({ $ref: ref }), 'p'), {
        name: 'TypeError',
        message: `p.x: "$ref" "${ref}" leads nowhere`,
      });
    });
  }

  for (const ref of ['https://example.com/schema', '#anchor', 'other.json#/a', '', '#/%']) {
    it(`is refused for ${JSON.stringify(ref)}, which is no place in the schema`, () => {
      assert.throws(() => checkBySchema(having({ $ref: ref }), 'p'), {
        name: 'TypeError',
        message: /^p\.x: "\$ref" /,
      });
    });
  }

  it('cannot keep the process busy, however the schema branches', () => {
    const both = [{ $ref: '#/$defs/n' }, { $ref: '#/$defs/n' }];
    const n: Schema = {
      type: 'object',
      properties: { n: { anyOf: both } },
      additionalProperties: false,
    };
    const schema: Schema = { ...having({ $ref: '#/$defs/n' }), $defs: { n } };
    const json = `{"x":${'{"n":'.repeat(60)}{"no":1}${'}'.repeat(60)}}`;
    const begun = process.cpuUsage();
    assert.equal(problemOf(json, schema), 'the arguments take too long to check');
    assert.ok(processorMs(begun) < 2_000);
  });

  it('is not needed for a circular object to be refused', () => {
    const circle: Record<string, unknown> = { type: 'object' };
    circle['properties'] = { a: circle, b: circle };
    assert.throws(() => checkBySchema(circle, 'p'), {
      name: 'TypeError',
      message: /is nested too deeply$/,
    });
  });
});

describe('pattern', () => {
  for (const pattern of ['(a+)+$', '^(a|aa)+$', '(.*,){20}x', '^(?=(a+)+$)', '(a*)*\\1$']) {
    it(`stops ${pattern} in time`, () => {
      const schema = having({ type: 'string', pattern });
      const begun = process.cpuUsage();
      const problem = problemOf(`{"x":"${'a'.repeat(60)},${'a,'.repeat(40)}!"}`, schema);
      assert.ok(processorMs(begun) < 1_000);
      assert.match(
        problem ?? '',
        /^(the arguments take too long to check|arguments\.x must match the pattern)/,
      );
    });
  }

  it('has its time for all values of a call together', () => {
    const schema = having({ type: 'array', items: { not: { pattern: '(a+)+$' } } });
    const texts = new Array(200).fill(`"${'a'.repeat(60)}!"`);
    const begun = process.cpuUsage();
    assert.equal(
      problemOf(`{"x":[${texts.join()}]}`, schema),
      'the arguments take too long to check',
    );
    assert.ok(processorMs(begun) < 1_000);
  });

  it('holds for names of properties too', () => {
    const schema: Schema = { type: 'object', patternProperties: { '(a+)+$': {} } };
    assert.equal(
      problemOf(`{"${'a'.repeat(60)}!":1}`, schema),
      'the arguments take too long to check',
    );
  });

  for (const [pattern, right, wrong] of [
    ['^\\p{L}+$', 'é', '1'],
    ['[\\w-.]+', 'a', '!'],
    ['^(a|b)$', 'b', 'c'],
    ['^\\d{4}-\\d{2}$', '2026-11', '26-11'],
    ['b', 'abc', 'ac'],
    ['^.$', '🍞', 'ab'],
  ] as const) {
    it(`knows that ${JSON.stringify(right)} matches ${pattern} and ${JSON.stringify(wrong)} does not`, () => {
      const schema = having({ pattern });
      assert.equal(problemOf(JSON.stringify({ x: right }), schema), undefined);
      assert.equal(
        problemOf(JSON.stringify({ x: wrong }), schema),
        `arguments.x must match the pattern ${pattern}`,
      );
    });
  }

  it('is refused where it is no regular expression', () => {
    assert.throws(() => checkBySchema(having({ pattern: '(' }), 'p'), {
      name: 'TypeError',
      message: 'p.x: pattern "(" is not a regular expression',
    });
  });
});

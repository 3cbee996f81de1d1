import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { CheckBudget, compileSchema, type Schema } from '../../../src/base/schema/schema.ts';

/** A schema with one property, `x`. */
function having(x: Schema): Schema {
  return { type: 'object', properties: { x } };
}

/** What is wrong with a value: its path and the rule. Undefined if it is valid. */
function problemOf(json: string, schema: Schema): string | undefined {
  const fault = compileSchema(schema, 'parameters')(JSON.parse(json), new CheckBudget());
  return fault === undefined ? undefined : `${fault.path} ${fault.text}`.trim();
}

describe('compileSchema', () => {
  for (const keyword of ['unevaluatedItems', '$dynamicRef', 'maxLenght', 'toString', '__proto__']) {
    it(`refuses "${keyword}", which would not be checked`, () => {
      const schema = JSON.parse(`{"type":"string",${JSON.stringify(keyword)}:1}`) as Schema;
      assert.throws(() => compileSchema(schema, 'parameters'), {
        name: 'TypeError',
        message: `parameters: "${keyword}" is not supported`,
      });
    });
  }

  it('ignores keywords that only describe', () => {
    const keywords = [
      '$schema', '$id', '$comment', 'title', 'description', 'default', 'example', 'examples',
      'format', 'deprecated', 'readOnly', 'writeOnly', 'contentMediaType', 'contentEncoding',
      'discriminator', 'xml', 'externalDocs', 'x-order', 'x-',
    ];
    for (const keyword of keywords) {
      const value = keyword === '$schema' ? 'http://json-schema.org/draft-07/schema#' : 'anything';
      assert.equal(problemOf('{"x":5}', having({ [keyword]: value })), undefined, keyword);
      compileSchema({ type: 'object', [keyword]: value }, 'parameters');
    }
  });

  it('refuses a dialect whose keywords may mean something else', () => {
    const schema = { type: 'object', $schema: 'https://example.com/mine' } as const;
    assert.throws(() => compileSchema(schema, 'p'), {
      name: 'TypeError',
      message: 'p: "$schema" "https://example.com/mine" is not supported',
    });
  });

  for (const type of ['int', ['string', 'int'], [], ['toString'], 5]) {
    it(`refuses the type ${JSON.stringify(type)}`, () => {
      assert.throws(() => compileSchema({ type } as unknown as Schema, 'parameters.x'), {
        name: 'TypeError',
        message: /^parameters\.x: type must be one of object, array, /,
      });
    });
  }

  it('refuses what is not a schema for a property or for items', () => {
    for (const wrong of [null, 'string', 5]) {
      const schema = wrong as unknown as Schema;
      const problem = 'must be a JSON Schema object or a boolean';
      for (const [given, place] of [[having(schema), 'p.x'], [{ items: schema }, 'p[]']] as const)
        assert.throws(() => compileSchema(given, 'p'), {
          name: 'TypeError', message: `${place} ${problem}`,
        });
    }
  });

  it('names the path of a deeply nested fault', () => {
    const schema = having({
      type: 'array',
      items: having({ type: 'array', items: { type: 'date' } as unknown as Schema }),
    });
    assert.throws(() => compileSchema(schema, 'p'), { message: /^p\.x\[\]\.x\[\]: type must be/ });
  });

  it('refuses a schema that requires a property which it does not allow', () => {
    const day = { type: 'object', properties: { day: {} }, additionalProperties: false } as const;
    const misspelt = 'required names dya, which is not in properties; did you mean day?';
    assert.throws(() => compileSchema({ ...day, required: ['day', 'dya'] }, 'p'), {
      name: 'TypeError', message: `p: ${misspelt}`,
    });
    assert.throws(() => compileSchema(having({ ...day, required: ['dya'] }), 'p'), {
      message: `p.x: ${misspelt}`,
    });
    const { properties: _, ...bare } = { ...day, required: ['city'] };
    assert.throws(() => compileSchema(bare, 'p'), {
      message: 'p: required names city, which is not in properties',
    });
    for (const others of [{ additionalProperties: true }, { patternProperties: { '^d': {} } }])
      compileSchema({ ...day, required: ['dya'], ...others }, 'p');
  });

  // A value that is ignored at run time is a rule that is silently not checked.
  for (const [what, schema] of [
    ['a string for additionalProperties', { type: 'object', additionalProperties: 'string' }],
    ['a string for required', { type: 'object', required: 'name' }],
    ['a string for enum', { type: 'string', enum: 'red' }],
    ['a string for minimum', { type: 'integer', minimum: '1' }],
    ['half a character for minLength', { minLength: 0.5 }],
    ['a negative number for minItems', { minItems: -1 }],
    ['zero for multipleOf', { multipleOf: 0 }],
    ['a number for pattern', { pattern: 5 }],
    ['an empty list for anyOf', { anyOf: [] }],
    ['an object for oneOf', { oneOf: {} }],
    ['a list for properties', { properties: [] }],
    ['a number in required', { required: [5] }],
    ['a string for uniqueItems', { uniqueItems: 'yes' }],
    ['a number for nullable', { nullable: 1 }],
  ] as const) {
    it(`refuses ${what}, which would not be checked`, () => {
      assert.throws(() => compileSchema(schema as unknown as Schema, 'p'), { name: 'TypeError' });
    });
  }
});

describe('a compiled schema', () => {
  const all = (problem: string, ...json: readonly string[]): Readonly<Record<string, string>> =>
    Object.fromEntries(json.map((text) => [text, problem]));

  /**
   * What a schema accepts, and what it says about what it refuses: '' if the fault is inside that.
   */
  const table: readonly (
    readonly [Schema, right: readonly string[], wrong: Readonly<Record<string, string>>]
  )[] = [
    [{ type: 'string' }, ['""', '"1"'], all('must be of type string', '1', 'null', '["a"]')],
    [{ type: 'number' }, ['0', '-0', '1.5', '-1e-9'],
      all('must be of type number', '"1"', 'true', 'null', '1e999')],
    [{ type: 'integer' }, ['0', '-3', '1.0', '1e3', '9007199254740991'],
      all('must be an integer', '1.5', '"1"', '1e999')],
    [{ type: 'boolean' }, ['true', 'false'], all('must be of type boolean', '"true"', '0')],
    [{ type: 'null' }, ['null'], all('must be of type null', '0', '""', '{}')],
    [{ type: 'array' }, ['[]', '[1,"a"]'], all('must be of type array', '{}', '"[]"')],
    [{ type: 'object' }, ['{}', '{"a":1}'], all('must be of type object', '[]', 'null')],
    [{}, ['null', '1', '"a"', '[]', '{}'], {}],
    [{ enum: ['red', 1, null, true] }, ['"red"', '1', '1.0', 'null', 'true'],
      all('must be one of "red", 1, null, true', '"blue"', '"1"')],
    [{ type: 'string', enum: ['red'] }, ['"red"'],
      { '1': 'must be of type string', '"Red"': 'must be one of "red"' }],
    [{ minimum: 2, maximum: 3 }, ['2', '3', '2.5', '"a long text"'],
      { '1.99': 'must be at least 2', '3.01': 'must be at most 3' }],
    [{ minLength: 2, maxLength: 3 }, ['"ab"', '"abc"', '"🍞🥐"', '1'], {
      '"a"': 'must be at least 2 characters', '"🍞"': 'must be at least 2 characters',
      '"abcd"': 'must be at most 3 characters',
    }],
    [{ minItems: 1, maxItems: 2 }, ['[1]', '[1,2]', '"a long text"'],
      { '[]': 'must be at least 1 items', '[1,2,3]': 'must be at most 2 items' }],
    [{ enum: [{ a: 1, b: [2] }] }, ['{"b":[2],"a":1}'],
      { '{"a":1}': 'must be one of {"a":1,"b":[2]}' }],
    [{ enum: [null] }, ['null'], { '1e999': 'must be one of null' }],
    [{ const: { a: 1, b: 2 } }, ['{"b":2,"a":1}'], { '{"a":1}': 'must be {"a":1,"b":2}' }],
    [{ type: ['string', 'null'] }, ['"a"', 'null'], { '1': 'must be of type string or null' }],
    [{ type: 'string', nullable: true }, ['"a"', 'null'],
      { '1': 'must be of type string or null' }],
    [{ exclusiveMinimum: 1, exclusiveMaximum: 2 }, ['1.5'],
      { '1': 'must be more than 1', '2': 'must be less than 2' }],
    [{ minimum: 1, exclusiveMinimum: true, maximum: 2, exclusiveMaximum: true }, ['1.5'],
      { '1': 'must be more than 1', '2': 'must be less than 2' }],
    [{ multipleOf: 0.1 }, ['0.3', '1e300', '-0.2', '0'], { '0.25': 'must be a multiple of 0.1' }],
    [{ pattern: '^[a-z]{2}$' }, ['"ab"', '5'], { '"abc"': 'must match the pattern ^[a-z]{2}$' }],
    [{ uniqueItems: true }, ['[1,2]', '[{"a":1},{"a":2}]'],
      { '[{"a":1,"b":2},{"b":2,"a":1}]': 'must not have two items that are equal' }],
    [{ prefixItems: [{ type: 'string' }], items: { type: 'number' } }, ['["a",1]', '[]'],
      { '[1]': '', '["a","b"]': '' }],
    [{ contains: { const: 1 }, maxContains: 1 }, ['[1,2]'], {
      '[2]': 'must have at least 1 items that fit {"const":1}',
      '[1,1]': 'must have at most 1 items that fit {"const":1}',
    }],
    [{ minProperties: 1, maxProperties: 1 }, ['{"a":1}'],
      { '{}': 'must be at least 1 properties', '{"a":1,"b":2}': 'must be at most 1 properties' }],
    [{ anyOf: [{ type: 'string' }, { minimum: 5 }] }, ['"a"', '5'], {}],
    [{ anyOf: [{ type: 'string' }, { type: 'null' }] }, ['null'],
      { '1': 'must be of type string, or must be of type null' }],
    [{ oneOf: [{ minimum: 5 }, { maximum: 9 }] }, ['1', '10'],
      { '7': 'must fit exactly one of 2 schemas, and fits 2' }],
    [{ allOf: [{ minimum: 5 }, { maximum: 9 }] }, ['7'],
      { '1': 'must be at least 5', '10': 'must be at most 9' }],
    [{ not: { type: 'string' } }, ['1'], { '"a"': 'must not fit the schema {"type":"string"}' }],
    [{ if: { type: 'string' }, then: { minLength: 2 }, else: { minimum: 2 } }, ['"ab"', '2'],
      { '"a"': 'must be at least 2 characters', '1': 'must be at least 2' }],
    [{ propertyNames: { maxLength: 1 } }, ['{"a":1}'],
      { '{"ab":1}': 'has the name "ab", which must be at most 1 characters' }],
    [{ dependentRequired: { a: ['b'] } }, ['{}', '{"a":1,"b":2}'], { '{"a":1}': '' }],
    [{ minimum: 0, maximum: 0, minLength: 0, minItems: 0 }, ['0', '""', '[]'],
      { '1': 'must be at most 0', '-1': 'must be at least 0' }],
  ];
  for (const [schema, right, wrong] of table) {
    for (const json of right) {
      it(`accepts ${json} for ${JSON.stringify(schema)}`, () => {
        assert.equal(problemOf(`{"x":${json}}`, having(schema)), undefined);
      });
    }
    for (const [json, problem] of Object.entries(wrong)) {
      it(`refuses ${json} for ${JSON.stringify(schema)}: ${problem || 'does not fit'}`, () => {
        const found = problemOf(`{"x":${json}}`, having(schema));
        if (problem === '') assert.match(found ?? '', /^\.x[.[]/);
        else assert.equal(found, `.x ${problem}`);
      });
    }
  }

  it('finds that 1e999 is not a multiple of anything', () => {
    assert.equal(problemOf('{"x":1e999}', having({ multipleOf: 1 })), '.x must be a multiple of 1');
  });

  it('treats a keyword whose value is undefined as absent', () => {
    const schema: object = { required: undefined, anyOf: undefined, unknown: undefined };
    assert.equal(problemOf('{}', { ...schema }), undefined);
  });

  it('shortens long names, which the model chooses', () => {
    const name = 'n'.repeat(200);
    const shown = `${'n'.repeat(100)}…`;
    const wrong = `{"${name}":1}`;
    const texts: Schema = { additionalProperties: { type: 'string' } };
    assert.equal(problemOf(wrong, texts), `.${shown} must be of type string`);
    assert.equal(problemOf(wrong, { additionalProperties: false }), `must not have "${shown}"`);
    const short: Schema = { propertyNames: { maxLength: 5 } };
    const rule = 'which must be at most 5 characters';
    assert.equal(problemOf(wrong, short), `has the name "${shown}", ${rule}`);
    const patterns: Schema = { patternProperties: { n: { type: 'string' } } };
    assert.equal(problemOf(wrong, patterns), `.${shown} must be of type string`);
  });

  it('counts a property as missing only when it is absent', () => {
    const schema: Schema = { type: 'object', properties: { a: {} }, required: ['a'] };
    assert.equal(problemOf('{"a":null}', schema), undefined);
    assert.equal(problemOf('{"b":1}', schema), '.a is missing');
  });

  for (const name of ['toString', '__proto__']) {
    it(`finds ${name} missing, although every object inherits it`, () => {
      assert.equal(
        problemOf('{}', { type: 'object', required: [name] }),
        `.${name} is missing`,
      );
    });
    it(`refuses ${name} as an own property if it is not listed`, () => {
      assert.equal(
        problemOf(`{${JSON.stringify(name)}:{"isAdmin":true}}`, {
          type: 'object',
          additionalProperties: false,
        }),
        `must not have ${JSON.stringify(name)}`,
      );
    });
  }

  it('names the path of a deeply nested fault', () => {
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
      '.items[1].quantity must be at least 1',
    );
    assert.equal(problem('[{"id":"a"}]'), '.items[0].quantity is missing');
    assert.equal(
      problem('[{"id":"a","quantity":1,"price":0}]'),
      '.items[0] must not have "price"',
    );
    assert.equal(problem('["a"]'), '.items[0] must be of type object');
  });
});

describe('$ref', () => {
  const node: Schema = {
    type: 'object',
    properties: { next: { $ref: '#/$defs/node' } },
    additionalProperties: false,
  };

  it('leads into $defs and definitions, and back to the whole schema', () => {
    for (const [ref, place] of [
      ['#/$defs/a~1b', '$defs'],
      ['#/definitions/a~1b', 'definitions'],
      ['#/$defs/a%7E1b', '$defs'],
    ] as const) {
      const schema: Schema = { ...having({ $ref: ref }), [place]: { 'a/b': { type: 'integer' } } };
      assert.equal(problemOf('{"x":1}', schema), undefined);
      assert.equal(problemOf('{"x":"1"}', schema), '.x must be an integer');
    }
    assert.equal(
      problemOf('{"x":{"x":{"y":1}}}', { ...having({ $ref: '#' }), additionalProperties: false }),
      '.x.x must not have "y"',
    );
  });

  it('may be recursive', () => {
    const schema: Schema = { ...having({ $ref: '#/$defs/node' }), $defs: { node } };
    assert.equal(problemOf('{"x":{"next":{"next":{}}}}', schema), undefined);
    assert.equal(
      problemOf('{"x":{"next":{"next":{"no":1}}}}', schema),
      '.x.next.next must not have "no"',
    );
  });

  for (const [what, defs] of [
    ['to itself', { a: { $ref: '#/$defs/a' } }],
    [
      'to another $ref that leads back',
      { a: { allOf: [{ $ref: '#/$defs/b' }] }, b: { not: { $ref: '#/$defs/a' } } },
    ],
    ['to a schema that contains it', { a: { anyOf: [{ type: 'string' }, { $ref: '#/$defs/a' }] } }],
  ] as const) {
    it(`is refused if it leads ${what}, endlessly`, () => {
      const schema: Schema = { ...having({ $ref: '#/$defs/a' }), $defs: defs };
      assert.throws(() => compileSchema(schema, 'p'), {
        name: 'TypeError',
        message: /"\$ref" "#\/\$defs\/a" leads back to itself$/,
      });
    });
  }

  for (const ref of ['#/$defs/none', '#/properties/toString', '#/required/9']) {
    it(`is refused if ${ref} leads nowhere`, () => {
      assert.throws(() => compileSchema(having({ $ref: ref }), 'p'), {
        name: 'TypeError',
        message: `p.x: "$ref" "${ref}" leads nowhere`,
      });
    });
  }

  for (const ref of ['https://example.com/schema', '#anchor', 'other.json#/a', '', '#/%']) {
    it(`is refused for ${JSON.stringify(ref)}, which is not a place in the schema`, () => {
      assert.throws(() => compileSchema(having({ $ref: ref }), 'p'), {
        name: 'TypeError',
        message: /^p\.x: "\$ref" /,
      });
    });
  }

  for (const [dialect, isAlone] of [
    ['http://json-schema.org/draft-04/schema#', true],
    ['http://json-schema.org/draft-07/schema#', true],
    ['https://json-schema.org/draft/2019-09/schema', false],
    ['https://json-schema.org/draft/2020-12/schema', false],
    ['https://spec.openapis.org/oas/3.1/dialect/base', false],
    [undefined, false],
  ] as const) {
    it(`${isAlone ? 'hides' : 'applies'} keywords beside it in ${dialect ?? 'no dialect'}`, () => {
      const schema: Schema = {
        ...(dialect === undefined ? {} : { $schema: dialect }),
        ...having({ $ref: '#/$defs/text', maxLength: 1 }),
        $defs: { text: { type: 'string' } },
      };
      const found = isAlone ? undefined : '.x must be at most 1 characters';
      assert.equal(problemOf('{"x":"ab"}', schema), found);
      assert.equal(problemOf('{"x":1}', schema), '.x must be of type string');
    });
  }

  it('is not needed for a circular schema to be refused', () => {
    const circle: Record<string, unknown> = { type: 'object' };
    circle['properties'] = { a: circle, b: circle };
    assert.throws(() => compileSchema(circle, 'p'), {
      name: 'TypeError',
      message: /is nested too deeply$/,
    });
  });
});

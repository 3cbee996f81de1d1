import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { resultText } from '../../../src/core/tools/tool-result.ts';

interface Line {
  readonly name: string;
  readonly note?: string | undefined;
}

class Money {
  readonly #cents = 900;

  toJSON(): string {
    return `${this.#cents / 100} euros`;
  }
}

const circle: Record<string, unknown> = {};
circle['again'] = circle;
const line: Line = { name: 'Funghi', note: undefined };
const shared = { a: 1 };

describe('resultText', () => {
  for (const [what, result, text] of [
    ['undefined', undefined, '{"status":"ok"}'],
    ['null', null, 'null'],
    ['an interface with a property that is undefined', line, '{"name":"Funghi"}'],
    ['a date', new Date(0), '"1970-01-01T00:00:00.000Z"'],
    ['an invalid date', new Date(Number.NaN), 'null'],
    ['a class with toJSON', { price: new Money() }, '{"price":"9 euros"}'],
    ['an object without a prototype', Object.assign(Object.create(null), { a: 1 }), '{"a":1}'],
    ['one object twice', [shared, shared], '[{"a":1},{"a":1}]'],
  ] as const) {
    it(`writes ${what}`, () => assert.equal(resultText(result), text));
  }

  for (const [what, result, message] of [
    ['a Map', { cart: new Map() }, 'result.cart is an instance of Map, which has no toJSON()'],
    ['a Set', [new Set()], 'result[0] is an instance of Set, which has no toJSON()'],
    [
      'a promise that was not awaited',
      { order: Promise.resolve() },
      'result.order is an instance of Promise, which has no toJSON()',
    ],
    ['NaN', { total: Number.NaN }, 'result.total is NaN, which is not JSON'],
    ['a function', { run: () => 1 }, 'result.run is a function, which is not JSON'],
    ['a symbol', Symbol('x'), 'result is a symbol, which is not JSON'],
    ['a bigint', { id: 5n }, 'result.id is a bigint, which is not JSON'],
    ['undefined in a list', [undefined], 'result[0] is undefined, which is not JSON'],
    ['a cycle', circle, 'result.again contains itself, which JSON does not allow'],
  ] as const) {
    it(`names the place of ${what}`, () => {
      assert.throws(() => resultText(result), {
        name: 'ToolResultError',
        code: 'ERR_TOOL_RESULT',
        message,
      });
    });
  }

  it('names what is nested too deeply', () => {
    const deep = JSON.parse('['.repeat(600) + ']'.repeat(600)) as unknown;
    assert.throws(() => resultText(deep), {
      name: 'ToolResultError',
      message: /nested too deeply$/,
    });
  });
});

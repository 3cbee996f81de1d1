import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { parseArguments, wellFormedCall } from '../../../src/core/models/well-formed-call.ts';

const BROKEN = [
  '{"a":1', '{}{}', '{"a":1}{"a":1}', '```json\n{"a":1}\n```', '[]', '[{"a":1}]', 'null', '7',
  '"a"', 'a', '{a:1}', "{'a':1}", '}',
];

describe('wellFormedCall', () => {
  it('leaves alone a call that any vendor accepts, to the byte', () => {
    for (const args of ['{}', '{"a":1}', ' { "a" : [1, {}] } ']) {
      const call = { id: 'c', name: 'get_weather-2', args };
      assert.deepEqual(wellFormedCall(call), call);
    }
  });

  it('sends {} for arguments that are not a JSON object', () => {
    for (const args of [...BROKEN, '', ' \n']) {
      assert.equal(wellFormedCall({ id: 'c', name: 'a', args }).args, '{}', args);
    }
  });

  it('sends invalid_call for a name that is empty, too long or has other characters', () => {
    const nameOf = (name: string): string => wellFormedCall({ id: 'c', name, args: '{}' }).name;
    const broken = ['', ' ', 'get weather', 'a.b', 'functions.a:0', 'größe', 'a\n', 'a'.repeat(65)];
    for (const name of broken) assert.equal(nameOf(name), 'invalid_call', name);
    for (const name of ['a'.repeat(64), '_', 'A-9']) assert.equal(nameOf(name), name);
  });
});

describe('parseArguments', () => {
  it('reads a JSON object, and an empty text as an empty object', () => {
    assert.deepEqual(parseArguments('{"a":{"b":1}}'), { a: { b: 1 } });
    for (const args of ['', ' \n']) assert.deepEqual(parseArguments(args), {});
  });

  it('is undefined for what is not an object', () => {
    for (const args of BROKEN) assert.equal(parseArguments(args), undefined, args);
  });
});

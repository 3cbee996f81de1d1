import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { checkFields } from '../../src/base/check-fields.ts';

const KNOWN = { name: true, tellBrowser: true, check: 'internal' };

describe('checkFields', () => {
  it('accepts some or all of the fields, or none', () => {
    for (const given of [{}, { name: 1 }, { name: undefined, tellBrowser: 2 }, { check: 1 }])
      checkFields('it', given, KNOWN);
  });

  for (const [wrong, remedy] of [
    ['tellBrowsers', 'did you mean "tellBrowser"?'],
    ['tellbrowser', 'did you mean "tellBrowser"?'],
    ['tell_browser', 'did you mean "tellBrowser"?'],
    ['nmae', 'did you mean "name"?'],
    ['cheese', 'known fields: name, tellBrowser'],
    ['chek', 'known fields: name, tellBrowser'],
    ['toString', 'known fields: name, tellBrowser'],
  ] as const) {
    it(`refuses ${wrong}, and says what was meant or what exists`, () => {
      assert.throws(() => checkFields('it', { name: 1, [wrong]: 1 }, KNOWN), {
        name: 'TypeError',
        message: `it: unknown field "${wrong}"; ${remedy}`,
      });
    });
  }

  it('refuses what is not an object', () => {
    for (const [given, kind] of [[undefined, 'undefined'], [null, 'null'], ['x', 'string']]) {
      const message = `it must be an object, got ${kind}`;
      assert.throws(() => checkFields('it', given, KNOWN), { name: 'TypeError', message });
    }
  });

  it('accepts any fields of an instance of a class', () => {
    class Named {
      readonly name = 'x';
      readonly nmae = 'y';
    }
    checkFields('it', new Named(), KNOWN);
  });
});

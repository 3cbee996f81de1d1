import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { parseRequestTarget } from '../../../src/base/http/request-target.ts';

describe('parseRequestTarget', () => {
  const accepted: readonly (readonly [target: string, path: string, query: string])[] = [
    ['/', '/', ''],
    ['/a/b', '/a/b', ''],
    ['/a?b=c?d', '/a', 'b=c?d'],
    ['/a?', '/a', ''],
    ['/a//b', '/a//b', ''],
    ['*', '*', ''],
    ['http://host', '/', ''],
    ['http://host/a?b', '/a', 'b'],
    ['HTTPS://host:8443/a', '/a', ''],
    ['http://[::1]:8000/a', '/a', ''],
    ['http://host?b', '/', 'b'],
    ['/a?next=http://other/', '/a', 'next=http://other/'],
    ['/a/../b', '/a/../b', ''],
  ];
  for (const [target, path, query] of accepted) {
    it(`splits ${target}`, () => assert.deepEqual(parseRequestTarget(target), { path, query }));
  }

  for (const target of [
    '',
    '//host/a',
    '//',
    'a',
    'host:443',
    '/a#b',
    '/a?b#c',
    'http:///a',
    'http://',
    'http://host//a',
    'ftp://host/a',
    'http:\\\\host\\a',
    '?a',
    'ready?u=http://x/',
    '\\a',
  ]) {
    it(`refuses ${JSON.stringify(target)}`, () =>
      assert.equal(parseRequestTarget(target), undefined));
  }
});

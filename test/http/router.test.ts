import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { Router } from '../../src/http/router.ts';

function routerOf(...routes: readonly string[]): Router<string> {
  const router = new Router<string>();
  for (const route of routes) {
    const [method = '', path = ''] = route.split(' ');
    router.add(method, path, route);
  }
  return router;
}

describe('Router', () => {
  const found: readonly (readonly [
    title: string,
    routes: readonly string[],
    method: string,
    path: string,
    route: string,
    params: Record<string, string>,
  ])[] = [
    ['finds a literal path', ['GET /health', 'GET /ready'], 'GET', '/ready', 'GET /ready', {}],
    ['finds the root', ['GET /'], 'GET', '/', 'GET /', {}],
    ['tells methods of one path apart', ['GET /a', 'POST /a'], 'POST', '/a', 'POST /a', {}],
    ['fills a parameter', ['GET /calls/:id'], 'GET', '/calls/7', 'GET /calls/:id', { id: '7' }],
    [
      'fills several parameters',
      ['GET /a/:b/c/:d'],
      'GET',
      '/a/1/c/2',
      'GET /a/:b/c/:d',
      { b: '1', d: '2' },
    ],
    [
      'decodes a parameter',
      ['GET /calls/:id'],
      'GET',
      '/calls/a%20b%2Fc%C3%A9',
      'GET /calls/:id',
      { id: 'a b/cé' },
    ],
    [
      'keeps a plus sign in a parameter',
      ['GET /calls/:id'],
      'GET',
      '/calls/a+b',
      'GET /calls/:id',
      { id: 'a+b' },
    ],
    [
      'prefers a literal path to an earlier parameter',
      ['GET /calls/:id', 'GET /calls/new'],
      'GET',
      '/calls/new',
      'GET /calls/new',
      {},
    ],
    [
      'prefers the earlier of two patterns',
      ['GET /:a/x', 'GET /y/:b'],
      'GET',
      '/y/x',
      'GET /:a/x',
      { a: 'y' },
    ],
    ['finds GET for HEAD', ['GET /health'], 'HEAD', '/health', 'GET /health', {}],
    [
      'finds GET for HEAD on a pattern',
      ['GET /calls/:id'],
      'HEAD',
      '/calls/7',
      'GET /calls/:id',
      { id: '7' },
    ],
    [
      'prefers a HEAD of its own to GET',
      ['GET /health', 'HEAD /health'],
      'HEAD',
      '/health',
      'HEAD /health',
      {},
    ],
    [
      'takes a parameter named __proto__ for a name like any other',
      ['GET /:__proto__'],
      'GET',
      '/x',
      'GET /:__proto__',
      JSON.parse('{"__proto__":"x"}'),
    ],
  ];
  for (const [title, routes, method, path, route, params] of found) {
    it(title, () => {
      const match = routerOf(...routes).find(method, path);
      assert.equal(match.kind, 'found');
      if (match.kind === 'found')
        assert.deepEqual(
          [match.value, Object.entries(match.params)],
          [route, Object.entries(params)],
        );
    });
  }

  const unknown: readonly (readonly [title: string, route: string, path: string])[] = [
    ['counts the case of a path', 'GET /health', '/Health'],
    ['counts a slash at the end', 'GET /health', '/health/'],
    ['does not take a longer path', 'GET /health', '/health/x'],
    ['does not take a shorter path', 'GET /a/b', '/a'],
    ['does not match a parameter with nothing', 'GET /calls/:id', '/calls/'],
    ['does not let a parameter span two segments', 'GET /calls/:id', '/calls/a/b'],
    ['does not decode a literal path', 'GET /health', '/%68ealth'],
    ['does not find a name of Object.prototype', 'GET /health', '/constructor'],
  ];
  for (const [title, route, path] of unknown) {
    it(title, () => assert.deepEqual(routerOf(route).find('GET', path), { kind: 'unknown path' }));
  }

  it('lists what a known path takes, with HEAD for GET and OPTIONS', () => {
    assert.deepEqual(routerOf('GET /a', 'POST /a').find('DELETE', '/a'), {
      kind: 'wrong method',
      allowed: ['GET', 'POST', 'HEAD', 'OPTIONS'],
    });
  });

  it('offers no HEAD where there is no GET', () => {
    assert.deepEqual(routerOf('POST /a').find('HEAD', '/a'), {
      kind: 'wrong method',
      allowed: ['POST', 'OPTIONS'],
    });
  });

  it('lists what a known pattern takes', () => {
    assert.deepEqual(routerOf('POST /calls/:id').find('GET', '/calls/7'), {
      kind: 'wrong method',
      allowed: ['POST', 'OPTIONS'],
    });
  });

  for (const path of ['/calls/%', '/calls/%zz', '/calls/%C3', '/calls/%FF%FE']) {
    it(`calls ${path} malformed`, () =>
      assert.deepEqual(routerOf('GET /calls/:id').find('GET', path), { kind: 'malformed path' }));
  }

  it('does not call a path malformed that no pattern has', () => {
    assert.deepEqual(routerOf('GET /:id/x').find('GET', '/%/y'), { kind: 'unknown path' });
  });

  it('keeps a malformed segment of no parameter from the pattern', () => {
    assert.deepEqual(routerOf('GET /calls/:id').find('GET', '/%/x'), { kind: 'unknown path' });
  });

  it('refuses a path without a slash', () =>
    assert.throws(() => routerOf('GET health'), { name: 'TypeError', message: /"health"/ }));
  it('refuses a parameter without a name', () =>
    assert.throws(() => routerOf('GET /calls/:'), { name: 'TypeError', message: /no name/ }));
  it('refuses a literal route that is there already', () =>
    assert.throws(() => routerOf('GET /a', 'GET /a'), {
      name: 'TypeError',
      message: /GET \/a already/,
    }));
  it('refuses a pattern that is there already', () =>
    assert.throws(() => routerOf('GET /:a', 'GET /:a'), { name: 'TypeError', message: /already/ }));

  it('serves both methods of a pattern whose parameter is named differently for each', () => {
    assert.equal(
      routerOf('GET /calls/:id', 'POST /calls/:call').find('POST', '/calls/7').kind,
      'found',
    );
  });
});

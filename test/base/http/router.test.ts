import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { Router } from '../../../src/base/http/router.ts';

function routerOf(...routes: readonly string[]): Router<string> {
  const router = new Router<string>();
  for (const route of routes) {
    const [method = '', path = ''] = route.split(' ');
    router.add(method, path, route);
  }
  return router;
}

describe('Router', () => {
  for (const [title, routes, method, path, route, params] of [
    ['finds a literal path', ['GET /health', 'GET /ready'], 'GET', '/ready', 'GET /ready', {}],
    ['finds the root', ['GET /'], 'GET', '/', 'GET /', {}],
    ['tells the methods of one path apart', ['GET /a', 'POST /a'], 'POST', '/a', 'POST /a', {}],
    ['fills a parameter', ['GET /calls/:id'], 'GET', '/calls/7', 'GET /calls/:id', { id: '7' }],
    [
      'fills several parameters', ['GET /a/:b/c/:d'], 'GET', '/a/1/c/2', 'GET /a/:b/c/:d',
      { b: '1', d: '2' },
    ],
    ['decodes a parameter', ['GET /:id'], 'GET', '/a%20b%2Fc%C3%A9', 'GET /:id', { id: 'a b/cé' }],
    ['keeps a plus sign in a parameter', ['GET /:id'], 'GET', '/a+b', 'GET /:id', { id: 'a+b' }],
    [
      'prefers a literal path to an earlier parameter', ['GET /calls/:id', 'GET /calls/new'],
      'GET', '/calls/new', 'GET /calls/new', {},
    ],
    [
      'prefers the earlier of two patterns', ['GET /:a/x', 'GET /y/:b'],
      'GET', '/y/x', 'GET /:a/x', { a: 'y' },
    ],
    ['finds GET for HEAD', ['GET /health'], 'HEAD', '/health', 'GET /health', {}],
    ['finds GET for HEAD on a pattern', ['GET /:id'], 'HEAD', '/7', 'GET /:id', { id: '7' }],
    [
      'prefers a HEAD route to GET', ['GET /health', 'HEAD /health'],
      'HEAD', '/health', 'HEAD /health', {},
    ],
    [
      'treats __proto__ like any other name of a parameter', ['GET /:__proto__'],
      'GET', '/x', 'GET /:__proto__', JSON.parse('{"__proto__":"x"}') as Record<string, string>,
    ],
    [
      'serves both methods of a pattern whose parameter is named differently for each',
      ['GET /:id', 'POST /:call'], 'POST', '/7', 'POST /:call', { call: '7' },
    ],
  ] as readonly (readonly [string, readonly string[], string, string, string, object])[]) {
    it(title, () => {
      const match = routerOf(...routes).find(method, path);
      assert.ok(match.kind === 'found');
      assert.equal(match.value, route);
      assert.deepEqual({ ...match.params }, params);
    });
  }
  const unknown: readonly (readonly [title: string, route: string, path: string])[] = [
    ['distinguishes upper and lower case', 'GET /health', '/Health'],
    ['distinguishes a path with a slash at its end', 'GET /health', '/health/'],
    ['does not match a longer path', 'GET /health', '/health/x'],
    ['does not match a shorter path', 'GET /a/b', '/a'],
    ['does not match an empty parameter', 'GET /calls/:id', '/calls/'],
    ['does not let a parameter span two segments', 'GET /calls/:id', '/calls/a/b'],
    ['does not decode a literal path', 'GET /health', '/%68ealth'],
    ['does not find a name of Object.prototype', 'GET /health', '/constructor'],
  ];
  for (const [title, route, path] of unknown) {
    it(title, () => assert.deepEqual(routerOf(route).find('GET', path), { kind: 'unknown path' }));
  }

  for (const [title, routes, method, path, allowed] of [
    [
      'lists the methods of a known path, adding HEAD for GET, and OPTIONS', ['GET /a', 'POST /a'],
      'DELETE', '/a', ['GET', 'POST', 'HEAD', 'OPTIONS'],
    ],
    ['offers no HEAD where there is no GET', ['POST /a'], 'HEAD', '/a', ['POST', 'OPTIONS']],
    ['lists the methods of a known pattern', ['POST /:id'], 'GET', '/7', ['POST', 'OPTIONS']],
  ] as const)
    it(title, () => {
      const match = routerOf(...routes).find(method, path);
      assert.deepEqual(match, { kind: 'wrong method', allowed });
    });

  for (const path of ['/calls/%', '/calls/%zz', '/calls/%C3', '/calls/%FF%FE']) {
    it(`calls ${path} malformed`, () =>
      assert.deepEqual(routerOf('GET /calls/:id').find('GET', path), { kind: 'malformed path' }));
  }

  it('does not call a path that matches no pattern malformed', () => {
    assert.deepEqual(routerOf('GET /:id/x').find('GET', '/%/y'), { kind: 'unknown path' });
    assert.deepEqual(routerOf('GET /calls/:id').find('GET', '/%/x'), { kind: 'unknown path' });
  });

  for (const [what, routes, message] of [
    ['a path without a slash', ['GET health'], /"health"/],
    ['a parameter without a name', ['GET /calls/:'], /no name/],
    ['a literal route that already exists', ['GET /a', 'GET /a'], /GET \/a already/],
    ['a pattern that already exists', ['GET /:a', 'GET /:a'], /already/],
  ] as const)
    it(`refuses ${what}`, () =>
      assert.throws(() => routerOf(...routes), { name: 'TypeError', message }));
});

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import type { Context } from '../../src/http/context.ts';
import { serve } from '../fixtures/kernel.ts';

describe('an event stream as the answer', () => {
  const second: readonly (readonly [string, (context: Context) => unknown])[] = [
    ['a stream', (context) => context.eventStream()],
    ['a writer', (context) => context.eventWriter()],
    ['JSON', (context) => context.json(200, {})],
    ['nothing', (context) => context.empty(204)],
  ];
  for (const [what, answer] of second) {
    it(`is the only one, though nothing was written yet: ${what} behind it throws`, async (t) => {
      const served = await serve(t, {
        setUp: (app) =>
          app.get('/stream', (context) => {
            const stream = context.eventStream();
            assert.equal(context.isAnswered, true);
            assert.throws(() => answer(context), /GET \/stream has already been answered/);
            stream.finish({ data: 'first' });
          }),
      });
      const response = await served.fetch('/stream');
      assert.equal(response.headers.get('content-type'), 'text/event-stream');
      assert.equal(await response.text(), 'data: first\n\n');
    });
  }
});

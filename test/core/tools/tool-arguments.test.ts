import assert from 'node:assert/strict';
import { getEventListeners } from 'node:events';
import { describe, it } from 'node:test';

import { soon } from '../../../src/base/awaitable.ts';
import { CheckBudget } from '../../../src/base/schema/schema.ts';
import {
  checkBySchema,
  checkedInTime,
  parseToolArguments,
  type Checked,
} from '../../../src/core/tools/tool-arguments.ts';

const NOT_AN_OBJECT = { problem: 'the arguments are not a JSON object' };
const TOO_LONG = { problem: 'the arguments take too long to check' };

describe('parseToolArguments', () => {
  // What is JSON and what is not: test/core/models/well-formed-call.test.ts.
  it('reads an empty text, which some vendors send, as no arguments', () => {
    for (const text of ['', '\n\t']) assert.deepEqual(parseToolArguments(text), { args: {} });
  });

  it('says of anything else that it is not a JSON object', () => {
    for (const text of ['{', '{"x":1}{"x":2}', 'null', '[]', '5'])
      assert.deepEqual(parseToolArguments(text), NOT_AN_OBJECT, text);
  });

  it("does not let the model choose an object's prototype", () => {
    const parsed = parseToolArguments(
      '{"__proto__":{"isAdmin":true},"constructor":{"prototype":{"isAdmin":true}}}',
    );
    assert.ok('args' in parsed);
    assert.equal(({} as Record<string, unknown>)['isAdmin'], undefined);
    assert.equal(parsed.args['isAdmin'], undefined);
    assert.equal(({ ...parsed.args } as Record<string, unknown>)['isAdmin'], undefined);
  });

  it('refuses arguments that are nested a hundred thousand deep', () => {
    const deep = `{"x":${'['.repeat(100_000)}${']'.repeat(100_000)}}`;
    assert.deepEqual(parseToolArguments(deep), { problem: 'the arguments are nested too deeply' });
  });
});

describe('checkedInTime', () => {
  const never = new Promise<Checked>(() => undefined);

  it('counts a validator that does not answer within 5 s as a problem', async (t) => {
    t.mock.timers.enable({ apis: ['setTimeout'] });
    const outcomes: Checked[] = [];
    const { signal } = new AbortController();
    void checkedInTime(never, signal).then((one) => outcomes.push(one));
    t.mock.timers.tick(4_999);
    await soon();
    assert.deepEqual(outcomes, []);
    t.mock.timers.tick(1);
    await soon();
    assert.deepEqual(outcomes, [TOO_LONG]);
    assert.equal(getEventListeners(signal, 'abort').length, 0);
  });

  for (const [when, abort] of [
    ['fires meanwhile', (caller: AbortController) => setImmediate(() => caller.abort('left'))],
    ['has fired', (caller: AbortController) => caller.abort('left')],
  ] as const) {
    it(`rejects with the reason of a signal that ${when}`, async () => {
      const caller = new AbortController();
      abort(caller);
      await assert.rejects(checkedInTime(never, caller.signal), (reason) => reason === 'left');
    });
  }

  it('leaves neither a timer nor a listener behind', async () => {
    const { signal } = new AbortController();
    await checkedInTime(Promise.resolve({ args: 1 }), signal);
    assert.equal(getEventListeners(signal, 'abort').length, 0);
    assert.equal(process.getActiveResourcesInfo().includes('Timeout'), false);
  });
});

describe('checkBySchema', () => {
  it('returns the arguments, or where they are wrong', () => {
    const check = checkBySchema({ type: 'object', required: ['city'] }, 'parameters');
    assert.deepEqual(check({ city: 'Oslo' }), { args: { city: 'Oslo' } });
    assert.deepEqual(check({}), { problem: 'arguments.city is missing' });
  });

  it('cuts a long reason at 2,000 characters', () => {
    const check = checkBySchema({ properties: { x: { enum: ['y'.repeat(3_000)] } } }, 'parameters');
    const checked = check({ x: 1 }) as { problem: string };
    assert.match(checked.problem, /^arguments\.x must be one of "y{1,2000}…$/);
    assert.equal(checked.problem.length, 2_001);
  });

  it('shares a budget that it is given, and otherwise has one of its own', () => {
    const check = checkBySchema({ properties: { x: { pattern: '(a+)+$' } } }, 'parameters');
    const budget = new CheckBudget();
    const slow = { x: `${'a'.repeat(60)}!` };
    assert.deepEqual(check(slow, budget), TOO_LONG);
    assert.deepEqual(check({ x: 'a' }, budget), TOO_LONG);
    assert.deepEqual(check({ x: 'a' }), { args: { x: 'a' } });
  });
});

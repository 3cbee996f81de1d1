import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { createLogger } from '../../../src/base/log.ts';
import {
  LiveStates, type LiveState, type StateChanges,
} from '../../../src/core/state/live-state.ts';
import { MAX_STATE_LENGTH } from '../../../src/core/state/state-text.ts';
import { defineState, isState } from '../../../src/core/state/state.ts';

interface Order {
  cart: unknown[];
}

const NEW = { state: undefined, isResumed: false };
const KNOWN = { state: undefined, isResumed: true };

const order = (): LiveStates<Order> => defineState((): Order => ({ cart: [] })).open();

/** A log, and the messages of its errors. */
function errorLog() {
  const errors: string[] = [];
  const write = (line: string): void => {
    errors.push((JSON.parse(line) as { error: { message: string } }).error.message);
  };
  return { errors, log: createLogger({ level: 'error', format: 'json', write }) };
}

function changesOf(live: LiveState): StateChanges {
  const changes = live.changes(errorLog().log, 'c');
  assert.ok(changes !== undefined);
  return changes;
}

/** What is stored in place of `before`. */
function stored(live: LiveState, before: string | undefined): string {
  const merged = changesOf(live).onto(before);
  assert.ok(merged !== undefined);
  return merged.text;
}

describe('defineState', () => {
  for (const wrong of [undefined, null, {}, 'cart', 1]) {
    it(`refuses ${JSON.stringify(wrong)}`, () => {
      assert.throws(() => defineState(wrong as never), {
        name: 'TypeError',
        message: `defineState takes a function that creates a state, got ${typeof wrong}`,
      });
    });
  }

  it('makes states that isState recognises', () => {
    assert.equal(isState(defineState(() => ({}))), true);
    for (const other of [undefined, null, () => ({}), {}, { open: 1 }])
      assert.equal(isState(other), false);
  });
});

describe('LiveStates', () => {
  it('creates a state when it is first read, and no earlier', () => {
    let made = 0;
    const states = defineState(() => ({ number: (made += 1) })).open();
    const live = states.enter('c', NEW);
    const { log } = errorLog();
    assert.deepEqual([made, live.changes(log, 'c')], [0, undefined]);
    assert.deepEqual([live.value, live.value, made], [{ number: 1 }, { number: 1 }, 1]);
  });

  it('reads what was stored, as a separate object', () => {
    const live = order().enter('c', { state: '{"cart":["funghi"]}', isResumed: true });
    assert.deepEqual(live.value, { cart: ['funghi'] });
  });

  it('shares one object between all users of a conversation, and only them', () => {
    const states = order();
    const [first, second] = [states.enter('c', NEW), states.enter('c', KNOWN)];
    const other = states.enter('d', NEW);
    assert.equal(first.value, second.value);
    assert.notEqual(first.value, other.value);
  });

  it('forgets a conversation when its last user leaves', () => {
    const states = order();
    const first = states.enter('c', NEW);
    const second = states.enter('c', KNOWN);
    first.leave();
    assert.equal(states.size, 1);
    second.leave();
    assert.equal(states.size, 0);
    assert.notEqual(states.enter('c', KNOWN).value, first.value);
  });

  it('starts afresh once a conversation has been cleared, even if the old state is in use', () => {
    const states = order();
    const old = states.enter('c', NEW);
    old.value.cart.push('funghi');
    const anew = states.enter('c', NEW);
    assert.deepEqual(anew.value, { cart: [] });
    old.leave();
    assert.equal(states.enter('c', KNOWN).value, anew.value);
  });

  it('starts afresh after an erasure, even if there is a new state', () => {
    const states = order();
    const old = states.enter('c', { state: '{"cart":["tea"]}', isResumed: true });
    assert.deepEqual(old.value, { cart: ['tea'] });
    const opened = { state: '{"cart":[]}', isResumed: true, erasedAt: 1 };
    assert.deepEqual(states.enter('c', opened).value, { cart: [] });
    assert.deepEqual(old.value, { cart: ['tea'] });
  });

  it('lets the tools of a discarded turn keep their object', () => {
    const states = order();
    const old = states.enter('c', { state: '{"cart":["tea"]}', isResumed: true });
    old.value.cart.push('cola');
    const opened = { state: '{"cart":["tea"]}', isResumed: true, discardedTurns: 1 };
    assert.deepEqual(states.enter('c', opened).value, { cart: ['tea'] });
    assert.equal(stored(old, '{"cart":["tea"]}'), '{"cart":["tea","cola"]}');
  });

  it('keeps the object of a tool whose changes count, without what the store took back', () => {
    const states = order();
    const old = states.enter('c', { state: '{"cart":["tea","cola"]}', isResumed: true });
    old.value.cart.push('cake');
    old.callBegan();
    const opened = { state: '{"cart":["tea"]}', isResumed: true, discardedTurns: 1 };
    assert.deepEqual(states.enter('c', opened).value, { cart: ['tea', 'cake'] });
    assert.equal(states.enter('c', opened).value, old.value);
  });

  it('stores nothing more of an object that predates an erasure', () => {
    const states = order();
    const old = states.enter('c', { state: '{"cart":["tea"]}', isResumed: true });
    old.value.cart.push('cola');
    states.erase('c', 1);
    assert.equal(old.changes(errorLog().log, 'c'), undefined);
    const opened = { state: undefined, isResumed: true, erasedAt: 1 };
    const live = states.enter('c', opened);
    states.erase('c', 1); // the store has the mark now
    live.value.cart.push('bun');
    assert.equal(stored(live, undefined), '{"cart":["bun"]}');
  });

  it('keeps nothing of a state that was only peeked at', () => {
    const states = order();
    assert.deepEqual(states.peek('c', '{"cart":[1]}').value, { cart: [1] });
    assert.equal(states.size, 0);
  });

  it('refuses a stored text that is not JSON without quoting it', () => {
    const live = order().enter('c', { state: 'secret', isResumed: true });
    const message = 'the stored state is not JSON';
    assert.throws(() => live.value, { name: 'StateError', message });
  });
});

describe('changes that were refused', () => {
  it('are offered again, on top of what the store then has', () => {
    const live = order().enter('c', { state: '{"cart":["tea"]}', isResumed: true });
    live.value.cart.push('cola');
    const changes = changesOf(live);
    changes.onto('{"cart":["tea"]}');
    changes.refused('{"cart":["tea","bun"]}'); // the write was repeated on this, and refused
    assert.deepEqual(live.value, { cart: ['tea', 'bun', 'cola'] });
    assert.equal(stored(live, '{"cart":["tea","bun"]}'), '{"cart":["tea","bun","cola"]}');
  });
});

describe('the changes to a state', () => {
  const known = { state: '{"cart":["tea"],"total":1}', isResumed: true };
  type Bill = Order & { total: number };
  const bill = (): LiveState<Bill> =>
    defineState((): Bill => ({ cart: [], total: 0 })).open().enter('c', known);

  it('are made once, however many writes carry them', () => {
    const live = bill();
    live.value.cart.push('cola');
    const [first, second] = [changesOf(live), changesOf(live)];
    const after = '{"cart":["tea","cola"],"total":1}';
    assert.equal(first.onto(known.state)?.text, after);
    assert.equal(second.onto(after)?.text, after);
  });

  it('are made again if the write is repeated on a later version', () => {
    const live = bill();
    live.value.cart.push('cola');
    const changes = changesOf(live);
    changes.onto(known.state);
    const later = '{"cart":["tea","milk"],"total":2}';
    assert.equal(changes.onto(later)?.text, '{"cart":["tea","milk","cola"],"total":2}');
    assert.deepEqual(live.value, { cart: ['tea', 'milk', 'cola'], total: 2 });
  });

  it('that are under way come after what others have stored meanwhile', () => {
    const live = bill();
    live.value.cart.push('cola');
    const onTheirWay = changesOf(live);
    live.value.cart.push('fig');
    live.follow('{"cart":["tea","milk"],"total":1}');
    assert.deepEqual(live.value.cart, ['tea', 'milk', 'cola', 'fig']);
    const after = onTheirWay.onto('{"cart":["tea","milk"],"total":1}').text;
    assert.equal(after, '{"cart":["tea","milk","cola"],"total":1}');
    assert.equal(stored(live, after), '{"cart":["tea","milk","cola","fig"],"total":1}');
    assert.deepEqual(live.value.cart, ['tea', 'milk', 'cola', 'fig']);
  });

  it('hold what had changed when they were taken, not when they are stored', () => {
    const live = bill();
    live.value.total = 2;
    const changes = changesOf(live);
    live.value.total = 3;
    assert.equal(changes.onto(known.state).text, '{"cart":["tea"],"total":2}');
  });

  it('are offered again if a store refused them without looking', () => {
    const live = bill();
    live.value.cart.push('cola');
    changesOf(live).failed();
    assert.equal(stored(live, known.state), '{"cart":["tea","cola"],"total":1}');
  });

  it('include what others changed, even in the object that a tool holds', () => {
    const live = bill();
    const { value } = live;
    const { cart } = value;
    value.total = 5;
    assert.equal(
      stored(live, '{"cart":["tea","milk"],"total":1}'), '{"cart":["tea","milk"],"total":5}',
    );
    assert.deepEqual(cart, ['tea', 'milk']);
    assert.equal(live.value, value);
  });

  it('that a tool makes while others write are kept, and made later', () => {
    const live = bill();
    live.value.cart.push('cola');
    live.follow('{"cart":["tea","milk"],"total":2}');
    assert.deepEqual(live.value, { cart: ['tea', 'milk', 'cola'], total: 2 });
    assert.equal(
      stored(live, '{"cart":["tea","milk"],"total":3}'),
      '{"cart":["tea","milk","cola"],"total":3}',
    );
  });

  it('name what another run set to something else; the later value counts', () => {
    const live = bill();
    live.value.total = 5;
    const merged = changesOf(live).onto('{"cart":["tea"],"total":7}');
    assert.equal(merged?.text, '{"cart":["tea"],"total":5}');
    assert.deepEqual(merged.collisions, ['/total']);
  });

  it('are made again if the store failed and does not have them', () => {
    const live = bill();
    live.value.cart.push('cola');
    const changes = changesOf(live);
    changes.onto(known.state);
    changes.failed();
    assert.equal(stored(live, known.state), '{"cart":["tea","cola"],"total":1}');
  });

  it('are not made again if the store failed and has them after all', () => {
    const live = bill();
    live.value.cart.push('cola');
    const changes = changesOf(live);
    const after = changes.onto(known.state)?.text;
    changes.failed();
    live.value.total = 2;
    assert.equal(stored(live, after), '{"cart":["tea","cola"],"total":2}');
  });

  it('are not made twice by a retried write if the store had them', () => {
    const live = bill();
    live.value.cart.push('cola');
    const changes = changesOf(live);
    const after = changes.onto(known.state)?.text;
    changes.failed();
    assert.equal(changes.onto(after)?.text, after);
    changes.failed();
    assert.equal(changes.onto(known.state)?.text, after);
  });

  it('start from the first state that was stored, if the state here is new', () => {
    const live = order().enter('c', NEW);
    live.value.cart.push('cola');
    assert.equal(stored(live, '{"cart":["tea"]}'), '{"cart":["tea","cola"]}');
    const first = order().enter('c', NEW);
    assert.deepEqual(first.value, { cart: [] });
    assert.equal(stored(first, undefined), '{"cart":[]}');
  });

  it('are made once if the state is new and an earlier write was refused', () => {
    const live = order().enter('c', NEW);
    live.value.cart.push('cola');
    const [save, result] = [changesOf(live), changesOf(live)];
    save.failed();
    const first = result.onto(undefined)?.text;
    assert.equal(stored(live, first), '{"cart":["cola"]}');
  });

  it('take away nothing that another process stored while the state here was frozen', () => {
    const live = bill();
    live.value.cart = Object.freeze([...live.value.cart]) as string[];
    live.value.total = 2;
    const after = stored(live, '{"cart":["tea","milk"],"total":1}');
    live.value.total = 3;
    assert.equal(stored(live, after), '{"cart":["tea","milk"],"total":3}');
  });

  it('take away nothing that another process stored while the state here was not JSON', () => {
    const live = bill();
    Object.assign(live.value, { total: new Date(0) });
    live.follow('{"cart":["tea","milk"],"total":1}');
    live.value.total = 3;
    assert.equal(
      stored(live, '{"cart":["tea","milk"],"total":1}'), '{"cart":["tea","milk"],"total":3}',
    );
  });

  it('are redacted only in the store, not in the state here', () => {
    const state = defineState((): { card: string; total: number } => ({ card: '', total: 0 }));
    const states = state.open(() => (json) => json.replace('4242', '[card 1]'));
    const live = states.enter('c', NEW);
    live.value.card = '4242';
    const text = stored(live, undefined);
    assert.equal(text, '{"card":"[card 1]","total":0}');
    live.follow(text.replace('0', '5'));
    assert.deepEqual(live.value, { card: '4242', total: 5 });
  });
});

describe('a stored state', () => {
  it(`has at most ${MAX_STATE_LENGTH} characters`, () => {
    const { errors, log } = errorLog();
    const live = order().enter('c', NEW);
    const frame = '{"cart":[""]}'.length;
    live.value.cart[0] = 'x'.repeat(MAX_STATE_LENGTH - frame);
    const longest = live.changes(log, 'c')?.onto(undefined)?.text;
    assert.deepEqual([longest?.length, errors], [MAX_STATE_LENGTH, []]);
    live.value.cart[0] += 'x';
    assert.equal(live.changes(log, 'c')?.onto(longest), undefined, 'the last good one stays');
    assert.deepEqual(errors, [`the state is longer than ${MAX_STATE_LENGTH} characters`]);
  });

  it('that a merge has made too long accepts what makes it smaller', () => {
    const item = 'x'.repeat(MAX_STATE_LENGTH / 2);
    const state = JSON.stringify({ cart: [item, item, item] });
    const live = order().enter('c', { state, isResumed: true });
    live.value.cart.push('tea');
    assert.equal(live.changes(errorLog().log, 'c'), undefined);
    live.value.cart.splice(2);
    assert.equal(stored(live, state), JSON.stringify({ cart: [item, item] }));
  });

  // Values that are not JSON are tested one by one in test/core/tools/tool-result.test.ts.
  for (const [what, value, message] of [
    ['a date, which is read back as text', new Date(0), 'is an instance of Date, which is not plain JSON'],
    ['undefined in a list', undefined, 'is undefined, which is not JSON'],
  ] as const) {
    it(`is the last good one if the state holds ${what}`, () => {
      const { errors, log } = errorLog();
      const live = order().enter('c', NEW);
      live.value.cart.push('funghi');
      const good = stored(live, undefined);
      live.value.cart.push(value);
      assert.equal(live.changes(log, 'c')?.onto(good), undefined);
      assert.deepEqual(errors, [`something in state.cart ${message}`]);
      live.value.cart.splice(1, 1, 'tea');
      assert.equal(stored(live, good), '{"cart":["funghi","tea"]}');
    });
  }

  it('causes errors that name only a field: the rest may be the caller\'s words', () => {
    const { errors, log } = errorLog();
    const live = order().enter('c', NEW);
    live.value.cart.push({ 'my PIN is 1234': NaN });
    live.changes(log, 'c')?.onto(undefined);
    assert.deepEqual(errors, ['something in state.cart is NaN, which is not JSON']);
  });

  it('may hold one object in several places, but not within itself', () => {
    const { errors, log } = errorLog();
    const live = order().enter('c', NEW);
    const item = { name: 'tea', parts: [] as unknown[] };
    live.value.cart.push(item, item);
    assert.notEqual(live.changes(log, 'c'), undefined);
    item.parts.push(item);
    assert.equal(live.changes(log, 'c'), undefined);
    assert.deepEqual(errors, ['something in state.cart contains itself, which JSON does not allow']);
  });

  it('leaves out what is undefined', () => {
    const states = defineState(() => ({ name: undefined as string | undefined })).open();
    const live = states.enter('c', NEW);
    assert.deepEqual(live.value, { name: undefined });
    assert.equal(stored(live, undefined), '{}');
  });

  for (const made of [[], null, 'cart', new Map()]) {
    it(`cannot be created from ${JSON.stringify(made)}`, () => {
      const live = defineState(() => made as object).open().enter('c', NEW);
      assert.throws(() => live.value, { name: 'StateError' });
    });
  }
});

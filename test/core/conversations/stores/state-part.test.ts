import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import {
  NO_STATE, stateIn, stateWrite, withAdded, type StoredState,
} from '../../../../src/core/conversations/stores/state-part.ts';

const LONG = 'x'.repeat(64);

function cart(items: number, more: object = {}): string {
  const list = Array.from({ length: items }, (_, n) => ({ n, note: LONG }));
  return JSON.stringify({ total: items, items: list, ...more });
}

/** A part that is written again and again, and read by somebody else. */
class Part {
  text = '';
  stored = NO_STATE;
  /** How much each write has sent. */
  readonly sent: number[] = [];
  #version = 0;

  write(state: string): void {
    this.#version += 1;
    const write = stateWrite(this.stored, state, `v${this.#version}`);
    const sent = 'set' in write ? write.set : write.add;
    this.text = 'set' in write ? sent : this.text + sent;
    this.sent.push(sent.length);
    this.stored = write.stored;
  }

  get read(): StoredState {
    return stateIn(this.text) ?? assert.fail('unreadable');
  }
}

describe('a state as a part', () => {
  it('costs only what was added, however long it is', () => {
    const part = new Part();
    for (let items = 700; items < 1_700; items++) {
      part.write(cart(items));
      assert.equal(part.read.text, cart(items));
    }
    const [, ...later] = part.sent;
    const each = later.reduce((sum, length) => sum + length, 0) / later.length;
    assert.ok(each < 400, `${each}`);
    assert.ok(part.text.length < 2.1 * cart(1_700).length, 'it is written whole now and then');
  });

  it('is written whole if it is short', () => {
    const part = new Part();
    for (const state of ['{"n":1}', '{"n":2}']) part.write(state);
    assert.equal(part.text, '{"n":2}\nv1 v2');
  });

  it('is read as it was written, whatever has changed in it', () => {
    const part = new Part();
    const states = [
      cart(40),
      cart(40, { step: 'pay' }),
      cart(40, { 'step': 'pay\n"now"', '2': 'first', '__proto__x': [] }),
      JSON.stringify({ items: [], total: 0, list: LONG.repeat(40) }),
      JSON.stringify({ total: 0, list: LONG.repeat(40) }),
      JSON.stringify({ list: LONG.repeat(40), total: 0 }), // only names in another order
      '{}',
    ];
    for (const state of states) {
      part.write(state);
      assert.deepEqual(part.read, { ...part.stored });
      assert.equal(part.read.text, state);
    }
  });

  it('says which of the last versions have changed it', () => {
    const part = new Part();
    for (let n = 1; n <= 30; n++) {
      part.write(cart(30, { n }));
      assert.equal(part.read.versions.at(-1), `v${n}`);
      assert.equal(part.read.versions.length, Math.min(n, 16));
    }
  });

  it('can be followed by a reader that knows an earlier state', () => {
    const part = new Part();
    part.write(cart(40));
    const { read: known, text: { length } } = part;
    for (let n = 41; n < 50; n++) part.write(cart(n));
    assert.deepEqual(withAdded(known, part.text.slice(length)), part.stored);
  });

  it('is not read if what was added was cut off', () => {
    assert.equal(stateIn('{"n":1}\nv1\nv2 [{"path'), undefined);
    assert.equal(stateIn('{"n":\nv1\nv2 []'), undefined);
  });

  for (const damaged of [
    '{}', '[null]', '[{"kind":"set"}]', '[{"kind":"set","path":[]}]', '[{"kind":"set","path":[7]}]',
    '[{"kind":"append","path":["a"]}]', '[{"kind":"remove","path":["a"]}]',
    '[{"kind":"insert","path":["a"],"index":0}]', '[{"kind":"other","path":["a"],"index":0}]',
    // The first one kept every process busy for good that read it.
    '[{"kind":"remove","path":["a"],"index":9007199254740991,"was":0}]',
    '[{"kind":"replace","path":["a"],"index":1,"was":0,"to":1}]',
    '[{"kind":"remove","path":["a"],"index":-1,"was":0}]',
    '[{"kind":"insert","path":["a"],"index":1e300,"next":0,"items":[1]}]',
    '[{"kind":"set","path":["a","b"],"to":1}]', '[{"kind":"set","path":["a"],"was":2,"to":1}]',
    '[{"kind":"append","path":["b"],"items":[1]}]',
    '[{"kind":"append","path":["__proto__"],"items":[1]}]',
  ])
    it(`is not read if what was added is not a change: ${damaged}`, () => {
      assert.equal(stateIn(`{"a":[1]}\nv1\nv2 ${damaged}`), undefined);
    });
});

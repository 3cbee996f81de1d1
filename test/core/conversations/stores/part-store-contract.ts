import assert from 'node:assert/strict';
import { afterEach, describe, it } from 'node:test';

import type { Awaitable } from '../../../../src/base/awaitable.ts';
import type {
  PartsChange,
  PartStore,
  StoredConversation,
} from '../../../../src/core/conversations/stores/part-store.ts';

const HOUR_MS = 3_600_000;

function change(from: string | undefined, to: string | undefined, more = {}): PartsChange {
  return { from, to, set: new Map(), remove: [], ttlMs: HOUR_MS, ...more };
}

function stored(found: StoredConversation | 'unchanged' | true | undefined): StoredConversation {
  assert.ok(typeof found === 'object', `expected a conversation, got ${String(found)}`);
  return found;
}

/**
 * What every store of parts promises. Each test has a new one from `open`. Ids are new in every
 * test, so that stores may share a database. `wait` lets that many milliseconds pass, by the
 * store's clock. `listsAll` is false for a store that sees only a part of what is kept.
 */
export function partStoreContract(
  name: string,
  open: () => Awaitable<PartStore>,
  wait: (ms: number) => Awaitable<void>,
  { listsAll = true }: { readonly listsAll?: boolean } = {},
): void {
  const opened: PartStore[] = [];
  const run = Math.random().toString(36).slice(2);
  let ids = 0;

  type Test = (store: PartStore, id: string) => Promise<void>;
  const begun = (test: Test) => async (): Promise<void> => {
    const store = await open();
    opened.push(store);
    ids += 1;
    await test(store, `parts-${run}-${ids}`);
  };

  describe(`${name} as a store of parts`, () => {
    afterEach(async () => {
      for (const store of opened.splice(0)) await store.close();
    });

    it('knows nothing about a conversation that nobody wrote', begun(async (store, id) => {
      assert.equal(await store.read(id), undefined);
      assert.equal(await store.read(id, 'v1'), undefined);
    }));

    it('gives back what was written, to the last character', begun(async (store, id) => {
      const parts = new Map([
        ['head', '{"a":"Hello \\"there\\" 👋🏽\\u0000\u2028"}'],
        ['0', '{}'],
        ['12', JSON.stringify({ text: 'x'.repeat(100_000) })],
      ]);
      assert.equal(await store.write(id, change(undefined, 'v1', { set: parts })), true);
      assert.deepEqual(stored(await store.read(id)), { version: 'v1', parts });
    }));

    it('says "unchanged" to a reader that knows the version', begun(async (store, id) => {
      await store.write(id, change(undefined, 'v1', { set: new Map([['head', '{}']]) }));
      assert.equal(await store.read(id, 'v1'), 'unchanged');
      assert.equal(stored(await store.read(id, 'v0')).version, 'v1');
    }));

    it('sets parts, removes those that are gone, and leaves the rest', begun(async (store, id) => {
      const first = new Map([['head', '1'], ['0', '"a"'], ['1', '"b"'], ['2', '"c"']]);
      await store.write(id, change(undefined, 'v1', { set: first }));
      const set = new Map([['head', '2'], ['1', '"B"'], ['3', '"d"']]);
      assert.equal(await store.write(id, change('v1', 'v2', { set, remove: ['0', '7'] })), true);
      const { version, parts } = stored(await store.read(id));
      assert.equal(version, 'v2');
      assert.deepEqual(
        new Map([...parts].sort()),
        new Map([['1', '"B"'], ['2', '"c"'], ['3', '"d"'], ['head', '2']]),
      );
    }));

    it('answers a change to another version with what it has', begun(async (store, id) => {
      await store.write(id, change(undefined, 'v1', { set: new Map([['head', '1']]) }));
      const late = change('v0', 'v2', { set: new Map([['head', '2']]) });
      const found = stored(await store.write(id, late));
      assert.deepEqual(found, { version: 'v1', parts: new Map([['head', '1']]) });
      assert.deepEqual(await store.read(id), found);
    }));

    it('adds to parts, and never twice', begun(async (store, id) => {
      const set = new Map([['head', '1'], ['0', 'a👋']]);
      await store.write(id, change(undefined, 'v1', { set }));
      const add = new Map([['0', '\n🎉b']]);
      for (let times = 0; times < 2; times++)
        assert.equal(await store.write(id, change('v1', 'v2', { add })), true);
      const parts = new Map([['head', '1'], ['0', 'a👋\n🎉b']]);
      assert.deepEqual(stored(await store.read(id)), { version: 'v2', parts });
    }));

    /** Two writes after the first one, which left parts 0 to 3. */
    async function changedTwice(store: PartStore, id: string): Promise<void> {
      const first = new Map(['0', '1', '2', '3', 'long'].map((name) => [name, `"${name}"`]));
      await store.write(id, change(undefined, 'v1', { set: first }));
      const add = new Map([['long', '+é'], ['2', '+']]);
      await store.write(id, change('v1', 'v2', { set: new Map([['0', 'new']]), add }));
      const [set, more] = [new Map([['2', 'set']]), new Map([['long', '+🎉']])];
      await store.write(id, change('v2', 'v3', { set, add: more, remove: ['1', 'none'] }));
    }

    it('tells what is new since a version, and no more', begun(async (store, id) => {
      await changedTwice(store, id);
      const { version, parts, news } = stored(await store.read(id, 'v1'));
      assert.equal(version, 'v3');
      assert.deepEqual(new Map([...parts].sort()), new Map([['0', 'new'], ['2', 'set']]));
      assert.deepEqual(news?.added, new Map([['long', '+é+🎉']]));
      assert.deepEqual(news?.removed.toSorted(), ['1', 'none']);
      assert.equal(stored(await store.read(id, 'v0')).news, undefined);
      assert.equal(stored(await store.read(id)).news, undefined);
    }));

    it('answers a refused change with what it would have changed, too', begun(async (store, id) => {
      await changedTwice(store, id);
      const late = change('v2', 'v4', { set: new Map([['0', 'x'], ['9', 'x']]), remove: ['3'] });
      const { parts, news } = stored(await store.write(id, late));
      assert.deepEqual(
        new Map([...parts].sort()), new Map([['0', 'new'], ['2', 'set'], ['3', '"3"']]),
      );
      assert.deepEqual(news?.added, new Map([['long', '+🎉']]));
      assert.deepEqual(news?.removed.toSorted(), ['1', '9', 'none']);
    }));

    it('tells everything to a reader that knows a very old version', begun(async (store, id) => {
      const of = (n: number): PartsChange =>
        change(n === 0 ? undefined : `v${n - 1}`, `v${n}`, { set: new Map([[`${n}`, '1']]) });
      for (let n = 0; n < 200; n++) await store.write(id, of(n));
      assert.equal(stored(await store.read(id, 'v190')).parts.size, 9);
      for (const version of ['v1', 'v10', 'v100'])
        assert.equal(stored(await store.read(id, version)).parts.size, 200, version);
    }));

    it('tells everything about a conversation that has begun anew', begun(async (store, id) => {
      await changedTwice(store, id);
      await store.write(id, change('v3', undefined));
      await store.write(id, change(undefined, 'v4', { set: new Map([['0', 'b']]) }));
      const parts = new Map([['0', 'b']]);
      assert.deepEqual(stored(await store.read(id, 'v3')), { version: 'v4', parts });
    }));

    it('does not begin a conversation that exists', begun(async (store, id) => {
      await store.write(id, change(undefined, 'v1', { set: new Map([['head', '1']]) }));
      const second = change(undefined, 'v2', { set: new Map([['head', '2']]) });
      assert.equal(stored(await store.write(id, second)).version, 'v1');
    }));

    it('accepts a change that it has already made', begun(async (store, id) => {
      const first = change(undefined, 'v1', { set: new Map([['head', '1'], ['0', '"a"']]) });
      const second = change('v1', 'v2', { set: new Map([['head', '2']]), remove: ['0'] });
      for (const made of [first, first, second, second])
        assert.equal(await store.write(id, made), true);
      assert.equal(stored(await store.read(id)).version, 'v2');
    }));

    it('removes a conversation only at the given version', begun(async (store, id) => {
      await store.write(id, change(undefined, 'v1', { set: new Map([['head', '1']]) }));
      assert.equal(stored(await store.write(id, change('v0', undefined))).version, 'v1');
      assert.equal(await store.write(id, change('v1', undefined)), true);
      assert.equal(await store.write(id, change('v1', undefined)), true);
      assert.equal(await store.read(id), undefined);
    }));

    it('lets only one of many changes to one version win', begun(async (store, id) => {
      await store.write(id, change(undefined, 'v0', { set: new Map([['head', '0']]) }));
      const answers = await Promise.all(
        Array.from({ length: 20 }, async (_, n) =>
          store.write(id, change('v0', `w${n}`, { set: new Map([['head', String(n)]]) })),
        ),
      );
      assert.equal(answers.filter((answer) => answer === true).length, 1);
      const winner = answers.indexOf(true);
      assert.deepEqual(stored(await store.read(id)), {
        version: `w${winner}`,
        parts: new Map([['head', String(winner)]]),
      });
    }));

    it('forgets a conversation that nobody changed in time', begun(async (store, id) => {
      const parts = new Map([['head', '1'], ['0', '"a"']]);
      await store.write(id, change(undefined, 'v1', { set: parts, ttlMs: 1_000 }));
      await wait(1_100);
      assert.equal(await store.read(id), undefined);
      assert.equal(await store.write(id, change('v1', 'v2')), undefined);
      await store.write(id, change(undefined, 'v3', { set: new Map([['head', '3']]) }));
      assert.deepEqual(stored(await store.read(id)).parts, new Map([['head', '3']]));
    }));

    it('restarts the time with every change', begun(async (store, id) => {
      const set = new Map([['head', '1']]);
      await store.write(id, change(undefined, 'v1', { set, ttlMs: 1_000 }));
      await store.write(id, change('v1', 'v2', { set, ttlMs: HOUR_MS }));
      await wait(1_100);
      assert.equal(stored(await store.read(id)).version, 'v2');
    }));

    it('keeps conversations apart, whatever their ids contain', begun(async (store, id) => {
      const others = [`${id}:`, `${id} `, `${id}:é語👋🏽`, id.toUpperCase(), `${id}%00`, `${id}'; --`,
        `${id}\ud83d`, `${id}\ud83e`, `${id}\ufffd`, `${id}%d83d`, `${id}*`, `${id}{x}`,
        `${id}/../x`, `${id}${'i'.repeat(256 - id.length)}`];
      for (const [n, other] of [id, ...others].entries()) {
        const set = new Map([['head', String(n)]]);
        assert.equal(await store.write(other, change(undefined, 'v1', { set })), true, other);
      }
      for (const [n, other] of [id, ...others].entries())
        assert.equal(stored(await store.read(other)).parts.get('head'), String(n), other);
    }));

    const LISTS = { skip: !listsAll && 'sees only a part' };
    it('lists the ids that begin with a prefix, and no others', LISTS, begun(async (store, id) => {
      const prefix = `${id}[*?]\\^-\t`;
      const odd = ['', '\t', 'a', 'é語👋🏽', '*', '%0009', '\u{10ffff}x', 'a/b'];
      const rests = [...odd, ...Array.from({ length: 1_100 }, (_, n) => `n${n}`)];
      const begun = change(undefined, 'v1', { set: new Map([['head', '1']]) });
      for (const other of [...rests.map((rest) => prefix + rest), `${id}x`, id, `${id}**\\^-\t`])
        await store.write(other, begun);
      const found = new Set<string>();
      for (let after: string | undefined = ''; after !== undefined;) {
        const page = await store.list(prefix, after);
        for (const listed of page.ids) found.add(listed);
        after = page.next;
      }
      assert.deepEqual([...found].sort(), rests.map((rest) => prefix + rest).sort());
    }));

    it('does not list an expired id', begun(async (store, id) => {
      const set = new Map([['head', '1']]);
      await store.write(id, change(undefined, 'v1', { set, ttlMs: 1_000 }));
      await wait(1_100);
      assert.deepEqual((await store.list(id, '')).ids, []);
    }));

    it('can be closed twice', begun(async (store) => {
      await store.close();
      await store.close();
    }));
  });
}

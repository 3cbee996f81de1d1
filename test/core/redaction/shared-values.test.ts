// Values that one process has heard and a raw tool in another one needs: REDACTION_KEY.

import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';

import { createLogger, noLog } from '../../../src/base/log.ts';
import { defineAgent } from '../../../src/core/agents/define-agent.ts';
import { CallValues } from '../../../src/core/redaction/call-values.ts';
import { SharedValues } from '../../../src/core/redaction/shared-values.ts';
import { ValueCipher } from '../../../src/core/redaction/value-cipher.ts';
import { createTestClient } from '../../../src/kit/test-client.ts';
import { createApp } from '../../../src/server/app/create-app.ts';
import { parseSettings } from '../../../src/server/settings/parse-settings.ts';
import { serve, Told, until, type TestAgent } from '../../fixtures/app.ts';
import { machines, says, type Machine, type Machines } from '../turns/machines.ts';
import { paying, type Paid } from './card-payer.ts';

const CARD = '4242 4242 4242 4242';
const OTHER = '5555 5555 5555 4444';
const DIGITS = '4242424242424242';
const [KEY, NEXT_KEY] = ['k'.repeat(32), 'n'.repeat(32)];
/** The card or a key. Four digits may be part of a time. */
const SECRET = /4242 ?4242|kkkkkkkk|nnnnnnnn/;
const UNKNOWN = /\[card 1\] is not known in this process: ask the caller to say it again/;
const PREFIX = '\tvalue\t';

/** Three processes that pay, and what they have paid. `keys`: of all processes, or of each. */
function desks(
  t: TestContext,
  keys: string | Readonly<Record<string, string>> = KEY,
  agentOf: (paid: Paid) => TestAgent = paying,
): Machines & { readonly paid: Paid } {
  const paid: Paid = new Told();
  const all = machines(t, agentOf(paid), (address) => ({
    REDACTION_KEY: typeof keys === 'string' ? keys : (keys[address] ?? KEY),
  }));
  return { ...all, paid };
}

/** The ids of what is kept aside, once there are that many. */
async function kept({ parts }: Machine, count: number): Promise<readonly string[]> {
  const writes = (): number => parts.changes.filter(({ to }) => to?.startsWith('~')).length;
  await until(() => writes() >= count, 'values to be written');
  for (;;) {
    const { ids } = await parts.list(PREFIX, '');
    if (ids.length >= count) return ids;
  }
}

/** Replaces the text that is kept under an id. */
async function replace({ parts }: Machine, id: string, change: (text: string) => string) {
  const found = await parts.read(id);
  assert.ok(typeof found === 'object');
  const set = new Map([['text', change(found.parts.get('text') ?? '')]]);
  const made = await parts.write(id, {
    from: found.version, to: '~changed', set, remove: [], ttlMs: 600_000,
  });
  assert.equal(made, true);
}

function logged({ logLines }: Machine, message: string): readonly string[] {
  return logLines.filter((line) => line.includes(`"msg":"${message}"`));
}

const UNREADABLE = 'a value that another process may have kept cannot be read';

describe('a value that another process has heard', () => {
  it('reaches a raw tool with any of the keys, and the model asks for nothing', async (t) => {
    // Mid-rotation: b and c already list the new key first.
    const { a, b, c, paid } = desks(t, { b: `${NEXT_KEY},${KEY}`, c: `${NEXT_KEY},${KEY}` });
    assert.equal(await says(a, CARD, { turn_id: 't' }), '"paid"');
    const [id = ''] = await kept(a, 1);
    assert.match(id, /^\tvalue\tc\tcard [a-z]{12}$/);
    assert.equal(await says(b, 'Pay with [card 1].'), '"paid"');
    assert.equal(await says(c, 'Again with [card 1].'), '"paid"');
    assert.deepEqual(paid.all.map(([card]) => card), [DIGITS, DIGITS, DIGITS]);
    assert.equal(await a.store.count(), 1); // it is not a conversation
    for (const one of [a, b, c]) assert.doesNotMatch(one.logLines.join(''), SECRET);
    const { parts: stored } = (await b.parts.read(id)) as { parts: ReadonlyMap<string, string> };
    assert.doesNotMatch(String(stored.get('text')), SECRET);
  });

  it('is not used to pay again, even in another process', async (t) => {
    const { a, b, paid } = desks(t, KEY, (told) => paying(told, true));
    await says(a, `Now: ${CARD}`);
    await kept(a, 1);
    assert.match(await says(b, 'And with [card 1]?'), /"status":"done before"/);
    assert.equal(paid.all.length, 1);
  });

  it('is not looked for if this process knows it, or has no such placeholder', async (t) => {
    const { a, b } = desks(t);
    await says(a, CARD);
    await kept(a, 1);
    await says(b, 'With [card 1].');
    const reads: string[] = [];
    const read = b.parts.read.bind(b.parts);
    b.parts.read = (id, known) => {
      if (id.startsWith(PREFIX)) reads.push(id);
      return read(id, known);
    };
    await says(b, 'Again with [card 1].');
    assert.match(await says(b, 'Or with [card 7]?'), /\[card 7\] is not known/);
    assert.deepEqual(reads, []);
  });

  it('is asked for again after ten minutes', async (t) => {
    const { a, b, c } = desks(t);
    await says(a, CARD);
    await kept(a, 1);
    c.parts.nowMs = 599_999;
    assert.equal(await says(c, 'Still with [card 1].'), '"paid"');
    b.parts.nowMs = 600_000;
    assert.match(await says(b, 'With [card 1].'), UNKNOWN);
    assert.deepEqual(logged(b, UNREADABLE), []);
  });

  for (const [what, keys] of [
    ['has another key', { b: NEXT_KEY }],
    ['has lost the old key of a rotation', { a: `${KEY},${NEXT_KEY}`, b: NEXT_KEY }],
  ] as const)
    it(`is asked for again in a process that ${what}, and the log says why`, async (t) => {
      const { a, b } = desks(t, keys);
      await says(a, CARD);
      await kept(a, 1);
      assert.match(await says(b, 'With [card 1].'), UNKNOWN);
      const [line = ''] = logged(b, UNREADABLE);
      assert.match(line, /it is encrypted with another key/);
      assert.doesNotMatch(line, SECRET);
    });

  it('is asked for if somebody has changed it or moved it to another conversation', async (t) => {
    const { a, b, paid } = desks(t);
    await says(a, CARD);
    const [id = ''] = await kept(a, 1);
    const changed = (text: string): string => (text[20] === 'A' ? 'B' : 'A');
    await replace(a, id, (text) => text.slice(0, 20) + changed(text) + text.slice(21));
    assert.match(await says(b, 'With [card 1].'), UNKNOWN);
    const elsewhere = { conversation_id: 'd' };
    await says(a, `There: ${OTHER}`, elsewhere);
    const there = (await kept(a, 2)).find((one) => one !== id) ?? '';
    const found = (await a.parts.read(id)) as { parts: ReadonlyMap<string, string> };
    await replace(a, there, () => found.parts.get('text') ?? '');
    assert.match(await says(b, 'There with [card 1].', elsewhere), UNKNOWN);
    assert.equal(logged(b, UNREADABLE).length, 2);
    assert.equal(paid.all.length, 2); // both in process a
  });

  it('is never a security code', async (t) => {
    const { a, b } = desks(t, KEY, (told) => paying(told, false, 'cards'));
    await says(a, `${CARD}, and the CVV is 123.`);
    assert.equal((await kept(a, 1)).length, 1);
    assert.match(await says(b, 'The code is [code 1].'), /\[code 1\] is not known/);
    assert.match((await kept(a, 1)).join(), /\tcard [a-z]{12}$/);
  });

  it('is not kept for others if no tool accepts values', async (t) => {
    const { a, b } = machines(t, {
      bind: () => ({ name: 'x', redact: 'cards', tools: [], onMessage: ({ text }) => text }),
    }, { REDACTION_KEY: KEY });
    assert.equal(await says(a, CARD), '[card 1]');
    assert.equal(await says(b, OTHER), '[card 2]');
    assert.deepEqual((await a.parts.list(PREFIX, '')).ids, []);
  });

  it('is fetched for code that runs tools itself', async (t) => {
    const { a, b } = machines(t, {
      redact: 'cards',
      async onMessage({ text, journal }) {
        await journal.bring({ text });
        return `${journal.reveal(text).length}`;
      },
    }, { REDACTION_KEY: KEY });
    assert.equal(await says(a, CARD), '16');
    await kept(a, 1);
    assert.equal(await says(b, '[card 1]'), '16');
  });

  it('does not delay a turn if the store refuses it, which is logged', async (t) => {
    const { a } = desks(t);
    await says(a, 'Hello.');
    const write = a.parts.write.bind(a.parts);
    let refused = 0;
    a.parts.write = (id, change) => {
      if (!id.startsWith(PREFIX)) return write(id, change);
      refused += 1;
      return new Promise((_resolve, reject) => setImmediate(reject, new Error('no')));
    };
    assert.equal(await says(a, CARD, { turn_id: 't-1' }), '"paid"');
    await until(() => logged(a, 'a value was not kept for other processes').length > 0, 'the log');
    assert.equal(a.store.health().isDegraded, false);
    assert.equal(await says(a, `Again: ${CARD}`, { turn_id: 't-2' }), '"paid"');
    assert.ok(refused >= 2); // it is tried again when it is said again
    assert.doesNotMatch(a.logLines.join(''), SECRET);
  });
});

describe('REDACTION_KEY', () => {
  it('is reported to have no effect if no store is shared', (t) => {
    const { logLines } = serve(t, {}, { environment: { REDACTION_KEY: KEY } });
    assert.match(logLines.join(''), /"level":"warn".*not in a shared store/);
    const { a } = desks(t);
    assert.doesNotMatch(a.logLines.join(''), /has no effect/);
  });

  it('does not end the program if the sharing of values fails', async (t) => {
    const { store } = machines(t).a;
    const settings = parseSettings({ LAYERCODE_WEBHOOK_SECRET: 'whsec_any' }, []);
    const lines: string[] = [];
    const log = createLogger({ level: 'warn', write: (line) => lines.push(line) });
    const agent = defineAgent({ name: 'x', redact: 'cards', onMessage: ({ text }) => text });
    const app = createApp({ ...settings, redactionKeys: [{} as string] }, agent, { store, log });
    t.after(() => app.close());
    await until(() => lines.length > 0, 'the log');
    assert.match(lines.join(''), /"REDACTION_KEY has no effect".*must be of type/);
    const client = createTestClient(app, { secret: 'whsec_any' });
    assert.equal(await (await client.say(CARD)).text(), '[card 1]');
  });
});

describe('SharedValues', () => {
  it('writes a value again only after a minute, and at most a hundred per call', async () => {
    const written: (readonly [id: string, ttlMs: number])[] = [];
    let nowMs = 0;
    const shared = new SharedValues({
      aside: {
        keep: async (id, _text, ttlMs) => void written.push([id, ttlMs]),
        read: async () => undefined,
      },
      keys: [KEY],
      keyOf: (id) => `agent/${id}`,
      log: noLog(),
      now: () => nowMs,
    });
    const values = new CallValues();
    const hear = (letters: string): Promise<void> =>
      shared.keep('c', values, letters, { kind: 'card', value: DIGITS });
    await hear('aaaaaaaaaaaa');
    nowMs = 59_999;
    await hear('aaaaaaaaaaaa');
    assert.deepEqual(written, [['agent/c\tcard aaaaaaaaaaaa', 600_000]]);
    nowMs = 60_000;
    await hear('aaaaaaaaaaaa');
    assert.equal(written.length, 2);
    for (let count = 0; count < 200; count++) await hear(`b${count}`);
    assert.equal(new Set(written.map(([id]) => id)).size, 100);
  });
});

describe('ValueCipher', () => {
  const cipher = new ValueCipher([KEY]);
  const text = cipher.encrypt(DIGITS, 'here');

  it('decrypts what it has encrypted, which is never the same text twice', () => {
    assert.equal(cipher.decrypt(text, 'here'), DIGITS);
    assert.notEqual(cipher.encrypt(DIGITS, 'here'), text);
    assert.equal(new ValueCipher([NEXT_KEY, KEY]).decrypt(text, 'here'), DIGITS);
  });

  it('refuses a text that is moved, cut anywhere, or has any bit changed', () => {
    assert.throws(() => cipher.decrypt(text, 'there'));
    assert.throws(() => new ValueCipher([NEXT_KEY]).decrypt(text, 'here'), /another key/);
    for (let length = 0; length < text.length; length++)
      assert.throws(() => cipher.decrypt(text.slice(0, length), 'here'), `cut at ${length}`);
    const [id, data = ''] = text.split('.');
    const bytes = Buffer.from(data, 'base64url');
    for (let bit = 0; bit < bytes.length * 8; bit++) {
      const changed = Buffer.from(bytes);
      changed.writeUInt8((changed[bit >> 3] ?? 0) ^ (1 << (bit & 7)), bit >> 3);
      const damaged = `${id}.${changed.toString('base64url')}`;
      assert.throws(() => cipher.decrypt(damaged, 'here'), `bit ${bit}`);
    }
  });
});
